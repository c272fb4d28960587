#include "vaspace/device/binding_table.hpp"

namespace vaspace {
namespace {

// [from, end) of an interval.
BindingTree::Interval tail_of(BindingTree::Interval interval, std::uint64_t from) noexcept {
  interval.value.place += from - interval.begin;
  interval.begin = from;
  return interval;
}

BindingTree::Interval head_of(BindingTree::Interval interval, std::uint64_t to) noexcept {
  interval.end = to;
  return interval;
}

}  // namespace

Result<void> BindingTable::apply(const BindOp& op, BindJournal& journal) noexcept {
  const Alignment unit{profile_->page_sizes[0]};
  const bool aligned = is_aligned(op.address, unit) && is_aligned(op.size, unit);
  if (op.size.value == 0 || !aligned) return fail(ErrorCode::invalid_argument);
  if (reservations_->holding(op.address, op.size) == nullptr) return fail(ErrorCode::invalid_argument);
  if (!op.binds()) return op.replace ? fail(ErrorCode::invalid_argument) : unbind(op, journal);
  const Capabilities& can = profile_->capabilities;
  if (op.null && op.physical) return fail(ErrorCode::invalid_argument);
  const bool asks_access = !op.null && op.access != Access::read_write;
  if ((op.replace && !can.replace) || (op.null && !can.null_binds) || (asks_access && !can.set_access))
    return fail(ErrorCode::not_supported);
  const Result<void> cleared = op.replace ? clear(op, journal) : Result<void>{};
  if (!cleared) return cleared;
  return op.null ? bind_null(op, journal) : bind(op, journal);
}

Result<void> BindingTable::bind_null(const BindOp& op, BindJournal& journal) noexcept {
  if (any_bound(op.address, op.size)) return fail(ErrorCode::wrong_state);
  if (!room_for_one(journal)) return fail(ErrorCode::out_of_host_memory);
  Interval interval{op.address.value, (op.address + op.size).value, {}};
  interval.value.mapping = ++next_mapping_;
  interval.value.object = Binding::kNull;
  interval.value.access = Access::read;
  add(interval, journal);
  return {};
}

Result<void> BindingTable::bind(const BindOp& op, BindJournal& journal) noexcept {
  const PhysicalObject* object = objects_->find(op.physical);
  if (object == nullptr) return fail(ErrorCode::unknown_handle);
  const Capabilities& can = profile_->capabilities;
  if (!is_aligned(op.offset, Alignment{profile_->page_sizes[0]})) return fail(ErrorCode::invalid_argument);
  if (op.offset > object->size || op.size > object->size - op.offset)
    return fail(ErrorCode::invalid_argument);
  if (op.offset.value != 0 && !can.physical_offset) return fail(ErrorCode::not_supported);
  if (any_bound(op.address, op.size)) return fail(ErrorCode::wrong_state);
  const std::uint64_t key = object->key + op.offset.value;
  if (!can.aliasing && used_keys_.overlaps(key, key + op.size.value)) return fail(ErrorCode::not_supported);
  if (!room_for_one(journal)) return fail(ErrorCode::out_of_host_memory);

  Interval interval{op.address.value, (op.address + op.size).value, {}};
  interval.value.place = object->place + op.offset.value;
  interval.value.mapping = ++next_mapping_;
  interval.value.object = PhysicalTable::slot_of(op.physical);
  interval.value.heap = profile_->memory_types[object->memory_type].heap;
  interval.value.access = op.access;
  add(interval, journal);
  return {};
}

Result<void> BindingTable::unbind(const BindOp& op, BindJournal& journal) noexcept {
  if (!all_bound(op.address, op.size)) return fail(ErrorCode::wrong_state);
  return clear(op, journal);
}

// Leaves nothing bound there.
Result<void> BindingTable::clear(const BindOp& op, BindJournal& journal) noexcept {
  const std::uint64_t begin = op.address.value;
  const std::uint64_t end = begin + op.size.value;
  const bool cuts = cuts_mapping(begin) || cuts_mapping(end);
  if (cuts && !profile_->capabilities.partial_unbind) return fail(ErrorCode::not_supported);
  if (!cut_at(begin, journal) || !cut_at(end, journal)) return fail(ErrorCode::out_of_host_memory);
  for (;;) {
    const Interval* found = tree_.ceiling(begin);
    if (found == nullptr || found->begin >= end) return {};
    const Interval gone = *found;
    if (!room_for_one(journal)) return fail(ErrorCode::out_of_host_memory);
    remove(gone, journal);
  }
}

Result<void> BindingTable::set_access(Address address, Bytes size, Access access,
                                      BindJournal& journal) noexcept {
  const Alignment unit{profile_->page_sizes[0]};
  const bool aligned = is_aligned(address, unit) && is_aligned(size, unit);
  if (size.value == 0 || !aligned) return fail(ErrorCode::invalid_argument);
  if (reservations_->holding(address, size) == nullptr) return fail(ErrorCode::invalid_argument);
  if (!all_bound(address, size)) return fail(ErrorCode::wrong_state);
  const std::uint64_t end = (address + size).value;
  if (!cut_at(address.value, journal) || !cut_at(end, journal)) return fail(ErrorCode::out_of_host_memory);
  for (std::uint64_t at = address.value; at < end;) {
    Interval interval = *tree_.containing(at);
    if (interval.value.null() && access == Access::read_write) return fail(ErrorCode::not_supported);
    if (!room_for_one(journal)) return fail(ErrorCode::out_of_host_memory);
    remove(interval, journal);
    interval.value.access = access;
    add(interval, journal);
    at = interval.end;
  }
  return {};
}

// No node is needed that did not exist when the change was made, so this cannot run out of memory.
void BindingTable::undo(BindJournal& journal) noexcept {
  for (std::size_t i = journal.changes_.size(); i != 0; --i) {
    const BindJournal::Change& change = journal.changes_[i - 1];
    if (change.added) {
      erase(change.interval);
    } else {
      insert(change.interval);
    }
  }
  journal.clear();
}

bool BindingTable::any_bound(Address address, Bytes size) const noexcept {
  return tree_.overlaps(address.value, (address + size).value);
}

bool BindingTable::all_bound(Address address, Bytes size) const noexcept {
  const std::uint64_t end = (address + size).value;
  for (std::uint64_t at = address.value; at < end;) {
    const Interval* interval = tree_.containing(at);
    if (interval == nullptr) return false;
    at = interval->end;
  }
  return true;
}

// Whether one mapping lies on both sides of `point`.
bool BindingTable::cuts_mapping(std::uint64_t point) const noexcept {
  const Interval* right = tree_.containing(point);
  const Interval* left = tree_.containing(point - 1);
  return left != nullptr && right != nullptr && left->value.mapping == right->value.mapping;
}

// |---i---|  ->  |-i-|-i-|, where `point` is inside one.
bool BindingTable::cut_at(std::uint64_t point, BindJournal& journal) noexcept {
  const Interval* found = tree_.containing(point);
  if (found == nullptr || found->begin == point) return true;
  if (!room_for_one(journal)) return false;
  const Interval whole = *tree_.containing(point);
  remove(whole, journal);
  add(head_of(whole, point), journal);
  add(tail_of(whole, point), journal);
  return true;
}

// One more interval than now, and the journal of the step that gets there.
bool BindingTable::room_for_one(BindJournal& journal) noexcept {
  constexpr std::size_t kChangesOfACut = 3;
  if (!journal.changes_.reserve_more(kChangesOfACut)) return false;
  if (!tree_.reserve(tree_.size() + 1)) return false;
  return profile_->capabilities.aliasing || used_keys_.reserve(used_keys_.size() + 1);
}

void BindingTable::add(const Interval& interval, BindJournal& journal) noexcept {
  insert(interval);
  journal.changes_.push_back_reserved({true, interval});
}

void BindingTable::remove(const Interval& interval, BindJournal& journal) noexcept {
  journal.changes_.push_back_reserved({false, interval});
  erase(interval);
}

void BindingTable::insert(const Interval& interval) noexcept {
  tree_.insert(interval);
  if (interval.value.null()) return;
  (*objects_)[interval.value.object].bound += Bytes{interval.length()};
  if (profile_->capabilities.aliasing) return;
  const std::uint64_t key = key_of(interval);
  used_keys_.insert({key, key + interval.length(), {}});
}

void BindingTable::erase(const Interval& interval) noexcept {
  tree_.erase(interval.begin);
  if (interval.value.null()) return;
  (*objects_)[interval.value.object].bound -= Bytes{interval.length()};
  if (!profile_->capabilities.aliasing) used_keys_.erase(key_of(interval));
}

std::uint64_t BindingTable::key_of(const Interval& interval) const noexcept {
  const PhysicalObject& object = (*objects_)[interval.value.object];
  return object.key + (interval.value.place - object.place);
}

}  // namespace vaspace
