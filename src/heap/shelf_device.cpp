#include "heap/shelf_device.hpp"

#include <algorithm>
#include <bit>

#include "heap/budget_scope.hpp"

namespace vaspace {

Bytes SliceDevice::slice_of(Bytes largest_block) noexcept {
  return std::clamp(Bytes{std::bit_floor(largest_block.value / 4)}, 64_KiB, 512_KiB);
}

// An arena allocator's blocks are an eighth of the heap that it sees.
SliceDevice::SliceDevice(DeviceGate& gate, BlockSpace& space) noexcept
    : ForwardingBackend(gate.backend()),
      space_(space),
      profile_(gate.profile()),
      slices_(space.config().host) {
  const Bytes slice = slice_of(space.config().largest_block);
  profile_.heap_count = 1;
  profile_.heaps[0] = {slice * 8, true};
  for (MemoryType& type : profile_.memory_types)
    type.heap = 0;
  profile_.page_size_count = 0;
  profile_.reservation_granularity = 64_KiB;
  profile_.capabilities = {};
  profile_.capabilities.reserve_commits = true;
  profile_.capabilities.max_reservation_size = slice;
}

Result<Budget> SliceDevice::budget(std::uint32_t) noexcept {
  const Bytes size = profile_.heaps[0].size;
  return Budget{size, size, {}};
}

Result<std::uint32_t> SliceDevice::claim() noexcept {
  const std::lock_guard lock(mutex_);
  if (first_free_ == 0) {
    if (!slices_.push_back({})) return fail(ErrorCode::out_of_host_memory);
    return static_cast<std::uint32_t>(slices_.size() - 1);
  }
  const std::uint32_t index = first_free_ - 1;
  first_free_ = slices_[index].next_free;
  return index;
}

void SliceDevice::vacate(std::uint32_t index) noexcept {
  const std::lock_guard lock(mutex_);
  slices_[index] = {.next_free = first_free_};
  first_free_ = index + 1;
}

Result<Reservation> SliceDevice::reserve(const ReservationRequest& request) noexcept {
  const Result<std::uint32_t> index = claim();
  if (!index) return fail(index.error());
  // Aligned to itself: no more is needed for what lies inside it, and less would mix kinds on one page of g.
  const Alignment own{std::bit_floor(request.size.value)};
  const Result<Cut> cut =
      space_.take({request.size, std::min(own, request.alignment)}, BudgetScope::current());
  if (!cut) {
    vacate(*index);
    return fail(cut.error());
  }
  const std::lock_guard lock(mutex_);
  slices_[*index].cut = *cut;
  return Reservation{cut->block->begin() + cut->offset, request.size, *index};
}

Result<void> SliceDevice::release(const Reservation& reservation) noexcept {
  const auto index = static_cast<std::uint32_t>(reservation.handle);
  Cut cut;
  {
    const std::lock_guard lock(mutex_);
    cut = slices_[index].cut;
  }
  vacate(index);
  space_.give(cut);
  return {};
}

Result<void> PageDevice::create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept {
  const Bytes all = request.size * out.size();
  if (Result<void> entered = gate_.enter_pages(memory_type_, all, BudgetScope::current()); !entered)
    return entered;
  const Result<void> created = next().create_physical(request, out);
  gate_.page_step(memory_type_, all, created ? GuestStep::taken : GuestStep::refused);
  if (!created) return created;
  page_.store(request.size.value, std::memory_order_relaxed);
  return created;
}

Result<void> PageDevice::destroy_physical(std::span<const PhysicalId> objects) noexcept {
  const Bytes all = Bytes{page_.load(std::memory_order_relaxed)} * objects.size();
  gate_.page_step(memory_type_, all, GuestStep::leaving);
  const Result<void> destroyed = next().destroy_physical(objects);
  gate_.page_step(memory_type_, all, destroyed ? GuestStep::left : GuestStep::taken);
  return destroyed;
}

}  // namespace vaspace
