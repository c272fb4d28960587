// The objects of a device, found by handle.
//
// A handle is a number that no other object ever had, so that one which was destroyed is told from a new one.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>
#include <vulkan/vulkan_core.h>

namespace vasim {

using OperationId = std::uint64_t;

struct Object {
  explicit Object(VkObjectType its_type) : type(its_type) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;

  // "VkBuffer 0x12 'mesh'".
  [[nodiscard]] std::string describe() const;

  VkObjectType type;
  std::uint64_t handle = 0;
  std::string name;                // the device's lock
  std::vector<OperationId> users;  // submitted operations that refer to it; the device's lock
  bool destroyed = false;          // it may outlive its handle where an operation still holds it
};

template <class Handle>
std::uint64_t number_of(Handle handle) {
  return reinterpret_cast<std::uint64_t>(handle);
}

class Objects {
 public:
  template <class Handle>
  Handle add(std::shared_ptr<Object> object) {
    return reinterpret_cast<Handle>(insert(std::move(object)));
  }

  // The object, or null and D1 is reported. T says its type by T::kType.
  template <class T, class Handle>
  std::shared_ptr<T> find(Handle handle) {
    return std::static_pointer_cast<T>(lookup(number_of(handle), T::kType));
  }
  // The same without a report.
  std::shared_ptr<Object> peek(std::uint64_t handle);

  // Takes it out of the table; null for VK_NULL_HANDLE, or where it does not live (D1).
  template <class Handle>
  std::shared_ptr<Object> remove(Handle handle, VkObjectType type) {
    return take(number_of(handle), type);
  }

  [[nodiscard]] std::vector<std::shared_ptr<Object>> all();

 private:
  std::uint64_t insert(std::shared_ptr<Object> object);
  std::shared_ptr<Object> lookup(std::uint64_t handle, VkObjectType type);
  std::shared_ptr<Object> take(std::uint64_t handle, VkObjectType type);

  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Object>> table_;
};

const char* name_of(VkObjectType type);

}  // namespace vasim
