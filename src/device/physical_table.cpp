#include "vaspace/device/physical_table.hpp"

namespace vaspace {

bool PhysicalTable::reserve(std::size_t more) noexcept {
  const std::size_t reusable = objects_.size() - count_;
  if (more <= reusable) return true;
  if (objects_.size() + (more - reusable) >= kNone) return false;
  return objects_.reserve_more(more - reusable);
}

PhysicalId PhysicalTable::add(std::uint64_t place, Bytes size, std::uint32_t memory_type) noexcept {
  std::uint32_t slot = free_;
  if (slot == kNone) {
    slot = static_cast<std::uint32_t>(objects_.size());
    objects_.push_back_reserved({});
  } else {
    free_ = objects_[slot].next_free;
  }
  PhysicalObject& object = objects_[slot];
  const std::uint32_t generation = object.generation + 1;
  object = {};
  object.place = place;
  object.key = next_key_;
  object.size = size;
  object.memory_type = memory_type;
  object.generation = generation;
  object.live = true;
  next_key_ += size.value;
  ++count_;
  return {(std::uint64_t{generation} << 32U) | (slot + 1U)};
}

void PhysicalTable::remove(PhysicalId id) noexcept {
  PhysicalObject& object = objects_[slot_of(id)];
  object.live = false;
  object.next_free = free_;
  free_ = slot_of(id);
  --count_;
}

PhysicalObject* PhysicalTable::find(PhysicalId id) noexcept {
  const auto number = static_cast<std::uint32_t>(id.value);
  if (number == 0 || number > objects_.size()) return nullptr;
  PhysicalObject& object = objects_[number - 1];
  return object.live && object.generation == id.value >> 32U ? &object : nullptr;
}

Result<Bytes> check_physical_request(const DeviceProfile& profile, const PhysicalRequest& request,
                                     std::size_t count) noexcept {
  if (!profile.capabilities.bind) return fail(ErrorCode::not_supported);
  const Alignment unit{profile.page_sizes[0]};
  if (request.size.value == 0 || !is_aligned(request.size, unit)) return fail(ErrorCode::invalid_size);
  if (request.memory_type >= profile.memory_type_count) return fail(ErrorCode::invalid_argument);
  if (count > kMaxBytes / request.size) return fail(ErrorCode::out_of_device_memory);
  return request.size * count;
}

Result<void> hide_unused(PhysicalTable& objects, std::span<const PhysicalId> ids,
                         std::uint64_t done) noexcept {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const PhysicalObject* object = objects.find(ids[i]);
    const bool unused = object != nullptr && object->bound.value == 0 && object->last_use <= done;
    if (!unused) {
      for (std::size_t hidden = 0; hidden < i; ++hidden)
        objects.show(ids[hidden]);
      return fail(object == nullptr ? ErrorCode::unknown_handle : ErrorCode::wrong_state);
    }
    objects.hide(ids[i]);
  }
  return {};
}

}  // namespace vaspace
