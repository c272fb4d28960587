#include "command_buffer.hpp"

#include <algorithm>

#include "calls.hpp"
#include "device.hpp"

namespace vasim {
namespace {

// Reports D2 where a queue may still work on it.
void check_idle(CommandBuffer& buffer, const char* what) {
  const std::lock_guard lock(buffer.device.mutex);
  const Order& order = buffer.device.order;
  const bool busy = std::any_of(buffer.users.begin(), buffer.users.end(),
                                [&](OperationId id) { return order.unfinished(id); });
  if (busy && !buffer.device.lost) report("D2", buffer.describe(), text("is %s while it is pending", what));
  buffer.users.clear();
}

}  // namespace

void CommandBuffer::record(std::vector<std::shared_ptr<Object>> objects,
                           std::function<void(Execution&)> command) {
  if (state != State::Recording) return report("D4", describe(), "a command outside of vkBeginCommandBuffer");
  for (const auto& object : objects)
    if (object == nullptr) return;  // D1 was reported
  recording->objects.insert(recording->objects.end(), objects.begin(), objects.end());
  recording->commands.push_back(std::move(command));
}

void CommandBuffer::reset() {
  recording = std::make_shared<Recording>();
  state = State::Initial;
  submitted = false;
}

std::string CommandBuffer::describe() const {
  return text("VkCommandBuffer %p", static_cast<const void*>(this)) + (name.empty() ? "" : " '" + name + "'");
}

namespace api {

VkResult CreateCommandPool(VkDevice handle, const VkCommandPoolCreateInfo*, const VkAllocationCallbacks*,
                           VkCommandPool* out) {
  *out = from(handle).objects.add<VkCommandPool>(std::make_shared<CommandPool>());
  return VK_SUCCESS;
}

void DestroyCommandPool(VkDevice handle, VkCommandPool pool, const VkAllocationCallbacks*) {
  const auto object = from(handle).objects.remove(pool, CommandPool::kType);
  if (object == nullptr) return;
  for (const auto& buffer : static_cast<CommandPool&>(*object).buffers)
    check_idle(*buffer, "freed");
}

VkResult ResetCommandPool(VkDevice handle, VkCommandPool pool, VkCommandPoolResetFlags) {
  const auto object = from(handle).objects.find<CommandPool>(pool);
  if (object == nullptr) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  for (const auto& buffer : object->buffers) {
    check_idle(*buffer, "reset");
    buffer->reset();
  }
  return VK_SUCCESS;
}

void TrimCommandPool(VkDevice, VkCommandPool, VkCommandPoolTrimFlags) {}

VkResult AllocateCommandBuffers(VkDevice handle, const VkCommandBufferAllocateInfo* info,
                                VkCommandBuffer* out) {
  Device& device = from(handle);
  const auto pool = device.objects.find<CommandPool>(info->commandPool);
  if (pool == nullptr) return VK_ERROR_OUT_OF_HOST_MEMORY;
  for (std::uint32_t i = 0; i < info->commandBufferCount; ++i) {
    pool->buffers.push_back(std::make_unique<CommandBuffer>(device));
    out[i] = reinterpret_cast<VkCommandBuffer>(pool->buffers.back().get());
  }
  return VK_SUCCESS;
}

void FreeCommandBuffers(VkDevice handle, VkCommandPool pool, std::uint32_t count,
                        const VkCommandBuffer* buffers) {
  const auto object = from(handle).objects.find<CommandPool>(pool);
  if (object == nullptr) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (buffers[i] == VK_NULL_HANDLE) continue;
    CommandBuffer* const wanted = &from(buffers[i]);
    const auto found = std::find_if(object->buffers.begin(), object->buffers.end(),
                                    [&](const auto& one) { return one.get() == wanted; });
    if (found == object->buffers.end()) {
      report("D1", "VkCommandBuffer", "is freed and not of this pool");
      continue;
    }
    check_idle(*wanted, "freed");
    object->buffers.erase(found);
  }
}

VkResult BeginCommandBuffer(VkCommandBuffer handle, const VkCommandBufferBeginInfo* info) {
  CommandBuffer& buffer = from(handle);
  check_idle(buffer, "begun");
  if (buffer.state == CommandBuffer::State::Recording) report("D4", buffer.describe(), "is begun twice");
  buffer.reset();
  buffer.state = CommandBuffer::State::Recording;
  buffer.one_time = (info->flags & VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT) != 0;
  buffer.simultaneous = (info->flags & VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT) != 0;
  return VK_SUCCESS;
}

VkResult EndCommandBuffer(VkCommandBuffer handle) {
  CommandBuffer& buffer = from(handle);
  if (buffer.state != CommandBuffer::State::Recording)
    report("D4", buffer.describe(), "is ended and was not begun");
  buffer.state = CommandBuffer::State::Executable;
  return VK_SUCCESS;
}

VkResult ResetCommandBuffer(VkCommandBuffer handle, VkCommandBufferResetFlags) {
  CommandBuffer& buffer = from(handle);
  check_idle(buffer, "reset");
  buffer.reset();
  return VK_SUCCESS;
}

void CmdExecuteCommands(VkCommandBuffer handle, std::uint32_t count, const VkCommandBuffer* secondaries) {
  CommandBuffer& buffer = from(handle);
  for (std::uint32_t i = 0; i < count; ++i) {
    const CommandBuffer& second = from(secondaries[i]);
    if (second.state != CommandBuffer::State::Executable)
      report("D4", second.describe(), "is executed and not ended");
    buffer.record(second.recording->objects, [recording = second.recording](Execution& execution) {
      for (const auto& command : recording->commands)
        command(execution);
    });
  }
}

// One device has no mask to choose from.
void CmdSetDeviceMask(VkCommandBuffer, std::uint32_t) {}

}  // namespace api
}  // namespace vasim
