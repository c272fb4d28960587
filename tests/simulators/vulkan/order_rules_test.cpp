// V24 to V27: what must be waited for. Each program is run with queues that are fast and with queues that are
// late: what is reported does not depend on it.
#include "rules.hpp"

namespace vasim::test {
namespace {

constexpr VkBufferCreateFlags kResidency =
    VK_BUFFER_CREATE_SPARSE_BINDING_BIT | VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT;

class Order : public Rules, public testing::WithParamInterface<const char*> {
 protected:
  Program& keep() { return kept("discrete_bar256", GetParam()); }
  Program& break_only(const std::string& rule) { return broken(rule, "discrete_bar256", GetParam()); }

  // A sparse buffer of two pages and memory for four.
  void make(Program& p) {
    buffer = p.buffer(131072, kTransfer, kResidency);
    page = p.requirements(buffer).alignment;
    memory = p.allocate(4 * page, p.type(0, p.requirements(buffer).memoryTypeBits));
  }
  [[nodiscard]] Binds binds(VkDeviceSize at, VkDeviceMemory from, VkDeviceSize memory_page = 0,
                            std::vector<Point> waits = {}, std::vector<Point> signals = {}) const {
    Binds all;
    all.waits = std::move(waits);
    all.signals = std::move(signals);
    all.buffers.push_back({buffer, {sparse_bind(at * page, page, from, memory_page * page)}});
    return all;
  }
  [[nodiscard]] VkCommandBuffer fill(Program& p, std::uint32_t word = 1) const {
    return p.record([&](VkCommandBuffer commands) { vkCmdFillBuffer(commands, buffer, 0, page, word); });
  }

  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceSize page = 0;
  VkDeviceMemory memory = VK_NULL_HANDLE;
};

TEST_P(Order, V24_Kept) {
  Program& p = keep();
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  make(p);
  const VkSemaphore first = p.semaphore();
  p.bind({binds(0, memory, 0, {}, {{first, 0}}), binds(0, memory, 1, {{first, 0}})});
}

TEST_P(Order, V24_Broken) {
  Program& p = break_only("V24");
  make(p);
  p.bind({binds(0, memory, 0), binds(0, memory, 1)});
}

// A fence of the first call orders nothing in the device, unless the host waits for it.
TEST_P(Order, V24_BrokenByAFenceThatNobodyWaitsFor) {
  Program& p = break_only("V24");
  make(p);
  p.bind({binds(0, memory, 0)}, p.fence());
  p.bind({binds(0, memory, 1)});
}

TEST_P(Order, V25_Kept) {
  Program& p = keep();
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  make(p);
  const VkSemaphore bound = p.semaphore(), used = p.semaphore();
  p.bind({binds(0, memory, 0, {}, {{bound, 0}})});
  p.submit({{{bound, 0}}, {{used, 0}}, {fill(p)}, VK_NULL_HANDLE, true});
  p.bind({binds(0, VK_NULL_HANDLE, 0, {{used, 0}})});
}

TEST_P(Order, V25_KeptByTheHost) {
  Program& p = keep();
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  make(p);
  const VkFence bound = p.fence();
  p.bind({binds(0, memory)}, bound);
  p.wait(bound);
  p.submit({{}, {}, {fill(p)}, VK_NULL_HANDLE, true});
  check(vkQueueWaitIdle(p.queue), "idle");
  p.bind({binds(0, VK_NULL_HANDLE)});
}

// What a wait orders, it orders for all that follows on that queue; and a signal covers what came before it.
TEST_P(Order, V25_KeptByNeighbours) {
  Program& p = keep();
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  VASIM_NEEDS(p.timeline);
  make(p);
  const VkSemaphore line = p.semaphore(true);
  p.bind({binds(0, memory, 0, {}, {{line, 1}})});
  p.submit({{{line, 1}}, {}, {}, VK_NULL_HANDLE, true});
  p.submit({{}, {}, {fill(p)}, VK_NULL_HANDLE, true});
  p.submit({{}, {{line, 2}}, {}, VK_NULL_HANDLE, true});
  p.bind({binds(0, VK_NULL_HANDLE, 0, {{line, 2}})});
}

// The unbind was submitted first, but the host lets it go only when it has waited for the use. Without the
// layer: 1.3.239 takes a bind and a later submit for ordered, and waits for ever.
TEST_P(Order, V25_KeptByAHostSignal) {
  Options options;
  options.settings = GetParam();
  Program& p = begin(options);
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  VASIM_NEEDS(p.timeline);
  make(p);
  const VkSemaphore line = p.semaphore(true);
  p.bind_now(binds(0, memory));
  p.bind({binds(0, VK_NULL_HANDLE, 0, {{line, 1}})});
  const VkFence used = p.fence();
  p.submit({{}, {}, {fill(p)}, used, true});
  p.wait(used);
  const VkSemaphoreSignalInfo signal{VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO, nullptr, line, 1};
  check(p.function<PFN_vkSignalSemaphoreKHR>("vkSignalSemaphoreKHR")(p.device, &signal), "signal");
}

TEST_P(Order, V25_BrokenByTheFirstUse) {
  Program& p = break_only("V25");
  make(p);
  p.bind({binds(0, memory)});
  p.submit({{}, {}, {fill(p)}, VK_NULL_HANDLE, true});
}

// Whether the read finds the bind's memory or a hole is luck; what is wrong with it is not.
TEST_P(Order, V25_BrokenByTheFirstRead) {
  Program& p = broken("V25", "integrated", GetParam());
  make(p);
  const VkBuffer target = p.buffer(page);
  p.back(target);
  const VkCommandBuffer copy = p.record([&](VkCommandBuffer commands) {
    const VkBufferCopy all{0, 0, page};
    vkCmdCopyBuffer(commands, buffer, target, 1, &all);
  });
  p.bind({binds(0, memory)});
  p.submit({{}, {}, {copy}, VK_NULL_HANDLE, true});
}

TEST_P(Order, V25_BrokenByTheLastUse) {
  Program& p = break_only("V25");
  make(p);
  p.bind_now(binds(0, memory));
  p.submit({{}, {}, {fill(p)}, VK_NULL_HANDLE, true});
  p.bind({binds(0, VK_NULL_HANDLE)});
}

// The wait is there, but for the wrong value: the one of the bind before.
TEST_P(Order, V25_BrokenByTheWrongValue) {
  Program& p = break_only("V25");
  make(p);
  const VkSemaphore line = p.semaphore(true);
  p.bind({binds(1, memory, 1, {}, {{line, 1}}), binds(0, memory, 0, {}, {{line, 2}})});
  p.submit({{{line, 1}}, {}, {fill(p)}, VK_NULL_HANDLE, true});
}

TEST_P(Order, V26_Kept) {
  Program& p = keep();
  VASIM_NEEDS(p.timeline);
  const VkSemaphore binary = p.semaphore(), line = p.semaphore(true, 5);
  // A timeline may be waited for before its signal is submitted.
  p.submit({{}, {{binary, 0}, {line, 6}}, {}, VK_NULL_HANDLE, true});
  p.submit({{{binary, 0}, {line, 6}}, {{line, 9}}, {}, VK_NULL_HANDLE, true});
  p.wait({line, 9});
  std::uint64_t value = 0;
  check(
      p.function<PFN_vkGetSemaphoreCounterValueKHR>("vkGetSemaphoreCounterValueKHR")(p.device, line, &value),
      "value");
  EXPECT_EQ(value, 9U);
}

TEST_P(Order, V26_KeptByTheHost) {
  Program& p = keep();
  VASIM_NEEDS(p.timeline);
  const VkSemaphore line = p.semaphore(true);
  p.submit({{{line, 1}}, {{line, 2}}, {}, VK_NULL_HANDLE, true});
  const VkSemaphoreSignalInfo signal{VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO, nullptr, line, 1};
  check(p.function<PFN_vkSignalSemaphoreKHR>("vkSignalSemaphoreKHR")(p.device, &signal), "signal");
  p.wait({line, 2});
}

TEST_P(Order, V26_BrokenByAWaitForNothing) {
  Program& p = break_only("V26");
  p.submit({{{p.semaphore(), 0}}, {}, {}, VK_NULL_HANDLE, true});
}

TEST_P(Order, V26_BrokenByTwoSignals) {
  Program& p = break_only("V26");
  const VkSemaphore binary = p.semaphore();
  p.submit({{}, {{binary, 0}}, {}, VK_NULL_HANDLE, true});
  p.submit({{}, {{binary, 0}}, {}, VK_NULL_HANDLE, true});
}

TEST_P(Order, V26_BrokenByATimelineWithoutValues) {
  Program& p = break_only("V26");
  p.submit({{}, {{p.semaphore(true), 1}}, {}, VK_NULL_HANDLE, false});
}

TEST_P(Order, V26_BrokenByATimelineThatFalls) {
  Program& p = break_only("V26");
  const VkSemaphore line = p.semaphore(true, 7);
  p.submit({{}, {{line, 7}}, {}, VK_NULL_HANDLE, true});
}

TEST_P(Order, V27_Kept) {
  Program& p = keep();
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  make(p);
  p.bind_now(binds(0, memory));
  p.bind_now(binds(0, VK_NULL_HANDLE));
  p.free(memory);
}

// The same pages somewhere else, after their unbind.
TEST_P(Order, V27_KeptWhenBoundAgain) {
  Program& p = keep();
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  make(p);
  const VkSemaphore gone = p.semaphore();
  p.bind_now(binds(0, memory));
  p.bind({binds(0, VK_NULL_HANDLE, 0, {}, {{gone, 0}}), binds(1, memory, 0, {{gone, 0}})});
}

TEST_P(Order, V27_BrokenByAFree) {
  Program& p = break_only("V27");
  make(p);
  p.bind_now(binds(0, memory));
  p.bind({binds(0, VK_NULL_HANDLE)});
  p.free(memory);
}

TEST_P(Order, V27_BrokenWhenBoundAgain) {
  Program& p = break_only("V27");
  make(p);
  p.bind_now(binds(0, memory));
  p.bind({binds(0, VK_NULL_HANDLE), binds(1, memory)});
}

TEST_P(Order, V27_BrokenWhenBoundAgainTooEarly) {
  Program& p = break_only("V27");
  make(p);
  p.bind_now(binds(0, memory));
  p.bind({binds(1, memory), binds(0, VK_NULL_HANDLE)});
}

// Memory may be freed while it is bound; but then nobody may look at what is bound to it.
TEST_P(Order, V27_BrokenByAUseOfFreedMemory) {
  Program& p = break_only("V27");
  make(p);
  p.bind_now(binds(0, memory));
  p.free(memory);
  p.fill(buffer, 0, page, 1);
}

// The bind comes, and in order, but after the read.
TEST_P(Order, V28_BrokenByAReadBeforeTheBind) {
  Program& p = broken("V28", "integrated", GetParam());
  make(p);
  const VkBuffer target = p.buffer(page);
  p.back(target);
  const VkSemaphore read = p.semaphore();
  const VkCommandBuffer copy = p.record([&](VkCommandBuffer commands) {
    const VkBufferCopy all{0, 0, page};
    vkCmdCopyBuffer(commands, buffer, target, 1, &all);
  });
  p.submit({{}, {{read, 0}}, {copy}, VK_NULL_HANDLE, true});
  p.bind({binds(0, memory, 0, {{read, 0}})});
}

INSTANTIATE_TEST_SUITE_P(Speed, Order,
                         testing::Values("", "delay_us=0..3000;seed=1", "delay_us=0..3000;seed=2"));

}  // namespace
}  // namespace vasim::test
