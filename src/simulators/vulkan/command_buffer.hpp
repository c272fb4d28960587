// Command buffers: what was recorded, as functions to be called when a queue carries it out.
#pragma once

#include <functional>
#include <memory>
#include <vector>
#include <vulkan/vk_icd.h>

#include "objects.hpp"
#include "queue.hpp"
#include "resource.hpp"

namespace vasim {

// A queue at work on a batch, under the device's lock.
struct Execution {
  Device& device;
  Batch& batch;
};

// What a submit refers to. It stays as it was where the buffer is recorded anew meanwhile.
struct Recording {
  std::vector<std::function<void(Execution&)>> commands;
  std::vector<std::shared_ptr<Object>> objects;
};

struct CommandBuffer {
  enum class State { Initial, Recording, Executable };

  explicit CommandBuffer(Device& its_device) : device(its_device) { set_loader_magic_value(&loader); }

  // Adds a command; D4 and nothing where it is not being recorded.
  void record(std::vector<std::shared_ptr<Object>> objects, std::function<void(Execution&)> command);
  void reset();
  [[nodiscard]] std::string describe() const;

  VK_LOADER_DATA loader;
  Device& device;
  std::string name;
  State state = State::Initial;
  bool one_time = false, simultaneous = false, submitted = false;
  std::shared_ptr<Recording> recording = std::make_shared<Recording>();
  std::vector<OperationId> users;  // the device's lock
};

inline CommandBuffer& from(VkCommandBuffer handle) {
  return *reinterpret_cast<CommandBuffer*>(handle);
}

struct CommandPool : Object {
  static constexpr VkObjectType kType = VK_OBJECT_TYPE_COMMAND_POOL;

  CommandPool() : Object(kType) {}

  std::vector<std::unique_ptr<CommandBuffer>> buffers;
};

}  // namespace vasim
