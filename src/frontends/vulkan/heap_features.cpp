// What the application forgot to enable on its device, by name, and what needs an extension: memory from and
// for others.
#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

constexpr Error kNotSupported{ErrorCode::not_supported, VK_ERROR_FEATURE_NOT_PRESENT};
constexpr const char* kFiles = VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME;

}  // namespace

const char* missing_in(const Backend& backend, const BufferRequest& request) noexcept {
  const DeviceFeatures& features = backend.config().features;
  if ((request.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0 && !features.buffer_device_address)
    return "bufferDeviceAddress";
  if ((request.flags & kSparseBufferFlags) != 0 && !features.sparse_binding) return "sparseBinding";
  if ((request.flags & VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT) != 0 && !features.sparse_residency_buffer)
    return "sparseResidencyBuffer";
  if ((request.flags & VK_BUFFER_CREATE_SPARSE_ALIASED_BIT) != 0 && !features.sparse_residency_aliased)
    return "sparseResidencyAliased";
  const bool guarded = (request.flags & VK_BUFFER_CREATE_PROTECTED_BIT) != 0;
  if ((guarded || request.intent == Intent::protected_device) && !features.protected_memory)
    return "protectedMemory";
  if (request.exportable && !backend.profile().capabilities.external_memory) return kFiles;
  return nullptr;
}

const char* Heap::missing_feature(const BufferRequest& request) const noexcept {
  return missing_in(state_->backend, request);
}

const char* Heap::missing_feature(const ImageRequest& request) const noexcept {
  const DeviceFeatures& features = state_->backend.config().features;
  if (request.info == nullptr) return nullptr;
  const VkImageCreateFlags flags = request.info->flags;
  if ((flags & kSparseImageFlags) != 0 && !features.sparse_binding) return "sparseBinding";
  if ((flags & VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT) != 0) {
    if (request.info->imageType == VK_IMAGE_TYPE_2D && !features.sparse_residency_image_2d)
      return "sparseResidencyImage2D";
    if (request.info->imageType == VK_IMAGE_TYPE_3D && !features.sparse_residency_image_3d)
      return "sparseResidencyImage3D";
  }
  if ((flags & VK_IMAGE_CREATE_SPARSE_ALIASED_BIT) != 0 && !features.sparse_residency_aliased)
    return "sparseResidencyAliased";
  const bool guarded = (request.info->flags & VK_IMAGE_CREATE_PROTECTED_BIT) != 0;
  if ((guarded || request.intent == Intent::protected_device) && !features.protected_memory)
    return "protectedMemory";
  if (request.exportable && !state_->backend.profile().capabilities.external_memory) return kFiles;
  return nullptr;
}

// Of the driver, memory types that only a feature opens; of the request, what it asks for.
const char* Heap::missing_feature(const vaspace::HeapRequest& request) const noexcept {
  const DeviceFeatures& features = state_->backend.config().features;
  const DeviceProfile& profile = state_->backend.profile();
  if (request.device_address && !features.buffer_device_address) return "bufferDeviceAddress";
  if (request.intent == Intent::protected_device && !features.protected_memory) return "protectedMemory";
  if (request.exportable && !profile.capabilities.external_memory) return kFiles;
  return vulkan::missing_feature(profile, request.requirements.memory_type_bits, features);
}

const char* Heap::missing_sparse_feature() const noexcept {
  if (state_->config.sparse.queue == nullptr) return nullptr;
  const DeviceFeatures& features = state_->backend.config().features;
  if (!features.sparse_binding) return "sparseBinding";
  if (!features.sparse_residency_buffer) return "sparseResidencyBuffer";
  return features.timeline_semaphore ? nullptr : "timelineSemaphore";
}

Result<HeapAllocation> Heap::allocate(const VkMemoryRequirements& requirements,
                                      const vaspace::HeapRequest& wish) noexcept {
  const MemoryRequirements needs{.size = Bytes{requirements.size},
                                 .alignment = Alignment{requirements.alignment},
                                 .memory_type_bits = requirements.memoryTypeBits};
  Result<HeapAllocation> allocated = state_->memory->allocate(needs, wish);
  if (!allocated) [[unlikely]] {
    HeapRequest request = wish;
    request.requirements = needs;
    const bool unsupported = allocated.error().code == ErrorCode::not_supported;
    const char* missing = unsupported ? missing_feature(request) : nullptr;
    const Error error = missing != nullptr ? kNotSupported : allocated.error();
    allocated = state_->refuse(error, "Heap::allocate", wish.name, missing != nullptr ? missing : "");
  }
  return allocated;
}

Result<ExternalHandle> Heap::export_memory(const HeapAllocation& memory) noexcept {
  constexpr const char* kHere = "Heap::export_memory";
  if (!state_->backend.profile().capabilities.external_memory)
    return state_->refuse(kNotSupported, kHere, {}, kFiles);
  const auto handle = state_->memory->export_memory(memory);
  return state_->tell(handle, kHere);
}

Result<HeapAllocation> Heap::import_memory(const ImportRequest& request, ExternalHandle handle) noexcept {
  constexpr const char* kHere = "Heap::import_memory";
  const Backend& backend = state_->backend;
  if (!backend.profile().capabilities.external_memory)
    return state_->refuse(kNotSupported, kHere, request.name, kFiles);
  if (request.device_address && !backend.config().features.buffer_device_address)
    return state_->refuse(kNotSupported, kHere, request.name, "bufferDeviceAddress");
  const auto imported = state_->memory->import_memory(request, handle);
  return state_->tell(imported, kHere, request.name);
}

Result<HeapAllocation> Heap::import_host_pointer(const HostPointerRequest& request) noexcept {
  constexpr const char* kHere = "Heap::import_host_pointer";
  const Backend& backend = state_->backend;
  if (backend.host_pointer_alignment() == Bytes{})
    return state_->refuse(kNotSupported, kHere, request.name, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  if (request.device_address && !backend.config().features.buffer_device_address)
    return state_->refuse(kNotSupported, kHere, request.name, "bufferDeviceAddress");
  const auto imported = state_->memory->import_host_pointer(request);
  return state_->tell(imported, kHere, request.name);
}

}  // namespace vaspace::vulkan
