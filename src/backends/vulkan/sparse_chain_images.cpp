// Binds of images on the chain: one batch each time.
#include "sparse_chain.hpp"

namespace vaspace::vulkan {

void SparseChain::add_opaque(const ImageBind& bind) noexcept {
  if (opaque_images_.empty() || opaque_images_.back().image != bind.image) {
    VkSparseImageOpaqueMemoryBindInfo info{};
    info.image = bind.image;
    info.pBinds = binds_.data() + binds_.size();
    opaque_images_.push_back_reserved(info);
  }
  VkSparseMemoryBind one{};
  one.resourceOffset = bind.at.value;
  one.size = bind.size.value;
  one.memory = (VkDeviceMemory)bind.memory;
  one.memoryOffset = bind.memory_offset.value;
  if (bind.metadata) one.flags = VK_SPARSE_MEMORY_BIND_METADATA_BIT;
  binds_.push_back_reserved(one);
  ++opaque_images_.back().bindCount;
}

void SparseChain::add_tiles(const ImageBind& bind) noexcept {
  if (tiled_images_.empty() || tiled_images_.back().image != bind.image) {
    VkSparseImageMemoryBindInfo info{};
    info.image = bind.image;
    info.pBinds = tiles_.data() + tiles_.size();
    tiled_images_.push_back_reserved(info);
  }
  VkSparseImageMemoryBind one{};
  one.subresource = {bind.aspect, bind.level, bind.layer};
  one.offset = {static_cast<std::int32_t>(bind.offset[0]), static_cast<std::int32_t>(bind.offset[1]),
                static_cast<std::int32_t>(bind.offset[2])};
  one.extent = {bind.extent[0], bind.extent[1], bind.extent[2]};
  one.memory = (VkDeviceMemory)bind.memory;
  one.memoryOffset = bind.memory_offset.value;
  tiles_.push_back_reserved(one);
  ++tiled_images_.back().bindCount;
}

Result<std::uint64_t> SparseChain::submit_image_binds(std::span<const ImageBind> binds) noexcept {
  binds_.clear();
  tiles_.clear();
  opaque_images_.clear();
  tiled_images_.clear();
  batches_.clear();
  values_.clear();
  const std::size_t room = binds.size();
  if (!binds_.reserve(room) || !tiles_.reserve(room) || !opaque_images_.reserve(room) ||
      !tiled_images_.reserve(room) || !batches_.reserve(1) || !values_.reserve(1))
    return fail(ErrorCode::out_of_host_memory);
  for (const ImageBind& bind : binds) {
    if (bind.opaque) {
      add_opaque(bind);
    } else {
      add_tiles(bind);
    }
  }
  VkBindSparseInfo batch{};
  batch.imageOpaqueBindCount = static_cast<std::uint32_t>(opaque_images_.size());
  batch.pImageOpaqueBinds = opaque_images_.data();
  batch.imageBindCount = static_cast<std::uint32_t>(tiled_images_.size());
  batch.pImageBinds = tiled_images_.data();
  batches_.push_back_reserved(batch);
  return queue_binds();
}

}  // namespace vaspace::vulkan
