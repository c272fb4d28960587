// What a stream's arena binds and unbinds, and what lingers meanwhile.
#include <cuda.h>
#include <utility>

#include "stream_pages.hpp"

namespace vaspace::cuda {

std::size_t StreamPages::take_own(std::span<PhysicalId> out) noexcept {
  if (own() == 0) return 0;
  const std::lock_guard lock(mutex_);
  const std::size_t taken = lingering_.take(out);
  own_.store(lingering_.unused(), std::memory_order_relaxed);
  return taken;
}

bool StreamPages::give_own(PhysicalId page) noexcept {
  const bool mine = lingering_.give(page);
  own_.store(lingering_.unused(), std::memory_order_relaxed);
  return mine;
}

void StreamPages::give_page(PhysicalId page) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (give_own(page)) return;
  }
  store_.give({&page, 1});
}

bool StreamPages::lingers() const noexcept {
  const std::lock_guard lock(mutex_);
  return lingering_.mappings() != 0;
}

Result<TimelinePoint> StreamPages::bind(std::span<const BindOp> ops,
                                        std::span<const TimelinePoint> waits) noexcept {
  for (const TimelinePoint& point : waits)
    if (Result<void> waited = device_.wait(point, kForever); !waited) return fail(waited.error());
  const bool binds = !ops.empty() && ops.front().physical;
  const Result<void> done = binds ? bind_pages(ops) : unbind(ops);
  return done ? Result<TimelinePoint>(TimelinePoint{}) : fail(done.error());
}

// What lingers at the address comes back to it: from nobody, or from a page that is bound nowhere, which gets
// another in return. False: it is used.
bool StreamPages::begin_claim(const BindOp& op, HostArray<Claim>& claims) noexcept {
  const Lingering::Mapping there = lingering_.at(op.address)->value;
  const auto number = static_cast<std::uint32_t>(op.physical.value) - 1;
  Page& page = pages_[number];
  const std::uint32_t holder = lingering_.holder_of(there.page);
  if (there.leaving || holder == Lingering::kSomebody) return false;
  Claim claim{op.address, number, {}};
  if (holder == Lingering::kNobody) {
    lingering_.use(there.page, number);
    claim.instead = std::exchange(page.physical, there.page);
    lingering_.hold(claim.instead, Lingering::kSomebody);
  } else if (holder != number) {
    Page& other = pages_[holder];
    if (!other.live || other.address != Address{} || other.binding) return false;
    std::swap(page.physical, other.physical);
    lingering_.hold(page.physical, number);
    lingering_.hold(other.physical, holder);
  }
  lingering_.set_leaving(op.address, true);
  page.binding = true;
  claims.push_back_reserved(claim);
  return true;
}

// What lingers first: the others of the batch make do with any page.
Result<bool> StreamPages::prepare(std::span<const BindOp> ops, HostArray<BindOp>& real,
                                  HostArray<Claim>& claims, TimelinePoint& in_the_way) noexcept {
  const std::lock_guard lock(mutex_);
  if (suspended_) return fail(ErrorCode::wrong_state);
  bool whole = true;
  for (const BindOp& op : ops) {
    if (!whole || lingering_.at(op.address) == nullptr) continue;
    in_the_way = lingering_.at(op.address)->value.until;
    whole = begin_claim(op, claims);
  }
  if (!whole) {
    cancel(ops, claims);
    return false;
  }
  for (BindOp op : ops) {
    Page& page = page_of(op.physical);
    if (page.binding) continue;
    page.binding = true;
    op.physical = page.physical;
    real.push_back_reserved(op);
  }
  own_.store(lingering_.unused(), std::memory_order_relaxed);
  return true;
}

void StreamPages::cancel(std::span<const BindOp> ops, HostArray<Claim>& claims) noexcept {
  for (const Claim& claim : claims) {
    lingering_.set_leaving(claim.address, false);
    if (!claim.instead) continue;
    (void)lingering_.give(pages_[claim.page].physical);
    pages_[claim.page].physical = claim.instead;
    lingering_.hold(claim.instead, claim.page);
  }
  claims.clear();
  for (const BindOp& op : ops)
    page_of(op.physical).binding = false;
  own_.store(lingering_.unused(), std::memory_order_relaxed);
}

Result<void> StreamPages::make_way(TimelinePoint until) noexcept {
  if (store_.patient()) {
    if (Result<void> over = device_.wait(until, kForever); !over) return over;
  }
  const Result<bool> over = device_.completed(until);
  if (!over) return fail(over.error());
  return *over ? reap() : fail(ErrorCode::timed_out, CUDA_ERROR_NOT_READY);
}

// What is in the way is waited for only where somebody is patient.
Result<void> StreamPages::bind_pages(std::span<const BindOp> ops) noexcept {
  HostArray<BindOp> real(host_);
  HostArray<Claim> claims(host_);
  if (!real.reserve(ops.size()) || !claims.reserve(ops.size())) return fail(ErrorCode::out_of_host_memory);
  for (;;) {
    TimelinePoint in_the_way;
    const Result<bool> prepared = prepare(ops, real, claims, in_the_way);
    if (!prepared) return fail(prepared.error());
    if (*prepared) break;
    if (Result<void> gone = make_way(in_the_way); !gone) return gone;
  }
  if (!real.empty()) {
    if (const Result<TimelinePoint> point = device_.bind(real.span(), {}); !point) {
      const std::lock_guard lock(mutex_);
      cancel(ops, claims);
      return fail(point.error());
    }
  }
  bound_now(ops, claims.span());
  for (const Claim& claim : claims)
    if (claim.instead) give_page(claim.instead);
  return {};
}

void StreamPages::bound_now(std::span<const BindOp> ops, std::span<const Claim> claims) noexcept {
  const std::lock_guard lock(mutex_);
  for (const Claim& claim : claims)
    lingering_.claim(claim.address);
  for (const BindOp& op : ops) {
    const auto number = static_cast<std::uint32_t>(op.physical.value) - 1;
    pages_[number].address = op.address;
    pages_[number].binding = false;
    bound_.insert({op.address.value, (op.address + op.size).value, number});
  }
  bound_count_.fetch_add(ops.size(), std::memory_order_relaxed);
}

// A suspended page is behind no address: the driver has nothing to unbind.
Result<void> StreamPages::unbind(std::span<const BindOp> ops) noexcept {
  if (abandoned_) return {};
  bool suspended = false;
  {
    const std::lock_guard lock(mutex_);
    suspended = suspended_;
  }
  if (!suspended) {
    const Result<TimelinePoint> until = freed_until();
    if (!until) return fail(until.error());
    if (store_.patient()) {
      if (Result<void> over = device_.wait(*until, kForever); !over) return over;
    }
    const Result<bool> over = device_.completed(*until);
    if (!over) return fail(over.error());
    if (!*over && stealing_.load(std::memory_order_relaxed) == 0)
      return fail(ErrorCode::timed_out, CUDA_ERROR_NOT_READY);
    if (!*over) return let_linger(ops, *until);
    if (const Result<TimelinePoint> point = device_.bind(ops, {}); !point) return fail(point.error());
    bound_count_.fetch_sub(ops.size(), std::memory_order_relaxed);
  }
  const std::lock_guard lock(mutex_);
  for (const BindOp& op : ops) {
    pages_[bound_.containing(op.address.value)->value].address = {};
    bound_.erase(op.address.value);
  }
  return {};
}

Result<void> StreamPages::let_linger(std::span<const BindOp> ops, TimelinePoint until) noexcept {
  const std::lock_guard lock(mutex_);
  if (!lingering_.reserve_more(ops.size())) return fail(ErrorCode::out_of_host_memory);
  for (const BindOp& op : ops) {
    const std::uint32_t number = bound_.containing(op.address.value)->value;
    lingering_.add(op.address, op.size, {pages_[number].physical, until}, number);
    pages_[number].address = {};
    bound_.erase(op.address.value);
  }
  own_.store(lingering_.unused(), std::memory_order_relaxed);
  bound_count_.fetch_sub(ops.size(), std::memory_order_relaxed);
  return {};
}

// Whether a point has passed is asked once for all that wait for it.
Result<void> StreamPages::list_passed(HostArray<Reaped>& list) noexcept {
  bool ended = false;
  {
    const std::lock_guard lock(gate_);
    ended = ended_;
  }
  {
    const std::lock_guard lock(mutex_);
    if (!list.reserve(lingering_.mappings())) return fail(ErrorCode::out_of_host_memory);
    for (const auto* at = lingering_.next(0); at != nullptr; at = lingering_.next(at->end))
      if (!at->value.leaving) list.push_back_reserved({Address{at->begin}, at->value.page, at->value.until});
  }
  TimelinePoint asked{};
  bool over = true;
  std::size_t passed = 0;
  for (const Reaped& one : list) {
    if (!ended && one.until != asked) {
      const Result<bool> answer = device_.completed(one.until);
      if (!answer) return fail(answer.error());
      asked = one.until;
      over = *answer;
    }
    if (over) list[passed++] = one;
  }
  while (list.size() > passed)
    list.pop_back();
  return {};
}

Result<void> StreamPages::reap() noexcept {
  if (abandoned_) return {};
  const std::lock_guard one_at_a_time(reaping_);
  HostArray<Reaped> list(host_);
  if (Result<void> listed = list_passed(list); !listed || list.empty()) return listed;
  HostArray<BindOp> ops(host_);
  HostArray<PhysicalId> gone(host_);
  if (!ops.reserve(list.size()) || !gone.reserve(list.size())) return fail(ErrorCode::out_of_host_memory);
  {
    const std::lock_guard lock(mutex_);
    for (const Reaped& one : list) {
      const Lingering::Interval* there = lingering_.at(one.address);
      // Claimed meanwhile; or again, of a later use.
      if (there == nullptr || there->value.leaving || there->value.until != one.until) continue;
      lingering_.set_leaving(one.address, true);
      ops.push_back_reserved({.address = one.address, .size = store_.page()});
    }
  }
  if (ops.empty()) return {};
  const Result<TimelinePoint> unmapped = device_.bind(ops.span(), {});
  {
    const std::lock_guard lock(mutex_);
    for (const BindOp& op : ops) {
      if (!unmapped) {
        lingering_.set_leaving(op.address, false);
      } else if (const PhysicalId page = lingering_.remove(op.address); page) {
        gone.push_back_reserved(page);
      }
    }
    own_.store(lingering_.unused(), std::memory_order_relaxed);
  }
  store_.give(gone.span());
  return unmapped ? Result<void>{} : Result<void>(fail(unmapped.error()));
}

}  // namespace vaspace::cuda
