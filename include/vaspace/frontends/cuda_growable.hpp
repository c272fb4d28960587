// A range of device memory that grows in place.
//
//   |==page==|==page==|==page==|............reserved............|
//   address                    size                             reserved
//
// Always true: [address, address + size) is bound and accessible, page by page, so that any end of it can be
// given back (C8); contents survive growing; a call that fails has changed nothing.
//
// What is reserved costs no memory, so a generous reservation keeps the address for good. Beyond it, one more
// reservation is tried right behind; if that comes to lie elsewhere (C18), the pages move to a new range that
// holds all: the bytes are not copied, but the address changes and grow() says so.
#pragma once

#include "vaspace/backends/cuda.hpp"
#include "vaspace/base/host_array.hpp"

namespace vaspace::cuda {

struct GrowableConfig {
  Bytes reservation{};  // addresses from the beginning; 0: a page
  Address hint{};       // where they would be liked; only a hint
  HostAllocator host = default_host_allocator();
};

// Externally synchronised.
class GrowableBuffer {
 public:
  // `backend` outlives the buffer. Errors: as Backend::reserve.
  [[nodiscard]] static Result<GrowableBuffer> create(Backend& backend,
                                                     const GrowableConfig& config = {}) noexcept;

  GrowableBuffer(GrowableBuffer&&) noexcept = default;
  GrowableBuffer& operator=(GrowableBuffer&& other) noexcept;
  GrowableBuffer(const GrowableBuffer&) = delete;
  GrowableBuffer& operator=(const GrowableBuffer&) = delete;
  // Nothing on the device uses it any more (C13).
  ~GrowableBuffer();

  [[nodiscard]] Address address() const noexcept { return address_; }
  // Bound: whole pages.
  [[nodiscard]] Bytes size() const noexcept { return page_ * pages_.size(); }
  [[nodiscard]] Bytes reserved() const noexcept;

  enum class Grown : std::uint8_t { in_place, moved };
  // At least `size` bytes from now on. Should it have to move, it begins after `waits`: the last uses of it.
  // Errors: invalid_size, out_of_device_memory, out_of_address_space, out_of_host_memory, or what the driver
  // said.
  [[nodiscard]] Result<Grown> grow(Bytes size, std::span<const TimelinePoint> waits = {}) noexcept;
  // At most `size` bytes, rounded up to pages; begins after `waits`. The reservation stays.
  [[nodiscard]] Result<void> shrink(Bytes size, std::span<const TimelinePoint> waits = {}) noexcept;

 private:
  GrowableBuffer(Backend& backend, const HostAllocator& host) noexcept
      : backend_(&backend),
        page_(backend.profile().page_sizes[0]),
        ranges_(host),
        pages_(host),
        unbinds_(host) {}
  void destroy() noexcept;
  [[nodiscard]] Result<void> extend(Bytes size) noexcept;
  [[nodiscard]] Result<void> bind_pages(std::span<const PhysicalId> pages, Address at) noexcept;
  [[nodiscard]] Result<void> move_to(const Reservation& target, std::span<const PhysicalId> more,
                                     std::span<const TimelinePoint> waits) noexcept;

  Backend* backend_;
  Bytes page_{};
  Address address_{};
  HostArray<Reservation> ranges_;  // side by side, from address_ on
  HostArray<PhysicalId> pages_;
  HostArray<BindOp> unbinds_;  // has room for one per range, so that shrinking needs no host memory
};

}  // namespace vaspace::cuda
