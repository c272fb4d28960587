// Submits numbered by frame: each signals its number on a timeline semaphore when the device is done with it.
#pragma once

#include <deque>

#include "headless_vulkan.hpp"

struct FrameQueue {
  VkSemaphore timeline = VK_NULL_HANDLE;

  explicit FrameQueue(HeadlessVulkan& on) : vulkan(on) {
    if (!vulkan.timeline_semaphores) throw std::runtime_error("the device has no timeline semaphores");
    VkSemaphoreTypeCreateInfo type{};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    VkSemaphoreCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    info.pNext = &type;
    check(vkCreateSemaphore(vulkan.device, &info, nullptr, &timeline), "vkCreateSemaphore");
  }
  FrameQueue(const FrameQueue&) = delete;
  FrameQueue& operator=(const FrameQueue&) = delete;
  ~FrameQueue() {
    wait_for_all();
    while (!pending.empty())
      free_oldest();
    vkDestroySemaphore(vulkan.device, timeline, nullptr);
  }

  // Records and submits; numbers rise. At most three frames are under way.
  template <class Record>
  void submit(std::uint64_t frame, Record&& record) {
    if (pending.size() == 3) {
      wait_for(pending.front().frame);
      free_oldest();
    }
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = vulkan.commands;
    allocate.commandBufferCount = 1;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    check(vkAllocateCommandBuffers(vulkan.device, &allocate, &commands), "vkAllocateCommandBuffers");
    pending.push_back({frame, commands});
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    check(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    record(commands);
    check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
    VkTimelineSemaphoreSubmitInfo values{};
    values.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
    values.signalSemaphoreValueCount = 1;
    values.pSignalSemaphoreValues = &frame;
    VkSubmitInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.pNext = &values;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &commands;
    info.signalSemaphoreCount = 1;
    info.pSignalSemaphores = &timeline;
    check(vkQueueSubmit(vulkan.queue, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit");
  }
  void wait_for(std::uint64_t frame) const {
    VkSemaphoreWaitInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
    info.semaphoreCount = 1;
    info.pSemaphores = &timeline;
    info.pValues = &frame;
    check(vkWaitSemaphores(vulkan.device, &info, ~std::uint64_t{0}), "vkWaitSemaphores");
  }
  void wait_for_all() const {
    if (!pending.empty()) wait_for(pending.back().frame);
  }

 private:
  struct Pending {
    std::uint64_t frame = 0;
    VkCommandBuffer commands = VK_NULL_HANDLE;
  };
  void free_oldest() {
    vkFreeCommandBuffers(vulkan.device, vulkan.commands, 1, &pending.front().commands);
    pending.pop_front();
  }

  HeadlessVulkan& vulkan;
  std::deque<Pending> pending;
};
