// Making buffers and images with memory of their own.
#include <algorithm>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

constexpr Error kNotSupported{ErrorCode::not_supported, VK_ERROR_FEATURE_NOT_PRESENT};

bool addressed(const BufferRequest& request) noexcept {
  return (request.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
}

// What both kinds of request say of their memory; `alone`: exporting it wants memory of its own (V18).
template <class Request>
HeapRequest heap_request(const Request& request, const Needs& needs, bool alone) noexcept {
  HeapRequest wanted;
  wanted.requirements = needs.memory;
  wanted.intent = request.intent;
  wanted.mapping = request.mapping;
  wanted.coherent = request.coherent;
  wanted.dedicated = std::max(request.dedicated, needs.dedicated);
  if (alone) wanted.dedicated = DedicatedWish::required;
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
  if (!memory) return heap.refuse(memory.error(), making.function, making.name);
  heap.memory->free(*memory);
  heap.memory->give_back_unused();  // R7: the memory too, not in a collect
  const Error error = bound != VK_SUCCESS ? error_of(bound, making.bind) : Error{ErrorCode::not_supported};
  return heap.refuse(error, making.function, making.name);
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
  const std::string_view fits = ResourceCalls::clipped(name);
  std::copy_n(fits.begin(), fits.size(), record.name.begin());
}

bool has_too_many_families(const VkImageCreateInfo& info) noexcept {
  return info.sharingMode == VK_SHARING_MODE_CONCURRENT &&
         info.queueFamilyIndexCount > MovableRecord::kMaxFamilies;
}

}  // namespace

namespace {

// What no device would do; nothing: one may.
std::optional<ErrorCode> impossible(const BufferRequest& request) noexcept {
  if (request.size == Bytes{}) return ErrorCode::invalid_size;
  if (!request.alignment.valid()) return ErrorCode::invalid_alignment;
  if (request.usage == 0 || request.families.size() > MovableRecord::kMaxFamilies ||
      (request.movable && request.next != nullptr))
    return ErrorCode::invalid_argument;
  return std::nullopt;
}

// The families of what is exclusive are the request's too; Vulkan does not look at them.
VkBufferCreateInfo info_of(const BufferRequest& request) noexcept {
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.pNext = request.next;
  info.flags = request.flags;
  // V15.
  if (request.intent == Intent::protected_device) info.flags |= VK_BUFFER_CREATE_PROTECTED_BIT;
  info.size = request.size.value;
  info.usage = request.usage |
               (request.movable ? VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT : 0);
  if (request.families.size() > 1) {
    info.sharingMode = VK_SHARING_MODE_CONCURRENT;
    info.queueFamilyIndexCount = static_cast<std::uint32_t>(request.families.size());
    info.pQueueFamilyIndices = request.families.data();
  }
  return info;
}

VkImageCreateInfo info_of(const ImageRequest& request) noexcept {
  VkImageCreateInfo info = *request.info;
  // V15.
  if (request.intent == Intent::protected_device) info.flags |= VK_IMAGE_CREATE_PROTECTED_BIT;
  if (request.movable) info.usage |= VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
  return info;
}

}  // namespace

Result<Buffer> Heap::create_buffer(const BufferRequest& request) noexcept {
  return state_->make_buffer(request, "Heap::create_buffer");
}

Result<Buffer> HeapState::make_buffer(const BufferRequest& request, const char* function) noexcept {
  HeapState& state = *this;
  if (const auto wrong = impossible(request)) [[unlikely]]
    return state.refuse({*wrong}, function, request.name);
  if (const char* missing = missing_in(state.backend, request); missing != nullptr) [[unlikely]]
    return state.refuse(kNotSupported, function, request.name, missing);
  if ((request.flags & (kSparseBufferFlags | kReplayedBufferFlags)) != 0) [[unlikely]]
    return state.refuse({ErrorCode::not_supported}, function, request.name);

  VkExternalMemoryBufferCreateInfo external{};
  external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
  external.pNext = request.next;
  external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkBufferCreateInfo info = info_of(request);
  if (request.exportable) info.pNext = &external;
  VkBuffer handle = VK_NULL_HANDLE;
  if (const VkResult created = state.calls.create(info, handle); created != VK_SUCCESS) [[unlikely]]
    return state.refuse(error_of(created, "vkCreateBuffer"), function, request.name);
  const Needs needs = state.calls.needs(handle);
  // V18: of each usage.
  const bool alone = request.exportable &&
                     (state.backend.export_needs_dedicated() || state.backend.export_needs_dedicated(info));
  HeapRequest wanted = heap_request(request, needs, alone);
  wanted.requirements.alignment = std::max(wanted.requirements.alignment, request.alignment);
  wanted.kind = ResourceKind::linear;
  wanted.resource = {MemoryTraits::Dedicated::buffer, bits_of(handle)};
  wanted.device_address = addressed(request);
  const Result<HeapAllocation> placed = memory_for(state, wanted, request.alias_of);
  const VkResult bound = placed ? state.calls.try_bind(handle, *placed) : VK_SUCCESS;
  const Making making{function, "vkBindBufferMemory", request.name};
  if (!placed || bound != VK_SUCCESS) [[unlikely]]
    return give_up(state, handle, placed, bound, making);
  const std::uint64_t address = addressed(request) ? state.calls.device_address(handle) : 0;
  // Vulkan promises the driver's alignment of an address, whatever the memory's offset is.
  if (address != 0 && request.alignment > needs.memory.alignment && !is_aligned(address, request.alignment))
      [[unlikely]]
    return give_up(state, handle, placed, bound, making);
  state.counts.add(ResourceCounts::buffers);
  state.calls.name(handle, request.name);
  if (!request.movable) [[likely]]
    return HeapAccess::buffer(state, handle, *placed, request.size, address);
  MovableRecord record{
      .buffer = handle, .memory = *placed, .buffer_info = info, .user_data = request.user_data};
  keep(record, record.buffer_info, request.name);
  auto buffer = HeapAccess::buffer(state, handle, *placed, request.size, address);
  if (const auto kept = remember(state, *buffer, record); !kept) [[unlikely]] {
    buffer->reset();
    state.memory->give_back_unused();
    return state.refuse(kept.error(), function, request.name);
  }
  return buffer;
}

Result<Image> Heap::create_image(const ImageRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::create_image";
  if (request.info == nullptr || has_too_many_families(*request.info) ||
      (request.movable && request.info->pNext != nullptr))
    return state.refuse({ErrorCode::invalid_argument}, kHere, request.name);
  if (const char* missing = missing_feature(request); missing != nullptr)
    return state.refuse(kNotSupported, kHere, request.name, missing);
  // Planes that are bound one by one have no single memory.
  if ((request.info->flags & (kSparseImageFlags | kReplayedImageFlags | VK_IMAGE_CREATE_DISJOINT_BIT)) != 0)
    return state.refuse({ErrorCode::not_supported}, kHere, request.name);

  VkExternalMemoryImageCreateInfo external{};
  external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO;
  external.pNext = request.info->pNext;
  external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkImageCreateInfo info = info_of(request);
  // V18: of each format, tiling and usage.
  const Result<bool> alone = request.exportable ? state.backend.export_needs_dedicated(info) : false;
  if (!alone) [[unlikely]]
    return state.refuse(alone.error(), kHere, request.name);
  if (request.exportable) info.pNext = &external;
  VkImage handle = VK_NULL_HANDLE;
  if (const VkResult created = state.calls.create(info, handle); created != VK_SUCCESS) [[unlikely]]
    return state.refuse(error_of(created, "vkCreateImage"), kHere, request.name);
  HeapRequest wanted = heap_request(request, state.calls.needs(handle),
                                    *alone || (request.exportable && state.backend.export_needs_dedicated()));
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
    return state.refuse(kept.error(), kHere, request.name);
  }
  return image;
}

// ---- what they would want

namespace {

template <class Handle>
Result<TypeRanking> ranking_of(HeapState& state, HeapRequest wanted, Handle handle,
                               std::string_view name) noexcept {
  const Result<TypeRanking> ranking = state.memory->choose(wanted);
  state.calls.destroy(handle);
  return state.tell(ranking, "Heap::memory_types", name);
}

}  // namespace

Result<TypeRanking> Heap::memory_types(const BufferRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::memory_types";
  if (const auto wrong = impossible(request)) return state.refuse({*wrong}, kHere, request.name);
  if (const char* missing = missing_feature(request); missing != nullptr)
    return state.refuse(kNotSupported, kHere, request.name, missing);
  const auto handle = state.calls.create(info_of(request));
  if (!handle) return state.refuse(handle.error(), kHere, request.name);
  HeapRequest wanted = heap_request(request, state.calls.needs(*handle), false);
  wanted.device_address = addressed(request);
  return ranking_of(state, wanted, *handle, request.name);
}

Result<TypeRanking> Heap::memory_types(const ImageRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::memory_types";
  if (request.info == nullptr) return state.refuse({ErrorCode::invalid_argument}, kHere, request.name);
  if (const char* missing = missing_feature(request); missing != nullptr)
    return state.refuse(kNotSupported, kHere, request.name, missing);
  const VkImageCreateInfo info = info_of(request);
  const auto handle = state.calls.create(info);
  if (!handle) return state.refuse(handle.error(), kHere, request.name);
  HeapRequest wanted = heap_request(request, state.calls.needs(*handle), false);
  wanted.kind = info.tiling == VK_IMAGE_TILING_LINEAR ? ResourceKind::linear : ResourceKind::optimal;
  return ranking_of(state, wanted, *handle, request.name);
}

}  // namespace vaspace::vulkan
