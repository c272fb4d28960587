// Buffers and images with memory of their own.
#include <algorithm>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

constexpr std::uint32_t kSparseBufferFlags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT |
                                             VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT |
                                             VK_BUFFER_CREATE_SPARSE_ALIASED_BIT;
constexpr std::uint32_t kSparseImageFlags = VK_IMAGE_CREATE_SPARSE_BINDING_BIT |
                                            VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT |
                                            VK_IMAGE_CREATE_SPARSE_ALIASED_BIT;
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
  wanted.aliasable = request.aliasable;
  wanted.budget = request.budget;
  wanted.priority = request.priority;
  wanted.pool = request.pool;
  wanted.name = request.name;
  wanted.user_data = request.user_data;
  return wanted;
}

Result<HeapAllocation> allocate(HeapState& heap, const HeapRequest& request,
                                const HeapAllocation* alias_of) noexcept {
  if (alias_of == nullptr) return heap.memory->allocate(request);
  // V1, V6, V7, V8, V9 are held against the memory there.
  return heap.memory->alias(*alias_of, request);
}

struct Made {
  HeapAllocation memory{};
  Error error{};
  const char* driver = "";  // who refused
  bool good = false;
};

// Memory for a handle, bound; nothing where it fails.
template <class Handle>
Made back(HeapState& heap, Handle handle, const HeapRequest& request, const HeapAllocation* alias_of,
          const char* bind_function) noexcept {
  Made made;
  const auto memory = allocate(heap, request, alias_of);
  if (!memory) {
    made.error = memory.error();
    made.driver = made.error.native != 0 ? "vkAllocateMemory" : "";
    return made;
  }
  const auto bound = heap.calls.bind(handle, *memory);
  if (!bound) {
    heap.memory->free(*memory);
    made.error = bound.error();
    made.driver = bind_function;
    return made;
  }
  made.memory = *memory;
  made.good = true;
  return made;
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

template <class Info>
void keep_families(MovableRecord& record, Info& info) noexcept {
  info.pNext = nullptr;
  for (std::uint32_t i = 0; i < info.queueFamilyIndexCount && info.pQueueFamilyIndices != nullptr; ++i)
    record.families[i] = info.pQueueFamilyIndices[i];
}

}  // namespace

const char* Heap::missing_feature(const BufferRequest& request) const noexcept {
  const DeviceFeatures& features = state_->backend.config().features;
  if (addressed(request) && !features.buffer_device_address) return "bufferDeviceAddress";
  if ((request.flags & kSparseBufferFlags) != 0 && !features.sparse_binding) return "sparseBinding";
  const bool guarded = (request.flags & VK_BUFFER_CREATE_PROTECTED_BIT) != 0;
  if ((guarded || request.intent == Intent::protected_device) && !features.protected_memory)
    return "protectedMemory";
  if (request.exportable && !state_->backend.profile().capabilities.external_memory)
    return "VK_KHR_external_memory_fd";
  return nullptr;
}

const char* Heap::missing_feature(const ImageRequest& request) const noexcept {
  const DeviceFeatures& features = state_->backend.config().features;
  if (request.info == nullptr) return nullptr;
  if ((request.info->flags & kSparseImageFlags) != 0 && !features.sparse_binding) return "sparseBinding";
  const bool guarded = (request.info->flags & VK_IMAGE_CREATE_PROTECTED_BIT) != 0;
  if ((guarded || request.intent == Intent::protected_device) && !features.protected_memory)
    return "protectedMemory";
  if (request.exportable && !state_->backend.profile().capabilities.external_memory)
    return "VK_KHR_external_memory_fd";
  return nullptr;
}

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
  const auto handle = state.calls.create(info);
  if (!handle) return state.refuse(handle.error(), kHere, "vkCreateBuffer", request.name);
  Needs needs = state.calls.needs(*handle);
  needs.memory.alignment = std::max(needs.memory.alignment, request.alignment);
  HeapRequest wanted = heap_request(state, request, needs);
  wanted.kind = ResourceKind::linear;
  wanted.resource = {MemoryTraits::Dedicated::buffer, bits_of(*handle)};
  wanted.device_address = addressed(request);
  const Made made = back(state, *handle, wanted, request.alias_of, "vkBindBufferMemory");
  if (!made.good) {
    state.calls.destroy(*handle);
    return state.refuse(made.error, kHere, made.driver, request.name);
  }
  state.buffers.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t address = addressed(request) ? state.calls.device_address(*handle) : 0;
  Buffer buffer = HeapAccess::buffer(state, *handle, made.memory, request.size, address);
  state.calls.name(*handle, request.name);
  if (!request.movable) return buffer;
  MovableRecord record{
      .buffer = *handle, .memory = made.memory, .buffer_info = info, .user_data = request.user_data};
  keep_families(record, record.buffer_info);
  if (const auto kept = remember(state, buffer, record); !kept)
    return state.refuse(kept.error(), kHere, "", request.name);
  return buffer;
}

Result<Image> Heap::create_image(const ImageRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::create_image";
  if (request.info == nullptr || request.info->queueFamilyIndexCount > MovableRecord::kMaxFamilies ||
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
  const auto handle = state.calls.create(info);
  if (!handle) return state.refuse(handle.error(), kHere, "vkCreateImage", request.name);
  HeapRequest wanted = heap_request(state, request, state.calls.needs(*handle));
  // V2: linear against non-linear, not buffer against image.
  wanted.kind = info.tiling == VK_IMAGE_TILING_LINEAR ? ResourceKind::linear : ResourceKind::optimal;
  wanted.resource = {MemoryTraits::Dedicated::image, bits_of(*handle)};
  const Made made = back(state, *handle, wanted, request.alias_of, "vkBindImageMemory");
  if (!made.good) {
    state.calls.destroy(*handle);
    return state.refuse(made.error, kHere, made.driver, request.name);
  }
  state.images.fetch_add(1, std::memory_order_relaxed);
  Image image = HeapAccess::image(state, *handle, made.memory);
  state.calls.name(*handle, request.name);
  if (!request.movable) return image;
  MovableRecord record{.kind = ResourceMove::Kind::image,
                       .image = *handle,
                       .memory = made.memory,
                       .image_info = info,
                       .user_data = request.user_data};
  keep_families(record, record.image_info);
  if (const auto kept = remember(state, image, record); !kept)
    return state.refuse(kept.error(), kHere, "", request.name);
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
Result<Retired> HeapState::let_go(std::uint32_t number, std::span<const TimelinePoint> points) noexcept {
  MovableRecord& record = records[number];
  Retired out;
  if (!record.moving) {
    out = {.buffer = record.buffer, .image = record.image, .memory = record.memory, .has_memory = true};
    records.remove(number);
    return out;
  }
  if (points.empty()) {
    memory->free(record.memory);
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
  {
    const Lock lock(heap.mutex);
    gone = heap.let_go(HeapAccess::record_of(resource), {});
  }
  HeapAccess::forget(resource);
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
    buffers.fetch_sub(1, std::memory_order_relaxed);
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

template <class Resource>
Result<void> retire_resource(HeapState& state, Resource& resource,
                             std::span<const TimelinePoint> points) noexcept {
  if (HeapAccess::heap_of(resource) != &state) return fail(ErrorCode::invalid_argument);
  if (const auto good = state.check_points(points); !good) return good;
  const Lock lock(state.mutex);
  if (!state.retired.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const std::uint32_t record = HeapAccess::record_of(resource);
  Result<Retired> gone = unmovable(resource);
  if (record != MovableRecords::kNone) gone = state.let_go(record, points);
  if (!gone) return fail(gone.error());
  HeapAccess::forget(resource);
  if (!gone->has_memory) return {};  // it is in a move
  gone->point_count = static_cast<std::uint32_t>(points.size());
  std::copy(points.begin(), points.end(), gone->points.begin());
  state.retired.push_back_reserved(*gone);
  return {};
}

}  // namespace

Result<void> Heap::retire(Buffer&& buffer, std::span<const TimelinePoint> points) noexcept {
  return retire_resource(*state_, buffer, points);
}

Result<void> Heap::retire(Image&& image, std::span<const TimelinePoint> points) noexcept {
  return retire_resource(*state_, image, points);
}

}  // namespace vaspace::vulkan
