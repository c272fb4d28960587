// Buffers and images with memory of their own.
#include <algorithm>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

constexpr Error kNotSupported{ErrorCode::not_supported, VK_ERROR_FEATURE_NOT_PRESENT};

bool addressed(const BufferRequest& request) noexcept {
  return (request.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
}

// What both kinds of request say of their memory.
template <class Request>
HeapRequest heap_request(const HeapState& heap, const Request& request, const Needs& needs) noexcept {
  HeapRequest wanted;
  wanted.requirements = needs.memory;
  wanted.intent = request.intent;
  wanted.mapping = request.mapping;
  wanted.coherent = request.coherent;
  wanted.dedicated = std::max(request.dedicated, needs.dedicated);
  // V18.
  if (request.exportable && heap.backend.export_needs_dedicated()) wanted.dedicated = DedicatedWish::required;
  wanted.exportable = request.exportable;
  wanted.movable = request.movable;
  wanted.mover = kMover;
  wanted.aliasable = request.aliasable;
  wanted.budget = request.budget;
  wanted.priority = request.priority;
  wanted.pool = request.pool;
  wanted.name = request.name;
  wanted.user_data = request.user_data;
  return wanted;
}

Result<HeapAllocation> memory_for(HeapState& heap, const HeapRequest& request,
                                  const HeapAllocation* alias_of) noexcept {
  if (alias_of == nullptr) return heap.memory->allocate(request);
  // V1, V6, V7, V8, V9 are held against the memory there.
  return heap.memory->alias(*alias_of, request);
}

// What a resource is called while it is being made.
struct Making {
  const char* function = "";  // ours
  const char* bind = "";      // the driver's
  std::string_view name{};
};

// Of a handle that got no memory, or was not bound to it: nothing is left of both.
template <class Handle>
tl::unexpected<Error> give_up(HeapState& heap, Handle handle, const Result<HeapAllocation>& memory,
                              VkResult bound, const Making& making) noexcept {
  heap.calls.destroy(handle);
  if (!memory) {
    const char* driver = memory.error().native != 0 ? "vkAllocateMemory" : "";
    return heap.refuse(memory.error(), making.function, driver, making.name);
  }
  heap.memory->free(*memory);
  heap.memory->give_back_unused();  // R7: the memory too, not in a collect
  return heap.refuse(error_of(bound), making.function, making.bind, making.name);
}

// A record of it, where it may move.
template <class Resource>
Result<void> remember(HeapState& heap, Resource& resource, const MovableRecord& record) noexcept {
  const Lock lock(heap.mutex);
  const auto number = heap.records.add(record);
  if (!number) return fail(number.error());
  HeapAccess::set_record(resource, *number);
  return {};
}

// What the request only points to. Families of what one queue family uses are not looked at, as in Vulkan.
template <class Info>
void keep(MovableRecord& record, Info& info, std::string_view name) noexcept {
  info.pNext = nullptr;
  if (info.sharingMode != VK_SHARING_MODE_CONCURRENT) info.queueFamilyIndexCount = 0;
  std::copy_n(info.pQueueFamilyIndices, info.queueFamilyIndexCount, record.families.begin());
  std::copy_n(name.begin(), std::min(name.size(), ResourceCalls::kLongestName), record.name.begin());
}

bool has_too_many_families(const VkImageCreateInfo& info) noexcept {
  return info.sharingMode == VK_SHARING_MODE_CONCURRENT &&
         info.queueFamilyIndexCount > MovableRecord::kMaxFamilies;
}

}  // namespace

Result<Buffer> Heap::create_buffer(const BufferRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::create_buffer";
  if (request.size == Bytes{}) return state.refuse({ErrorCode::invalid_size}, kHere, "", request.name);
  if (!request.alignment.valid())
    return state.refuse({ErrorCode::invalid_alignment}, kHere, "", request.name);
  if (request.usage == 0 || request.families.size() > MovableRecord::kMaxFamilies ||
      (request.movable && request.next != nullptr))
    return state.refuse({ErrorCode::invalid_argument}, kHere, "", request.name);
  if (const char* missing = missing_feature(request); missing != nullptr)
    return state.refuse(kNotSupported, kHere, "", request.name, missing);
  if ((request.flags & kSparseBufferFlags) != 0)
    return state.refuse({ErrorCode::not_supported}, kHere, "", request.name);

  VkExternalMemoryBufferCreateInfo external{};
  external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
  external.pNext = request.next;
  external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.pNext = request.exportable ? &external : request.next;
  info.flags = request.flags;
  info.size = request.size.value;
  info.usage = request.usage |
               (request.movable ? VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT : 0);
  if (request.families.size() > 1) {
    info.sharingMode = VK_SHARING_MODE_CONCURRENT;
    info.queueFamilyIndexCount = static_cast<std::uint32_t>(request.families.size());
    info.pQueueFamilyIndices = request.families.data();
  }
  VkBuffer handle = VK_NULL_HANDLE;
  if (const VkResult created = state.calls.create(info, handle); created != VK_SUCCESS) [[unlikely]]
    return state.refuse(error_of(created), kHere, "vkCreateBuffer", request.name);
  HeapRequest wanted = heap_request(state, request, state.calls.needs(handle));
  wanted.requirements.alignment = std::max(wanted.requirements.alignment, request.alignment);
  wanted.kind = ResourceKind::linear;
  wanted.resource = {MemoryTraits::Dedicated::buffer, bits_of(handle)};
  wanted.device_address = addressed(request);
  const Result<HeapAllocation> memory = memory_for(state, wanted, request.alias_of);
  const VkResult bound = memory ? state.calls.try_bind(handle, *memory) : VK_SUCCESS;
  if (!memory || bound != VK_SUCCESS) [[unlikely]]
    return give_up(state, handle, memory, bound, {kHere, "vkBindBufferMemory", request.name});
  state.counts.add(ResourceCounts::buffers);
  const std::uint64_t address = addressed(request) ? state.calls.device_address(handle) : 0;
  state.calls.name(handle, request.name);
  if (!request.movable) [[likely]]
    return HeapAccess::buffer(state, handle, *memory, request.size, address);
  MovableRecord record{
      .buffer = handle, .memory = *memory, .buffer_info = info, .user_data = request.user_data};
  keep(record, record.buffer_info, request.name);
  auto buffer = HeapAccess::buffer(state, handle, *memory, request.size, address);
  if (const auto kept = remember(state, *buffer, record); !kept) [[unlikely]] {
    buffer->reset();
    state.memory->give_back_unused();
    return state.refuse(kept.error(), kHere, "", request.name);
  }
  return buffer;
}

Result<Image> Heap::create_image(const ImageRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::create_image";
  if (request.info == nullptr || has_too_many_families(*request.info) ||
      (request.movable && request.info->pNext != nullptr))
    return state.refuse({ErrorCode::invalid_argument}, kHere, "", request.name);
  if (const char* missing = missing_feature(request); missing != nullptr)
    return state.refuse(kNotSupported, kHere, "", request.name, missing);
  // Planes that are bound one by one have no single memory.
  if ((request.info->flags & (kSparseImageFlags | VK_IMAGE_CREATE_DISJOINT_BIT)) != 0)
    return state.refuse({ErrorCode::not_supported}, kHere, "", request.name);

  VkExternalMemoryImageCreateInfo external{};
  external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO;
  external.pNext = request.info->pNext;
  external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkImageCreateInfo info = *request.info;
  if (request.exportable) info.pNext = &external;
  if (request.movable) info.usage |= VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
  VkImage handle = VK_NULL_HANDLE;
  if (const VkResult created = state.calls.create(info, handle); created != VK_SUCCESS) [[unlikely]]
    return state.refuse(error_of(created), kHere, "vkCreateImage", request.name);
  HeapRequest wanted = heap_request(state, request, state.calls.needs(handle));
  // V2: linear against non-linear, not buffer against image.
  wanted.kind = info.tiling == VK_IMAGE_TILING_LINEAR ? ResourceKind::linear : ResourceKind::optimal;
  wanted.resource = {MemoryTraits::Dedicated::image, bits_of(handle)};
  const Result<HeapAllocation> memory = memory_for(state, wanted, request.alias_of);
  const VkResult bound = memory ? state.calls.try_bind(handle, *memory) : VK_SUCCESS;
  if (!memory || bound != VK_SUCCESS) [[unlikely]]
    return give_up(state, handle, memory, bound, {kHere, "vkBindImageMemory", request.name});
  state.counts.add(ResourceCounts::images);
  state.calls.name(handle, request.name);
  if (!request.movable) [[likely]]
    return HeapAccess::image(state, handle, *memory);
  MovableRecord record{.kind = ResourceMove::Kind::image,
                       .image = handle,
                       .memory = *memory,
                       .image_info = info,
                       .user_data = request.user_data};
  keep(record, record.image_info, request.name);
  auto image = HeapAccess::image(state, handle, *memory);
  if (const auto kept = remember(state, *image, record); !kept) [[unlikely]] {
    image->reset();
    state.memory->give_back_unused();
    return state.refuse(kept.error(), kHere, "", request.name);
  }
  return image;
}

// ---- the resources themselves

namespace {

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
  heap.tell(misuse);
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
Result<void> retire_resource(HeapState& state, Resource& resource,
                             std::span<const TimelinePoint> points) noexcept {
  if (HeapAccess::heap_of(resource) != &state) return fail(ErrorCode::invalid_argument);
  if (const auto good = state.check_points(points); !good) return good;
  std::optional<Misuse> misuse;
  Result<void> parked;
  {
    const Lock lock(state.mutex);
    parked = park(state, resource, points, misuse);
  }
  state.tell(misuse);
  return parked;
}

}  // namespace

Result<void> Heap::retire(Buffer&& buffer, std::span<const TimelinePoint> points) noexcept {
  return retire_resource(*state_, buffer, points);
}

Result<void> Heap::retire(Image&& image, std::span<const TimelinePoint> points) noexcept {
  return retire_resource(*state_, image, points);
}

}  // namespace vaspace::vulkan
