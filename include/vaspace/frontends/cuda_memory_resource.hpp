// A std::pmr::memory_resource over pinned memory of a StreamAllocator: containers whose elements the host and
// every device reach at the same address. Header-only; where there are no exceptions there is none, because a
// memory_resource has no other way to refuse.
//
// Always true: what it hands out is aligned as asked; it refuses with std::bad_alloc alone.
#pragma once

#include "vaspace/frontends/cuda.hpp"

#if defined(__cpp_exceptions) && defined(__cpp_rtti)
#include <memory_resource>
#include <new>

namespace vaspace::cuda {

// Thread-safe. What is given back may still be in use by work on `stream`: nobody gets it before that is
// over. Other streams have been waited for.
class PinnedResource final : public std::pmr::memory_resource {
 public:
  // `pinned` was made with MemoryKind::pinned, and outlives this.
  PinnedResource(StreamAllocator& pinned, Stream stream) noexcept : pinned_(pinned), stream_(stream) {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    const Result<Address> address = pinned_.allocate(
        StreamRequest{.size = Bytes{bytes != 0 ? bytes : 1}, .alignment = Alignment{alignment}}, stream_);
    if (!address) throw std::bad_alloc();
    // Pinned memory has the same address for the host. NOLINTNEXTLINE(performance-no-int-to-ptr)
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address->value));
  }
  void do_deallocate(void* memory, std::size_t, std::size_t) override {
    (void)pinned_.free(Address{reinterpret_cast<std::uintptr_t>(memory)}, stream_);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    const auto* same = dynamic_cast<const PinnedResource*>(&other);
    return same != nullptr && &same->pinned_ == &pinned_ && same->stream_ == stream_;
  }

  StreamAllocator& pinned_;
  const Stream stream_;
};

}  // namespace vaspace::cuda
#endif
