// What the device does in the sparse texture's sample: fills tiles with a word each, and reads words back.
// Every submit waits for the tiles to be bound and signals a number of its own when it is done.
#pragma once

#include <span>
#include <vector>
#include <vulkan/vulkan.h>

#include "vaspace/frontends/vulkan/headless.hpp"
#include "vaspace/frontends/vulkan/sparse_texture.hpp"

#include "vulkan_must.hpp"

struct Word {
  vaspace::vulkan::TileBox tile;
  std::uint32_t value = 0;
};

class Uploads {
 public:
  Uploads(vaspace::vulkan::HeadlessDevice& on, vaspace::vulkan::Heap& heap,
          vaspace::vulkan::SparseTextures& textures, const vaspace::vulkan::SparseTexture& texture,
          std::uint32_t most)
      : device_(on.config().device), queue_(on.queue().queue), textures_(textures), texture_(texture) {
    const vaspace::Bytes size = texture.tile_bytes() * most;
    const auto usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    words_ = must(heap.create_buffer({.size = size, .usage = usage}), "a buffer");
    seen_ = must(heap.create_buffer({.size = vaspace::Bytes{4ULL * most},
                                     .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                     .intent = vaspace::Intent::readback,
                                     .mapping = vaspace::Mapping::required,
                                     .coherent = true}),
                 "a buffer to read");
    VkCommandPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    pool.queueFamilyIndex = on.queue().family;
    check(vkCreateCommandPool(device_, &pool, nullptr, &pool_), "vkCreateCommandPool");
    VkSemaphoreTypeCreateInfo type{};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    VkSemaphoreCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    info.pNext = &type;
    check(vkCreateSemaphore(device_, &info, nullptr, &done_), "vkCreateSemaphore");
    timeline_ = must(textures.add_timeline(done_), "a timeline");
    submit(texture.ready(), [this](VkCommandBuffer commands) { to_general(commands); });
  }
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;
  ~Uploads() {
    vkQueueWaitIdle(queue_);
    (void)textures_.forget_timeline(timeline_);
    vkDestroySemaphore(device_, done_, nullptr);
    vkDestroyCommandPool(device_, pool_, nullptr);
  }

  // When the last submit is done: what an eviction waits for.
  [[nodiscard]] vaspace::TimelinePoint last() const { return {timeline_, submits_}; }

  // The last upload is done: there is one buffer.
  void fill(std::span<const Word> words, vaspace::TimelinePoint bound) {
    must(textures_.wait(last(), ~std::uint64_t{0}), "the last upload");
    submit(bound, [&](VkCommandBuffer commands) {
      const VkDeviceSize tile = texture_.tile_bytes().value;
      for (std::size_t i = 0; i < words.size(); ++i)
        vkCmdFillBuffer(commands, words_.buffer(), i * tile, tile, words[i].value);
      barrier(commands, VK_ACCESS_TRANSFER_READ_BIT);
      for (std::size_t i = 0; i < words.size(); ++i) {
        const VkBufferImageCopy copy = all_of(words[i].tile, i * tile);
        vkCmdCopyBufferToImage(commands, words_.buffer(), texture_.image(), VK_IMAGE_LAYOUT_GENERAL, 1,
                               &copy);
      }
    });
  }
  // Whether each of these tiles, which are resident, has its word still.
  [[nodiscard]] bool all_there(std::span<const Word> words, vaspace::TimelinePoint bound) {
    submit(bound, [&](VkCommandBuffer commands) {
      barrier(commands, VK_ACCESS_TRANSFER_READ_BIT);
      for (std::size_t i = 0; i < words.size(); ++i) {
        VkBufferImageCopy copy = all_of(words[i].tile, 4 * i);
        copy.imageExtent = {1, 1, 1};
        vkCmdCopyImageToBuffer(commands, texture_.image(), VK_IMAGE_LAYOUT_GENERAL, seen_.buffer(), 1, &copy);
      }
      barrier(commands, VK_ACCESS_HOST_READ_BIT);
    });
    must(textures_.wait(last(), ~std::uint64_t{0}), "reading back");
    const auto* seen = reinterpret_cast<const std::uint32_t*>(seen_.mapped());
    for (std::size_t i = 0; i < words.size(); ++i)
      if (seen[i] != words[i].value) return false;
    return true;
  }

 private:
  static void check(VkResult result, const char* what) {
    if (result != VK_SUCCESS) give_up({vaspace::ErrorCode::driver_error, result}, what);
  }
  [[nodiscard]] VkBufferImageCopy all_of(const vaspace::vulkan::TileBox& tile, VkDeviceSize offset) const {
    const auto texels = texture_.tile();
    VkBufferImageCopy copy{};
    copy.bufferOffset = offset;
    copy.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, tile.level, tile.layer, 1};
    copy.imageOffset = {static_cast<std::int32_t>(tile.x * texels[0]),
                        static_cast<std::int32_t>(tile.y * texels[1]), 0};
    copy.imageExtent = {texels[0], texels[1], 1};
    return copy;
  }
  static void barrier(VkCommandBuffer commands, VkAccessFlags reads) {
    VkMemoryBarrier barrier{};
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = reads;
    const bool host = reads == VK_ACCESS_HOST_READ_BIT;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         host ? VK_PIPELINE_STAGE_HOST_BIT : VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier,
                         0, nullptr, 0, nullptr);
  }
  // Every tile is in the image's layout, whether it is resident or not.
  void to_general(VkCommandBuffer commands) const {
    VkImageMemoryBarrier barrier{};
    barrier.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
    barrier.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.newLayout = VK_IMAGE_LAYOUT_GENERAL;
    barrier.srcQueueFamilyIndex = barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier.image = texture_.image();
    barrier.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, VK_REMAINING_MIP_LEVELS, 0,
                                VK_REMAINING_ARRAY_LAYERS};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0,
                         nullptr, 0, nullptr, 1, &barrier);
  }
  template <class Record>
  void submit(vaspace::TimelinePoint bound, Record&& record) {
    must(textures_.wait(last(), ~std::uint64_t{0}), "the last submit");
    check(vkResetCommandPool(device_, pool_, 0), "vkResetCommandPool");
    if (commands_ == VK_NULL_HANDLE) {
      VkCommandBufferAllocateInfo allocate{};
      allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
      allocate.commandPool = pool_;
      allocate.commandBufferCount = 1;
      check(vkAllocateCommandBuffers(device_, &allocate, &commands_), "vkAllocateCommandBuffers");
    }
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    check(vkBeginCommandBuffer(commands_, &begin), "vkBeginCommandBuffer");
    record(commands_);
    check(vkEndCommandBuffer(commands_), "vkEndCommandBuffer");
    // V25: a sparse bind is not ordered before commands, not even on one queue; the semaphore orders it.
    const VkSemaphore wait = textures_.timeline();
    const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_TRANSFER_BIT;
    ++submits_;
    VkTimelineSemaphoreSubmitInfo values{};
    values.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
    values.waitSemaphoreValueCount = values.signalSemaphoreValueCount = 1;
    values.pWaitSemaphoreValues = &bound.value;
    values.pSignalSemaphoreValues = &submits_;
    VkSubmitInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.pNext = &values;
    info.waitSemaphoreCount = info.commandBufferCount = info.signalSemaphoreCount = 1;
    info.pWaitSemaphores = &wait;
    info.pWaitDstStageMask = &stage;
    info.pCommandBuffers = &commands_;
    info.pSignalSemaphores = &done_;
    check(vkQueueSubmit(queue_, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit");
  }

  VkDevice device_;
  VkQueue queue_;
  vaspace::vulkan::SparseTextures& textures_;
  const vaspace::vulkan::SparseTexture& texture_;
  vaspace::vulkan::Buffer words_, seen_;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkCommandBuffer commands_ = VK_NULL_HANDLE;
  VkSemaphore done_ = VK_NULL_HANDLE;
  vaspace::TimelineId timeline_{};
  std::uint64_t submits_ = 0;
};
