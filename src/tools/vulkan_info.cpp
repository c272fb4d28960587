#include "vulkan_info.hpp"

#include "vulkan_device.hpp"

namespace vaspace::tools {

namespace {

using Json = nlohmann::ordered_json;

// VkBufferUsageFlagBits: TRANSFER_SRC, TRANSFER_DST, STORAGE, VERTEX.
constexpr std::uint32_t kProbeUsage = 0x1 | 0x2 | 0x20 | 0x80;

Json features_json(const VulkanDevice& open) {
  const vulkan::DeviceFeatures& has = open.backend->config().features;
  return {{"sparse_binding", has.sparse_binding},
          {"sparse_residency_buffer", has.sparse_residency_buffer},
          {"sparse_residency_image_2d", has.sparse_residency_image_2d},
          {"sparse_residency_image_3d", has.sparse_residency_image_3d},
          {"sparse_residency_aliased", has.sparse_residency_aliased},
          {"timeline_semaphore", has.timeline_semaphore},
          {"buffer_device_address", has.buffer_device_address},
          {"memory_priority", has.memory_priority},
          {"memory_budget", open.backend->reads_budgets()}};
}

Json sparse_json(const VulkanDevice& open) {
  if (open.device->sparse_queue().queue == nullptr) return nullptr;
  vulkan::SparseConfig config;
  config.device = open.backend->config();
  config.sparse = open.device->sparse_queue();
  config.transfer = open.device->queue();
  config.families = open.device->families();
  config.usage = kProbeUsage;
  const auto sparse = vulkan::SparseBackend::create(config);
  if (!sparse) return {{"refused", to_string(sparse.error().code)}};
  const DeviceProfile& profile = (*sparse)->profile();
  Json pages = Json::array();
  for (const Bytes page : profile.pages())
    pages.push_back(page.value);
  return {{"page_bytes", pages},
          {"memory_types", (*sparse)->memory_type_bits()},
          {"address_space_bytes", open.backend->account().max_sparse().value},
          {"null_binds", profile.capabilities.null_binds}};
}

}  // namespace

Json vulkan_facts(std::string_view device) {
  const VulkanDevice open = open_vulkan(device);
  const vulkan::ResourceLimits& limits = open.backend->resource_limits();
  return {{"features", features_json(open)},
          {"buffer_image_granularity_bytes", limits.buffer_image_granularity.value},
          {"non_coherent_atom_bytes", limits.non_coherent_atom.value},
          {"export_needs_dedicated", open.backend->export_needs_dedicated()},
          {"host_pointer_alignment_bytes", open.backend->host_pointer_alignment().value},
          {"sparse", sparse_json(open)}};
}

}  // namespace vaspace::tools
