// How resources end: released, retired, or let go of in the middle of a move.
#include <algorithm>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

Retired unmovable(const Buffer& buffer) noexcept {
  Retired out;
  out.pool = HeapAccess::pool_of(buffer);
  out.buffer = out.pool == ~0U ? HeapAccess::handle_of(buffer) : VK_NULL_HANDLE;
  out.memory = HeapAccess::memory_of(buffer);
  out.has_memory = true;
  return out;
}

Retired unmovable(const Image& image) noexcept {
  Retired out;
  out.image = HeapAccess::handle_of(image);
  out.memory = HeapAccess::memory_of(image);
  out.has_memory = true;
  return out;
}

}  // namespace

// In a move the core is told at once, and keeps both places until the move's points and these have passed; so
// it makes no driver call here.
Result<Retired> HeapState::let_go(std::uint32_t number, std::span<const TimelinePoint> points,
                                  std::optional<Misuse>& misuse) noexcept {
  MovableRecord& record = records[number];
  Retired out;
  if (!record.moving) {
    out = {.buffer = record.buffer, .image = record.image, .memory = record.memory, .has_memory = true};
    records.remove(number);
    return out;
  }
  if (points.empty()) {
    misuse = memory->free_silently(record.memory);
  } else if (const auto retired_there = memory->retire(record.memory, points); !retired_there) {
    return fail(retired_there.error());
  }
  record.ended = true;
  record.point_count = static_cast<std::uint32_t>(points.size());
  std::copy(points.begin(), points.end(), record.points.begin());
  return out;
}

namespace {

// The driver is called outside of the lock.
template <class Resource>
void release_movable(HeapState& heap, Resource& resource) noexcept {
  Result<Retired> gone;
  std::optional<Misuse> misuse;
  {
    const Lock lock(heap.mutex);
    gone = heap.let_go(HeapAccess::record_of(resource), {}, misuse);
  }
  HeapAccess::forget(resource);
  heap.report_misuse(misuse);
  if (gone) heap.destroy(*gone);
}

}  // namespace

// The two ways of most buffers first; only what may have moved is looked up.
void HeapState::release(Buffer& buffer) noexcept {
  const HeapAllocation& held = HeapAccess::memory_of(buffer);
  if (const std::uint32_t pool = HeapAccess::pool_of(buffer); pool != ~0U) {
    (*pools)[pool].arena->free(Allocation{held.address, held.size, held.id});
    return HeapAccess::forget(buffer);
  }
  if (HeapAccess::record_of(buffer) == MovableRecords::kNone) {
    calls.destroy(HeapAccess::handle_of(buffer));
    counts.remove(ResourceCounts::buffers);
    memory->free(held);
    return HeapAccess::forget(buffer);
  }
  release_movable(*this, buffer);
}

void HeapState::release(Image& image) noexcept {
  if (HeapAccess::record_of(image) != MovableRecords::kNone) return release_movable(*this, image);
  const Retired gone = unmovable(image);
  HeapAccess::forget(image);
  destroy(gone);
}

void Buffer::release() noexcept {
  heap_->release(*this);
}
void Image::release() noexcept {
  heap_->release(*this);
}

VkBuffer Buffer::moved_buffer() const noexcept {
  const Lock lock(heap_->mutex);
  return heap_->records[record_].buffer;
}
HeapAllocation Buffer::moved_memory() const noexcept {
  const Lock lock(heap_->mutex);
  return heap_->records[record_].memory;
}
VkImage Image::moved_image() const noexcept {
  const Lock lock(heap_->mutex);
  return heap_->records[record_].image;
}
HeapAllocation Image::moved_memory() const noexcept {
  const Lock lock(heap_->mutex);
  return heap_->records[record_].memory;
}

namespace {

// Under the heap's lock.
template <class Resource>
Result<void> park(HeapState& state, Resource& resource, std::span<const TimelinePoint> points,
                  std::optional<Misuse>& misuse) noexcept {
  if (!state.retired.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const std::uint32_t record = HeapAccess::record_of(resource);
  Result<Retired> gone = unmovable(resource);
  if (record != MovableRecords::kNone) gone = state.let_go(record, points, misuse);
  if (!gone) return fail(gone.error());
  HeapAccess::forget(resource);
  if (!gone->has_memory) return {};  // it is in a move
  // Nobody moves what nobody has.
  if (record != MovableRecords::kNone) (void)state.memory->pin(gone->memory);
  gone->point_count = static_cast<std::uint32_t>(points.size());
  std::copy(points.begin(), points.end(), gone->points.begin());
  state.retired.push_back_reserved(*gone);
  return {};
}

template <class Resource>
Result<void> retire_all(HeapState& state, std::span<Resource> resources,
                        std::span<const TimelinePoint> points, const char* function) noexcept {
  for (const Resource& resource : resources) {
    if (HeapAccess::heap_of(resource) != &state) return state.refuse({ErrorCode::invalid_argument}, function);
  }
  if (const auto good = state.check_points(points); !good) return state.refuse(good.error(), function);
  bool full = false;
  {
    const Lock lock(state.mutex);
    if (!state.retired.reserve_more(resources.size())) full = true;
  }
  if (full) return state.refuse({ErrorCode::out_of_host_memory}, function);
  for (Resource& resource : resources) {
    std::optional<Misuse> misuse;
    Result<void> parked;
    {
      const Lock lock(state.mutex);
      parked = park(state, resource, points, misuse);
    }
    state.report_misuse(misuse);
    if (!parked) return state.refuse(parked.error(), function);
  }
  return {};
}

}  // namespace

Result<void> HeapState::retire(Buffer& buffer, std::span<const TimelinePoint> points,
                               const char* function) noexcept {
  return retire_all(*this, std::span(&buffer, 1), points, function);
}

Result<void> Heap::retire(Buffer&& buffer, std::span<const TimelinePoint> points) noexcept {
  return retire_all(*state_, std::span(&buffer, 1), points, "Heap::retire");
}

Result<void> Heap::retire(Image&& image, std::span<const TimelinePoint> points) noexcept {
  return retire_all(*state_, std::span(&image, 1), points, "Heap::retire");
}

Result<void> Heap::retire(std::span<Buffer> buffers, std::span<const TimelinePoint> points) noexcept {
  return retire_all(*state_, buffers, points, "Heap::retire");
}

Result<void> Heap::retire(std::span<Image> images, std::span<const TimelinePoint> points) noexcept {
  return retire_all(*state_, images, points, "Heap::retire");
}

}  // namespace vaspace::vulkan
