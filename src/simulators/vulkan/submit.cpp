// vkQueueSubmit and vkQueueSubmit2, and waiting for queues: V26, D2, D4.
#include "submit.hpp"

#include <algorithm>

#include "calls.hpp"
#include "chain.hpp"
#include "command_buffer.hpp"
#include "device.hpp"

namespace vasim {
namespace {

void carry_out(Device& device, Batch& batch, const std::vector<std::shared_ptr<Recording>>& recordings) {
  Execution execution{device, batch};
  for (const auto& recording : recordings)
    for (const auto& command : recording->commands)
      command(execution);
}

// Everything that the recording names is in use by the operation until the host knows that it has completed.
void mark_used(const Order& order, Batch& batch, const Recording& recording) {
  for (const auto& object : recording.objects) {
    order.forget_from(object->users);
    object->users.push_back(batch.operation);
    if (object->destroyed)
      report("D1", object->describe(), "is named by a submitted command buffer and is destroyed");
    if (object->type != VK_OBJECT_TYPE_BUFFER && object->type != VK_OBJECT_TYPE_IMAGE) continue;
    const auto& resource = static_cast<const Resource&>(*object);
    if (resource.memory == nullptr || resource.memory->destroyed) continue;
    order.forget_from(resource.memory->users);
    resource.memory->users.push_back(batch.operation);
  }
}

void add_buffers(Device& device, Batch& batch, const std::vector<VkCommandBuffer>& handles) {
  std::vector<std::shared_ptr<Recording>> recordings;
  for (const VkCommandBuffer handle : handles) {
    CommandBuffer& buffer = from(handle);
    if (buffer.state != CommandBuffer::State::Executable)
      report("D4", buffer.describe(), "is submitted and not ended");
    if (buffer.one_time && buffer.submitted)
      report("D4", buffer.describe(), "is for one submit and submitted again");
    const bool busy = std::any_of(buffer.users.begin(), buffer.users.end(),
                                  [&](OperationId id) { return device.order.unfinished(id); });
    if (busy && !buffer.simultaneous) report("D4", buffer.describe(), "is submitted while it is pending");
    buffer.submitted = true;
    buffer.users.push_back(batch.operation);
    mark_used(device.order, batch, *buffer.recording);
    recordings.push_back(buffer.recording);
  }
  batch.work = [&device, recordings = std::move(recordings)](Batch& self) {
    carry_out(device, self, recordings);
  };
}

struct Point {
  VkSemaphore semaphore;
  std::uint64_t value;
};

// One batch in the words of either command.
struct Submit {
  std::vector<Point> waits, signals;
  bool has_values = true;  // a VkTimelineSemaphoreSubmitInfo with enough of them
  std::vector<VkCommandBuffer> buffers;
};

VkResult submit(VkQueue handle, const std::vector<Submit>& submits, VkFence fence_handle) {
  Queue& queue = from(handle);
  Device& device = queue.device;
  std::vector<Submit> all = submits;
  if (all.empty() && fence_handle == VK_NULL_HANDLE) return VK_SUCCESS;
  if (all.empty()) all.emplace_back();
  const std::lock_guard lock(device.mutex);
  if (device.lost) return VK_ERROR_DEVICE_LOST;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto batch = std::make_unique<Batch>();
    batch->operation = device.order.begin(batch->known);
    for (const Point& point : all[i].waits)
      add_wait(device, *batch, point.semaphore, point.value, all[i].has_values);
    for (const Point& point : all[i].signals)
      add_signal(device, *batch, point.semaphore, point.value, all[i].has_values);
    add_buffers(device, *batch, all[i].buffers);
    if (i + 1 == all.size()) add_fence(device, *batch, fence_handle);
    queue.enqueue(Queue::kSubmits, std::move(batch));
  }
  return VK_SUCCESS;
}

std::uint64_t value_at(const std::uint64_t* values, std::uint32_t count, std::uint32_t i) {
  return i < count && values != nullptr ? values[i] : 0;
}

Submit read(const VkSubmitInfo& info) {
  Submit out;
  const auto* const timeline = find_in_chain<VkTimelineSemaphoreSubmitInfo>(
      info.pNext, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
  const std::uint32_t waits = timeline == nullptr ? 0 : timeline->waitSemaphoreValueCount;
  const std::uint32_t signals = timeline == nullptr ? 0 : timeline->signalSemaphoreValueCount;
  for (std::uint32_t i = 0; i < info.waitSemaphoreCount; ++i)
    out.waits.push_back({info.pWaitSemaphores[i],
                         value_at(timeline == nullptr ? nullptr : timeline->pWaitSemaphoreValues, waits, i)});
  for (std::uint32_t i = 0; i < info.signalSemaphoreCount; ++i)
    out.signals.push_back(
        {info.pSignalSemaphores[i],
         value_at(timeline == nullptr ? nullptr : timeline->pSignalSemaphoreValues, signals, i)});
  out.has_values = waits >= info.waitSemaphoreCount && signals >= info.signalSemaphoreCount;
  out.buffers.assign(info.pCommandBuffers, info.pCommandBuffers + info.commandBufferCount);
  return out;
}

Submit read(const VkSubmitInfo2& info) {
  Submit out;
  for (std::uint32_t i = 0; i < info.waitSemaphoreInfoCount; ++i)
    out.waits.push_back({info.pWaitSemaphoreInfos[i].semaphore, info.pWaitSemaphoreInfos[i].value});
  for (std::uint32_t i = 0; i < info.signalSemaphoreInfoCount; ++i)
    out.signals.push_back({info.pSignalSemaphoreInfos[i].semaphore, info.pSignalSemaphoreInfos[i].value});
  for (std::uint32_t i = 0; i < info.commandBufferInfoCount; ++i)
    out.buffers.push_back(info.pCommandBufferInfos[i].commandBuffer);
  return out;
}

}  // namespace

void add_wait(Device& device, Batch& batch, VkSemaphore handle, std::uint64_t value, bool has_values) {
  auto semaphore = device.objects.find<Semaphore>(handle);
  if (semaphore == nullptr) return;
  device.order.forget_from(semaphore->users);
  semaphore->users.push_back(batch.operation);
  if (semaphore->timeline && !has_values)
    return report("V26", semaphore->describe(), "a timeline semaphore is waited for without a value");
  if (!semaphore->timeline) {
    // Not waited for: the queue would stand for ever.
    if (!semaphore->promised)
      return report("V26", semaphore->describe(), "is waited for and no signal of it is submitted");
    semaphore->promised = false;
  }
  batch.waits.push_back({std::move(semaphore), value});
}

void add_signal(Device& device, Batch& batch, VkSemaphore handle, std::uint64_t value, bool has_values) {
  auto semaphore = device.objects.find<Semaphore>(handle);
  if (semaphore == nullptr) return;
  semaphore->users.push_back(batch.operation);
  if (semaphore->timeline && !has_values)
    return report("V26", semaphore->describe(), "a timeline semaphore is signalled without a value");
  if (!semaphore->timeline) {
    if (semaphore->promised)
      report("V26", semaphore->describe(), "is signalled twice without a wait between");
    semaphore->promised = true;
  }
  batch.signals.push_back({std::move(semaphore), value});
}

void add_fence(Device& device, Batch& batch, VkFence handle) {
  if (handle == VK_NULL_HANDLE) return;
  batch.fence = device.objects.find<Fence>(handle);
  if (batch.fence == nullptr) return;
  if (batch.fence->submitted || batch.fence->signalled)
    report("D2", batch.fence->describe(), "is submitted while it is pending or signalled");
  batch.fence->submitted = true;
}

namespace api {

VkResult QueueSubmit(VkQueue queue, std::uint32_t count, const VkSubmitInfo* infos, VkFence fence) {
  std::vector<Submit> submits;
  for (std::uint32_t i = 0; i < count; ++i)
    submits.push_back(read(infos[i]));
  return submit(queue, submits, fence);
}

VkResult QueueSubmit2KHR(VkQueue queue, std::uint32_t count, const VkSubmitInfo2* infos, VkFence fence) {
  std::vector<Submit> submits;
  for (std::uint32_t i = 0; i < count; ++i)
    submits.push_back(read(infos[i]));
  return submit(queue, submits, fence);
}

VkResult QueueWaitIdle(VkQueue handle) {
  Queue& queue = from(handle);
  std::unique_lock lock(queue.device.mutex);
  queue.device.changed.wait(lock, [&] { return queue.device.lost || queue.idle(); });
  if (queue.device.lost) return VK_ERROR_DEVICE_LOST;
  queue.retire();
  return VK_SUCCESS;
}

VkResult DeviceWaitIdle(VkDevice handle) {
  Device& device = from(handle);
  std::unique_lock lock(device.mutex);
  device.changed.wait(lock, [&] {
    return device.lost || std::all_of(device.queues.begin(), device.queues.end(),
                                      [](const auto& queue) { return queue->idle(); });
  });
  if (device.lost) return VK_ERROR_DEVICE_LOST;
  for (const auto& queue : device.queues)
    queue->retire();
  return VK_SUCCESS;
}

}  // namespace api
}  // namespace vasim
