#include "sparse_chain.hpp"

#include <algorithm>
#include <limits>

namespace vaspace::vulkan {

namespace {

// A queue of the application's, while it is ours.
class QueueHold {
 public:
  explicit QueueHold(const Queue& queue) noexcept : queue_(queue) {
    if (queue_.lock != nullptr) queue_.lock(queue_.user);
  }
  QueueHold(const QueueHold&) = delete;
  QueueHold& operator=(const QueueHold&) = delete;
  ~QueueHold() {
    if (queue_.unlock != nullptr) queue_.unlock(queue_.user);
  }

 private:
  const Queue& queue_;
};

bool follows(const VkSparseMemoryBind& before, const VkSparseMemoryBind& bind) noexcept {
  const bool same_place =
      before.memory == VK_NULL_HANDLE || before.memoryOffset + before.size == bind.memoryOffset;
  return before.memory == bind.memory && before.resourceOffset + before.size == bind.resourceOffset &&
         same_place;
}

}  // namespace

SparseChain::~SparseChain() {
  if (driver_ == nullptr) return;
  drain();
  if (pool_ != VK_NULL_HANDLE) driver_->functions.vkDestroyCommandPool(driver_->device, pool_, nullptr);
  if (semaphore_ != VK_NULL_HANDLE)
    driver_->functions.vkDestroySemaphore(driver_->device, semaphore_, nullptr);
}

Result<void> SparseChain::create(const Driver& driver, const SparseConfig& config) noexcept {
  driver_ = &driver;
  sparse_ = config.sparse;
  transfer_ = config.transfer;
  VkSemaphoreTypeCreateInfo type{};
  type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
  info.pNext = &type;
  VkResult result = driver.functions.vkCreateSemaphore(driver.device, &info, nullptr, &semaphore_);
  if (result != VK_SUCCESS) return refusal(result, "vkCreateSemaphore");
  if (transfer_.queue == nullptr) return {};
  VkCommandPoolCreateInfo pool{};
  pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  pool.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
  pool.queueFamilyIndex = transfer_.family;
  result = driver.functions.vkCreateCommandPool(driver.device, &pool, nullptr, &pool_);
  if (result != VK_SUCCESS) return refusal(result, "vkCreateCommandPool");
  return {};
}

std::uint64_t SparseChain::note(std::uint64_t value) noexcept {
  std::uint64_t seen = reached_.load(std::memory_order_acquire);
  while (seen < value && !reached_.compare_exchange_weak(seen, value, std::memory_order_acq_rel)) {
  }
  return std::max(seen, value);
}

Result<std::uint64_t> SparseChain::look(std::uint64_t wanted) noexcept {
  const std::uint64_t seen = reached_.load(std::memory_order_acquire);
  if (seen >= wanted) return seen;
  std::uint64_t now = 0;
  const VkResult result = driver_->get_counter_value(driver_->device, semaphore_, &now);
  if (result == VK_ERROR_DEVICE_LOST) return last();  // it runs no more
  if (result != VK_SUCCESS) return refusal(result, "vkGetSemaphoreCounterValue");
  return note(now);
}

std::uint64_t SparseChain::reached(std::uint64_t wanted) noexcept {
  return look(wanted).value_or(reached_.load(std::memory_order_acquire));
}

Result<bool> SparseChain::passed(std::uint64_t value) noexcept {
  if (value > last()) return fail(ErrorCode::invalid_argument);
  if (reached_.load(std::memory_order_acquire) >= value) return true;
  std::uint64_t now = 0;
  const VkResult result = driver_->get_counter_value(driver_->device, semaphore_, &now);
  if (result != VK_SUCCESS) return refusal(result, "vkGetSemaphoreCounterValue");
  return note(now) >= value;
}

Result<void> SparseChain::wait(std::uint64_t value, std::uint64_t timeout_ns) noexcept {
  if (value > last()) return fail(ErrorCode::invalid_argument);
  if (reached_.load(std::memory_order_acquire) >= value) return {};
  return wait_for(*driver_, semaphore_, value, timeout_ns);
}

// A driver that never answers is left alone in the end.
void SparseChain::drain() noexcept {
  constexpr int kTries = 16;
  for (int i = 0; i < kTries && last() != 0; ++i) {
    const Result<void> waited = wait(last(), std::numeric_limits<std::uint64_t>::max());
    if (waited || waited.error().code == ErrorCode::device_lost) return;
  }
}

Result<void> SparseChain::set_waits(std::span<const TimelinePoint> waits, TimelineTable& timelines) noexcept {
  waits_.semaphores.clear();
  waits_.values.clear();
  waits_.stages.clear();
  const std::size_t room = waits.size() + 1;
  if (!waits_.semaphores.reserve(room) || !waits_.values.reserve(room) || !waits_.stages.reserve(room))
    return fail(ErrorCode::out_of_host_memory);
  const auto add = [this](VkSemaphore semaphore, std::uint64_t value) {
    waits_.semaphores.push_back_reserved(semaphore);
    waits_.values.push_back_reserved(value);
    waits_.stages.push_back_reserved(VK_PIPELINE_STAGE_TRANSFER_BIT);
  };
  add(semaphore_, last());
  for (const TimelinePoint& point : waits) {
    if (point.timeline == TimelineId{}) {
      if (point.value > last()) return fail(ErrorCode::invalid_argument);
      continue;  // the chain is waited for anyway
    }
    const auto semaphore = timelines.find(point.timeline);
    if (!semaphore) return fail(semaphore.error());
    add(*semaphore, point.value);
  }
  return {};
}

// A new VkBindSparseInfo begins where binding turns into unbinding or back: the ops of one kind cannot meet
// (V23), because binding over what is bound and unbinding what is not are refused; and nothing is bound again
// in the batch that unbinds it (V29).
Result<void> SparseChain::gather(std::span<const SparseOp> ops) noexcept {
  binds_.clear();
  buffers_.clear();
  batches_.clear();
  values_.clear();
  const std::size_t room = std::max<std::size_t>(ops.size(), 1);
  if (!binds_.reserve(room) || !buffers_.reserve(room) || !batches_.reserve(room) || !values_.reserve(room))
    return fail(ErrorCode::out_of_host_memory);
  const SparseOp* before = nullptr;
  for (const SparseOp& op : ops) {
    const bool same_kind = before != nullptr && !before->apart && !op.apart &&
                           (before->bind.memory == VK_NULL_HANDLE) == (op.bind.memory == VK_NULL_HANDLE);
    add_bind(op, !same_kind);
    before = &op;
  }
  if (ops.empty()) batches_.push_back_reserved({});
  return {};
}

void SparseChain::add_bind(const SparseOp& op, bool new_batch) noexcept {
  if (new_batch) {
    VkBindSparseInfo batch{};
    batch.sType = VK_STRUCTURE_TYPE_BIND_SPARSE_INFO;
    batch.pBufferBinds = buffers_.data() + buffers_.size();
    batches_.push_back_reserved(batch);
  }
  VkBindSparseInfo& batch = batches_.back();
  const bool same_buffer = batch.bufferBindCount != 0 && buffers_.back().buffer == op.buffer;
  if (same_buffer && follows(binds_.back(), op.bind)) {
    binds_.back().size += op.bind.size;
    return;
  }
  if (!same_buffer) {
    VkSparseBufferMemoryBindInfo info{};
    info.buffer = op.buffer;
    info.pBinds = binds_.data() + binds_.size();
    buffers_.push_back_reserved(info);
    ++batch.bufferBindCount;
  }
  binds_.push_back_reserved(op.bind);
  ++buffers_.back().bindCount;
}

Result<std::uint64_t> SparseChain::queue_binds() noexcept {
  std::uint64_t value = last();
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    VkBindSparseInfo& batch = batches_[i];
    batch.sType = VK_STRUCTURE_TYPE_BIND_SPARSE_INFO;
    values_.push_back_reserved({.before = value, .after = value + 1});
    Values& values = values_.back();
    values.info.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
    // The first batch waits for all, the others for the one before.
    const bool first = i == 0;
    values.info.waitSemaphoreValueCount = first ? waits_.count() : 1;
    values.info.pWaitSemaphoreValues = first ? waits_.values.data() : &values.before;
    values.info.signalSemaphoreValueCount = 1;
    values.info.pSignalSemaphoreValues = &values.after;
    batch.pNext = &values.info;
    batch.waitSemaphoreCount = values.info.waitSemaphoreValueCount;
    batch.pWaitSemaphores = first ? waits_.semaphores.data() : &semaphore_;
    batch.signalSemaphoreCount = 1;
    batch.pSignalSemaphores = &semaphore_;
    ++value;
  }
  const QueueHold hold(sparse_);
  const VkResult result = driver_->functions.vkQueueBindSparse(
      sparse_.queue, static_cast<std::uint32_t>(batches_.size()), batches_.data(), VK_NULL_HANDLE);
  if (result != VK_SUCCESS) return refusal(result, "vkQueueBindSparse");
  last_.store(value, std::memory_order_release);
  return value;
}

Result<std::uint64_t> SparseChain::submit_binds(std::span<const SparseOp> ops) noexcept {
  if (const auto gathered = gather(ops); !gathered) return fail(gathered.error());
  return queue_binds();
}

void SparseChain::free_passed_commands() noexcept {
  const std::uint64_t now = commands_.empty() ? 0 : reached(commands_[0].done);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < commands_.size(); ++i) {
    if (commands_[i].done <= now) {
      driver_->functions.vkFreeCommandBuffers(driver_->device, pool_, 1, &commands_[i].buffer);
    } else {
      commands_[kept++] = commands_[i];
    }
  }
  while (commands_.size() > kept)
    commands_.pop_back();
}

Result<VkCommandBuffer> SparseChain::record(std::span<const Copy> copies) noexcept {
  const VolkDeviceTable& call = driver_->functions;
  VkCommandBufferAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  allocate.commandPool = pool_;
  allocate.commandBufferCount = 1;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  VkResult result = call.vkAllocateCommandBuffers(driver_->device, &allocate, &commands);
  if (result != VK_SUCCESS) return refusal(result, "vkAllocateCommandBuffers");
  VkCommandBufferBeginInfo begin{};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  const char* asked = "vkBeginCommandBuffer";
  result = call.vkBeginCommandBuffer(commands, &begin);
  if (result == VK_SUCCESS) {
    for (const Copy& copy : copies)
      call.vkCmdCopyBuffer(commands, copy.source, copy.destination, 1, &copy.region);
    asked = "vkEndCommandBuffer";
    result = call.vkEndCommandBuffer(commands);
  }
  if (result == VK_SUCCESS) return commands;
  call.vkFreeCommandBuffers(driver_->device, pool_, 1, &commands);
  return refusal(result, asked);
}

Result<std::uint64_t> SparseChain::submit_copies(std::span<const Copy> copies) noexcept {
  free_passed_commands();
  if (!commands_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const auto commands = record(copies);
  if (!commands) return fail(commands.error());
  const std::uint64_t value = last() + 1;
  VkTimelineSemaphoreSubmitInfo values{};
  values.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
  values.waitSemaphoreValueCount = waits_.count();
  values.pWaitSemaphoreValues = waits_.values.data();
  values.signalSemaphoreValueCount = 1;
  values.pSignalSemaphoreValues = &value;
  VkSubmitInfo submit{};
  submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  submit.pNext = &values;
  submit.waitSemaphoreCount = waits_.count();
  submit.pWaitSemaphores = waits_.semaphores.data();
  submit.pWaitDstStageMask = waits_.stages.data();
  submit.commandBufferCount = 1;
  submit.pCommandBuffers = &*commands;
  submit.signalSemaphoreCount = 1;
  submit.pSignalSemaphores = &semaphore_;
  VkResult result = VK_SUCCESS;
  {
    const QueueHold hold(transfer_);
    result = driver_->functions.vkQueueSubmit(transfer_.queue, 1, &submit, VK_NULL_HANDLE);
  }
  if (result != VK_SUCCESS) {
    driver_->functions.vkFreeCommandBuffers(driver_->device, pool_, 1, &*commands);
    return refusal(result, "vkQueueSubmit");
  }
  last_.store(value, std::memory_order_release);
  commands_.push_back_reserved({*commands, value});
  return value;
}

}  // namespace vaspace::vulkan
