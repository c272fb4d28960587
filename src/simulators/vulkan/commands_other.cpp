// Barriers, events, labels, and compute commands, which are accepted and not carried out.
#include "calls.hpp"
#include "device.hpp"
#include "opaque.hpp"
#include "report.hpp"
#include "sync.hpp"
#include "touch.hpp"

namespace vasim {
namespace {

// A barrier orders commands of one queue. These run one after the other anyway, so nothing is left to be
// done.
void record_barrier(VkCommandBuffer handle) {
  from(handle).record({}, [](Execution&) {});
}

void record_event(VkCommandBuffer handle, VkEvent event, bool set) {
  CommandBuffer& commands = from(handle);
  const auto object = commands.device.objects.find<Event>(event);
  commands.record({object}, [object, set](Execution& execution) {
    object->set = set;
    execution.device.changed.notify_all();
  });
}

}  // namespace

namespace api {

void CmdPipelineBarrier(VkCommandBuffer handle, VkPipelineStageFlags, VkPipelineStageFlags, VkDependencyFlags,
                        std::uint32_t, const VkMemoryBarrier*, std::uint32_t, const VkBufferMemoryBarrier*,
                        std::uint32_t, const VkImageMemoryBarrier*) {
  record_barrier(handle);
}
void CmdPipelineBarrier2KHR(VkCommandBuffer handle, const VkDependencyInfo*) {
  record_barrier(handle);
}

void CmdSetEvent(VkCommandBuffer handle, VkEvent event, VkPipelineStageFlags) {
  record_event(handle, event, true);
}
void CmdResetEvent(VkCommandBuffer handle, VkEvent event, VkPipelineStageFlags) {
  record_event(handle, event, false);
}
void CmdSetEvent2KHR(VkCommandBuffer handle, VkEvent event, const VkDependencyInfo*) {
  record_event(handle, event, true);
}
void CmdResetEvent2KHR(VkCommandBuffer handle, VkEvent event, VkPipelineStageFlags2) {
  record_event(handle, event, false);
}
// An event of the same queue is set by then. One that the host sets would have to be waited for in the middle
// of a batch, with the device's lock held: said, not done.
void CmdWaitEvents(VkCommandBuffer handle, std::uint32_t count, const VkEvent* events, VkPipelineStageFlags,
                   VkPipelineStageFlags, std::uint32_t, const VkMemoryBarrier*, std::uint32_t,
                   const VkBufferMemoryBarrier*, std::uint32_t, const VkImageMemoryBarrier*) {
  CommandBuffer& commands = from(handle);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto object = commands.device.objects.find<Event>(events[i]);
    commands.record({object}, [object](Execution&) {
      if (!object->set)
        report("D9", object->describe(), "a queue waits for an event that only the host would set");
    });
  }
}
void CmdWaitEvents2KHR(VkCommandBuffer handle, std::uint32_t count, const VkEvent* events,
                       const VkDependencyInfo*) {
  CmdWaitEvents(handle, count, events, 0, 0, 0, nullptr, 0, nullptr, 0, nullptr);
}

void CmdDispatch(VkCommandBuffer handle, std::uint32_t, std::uint32_t, std::uint32_t) {
  CommandBuffer& commands = from(handle);
  report("D9", commands.describe(), "a dispatch is accepted and will not be carried out");
  record_barrier(handle);
}
void CmdDispatchBase(VkCommandBuffer handle, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t x,
                     std::uint32_t y, std::uint32_t z) {
  CmdDispatch(handle, x, y, z);
}
void CmdDispatchIndirect(VkCommandBuffer handle, VkBuffer, VkDeviceSize) {
  CmdDispatch(handle, 0, 0, 0);
}
void CmdBindPipeline(VkCommandBuffer handle, VkPipelineBindPoint, VkPipeline) {
  record_barrier(handle);
}
void CmdBindDescriptorSets(VkCommandBuffer handle, VkPipelineBindPoint, VkPipelineLayout, std::uint32_t,
                           std::uint32_t, const VkDescriptorSet*, std::uint32_t, const std::uint32_t*) {
  record_barrier(handle);
}
void CmdPushConstants(VkCommandBuffer handle, VkPipelineLayout, VkShaderStageFlags, std::uint32_t,
                      std::uint32_t, const void*) {
  record_barrier(handle);
}

void CmdBeginDebugUtilsLabelEXT(VkCommandBuffer, const VkDebugUtilsLabelEXT*) {}
void CmdEndDebugUtilsLabelEXT(VkCommandBuffer) {}
void CmdInsertDebugUtilsLabelEXT(VkCommandBuffer, const VkDebugUtilsLabelEXT*) {}
void QueueBeginDebugUtilsLabelEXT(VkQueue, const VkDebugUtilsLabelEXT*) {}
void QueueEndDebugUtilsLabelEXT(VkQueue) {}
void QueueInsertDebugUtilsLabelEXT(VkQueue, const VkDebugUtilsLabelEXT*) {}

VkResult SetDebugUtilsObjectTagEXT(VkDevice, const VkDebugUtilsObjectTagInfoEXT*) {
  return VK_SUCCESS;
}

VkResult SetDebugUtilsObjectNameEXT(VkDevice handle, const VkDebugUtilsObjectNameInfoEXT* info) {
  Device& device = from(handle);
  const std::string name = info->pObjectName == nullptr ? "" : info->pObjectName;
  const std::lock_guard lock(device.mutex);
  if (info->objectType == VK_OBJECT_TYPE_COMMAND_BUFFER) {
    reinterpret_cast<CommandBuffer*>(info->objectHandle)->name = name;
  } else if (const auto object = device.objects.peek(info->objectHandle)) {
    object->name = name;
  }
  return VK_SUCCESS;
}

}  // namespace api
}  // namespace vasim
