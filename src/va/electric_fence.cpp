#include "vaspace/va/electric_fence.hpp"

#include <algorithm>
#include <utility>

#include "forever.hpp"

namespace vaspace {
namespace {

using Text = std::array<char, FenceFinding::kText>;

void keep_first(Text& to, std::string_view text) noexcept {
  const std::size_t length = std::min(text.size(), to.size() - 1);
  std::copy_n(text.data(), length, to.data());
  to[length] = '\0';
}
void keep_last(Text& to, std::string_view text) noexcept {
  keep_first(to, text.substr(text.size() - std::min(text.size(), to.size() - 1)));
}

}  // namespace

ElectricFence::ElectricFence(HostObject<VaSpace> space, const ElectricFenceConfig& config) noexcept
    : config_(config),
      space_(std::move(space), config.host),
      wanted_quarantine_(config.quarantine.value_or(Bytes{(space_->end() - space_->begin()).value / 4})),
      addresses_(config.host),
      cursor_(space_->begin().value),
      by_address_(config.host),
      records_(config.host) {}

Result<HostObject<ElectricFence>> ElectricFence::create(Backend& backend,
                                                        const ElectricFenceConfig& config) noexcept {
  Result<HostObject<VaSpace>> space =
      VaSpace::create(backend, {.size = config.size, .page_size = config.page_size, .host = config.host});
  if (!space) return fail(space.error());
  const std::uint64_t begin = (*space)->begin().value;
  const std::uint64_t end = (*space)->end().value;
  HostObject<ElectricFence> made = make_host_object<ElectricFence>(config.host, std::move(*space), config);
  if (made == nullptr || !made->addresses_.open(begin, end) || !made->space_.keep_for_undo(0, 1))
    return fail(ErrorCode::out_of_host_memory);
  return made;
}

ElectricFence::~ElectricFence() {
  Backend& backend = space_->backend();
  space_.reset();
  for (const Record& record : records_)
    if (record.physical) (void)backend.destroy_physical({&record.physical, 1});
}

// Round the addresses: behind the last one first.
std::optional<std::uint64_t> ElectricFence::place(Bytes span) noexcept {
  std::optional<std::uint64_t> begin = addresses_.take_lowest(span, Alignment{page()}, cursor_);
  if (!begin) begin = addresses_.take_lowest(span, Alignment{page()}, space_->begin().value);
  if (begin) cursor_ = *begin + span.value;
  return begin;
}

// All or nothing, but for what the driver will not take back: that stays in `held`.
Result<void> ElectricFence::bind(Held& held) noexcept {
  Backend& backend = space_->backend();
  const Result<void> made =
      backend.create_physical({held.bytes, config_.memory_type, held.pages}, {&held.physical, 1});
  if (!made) {
    held.physical = {};
    return made;
  }
  const Result<TimelinePoint> point =
      space_.map({held.pages, held.bytes, held.physical, {}, Backing::memory});
  held.bound = point.has_value();
  const Result<void> bound =
      point ? backend.wait(*point, va_detail::kForever) : Result<void>(fail(point.error()));
  if (!bound) (void)unbind(held);
  return bound;
}

// From its addresses, and its memory from the fence: either may be refused, and stays in `held` then. Errors:
// the driver's, where it stays bound.
Result<void> ElectricFence::unbind(Held& held) noexcept {
  Backend& backend = space_->backend();
  if (held.bound) {
    const Result<TimelinePoint> point = space_.unmap(held.pages, held.bytes);
    if (!point) return fail(point.error());
    held.bound = false;
    (void)backend.wait(*point, va_detail::kForever);
  }
  if (held.physical && backend.destroy_physical({&held.physical, 1})) held.physical = {};
  return {};
}

std::uint32_t ElectricFence::add(const Record& record) noexcept {
  std::uint32_t index = unused_;
  if (index == kNone) {
    index = static_cast<std::uint32_t>(records_.size());
    records_.push_back_reserved(record);
  } else {
    unused_ = records_[index].next;
    records_[index] = record;
  }
  const std::uint64_t begin = record.pages.value;
  (void)by_address_.assign(begin, begin + record.span.value, index);  // prepared
  return index;
}

Result<Address> ElectricFence::allocate(const FencedRequest& request) noexcept {
  const Alignment unit{page()};
  if (!request.alignment.valid() || request.alignment > unit) return fail(ErrorCode::invalid_alignment);
  const std::optional<Bytes> size = checked_align_up(request.size, request.alignment);
  if (request.size.value == 0 || !size) return fail(ErrorCode::invalid_size);
  if (*size >= space_->end() - space_->begin()) return fail(ErrorCode::too_large);
  const Bytes bytes = align_up(*size, unit);
  const Bytes span = bytes + page();  // the last one is never bound
  if (span > space_->end() - space_->begin()) return fail(ErrorCode::too_large);

  Lock lock(mutex_);
  if (!addresses_.reserve(1) || !by_address_.prepare(1) || !records_.reserve_more(1))
    return fail(ErrorCode::out_of_host_memory);
  const std::optional<std::uint64_t> begin = place(span);
  if (!begin) return fail(ErrorCode::out_of_space);
  Record record;
  record.pages = Address{*begin};
  record.span = span;
  record.state = State::arriving;
  record.finding.begin = record.pages + (bytes - *size);
  record.finding.size = request.size;
  record.finding.number = ++numbers_;
  keep_first(record.finding.name, request.name);
  const std::uint32_t index = add(record);
  lock.unlock();

  Held held{record.pages, bytes, {}, false};
  const Result<void> bound = bind(held);

  lock.lock();
  records_[index].physical = held.physical;
  if (!bound && held.bound) {
    records_[index].state = State::retired;
    push(retired_, index);
  } else if (!bound) {
    drop(index);
  }
  if (!bound) return fail(bound.error());
  records_[index].state = State::live;
  ++live_;
  return record.finding.begin;
}

Result<std::uint32_t> ElectricFence::find_live(Address address) const noexcept {
  const auto found = by_address_.find(address.value);
  if (!found) return fail(ErrorCode::unknown_address);
  const Record& record = records_[found->value];
  if (record.state == State::arriving) return fail(ErrorCode::unknown_address);
  if (record.finding.begin != address) return fail(ErrorCode::interior_address);
  if (record.state != State::live) return fail(ErrorCode::stale_handle);
  return found->value;
}

Result<std::uint32_t> ElectricFence::end_life(Address address, std::span<const TimelinePoint> uses,
                                              std::string_view where) noexcept {
  const Result<std::uint32_t> index = find_live(address);
  if (!index) return index;
  Record& record = records_[*index];
  record.state = State::retired;
  record.use_count = static_cast<std::uint32_t>(uses.size());
  std::copy(uses.begin(), uses.end(), record.uses.begin());
  keep_last(record.finding.freed_at, where);
  --live_;
  return index;
}

Result<void> ElectricFence::free(Address address, std::string_view where) noexcept {
  Lock lock(mutex_);
  const Result<std::uint32_t> index = end_life(address, {}, where);
  if (!index) return fail(index.error());
  return let_go(*index, lock);
}

Result<void> ElectricFence::retire(Address address, std::span<const TimelinePoint> uses,
                                   std::string_view where) noexcept {
  if (uses.size() > kMaxUses) return fail(ErrorCode::invalid_argument);
  for (const TimelinePoint& use : uses) {
    const Result<bool> known = space_->backend().completed(use);
    if (!known && known.error().code == ErrorCode::invalid_argument) return fail(known.error());
  }
  const std::scoped_lock lock(mutex_);
  const Result<std::uint32_t> index = end_life(address, uses, where);
  if (!index) return fail(index.error());
  push(retired_, *index);
  return {};
}

// Gone from its addresses, and into quarantine; or, where the driver refuses, retired again. No reference
// into the records outlives the lock: they move when more are made.
Result<void> ElectricFence::let_go(std::uint32_t index, Lock& lock) noexcept {
  records_[index].state = State::leaving;
  Held held{records_[index].pages, records_[index].span - page(), records_[index].physical, true};
  lock.unlock();
  const Result<void> unbound = unbind(held);
  lock.lock();
  records_[index].physical = held.physical;
  if (unbound) {
    enter_quarantine(index);
  } else {
    records_[index].state = State::retired;
    push(retired_, index);
  }
  return unbound;
}

// A lost device uses nothing any more, and whose timeline was forgotten has waited for it.
bool ElectricFence::passed(std::span<const TimelinePoint> uses) noexcept {
  for (const TimelinePoint& use : uses) {
    const Result<bool> done = space_->backend().completed(use);
    const ErrorCode code = done ? ErrorCode{} : done.error().code;
    const bool over = done ? *done : code == ErrorCode::device_lost || code == ErrorCode::invalid_argument;
    if (!over) return false;
  }
  return true;
}

std::uint64_t ElectricFence::collect() noexcept {
  Lock lock(mutex_);
  Queue all = std::exchange(retired_, Queue{});
  std::uint64_t left = 0;
  for (std::uint32_t index = pop(all); index != kNone; index = pop(all)) {
    const std::array<TimelinePoint, kMaxUses> uses = records_[index].uses;
    const std::uint32_t count = records_[index].use_count;
    lock.unlock();
    const bool over = passed(std::span(uses).first(count));
    lock.lock();
    if (!over) push(retired_, index);
    if (!over || !let_go(index, lock)) ++left;
  }
  destroy_kept(lock);
  return left;
}

void ElectricFence::enter_quarantine(std::uint32_t index) noexcept {
  records_[index].state = State::quarantined;
  quarantined_ += records_[index].span;
  push(quarantine_, index);
  end_quarantine();
}

// The first that was freed goes first, once so much was freed after it.
void ElectricFence::end_quarantine() noexcept {
  while (quarantine_.head != kNone) {
    const Bytes span = records_[quarantine_.head].span;
    if (quarantined_ - span < wanted_quarantine_) return;
    const std::uint32_t index = pop(quarantine_);
    quarantined_ -= span;
    drop(index);
  }
}

// The addresses are free again. Memory that the driver did not take back is tried again by collect.
void ElectricFence::drop(std::uint32_t index) noexcept {
  const Record gone = records_[index];
  (void)by_address_.erase(gone.pages.value, (gone.pages + gone.span).value);  // a whole interval
  addresses_.give(gone.pages.value, gone.span);
  Record& record = records_[index];
  record = Record{};
  if (gone.physical) {
    record.physical = gone.physical;
    record.state = State::kept;
    push(kept_, index);
    return;
  }
  record.next = unused_;
  unused_ = index;
}

void ElectricFence::destroy_kept(Lock& lock) noexcept {
  Queue all = std::exchange(kept_, Queue{});
  for (std::uint32_t index = pop(all); index != kNone; index = pop(all)) {
    const PhysicalId physical = records_[index].physical;
    lock.unlock();
    const bool gone = space_->backend().destroy_physical({&physical, 1}).has_value();
    lock.lock();
    if (!gone) {
      push(kept_, index);
      continue;
    }
    records_[index] = Record{};
    records_[index].next = unused_;
    unused_ = index;
  }
}

void ElectricFence::push(Queue& queue, std::uint32_t index) noexcept {
  records_[index].next = kNone;
  if (queue.tail == kNone) {
    queue.head = index;
  } else {
    records_[queue.tail].next = index;
  }
  queue.tail = index;
}

std::uint32_t ElectricFence::pop(Queue& queue) noexcept {
  const std::uint32_t index = queue.head;
  if (index == kNone) return kNone;
  queue.head = records_[index].next;
  if (queue.head == kNone) queue.tail = kNone;
  return index;
}

std::uint64_t ElectricFence::live() const noexcept {
  const std::scoped_lock lock(mutex_);
  return live_;
}

Bytes ElectricFence::quarantined() const noexcept {
  const std::scoped_lock lock(mutex_);
  return quarantined_;
}

}  // namespace vaspace
