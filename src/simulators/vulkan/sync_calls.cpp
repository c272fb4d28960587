// Creating, waiting for and signalling semaphores, fences and events from the host.
#include <algorithm>
#include <chrono>

#include "calls.hpp"
#include "chain.hpp"
#include "device.hpp"
#include "sync.hpp"

namespace vasim {
namespace {

using Clock_ = std::chrono::steady_clock;

// The time at which a wait of so many nanoseconds ends, without overflow.
Clock_::time_point deadline(std::uint64_t nanoseconds) {
  constexpr std::uint64_t kYear = std::uint64_t{365} * 24 * 3600 * 1'000'000'000;
  return Clock_::now() + std::chrono::nanoseconds(std::min(nanoseconds, kYear));
}

// Waits under the device's lock until `ready`, the device is lost or time is over.
template <class Ready>
VkResult wait(Device& device, std::unique_lock<std::mutex>& lock, std::uint64_t timeout, Ready&& ready) {
  const auto done = [&] { return device.lost || ready(); };
  if (timeout != 0 && !done()) device.changed.wait_until(lock, deadline(timeout), done);
  if (ready()) return VK_SUCCESS;
  return device.lost ? VK_ERROR_DEVICE_LOST : VK_TIMEOUT;
}

}  // namespace

namespace api {

VkResult CreateFence(VkDevice handle, const VkFenceCreateInfo* info, const VkAllocationCallbacks*,
                     VkFence* out) {
  const bool signalled = (info->flags & VK_FENCE_CREATE_SIGNALED_BIT) != 0;
  *out = from(handle).objects.add<VkFence>(std::make_shared<Fence>(signalled));
  return VK_SUCCESS;
}

void DestroyFence(VkDevice handle, VkFence fence, const VkAllocationCallbacks*) {
  Device& device = from(handle);
  const auto object = device.objects.remove(fence, Fence::kType);
  if (object == nullptr) return;
  const std::lock_guard lock(device.mutex);
  if (static_cast<Fence&>(*object).submitted && !device.lost)
    report("D2", object->describe(), "is destroyed while it is pending");
}

VkResult ResetFences(VkDevice handle, std::uint32_t count, const VkFence* fences) {
  Device& device = from(handle);
  const std::lock_guard lock(device.mutex);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto fence = device.objects.find<Fence>(fences[i]);
    if (fence == nullptr) continue;
    if (fence->submitted) report("D2", fence->describe(), "is reset while it is pending");
    fence->signalled = false;
    fence->known = {};
  }
  return VK_SUCCESS;
}

VkResult GetFenceStatus(VkDevice handle, VkFence fence_handle) {
  Device& device = from(handle);
  const auto fence = device.objects.find<Fence>(fence_handle);
  if (fence == nullptr) return VK_ERROR_DEVICE_LOST;
  const std::lock_guard lock(device.mutex);
  if (!fence->signalled) return device.lost ? VK_ERROR_DEVICE_LOST : VK_NOT_READY;
  device.order.retire(fence->known);
  return VK_SUCCESS;
}

VkResult WaitForFences(VkDevice handle, std::uint32_t count, const VkFence* handles, VkBool32 all,
                       std::uint64_t timeout) {
  Device& device = from(handle);
  std::vector<std::shared_ptr<Fence>> fences;
  for (std::uint32_t i = 0; i < count; ++i)
    if (auto fence = device.objects.find<Fence>(handles[i])) fences.push_back(std::move(fence));
  std::unique_lock lock(device.mutex);
  const auto signalled = [](const auto& fence) { return fence->signalled; };
  const VkResult result = wait(device, lock, timeout, [&] {
    return all == VK_TRUE ? std::all_of(fences.begin(), fences.end(), signalled)
                          : std::any_of(fences.begin(), fences.end(), signalled);
  });
  // Also without `all`: the host cannot tell which, but may ask each, and would then know the same.
  if (result == VK_SUCCESS)
    for (const auto& fence : fences)
      if (fence->signalled) device.order.retire(fence->known);
  return result;
}

VkResult CreateSemaphore(VkDevice handle, const VkSemaphoreCreateInfo* info, const VkAllocationCallbacks*,
                         VkSemaphore* out) {
  Device& device = from(handle);
  const auto* const type =
      find_in_chain<VkSemaphoreTypeCreateInfo>(info->pNext, VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO);
  const bool timeline = type != nullptr && type->semaphoreType == VK_SEMAPHORE_TYPE_TIMELINE;
  if (timeline && !device.timeline)
    report("D8", "vkCreateSemaphore", "the feature timelineSemaphore is not enabled");
  *out = device.objects.add<VkSemaphore>(
      std::make_shared<Semaphore>(timeline, timeline ? type->initialValue : 0));
  return VK_SUCCESS;
}

void DestroySemaphore(VkDevice handle, VkSemaphore semaphore, const VkAllocationCallbacks*) {
  Device& device = from(handle);
  const auto object = device.objects.remove(semaphore, Semaphore::kType);
  if (object == nullptr) return;
  const std::lock_guard lock(device.mutex);
  check_unused(device, *object, "destroyed");
}

VkResult GetSemaphoreCounterValueKHR(VkDevice handle, VkSemaphore semaphore_handle, std::uint64_t* out) {
  Device& device = from(handle);
  const auto semaphore = device.objects.find<Semaphore>(semaphore_handle);
  if (semaphore == nullptr) return VK_ERROR_DEVICE_LOST;
  const std::lock_guard lock(device.mutex);
  if (device.lost) return VK_ERROR_DEVICE_LOST;
  *out = semaphore->value;
  device.order.retire(semaphore->known_at(semaphore->value));
  semaphore->forget(device.order);
  return VK_SUCCESS;
}

VkResult WaitSemaphoresKHR(VkDevice handle, const VkSemaphoreWaitInfo* info, std::uint64_t timeout) {
  Device& device = from(handle);
  struct Wanted {
    std::shared_ptr<Semaphore> semaphore;
    std::uint64_t value;
  };
  std::vector<Wanted> all;
  for (std::uint32_t i = 0; i < info->semaphoreCount; ++i)
    if (auto semaphore = device.objects.find<Semaphore>(info->pSemaphores[i]))
      all.push_back({std::move(semaphore), info->pValues[i]});
  const bool any = (info->flags & VK_SEMAPHORE_WAIT_ANY_BIT) != 0;
  const auto reached = [](const Wanted& one) { return one.semaphore->reached(one.value); };
  std::unique_lock lock(device.mutex);
  const VkResult result = wait(device, lock, timeout, [&] {
    return any ? std::any_of(all.begin(), all.end(), reached) : std::all_of(all.begin(), all.end(), reached);
  });
  if (result != VK_SUCCESS) return result;
  for (const Wanted& one : all) {
    if (!reached(one)) continue;
    device.order.retire(any ? one.semaphore->known_at(one.semaphore->value) : one.semaphore->take(one.value));
    one.semaphore->forget(device.order);
  }
  return VK_SUCCESS;
}

VkResult SignalSemaphoreKHR(VkDevice handle, const VkSemaphoreSignalInfo* info) {
  Device& device = from(handle);
  const auto semaphore = device.objects.find<Semaphore>(info->semaphore);
  if (semaphore == nullptr) return VK_ERROR_OUT_OF_HOST_MEMORY;
  const std::lock_guard lock(device.mutex);
  // Who waits for it knows what the host knows now.
  semaphore->signal(info->value, {device.order.epoch(), {}});
  device.changed.notify_all();
  return VK_SUCCESS;
}

VkResult CreateEvent(VkDevice handle, const VkEventCreateInfo*, const VkAllocationCallbacks*, VkEvent* out) {
  *out = from(handle).objects.add<VkEvent>(std::make_shared<Event>());
  return VK_SUCCESS;
}

void DestroyEvent(VkDevice handle, VkEvent event, const VkAllocationCallbacks*) {
  Device& device = from(handle);
  const auto object = device.objects.remove(event, Event::kType);
  if (object == nullptr) return;
  const std::lock_guard lock(device.mutex);
  check_unused(device, *object, "destroyed");
}

VkResult GetEventStatus(VkDevice handle, VkEvent event) {
  Device& device = from(handle);
  const auto object = device.objects.find<Event>(event);
  if (object == nullptr) return VK_ERROR_DEVICE_LOST;
  const std::lock_guard lock(device.mutex);
  return object->set ? VK_EVENT_SET : VK_EVENT_RESET;
}

VkResult SetEvent(VkDevice handle, VkEvent event) {
  Device& device = from(handle);
  const auto object = device.objects.find<Event>(event);
  if (object == nullptr) return VK_ERROR_OUT_OF_HOST_MEMORY;
  const std::lock_guard lock(device.mutex);
  object->set = true;
  device.changed.notify_all();
  return VK_SUCCESS;
}

VkResult ResetEvent(VkDevice handle, VkEvent event) {
  Device& device = from(handle);
  const auto object = device.objects.find<Event>(event);
  if (object == nullptr) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  const std::lock_guard lock(device.mutex);
  object->set = false;
  return VK_SUCCESS;
}

}  // namespace api
}  // namespace vasim
