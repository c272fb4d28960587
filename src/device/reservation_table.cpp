#include "vaspace/device/reservation_table.hpp"

namespace vaspace {

bool ReservationTable::reserve_one() noexcept {
  if (!by_address_.reserve(by_address_.size() + 1)) return false;
  return free_ != kNone || records_.reserve_more(1);
}

Reservation ReservationTable::add(Address address, Bytes size, std::uint32_t memory_type) noexcept {
  std::uint32_t slot = free_;
  if (slot == kNone) {
    slot = static_cast<std::uint32_t>(records_.size());
    records_.push_back_reserved({});
  } else {
    free_ = records_[slot].next_free;
  }
  ReservationRecord& record = records_[slot];
  const std::uint32_t generation = record.generation + 1;
  record = {};
  record.address = address;
  record.size = size;
  record.memory_type = memory_type;
  record.slot = slot;
  record.generation = generation;
  record.live = true;
  by_address_.insert({address.value, (address + size).value, slot});
  return {address, size, (std::uint64_t{generation} << 32U) | (slot + 1U)};
}

void ReservationTable::remove(const ReservationRecord& record) noexcept {
  ReservationRecord& gone = records_[record.slot];
  by_address_.erase(gone.address.value);
  gone.live = false;
  gone.next_free = free_;
  free_ = gone.slot;
}

ReservationRecord* ReservationTable::find(const Reservation& reservation) noexcept {
  const auto number = static_cast<std::uint32_t>(reservation.handle);
  if (number == 0 || number > records_.size()) return nullptr;
  ReservationRecord& record = records_[number - 1];
  const bool same = record.live && record.generation == reservation.handle >> 32U &&
                    record.address == reservation.address && record.size == reservation.size;
  return same ? &record : nullptr;
}

ReservationRecord* ReservationTable::holding(Address address, Bytes size) noexcept {
  const auto* found = by_address_.containing(address.value);
  if (found == nullptr || found->end - address.value < size.value) return nullptr;
  return &records_[found->value];
}

}  // namespace vaspace
