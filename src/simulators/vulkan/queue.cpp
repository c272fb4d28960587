#include "queue.hpp"

#include <algorithm>
#include <chrono>

#include "device.hpp"
#include "driver.hpp"

namespace vasim {
namespace {

// How often a held or waiting queue looks at what has no condition of its own: the process-wide hold.
constexpr auto kLook = std::chrono::milliseconds(2);

}  // namespace

Queue::Queue(Device& its_device, std::uint32_t its_family, std::uint32_t its_index,
             VkDeviceQueueCreateFlags its_flags)
    : device(its_device), family(its_family), index(its_index), flags(its_flags) {
  set_loader_magic_value(&loader);
}

void Queue::start() {
  strands_[kSubmits].thread = std::thread([this] { run(kSubmits); });
  if ((capabilities() & VK_QUEUE_SPARSE_BINDING_BIT) != 0)
    strands_[kBinds].thread = std::thread([this] { run(kBinds); });
}

// The device has said that it ends.
Queue::~Queue() {
  for (Strand& strand : strands_)
    if (strand.thread.joinable()) strand.thread.join();
}

VkQueueFlags Queue::capabilities() const {
  return device.profile.families[family].queueFlags;
}

std::string Queue::describe() const {
  return text("VkQueue of family %u, index %u", family, index);
}

void Queue::enqueue(Lane lane, std::unique_ptr<Batch> batch) {
  all_.add(batch->operation);
  if (!batch->signals.empty() || batch->fence != nullptr) batch->ticket = ++last_ticket_;
  strands_[lane].waiting.push_back(std::move(batch));
  device.changed.notify_all();
}

bool Queue::idle() const {
  return std::all_of(std::begin(strands_), std::end(strands_),
                     [](const Strand& strand) { return strand.waiting.empty() && !strand.busy; });
}

void Queue::retire() {
  all_.merge(submits_);
  all_.merge(signals_);
  device.order.retire(all_);
  all_ = {};
  device.order.forget_from(submits_.operations);
  device.order.forget_from(signals_.operations);
}

void Queue::run(Lane lane) {
  Strand& strand = strands_[lane];
  std::unique_lock lock(device.mutex);
  while (true) {
    device.changed.wait(lock, [&] { return device.ending || !strand.waiting.empty(); });
    if (strand.waiting.empty()) return;
    const std::unique_ptr<Batch> batch = std::move(strand.waiting.front());
    strand.waiting.pop_front();
    strand.busy = true;
    const bool done = carry_out(lane, *batch, lock);
    strand.busy = false;
    if (!done) device.order.executed(batch->operation);
    device.changed.notify_all();
  }
}

bool Queue::carry_out(Lane lane, Batch& batch, std::unique_lock<std::mutex>& lock) {
  if (!wait_for_semaphores(batch, lock)) return false;
  be_late(lock);
  if (device.lost) return false;
  if (lane == kSubmits) {
    batch.known.merge(submits_);
    submits_ = batch.known;
    submits_.add(batch.operation);
  }
  if (batch.work) batch.work(batch);
  device.order.executed(batch.operation);
  be_late(lock);
  if (!wait_for_turn(batch, lock)) return false;
  complete(batch);
  return true;
}

bool Queue::wait_for_semaphores(Batch& batch, std::unique_lock<std::mutex>& lock) {
  for (const Batch::Point& point : batch.waits) {
    device.changed.wait(
        lock, [&] { return device.lost || device.ending || point.semaphore->reached(point.value); });
    if (!point.semaphore->reached(point.value)) return false;
    batch.known.merge(point.semaphore->take(point.value));
  }
  return !device.lost;
}

void Queue::be_late(std::unique_lock<std::mutex>& lock) {
  while (driver().queues_held && !device.ending && !device.lost)
    device.changed.wait_for(lock, kLook);
  if (device.delay_high == 0 || device.ending) return;
  const std::uint64_t delay =
      std::uniform_int_distribution<std::uint64_t>(device.delay_low, device.delay_high)(device.random);
  lock.unlock();
  std::this_thread::sleep_for(std::chrono::microseconds(delay));
  lock.lock();
}

bool Queue::wait_for_turn(Batch& batch, std::unique_lock<std::mutex>& lock) {
  if (batch.ticket == 0) return !device.lost;
  device.changed.wait(lock, [&] { return device.lost || device.ending || next_ticket_ == batch.ticket; });
  return next_ticket_ == batch.ticket && !device.lost;
}

void Queue::complete(Batch& batch) {
  Clock known = batch.known;
  known.add(batch.operation);
  all_.merge(known);
  if (batch.call != nullptr) {
    // The fence of a bind is of all its batches.
    batch.call->merge(known);
    if (batch.fence != nullptr) known = *batch.call;
  }
  if (batch.ticket == 0) return;
  // A signal also covers the signals before it; that of a submit all submits before it, which the batch
  // knows.
  known.merge(signals_);
  ++next_ticket_;
  signals_ = known;
  device.order.forget_from(signals_.operations);
  for (const Batch::Point& point : batch.signals) {
    point.semaphore->signal(point.value, known);
    point.semaphore->forget(device.order);
  }
  if (batch.fence == nullptr) return;
  batch.fence->signalled = true;
  batch.fence->submitted = false;
  batch.fence->known = std::move(known);
}

}  // namespace vasim
