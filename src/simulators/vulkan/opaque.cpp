// Pipelines and descriptor sets, kept as handles.
#include "opaque.hpp"

#include <algorithm>

#include "calls.hpp"

namespace vasim {
namespace {

struct DescriptorSet : Opaque {
  explicit DescriptorSet(std::uint64_t its_pool) : Opaque(VK_OBJECT_TYPE_DESCRIPTOR_SET), pool(its_pool) {}

  std::uint64_t pool;
};

}  // namespace

void free_sets_of(Device& device, std::uint64_t pool) {
  for (const auto& object : device.objects.all())
    if (object->type == VK_OBJECT_TYPE_DESCRIPTOR_SET &&
        static_cast<const DescriptorSet&>(*object).pool == pool)
      device.objects.remove(reinterpret_cast<VkDescriptorSet>(object->handle), VK_OBJECT_TYPE_DESCRIPTOR_SET);
}

namespace api {

VkResult CreateComputePipelines(VkDevice handle, VkPipelineCache, std::uint32_t count,
                                const VkComputePipelineCreateInfo*, const VkAllocationCallbacks*,
                                VkPipeline* out) {
  for (std::uint32_t i = 0; i < count; ++i)
    out[i] = from(handle).objects.add<VkPipeline>(std::make_shared<Opaque>(VK_OBJECT_TYPE_PIPELINE));
  return VK_SUCCESS;
}

void DestroyPipeline(VkDevice handle, VkPipeline pipeline, const VkAllocationCallbacks*) {
  from(handle).objects.remove(pipeline, VK_OBJECT_TYPE_PIPELINE);
}

VkResult GetPipelineCacheData(VkDevice, VkPipelineCache, std::size_t* size, void* data) {
  constexpr std::size_t kHeader = 32;  // the header alone: nothing is cached
  if (data == nullptr) {
    *size = kHeader;
    return VK_SUCCESS;
  }
  if (*size < kHeader) {
    *size = 0;
    return VK_INCOMPLETE;
  }
  const std::uint32_t words[] = {kHeader, VK_PIPELINE_CACHE_HEADER_VERSION_ONE, 0, 0, 0, 0, 0, 0};
  static_assert(sizeof(words) == kHeader);
  std::copy(std::begin(words), std::end(words), static_cast<std::uint32_t*>(data));
  *size = kHeader;
  return VK_SUCCESS;
}

VkResult MergePipelineCaches(VkDevice, VkPipelineCache, std::uint32_t, const VkPipelineCache*) {
  return VK_SUCCESS;
}

VkResult AllocateDescriptorSets(VkDevice handle, const VkDescriptorSetAllocateInfo* info,
                                VkDescriptorSet* out) {
  Device& device = from(handle);
  for (std::uint32_t i = 0; i < info->descriptorSetCount; ++i)
    out[i] =
        device.objects.add<VkDescriptorSet>(std::make_shared<DescriptorSet>(number_of(info->descriptorPool)));
  return VK_SUCCESS;
}

VkResult FreeDescriptorSets(VkDevice handle, VkDescriptorPool, std::uint32_t count,
                            const VkDescriptorSet* sets) {
  for (std::uint32_t i = 0; i < count; ++i)
    from(handle).objects.remove(sets[i], VK_OBJECT_TYPE_DESCRIPTOR_SET);
  return VK_SUCCESS;
}

VkResult ResetDescriptorPool(VkDevice handle, VkDescriptorPool pool, VkDescriptorPoolResetFlags) {
  free_sets_of(from(handle), number_of(pool));
  return VK_SUCCESS;
}

void UpdateDescriptorSets(VkDevice, std::uint32_t, const VkWriteDescriptorSet*, std::uint32_t,
                          const VkCopyDescriptorSet*) {}
void UpdateDescriptorSetWithTemplate(VkDevice, VkDescriptorSet, VkDescriptorUpdateTemplate, const void*) {}

void GetDescriptorSetLayoutSupport(VkDevice, const VkDescriptorSetLayoutCreateInfo*,
                                   VkDescriptorSetLayoutSupport* out) {
  out->supported = VK_TRUE;
}

void GetRenderAreaGranularity(VkDevice, VkRenderPass, VkExtent2D* out) {
  *out = {1, 1};
}

}  // namespace api
}  // namespace vasim
