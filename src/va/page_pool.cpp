#include "vaspace/va/page_pool.hpp"

#include <algorithm>

namespace vaspace {

std::size_t PagePool::take_pooled(std::span<PhysicalId> out) noexcept {
  const std::scoped_lock lock(mutex_);
  std::size_t taken = 0;
  for (; taken < out.size() && !pooled_.empty(); ++taken) {
    out[taken] = pooled_.back();
    pooled_.pop_back();
  }
  pooled_count_.store(pooled_.size(), std::memory_order_relaxed);
  return taken;
}

Result<void> PagePool::create(Address near, std::span<PhysicalId> out) noexcept {
  if (out.empty()) return {};
  const PhysicalRequest request{.size = page_size_, .memory_type = memory_type_, .near = near};
  return backend_.create_physical(request, out);
}

Result<void> PagePool::take(Address near, std::span<PhysicalId> out) noexcept {
  const std::size_t taken = take_pooled(out);
  const Result<void> created = create(near + taken * page_size_, out.subspan(taken));
  if (created) {
    count(out.size() - taken);
    return {};
  }
  give(out.first(taken), kUnlimited);
  // Whoever looks at `out` after a failure finds no page that is the pool's.
  std::fill(out.begin(), out.end(), PhysicalId{});
  return created;
}

bool PagePool::pool_one(PhysicalId page, std::uint64_t keep) noexcept {
  const std::scoped_lock lock(mutex_);
  // No room is no error: the page then goes back to the device. Called where pages are given back, so this
  // may ask for host memory but needs none.
  if (pooled_.size() >= keep || !pooled_.push_back(page)) return false;
  pooled_count_.store(pooled_.size(), std::memory_order_relaxed);
  return true;
}

void PagePool::destroy(PhysicalId page) noexcept {
  if (backend_.destroy_physical({&page, 1})) {
    held_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  refused_.fetch_add(1, std::memory_order_relaxed);
  // A lost device takes nothing back. Without room to remember it the page is lost with it, but stays
  // counted.
  (void)pool_one(page, kUnlimited);
}

void PagePool::give(std::span<const PhysicalId> pages, std::uint64_t keep) noexcept {
  while (!pages.empty() && pool_one(pages.front(), keep))
    pages = pages.subspan(1);
  if (pages.empty()) return;
  if (backend_.destroy_physical(pages)) {
    held_.fetch_sub(pages.size(), std::memory_order_relaxed);
    return;
  }
  for (const PhysicalId page : pages)
    destroy(page);
}

void PagePool::trim(std::uint64_t keep) noexcept {
  for (std::uint64_t left = pooled(); left > keep; --left) {
    PhysicalId page;
    {
      const std::scoped_lock lock(mutex_);
      if (pooled_.size() <= keep) return;
      page = pooled_.back();
      pooled_.pop_back();
      pooled_count_.store(pooled_.size(), std::memory_order_relaxed);
    }
    destroy(page);
  }
}

}  // namespace vaspace
