// Address ranges of any size out of eight arenas, each with the strategy and the reservations of its size
// class.
//
//   arena 0   <= 512 B   slab     [2 MiB] [2 MiB] ...     a reservation is made when its arena is full, and
//   arena 1   <= 1 KiB   slab     [2 MiB] ...             given back by collect() when it is empty
//   ...
//   arena 7   above      object   [the device's memory size] ...
#pragma once

#include <span>

#include "vaspace/arena/basic_allocator.hpp"
#include "vaspace/arena/size_class.hpp"
#include "vaspace/base/misuse.hpp"
#include "vaspace/base/observer.hpp"

namespace vaspace {

struct ArenaConfig {
  std::span<const SizeClass> classes = kStandardSizeClasses;  // copied
  Bytes page_size{};                                          // one that the backend offers; 0: the smallest
  std::uint32_t memory_type = 0;                              // of profile().memory_types
  MemoryTraits traits{};                                      // of every reservation, where reserving commits
  // Unit of the object arenas. Raised for an arena whose reservations would need more than 2^26 of them.
  Alignment granule{256};
  // A size class has no reservations of its own until what it holds is more than this: until then its
  // allocations lie with those of the largest sizes, best fit, so that it has no page of its own that is
  // mostly empty. 0: never. Not where no pages are bound, nor where the last class is a slab.
  static constexpr Bytes kEarnByPage = kMaxBytes;
  static constexpr Bytes kLargePage = 256_KiB;
  Bytes earn = kEarnByPage;  // eight pages where they are larger than kLargePage, else 0
  // Where reserving commits: the first block, a power of two of at least 64 KiB; each further one is half as
  // large as all that are held, for who holds little and wants little beside it. 0: 4 MiB, each twice the
  // last, which needs fewer of them.
  Bytes first_block{};
  // What collect keeps of empty pages: so much, and so many percent of live bytes.
  Bytes retain = 2_MiB;
  std::uint32_t retain_percent = 1;
  Bytes collect_step = 64_MiB;   // of pages that one collect gives back
  bool index_addresses = false;  // keep the index for free(address) from the beginning
  HostAllocator host = default_host_allocator();
  MisuseHandler on_misuse{};
  Observer observer{};
  LeakHandler on_leak{};
};

template <class Policy>
class BasicArenaAllocator : public BasicAllocator<Policy> {
 public:
  // `backend` outlives the allocator. Errors: invalid_configuration (a table that does not validate, a page
  // size that the backend does not offer, a memory type that it does not have, a granule that is no power of
  // two or above 64 KiB), out_of_host_memory. No driver call is made.
  [[nodiscard]] static Result<BasicArenaAllocator> create(Backend& backend,
                                                          const ArenaConfig& config = {}) noexcept;

 private:
  using BasicAllocator<Policy>::BasicAllocator;
};

using ArenaAllocator = BasicArenaAllocator<SingleThreaded>;
using ThreadSafeArenaAllocator = BasicArenaAllocator<ThreadSafe>;
extern template class BasicArenaAllocator<SingleThreaded>;
extern template class BasicArenaAllocator<ThreadSafe>;

}  // namespace vaspace
