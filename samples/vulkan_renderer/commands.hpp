// Orders between what is copied, what is drawn and what the host sees.
#pragma once

#include <vulkan/vulkan.h>

// What an image is being used for, and so its layout.
enum class Use { fresh, copied_from, copied_to, sampled };

struct UseOf {
  VkImageLayout layout;
  VkPipelineStageFlags stage;
  VkAccessFlags access;
};

inline UseOf of(Use use) {
  switch (use) {
    case Use::copied_from:
      return {VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_PIPELINE_STAGE_TRANSFER_BIT,
              VK_ACCESS_TRANSFER_READ_BIT};
    case Use::copied_to:
      return {VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, VK_PIPELINE_STAGE_TRANSFER_BIT,
              VK_ACCESS_TRANSFER_WRITE_BIT};
    case Use::sampled:
      return {VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL, VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT,
              VK_ACCESS_SHADER_READ_BIT};
    case Use::fresh:
      break;
  }
  return {VK_IMAGE_LAYOUT_UNDEFINED, VK_PIPELINE_STAGE_TRANSFER_BIT, 0};
}

inline void transition(VkCommandBuffer commands, VkImage image, Use from, Use to) {
  const UseOf before = of(from), after = of(to);
  VkImageMemoryBarrier change{};
  change.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
  change.srcAccessMask = before.access & VK_ACCESS_TRANSFER_WRITE_BIT;  // reads make nothing to be seen
  change.dstAccessMask = after.access;
  change.oldLayout = before.layout;
  change.newLayout = after.layout;
  change.srcQueueFamilyIndex = change.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
  change.image = image;
  change.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
  vkCmdPipelineBarrier(commands, before.stage, after.stage, 0, 0, nullptr, 0, nullptr, 1, &change);
}

inline void order(VkCommandBuffer commands, VkPipelineStageFlags before, VkAccessFlags written,
                  VkPipelineStageFlags after, VkAccessFlags access) {
  VkMemoryBarrier all{};
  all.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  all.srcAccessMask = written;
  all.dstAccessMask = access;
  vkCmdPipelineBarrier(commands, before, after, 0, 1, &all, 0, nullptr, 0, nullptr);
}

// What earlier frames have copied into buffers may be copied on.
inline void order_copies(VkCommandBuffer commands) {
  order(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT,
        VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
}

// What was copied into buffers may be drawn.
inline void order_drawing(VkCommandBuffer commands) {
  order(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT,
        VK_PIPELINE_STAGE_VERTEX_INPUT_BIT | VK_PIPELINE_STAGE_VERTEX_SHADER_BIT |
            VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT,
        VK_ACCESS_VERTEX_ATTRIBUTE_READ_BIT | VK_ACCESS_UNIFORM_READ_BIT);
}

// What was copied into buffers may be read by the host, once the frame is done.
inline void order_reading(VkCommandBuffer commands) {
  order(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT,
        VK_ACCESS_HOST_READ_BIT);
}

inline void copy_image(VkCommandBuffer commands, VkImage from, VkImage to, std::uint32_t side) {
  VkImageCopy all{};
  all.srcSubresource = all.dstSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
  all.extent = {side, side, 1};
  vkCmdCopyImage(commands, from, of(Use::copied_from).layout, to, of(Use::copied_to).layout, 1, &all);
}

// All of an image, packed.
inline VkBufferImageCopy packed(VkDeviceSize offset, std::uint32_t side) {
  VkBufferImageCopy all{};
  all.bufferOffset = offset;
  all.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
  all.imageExtent = {side, side, 1};
  return all;
}
