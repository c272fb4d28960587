#include "objects.hpp"

#include <atomic>

#include "driver.hpp"
#include "report.hpp"

namespace vasim {
namespace {

std::atomic<std::uint64_t> last_handle{0x1000};

}  // namespace

const char* name_of(VkObjectType type) {
  switch (type) {
    case VK_OBJECT_TYPE_DEVICE:
      return "VkDevice";
    case VK_OBJECT_TYPE_QUEUE:
      return "VkQueue";
    case VK_OBJECT_TYPE_SEMAPHORE:
      return "VkSemaphore";
    case VK_OBJECT_TYPE_FENCE:
      return "VkFence";
    case VK_OBJECT_TYPE_DEVICE_MEMORY:
      return "VkDeviceMemory";
    case VK_OBJECT_TYPE_BUFFER:
      return "VkBuffer";
    case VK_OBJECT_TYPE_IMAGE:
      return "VkImage";
    case VK_OBJECT_TYPE_EVENT:
      return "VkEvent";
    case VK_OBJECT_TYPE_COMMAND_POOL:
      return "VkCommandPool";
    case VK_OBJECT_TYPE_COMMAND_BUFFER:
      return "VkCommandBuffer";
    case VK_OBJECT_TYPE_PIPELINE:
      return "VkPipeline";
    default:
      return "object";
  }
}

std::string Object::describe() const {
  std::string words = text("%s 0x%llx", name_of(type), static_cast<unsigned long long>(handle));
  if (!name.empty()) words += " '" + name + "'";
  return words;
}

std::uint64_t Objects::insert(std::shared_ptr<Object> object) {
  const std::uint64_t handle = ++last_handle;
  object->handle = handle;
  const std::lock_guard lock(mutex_);
  table_.emplace(handle, std::move(object));
  ++driver().live_objects;
  return handle;
}

std::shared_ptr<Object> Objects::peek(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = table_.find(handle);
  return found == table_.end() ? nullptr : found->second;
}

std::shared_ptr<Object> Objects::lookup(std::uint64_t handle, VkObjectType type) {
  std::shared_ptr<Object> object = peek(handle);
  if (object != nullptr && object->type == type) return object;
  report("D1", text("%s 0x%llx", name_of(type), static_cast<unsigned long long>(handle)),
         object == nullptr ? "no such object lives" : "the object of this handle has another type");
  return nullptr;
}

std::shared_ptr<Object> Objects::take(std::uint64_t handle, VkObjectType type) {
  if (handle == 0) return nullptr;
  std::shared_ptr<Object> object = lookup(handle, type);
  if (object == nullptr) return nullptr;
  const std::lock_guard lock(mutex_);
  if (table_.erase(handle) == 0) return nullptr;
  --driver().live_objects;
  return object;
}

std::vector<std::shared_ptr<Object>> Objects::all() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Object>> objects;
  for (const auto& [handle, object] : table_)
    objects.push_back(object);
  return objects;
}

}  // namespace vasim
