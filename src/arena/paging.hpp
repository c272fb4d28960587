// Pages behind the ranges of an arena: binds what is missing and takes back what is empty.
//
// Always true: no driver call is made under an arena's lock. Pages are marked in the page table under the
// lock, bound or unbound outside it, then published or rolled back; only who needs that very page waits (T2).
#pragma once

#include <atomic>

#include "vaspace/base/observer.hpp"
#include "vaspace/va/page_pool.hpp"

#include "arena/arena.hpp"

namespace vaspace {

template <class Policy>
class Paging {
 public:
  using ArenaOf = Arena<Policy>;
  using Lock = std::unique_lock<typename Policy::Mutex>;

  Paging(PagePool& pool, const Observer& observer) noexcept : pool_(pool), observer_(observer) {}

  [[nodiscard]] PagePool& pool() noexcept { return pool_; }

  // Every page of `range`, which has been touched, is bound when this succeeds. When it fails some may be:
  // who gives up takes them back with drop(). Errors: as the backend's create_physical, bind and wait.
  [[nodiscard]] Result<void> commit(ArenaOf& arena, const Range& range) noexcept;
  // Gives back up to `most` empty pages of [begin, end), into the pool while it has fewer than `keep`; how
  // many it tried.
  std::uint64_t drop(ArenaOf& arena, Offset begin, Offset end, std::uint64_t keep,
                     std::uint64_t most) noexcept;
  // Gives back up to `most` empty pages of the arena, the longest empty first; how many it tried.
  std::uint64_t give_back(ArenaOf& arena, std::uint64_t most, std::uint64_t keep) noexcept;
  // Gives back all pages of [begin, end), touched or not: the arena ends.
  void take_down(ArenaOf& arena, Offset begin, Offset end) noexcept;

  // Pages whose unbind the driver has refused so far, each time it did.
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  [[nodiscard]] Result<void> commit_part(ArenaOf& arena, Offset begin, Bytes size, bool& waited) noexcept;
  [[nodiscard]] Result<void> bind(PageBatch& batch, bool& in_place) noexcept;
  [[nodiscard]] Result<void> take_pages(PageBatch& batch) noexcept;
  [[nodiscard]] Result<void> unbind_now(const PageBatch& batch, std::uint32_t first,
                                        std::uint32_t count) noexcept;
  void unbind(ArenaOf& arena, const PageBatch& batch, std::uint64_t keep) noexcept;
  void tell(EventKind kind, const PageBatch& batch, ErrorCode code) const noexcept;

  PagePool& pool_;
  Observer observer_;
  std::atomic<std::uint64_t> refused_{0};  // a figure only: relaxed
};

}  // namespace vaspace
