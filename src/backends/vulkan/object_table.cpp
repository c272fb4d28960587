#include "object_table.hpp"

#include <algorithm>

namespace vaspace::vulkan {

namespace {

constexpr std::uint32_t kGenerationMask = (1U << 24U) - 1;

Address address_of(std::uint32_t slot) noexcept {
  return Address{(std::uint64_t{slot} + 1) * kSlotSize.value};
}

}  // namespace

Result<std::uint32_t> ObjectTable::claim() noexcept {
  if (held_ >= limit_) return fail(ErrorCode::out_of_address_space);
  std::uint32_t slot = first_free_;
  while (slot < size() && objects_[slot].state != MemoryObject::State::free)
    ++slot;
  if (slot == size() && !objects_.push_back({})) return fail(ErrorCode::out_of_host_memory);
  objects_[slot].state = MemoryObject::State::pending;
  first_free_ = slot + 1;
  ++held_;
  return slot;
}

void ObjectTable::vacate(std::uint32_t slot) noexcept {
  const std::uint32_t generation = (objects_[slot].generation + 1) & kGenerationMask;
  objects_[slot] = MemoryObject{};
  objects_[slot].generation = generation;
  first_free_ = std::min(first_free_, slot);
  --held_;
}

Reservation ObjectTable::publish(std::uint32_t slot, std::uint64_t memory, Bytes size,
                                 std::uint32_t memory_type) noexcept {
  MemoryObject& object = objects_[slot];
  object.memory = memory;
  object.size = size;
  object.memory_type = memory_type;
  object.state = MemoryObject::State::live;
  return {.address = address_of(slot), .size = size, .handle = handle_of(slot)};
}

void ObjectTable::retract(std::uint32_t slot) noexcept {
  objects_[slot].state = MemoryObject::State::pending;
}

Result<std::uint32_t> ObjectTable::find(const Reservation& reservation) const noexcept {
  const auto slot = static_cast<std::uint32_t>((reservation.handle >> 16U) & kGenerationMask);
  if (slot >= size() || objects_[slot].state != MemoryObject::State::live ||
      handle_of(slot) != reservation.handle || address_of(slot) != reservation.address ||
      objects_[slot].size != reservation.size)
    return fail(ErrorCode::invalid_argument);
  return slot;
}

Result<ObjectRange> ObjectTable::at(Address address, Bytes size) const noexcept {
  const std::uint64_t number = address.value / kSlotSize.value;
  if (number == 0 || number > objects_.size()) return fail(ErrorCode::unknown_address);
  const auto slot = static_cast<std::uint32_t>(number - 1);
  const MemoryObject& object = objects_[slot];
  const Bytes offset{address.value % kSlotSize.value};
  if (object.state != MemoryObject::State::live || offset >= object.size)
    return fail(ErrorCode::unknown_address);
  if (size > object.size - offset) return fail(ErrorCode::invalid_argument);
  return ObjectRange{slot, offset};
}

// 24 bits of generation, 24 of slot, 16 of the table; never 0, because an identity is odd.
std::uint64_t ObjectTable::handle_of(std::uint32_t slot) const noexcept {
  return (std::uint64_t{objects_[slot].generation} << 40U) | (std::uint64_t{slot} << 16U) | tag_;
}

}  // namespace vaspace::vulkan
