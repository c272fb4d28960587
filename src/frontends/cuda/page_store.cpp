#include "page_store.hpp"

namespace vaspace::cuda {

std::size_t PageStore::take_idle(std::span<PhysicalId> out) noexcept {
  const std::lock_guard lock(mutex_);
  std::size_t taken = 0;
  for (; taken < out.size() && !idle_.empty(); ++taken) {
    out[taken] = idle_.back();
    idle_.pop_back();
  }
  return taken;
}

Result<void> PageStore::create(std::span<PhysicalId> out) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.reserve(held_.load(std::memory_order_relaxed) + out.size()))
      return fail(ErrorCode::out_of_host_memory);
    held_.fetch_add(out.size(), std::memory_order_relaxed);
  }
  const Result<void> created = device_.create_physical({page_, 0, {}}, out);
  if (!created) held_.fetch_sub(out.size(), std::memory_order_relaxed);
  return created;
}

std::size_t PageStore::take_some(std::span<PhysicalId> out, PageTaker* taker) noexcept {
  const std::size_t own = taker != nullptr && !out.empty() ? taker->take_own(out) : 0;
  return own + take_idle(out.subspan(own));
}

Result<void> PageStore::take(std::span<PhysicalId> out, PageTaker* taker) noexcept {
  std::size_t taken = take_some(out, taker);
  if (taken < out.size()) {
    reclaimer_.reclaim(reclaimer_.user, taker, out.size() - taken, false);
    taken += take_some(out.subspan(taken), taker);
  }
  Result<void> made;
  if (taken < out.size()) made = create(out.subspan(taken));
  if (!made && made.error().code == ErrorCode::out_of_device_memory && patient()) {
    reclaimer_.reclaim(reclaimer_.user, taker, out.size() - taken, true);
    taken += take_some(out.subspan(taken), taker);
    made = taken < out.size() ? create(out.subspan(taken)) : Result<void>{};
  }
  if (made) return made;
  for (const PhysicalId page : out.first(taken)) {
    if (taker != nullptr) {
      taker->give_page(page);
    } else {
      give({&page, 1});
    }
  }
  return made;
}

void PageStore::give(std::span<const PhysicalId> pages) noexcept {
  const std::lock_guard lock(mutex_);
  for (const PhysicalId page : pages)
    idle_.push_back_reserved(page);
}

void PageStore::destroy(std::span<const PhysicalId> pages) noexcept {
  if (pages.empty()) return;
  if (device_.destroy_physical(pages)) {
    held_.fetch_sub(pages.size(), std::memory_order_relaxed);
  } else {
    give(pages);
  }
}

void PageStore::trim() noexcept {
  for (std::uint64_t left = idle(); left != 0; --left) {
    PhysicalId page;
    if (take_idle({&page, 1}) == 0) return;
    destroy({&page, 1});
  }
}

std::uint64_t PageStore::idle() const noexcept {
  const std::lock_guard lock(mutex_);
  return idle_.size();
}

bool PageStore::add_owner(const Reservation& reservation, std::uint32_t owner) noexcept {
  const std::lock_guard lock(mutex_);
  return owners_.insert(reservation.address, reservation.size, owner + 1);
}

void PageStore::remove_owner(const Reservation& reservation) noexcept {
  const std::lock_guard lock(mutex_);
  owners_.erase(reservation.address, reservation.size);
}

std::uint32_t PageStore::owner_of(Address address) const noexcept {
  const std::lock_guard lock(mutex_);
  return owners_.find(address) - 1;  // kNone is 0
}

}  // namespace vaspace::cuda
