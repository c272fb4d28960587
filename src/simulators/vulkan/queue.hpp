// A queue: two threads that carry out what was submitted, late, and in an order that only semaphores make
// firm.
//
// Submits have one lane and sparse binds another, because they are not ordered against each other (V25).
// Signals of both lanes come in the order in which they were submitted, as the specification has it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>
#include <vulkan/vk_icd.h>

#include "order.hpp"
#include "sync.hpp"

namespace vasim {

struct Device;

// One batch of a submit or of a vkQueueBindSparse.
struct Batch {
  struct Point {
    std::shared_ptr<Semaphore> semaphore;
    std::uint64_t value = 0;
  };

  OperationId operation = 0;
  Clock known;  // at first what the host knew; then what the batch may rely on
  std::vector<Point> waits, signals;
  std::function<void(Batch&)> work;  // under the device's lock
  std::shared_ptr<Fence> fence;
  std::shared_ptr<Clock> call;  // what all batches of one vkQueueBindSparse know, for its fence
  std::uint64_t ticket = 0;  // its place among the queue's signals of semaphores and fences; 0: it has none
};

struct Queue {
  Queue(Device& its_device, std::uint32_t its_family, std::uint32_t its_index,
        VkDeviceQueueCreateFlags its_flags);
  ~Queue();

  // Begins to work. Throws std::system_error where the system has no thread left; the device ends then.
  void start();

  enum Lane { kSubmits, kBinds, kLanes };

  // Under the device's lock.
  void enqueue(Lane lane, std::unique_ptr<Batch> batch);
  [[nodiscard]] bool idle() const;
  // The host has seen this queue idle.
  void retire();

  VK_LOADER_DATA loader;
  Device& device;
  const std::uint32_t family, index;
  const VkDeviceQueueCreateFlags flags;
  [[nodiscard]] VkQueueFlags capabilities() const;
  [[nodiscard]] std::string describe() const;

 private:
  struct Strand {
    std::deque<std::unique_ptr<Batch>> waiting;
    bool busy = false;
    std::thread thread;
  };

  void run(Lane lane);
  bool carry_out(Lane lane, Batch& batch, std::unique_lock<std::mutex>& lock);
  bool wait_for_semaphores(Batch& batch, std::unique_lock<std::mutex>& lock);
  void be_late(std::unique_lock<std::mutex>& lock);
  bool wait_for_turn(Batch& batch, std::unique_lock<std::mutex>& lock);
  void complete(Batch& batch);

  Strand strands_[kLanes];
  Clock submits_;  // all submits so far, and what they waited for
  Clock signals_;  // all signals so far
  Clock all_;      // every operation
  std::uint64_t last_ticket_ = 0, next_ticket_ = 1;
};

inline Queue& from(VkQueue handle) {
  return *reinterpret_cast<Queue*>(handle);
}

}  // namespace vasim
