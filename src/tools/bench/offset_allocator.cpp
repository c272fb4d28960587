#include "bench/offset_allocator.hpp"

#include "failed.hpp"

#ifdef VASPACE_BENCH_OFFSET_ALLOCATOR

#include <offsetAllocator.hpp>

namespace vaspace::tools::bench {

namespace {

// It knows no alignment and counts in 32 bits: in units of 256 bytes, and what asks for more alignment gets
// as much room as it may need.
class OffsetAllocatorSubject {
 public:
  using Handle = OffsetAllocator::Allocation;

  explicit OffsetAllocatorSubject(const Setup& setup)
      : allocator_(static_cast<std::uint32_t>(setup.heap.value >> kUnitLog2), setup.handles * 2 + 2) {}
  Handle allocate(std::uint32_t size, unsigned alignment_log2) {
    std::uint32_t units = (size + (1U << kUnitLog2) - 1) >> kUnitLog2;
    if (alignment_log2 > kUnitLog2) units += (1U << (alignment_log2 - kUnitLog2)) - 1;
    const Handle handle = allocator_.allocate(units);
    if (handle.offset == Handle::NO_SPACE) [[unlikely]]
      ++refused_;
    return handle;
  }
  void free(Handle handle) {
    if (handle.offset != Handle::NO_SPACE) allocator_.free(handle);
  }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  static constexpr unsigned kUnitLog2 = 8;

  OffsetAllocator::Allocator allocator_;
  std::uint64_t refused_ = 0;
};

}  // namespace

bool have_offset_allocator() {
  return true;
}

std::unique_ptr<Session> make_offset_allocator(const Setup& setup) {
  return std::make_unique<SessionOf<OffsetAllocatorSubject>>(setup);
}

}  // namespace vaspace::tools::bench

#else

namespace vaspace::tools::bench {

bool have_offset_allocator() {
  return false;
}

std::unique_ptr<Session> make_offset_allocator(const Setup&) {
  throw Failed("this vaspace was built without OffsetAllocator");
}

}  // namespace vaspace::tools::bench

#endif
