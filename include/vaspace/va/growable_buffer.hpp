// A buffer that grows and shrinks and never moves: its addresses are reserved once for the largest size that
// it may have, and pages follow what it has now.
//
//   addresses   |--page--|--page--|--page--|.....................|
//   size        |---------------------|                             max_size
//
// Always true: the bytes below size() have memory behind them, at the address they always had, and keep their
// content; whole pages above it have none, but for what the driver would not unbind; a resize does all or
// nothing. Externally synchronised.
#pragma once

#include "vaspace/va/page_pool.hpp"
#include "vaspace/va/va_space.hpp"

namespace vaspace {

struct GrowableBufferConfig {
  Bytes max_size{};
  Bytes page_size{};  // one that the backend offers; 0: the smallest
  std::uint32_t memory_type = 0;
  HostAllocator host = default_host_allocator();
};

class GrowableBuffer {
 public:
  // `backend` outlives the buffer. Errors: as VaSpace::create.
  [[nodiscard]] static Result<HostObject<GrowableBuffer>> create(Backend& backend,
                                                                 const GrowableBufferConfig& config) noexcept;
  ~GrowableBuffer();
  GrowableBuffer(const GrowableBuffer&) = delete;
  GrowableBuffer& operator=(const GrowableBuffer&) = delete;

  [[nodiscard]] Address address() const noexcept { return space_->begin(); }
  [[nodiscard]] Bytes size() const noexcept { return size_; }
  [[nodiscard]] Bytes max_size() const noexcept { return space_->end() - space_->begin(); }
  [[nodiscard]] Bytes committed() const noexcept { return space_->page_size() * pages_.size(); }

  // New bytes have undefined content. When it shrinks, nobody uses what goes any more. Waits for its binds.
  // Errors: too_large, out_of_host_memory, or as Backend::create_physical and bind: then nothing has changed.
  // Shrinking does not fail: pages that the driver does not unbind stay, counted in committed(), until the
  // next resize.
  [[nodiscard]] Result<void> resize(Bytes size) noexcept;

  // For make_host_object alone: use create().
  GrowableBuffer(HostObject<VaSpace> space, const GrowableBufferConfig& config) noexcept;

 private:
  [[nodiscard]] Result<void> grow(std::size_t pages) noexcept;
  void shrink(std::size_t pages) noexcept;
  [[nodiscard]] Address page_at(std::size_t index) const noexcept {
    return space_->begin() + space_->page_size() * index;
  }

  HostObject<VaSpace> space_;
  PagePool pool_;
  HostArray<PhysicalId> pages_;  // by place
  Bytes size_{};
};

}  // namespace vaspace
