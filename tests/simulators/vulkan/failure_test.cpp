// Failures on demand: they come when they are asked for, and nothing leaks by them.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <dirent.h>
#include <fstream>
#include <sys/resource.h>
#include <thread>

#include "rules.hpp"

namespace vasim::test {
namespace {

class Failure : public Rules {};

VkResult allocate_and_free(Program& p) {
  VkDeviceMemory memory = VK_NULL_HANDLE;
  const VkResult result = p.try_allocate(4096, 0, memory);
  if (result == VK_SUCCESS) vkFreeMemory(p.device, memory, nullptr);
  return result;
}

TEST_F(Failure, TheNthCall) {
  Options options;
  options.settings = "fail=vkAllocateMemory:3:VK_ERROR_OUT_OF_DEVICE_MEMORY";
  Program& p = begin(options);
  EXPECT_EQ(allocate_and_free(p), VK_SUCCESS);
  EXPECT_EQ(allocate_and_free(p), VK_SUCCESS);
  EXPECT_EQ(allocate_and_free(p), VK_ERROR_OUT_OF_DEVICE_MEMORY);
  EXPECT_EQ(allocate_and_free(p), VK_SUCCESS);
  EXPECT_EQ(control().call_count("vkAllocateMemory"), 4U);
  EXPECT_EQ(control().injected_count(), 1U);
  EXPECT_EQ(control().fail_call("vkAllocateMemory", 2, VK_ERROR_OUT_OF_HOST_MEMORY), 1);
  EXPECT_EQ(allocate_and_free(p), VK_SUCCESS);
  EXPECT_EQ(allocate_and_free(p), VK_ERROR_OUT_OF_HOST_MEMORY);
  EXPECT_EQ(control().fail_call("vkNoSuchFunction", 1, VK_ERROR_UNKNOWN), 0);
}

// The same seed, the same calls that fail.
TEST_F(Failure, AShareWithASeed) {
  const auto failed = [&](const std::string& seed) {
    Options options;
    options.settings = "seed=" + seed + ";fail=vkAllocateMemory:p0.25:VK_ERROR_OUT_OF_DEVICE_MEMORY";
    Program& p = begin(options);
    std::string calls;
    for (int i = 0; i < 200; ++i)
      calls += allocate_and_free(p) == VK_SUCCESS ? '.' : 'x';
    TearDown();
    return calls;
  };
  const std::string once = failed("7");
  const auto count = std::count(once.begin(), once.end(), 'x');
  EXPECT_GT(count, 20);
  EXPECT_LT(count, 80);
  EXPECT_EQ(failed("7"), once);
  EXPECT_NE(failed("8"), once);
}

TEST_F(Failure, ALostDeviceStaysLost) {
  Program& p = begin({});
  const VkBuffer buffer = p.buffer(64);
  p.back(buffer);
  EXPECT_EQ(control().fail_call("vkQueueSubmit", 1, VK_ERROR_DEVICE_LOST), 1);
  EXPECT_THROW(p.fill(buffer, 0, 64, 1), std::runtime_error);
  EXPECT_EQ(vkDeviceWaitIdle(p.device), VK_ERROR_DEVICE_LOST);
  EXPECT_EQ(vkQueueSubmit(p.queue, 0, nullptr, p.fence()), VK_ERROR_DEVICE_LOST);
}

TEST_F(Failure, DevicesAreLostWhileTheyWork) {
  Program& p = begin({});
  control().hold_queues(1);
  const VkFence fence = p.fence();
  p.submit({{}, {}, {}, fence, true});
  std::thread loser([] { control().lose_devices(); });
  EXPECT_EQ(vkWaitForFences(p.device, 1, &fence, VK_TRUE, UINT64_MAX), VK_ERROR_DEVICE_LOST);
  loser.join();
  control().hold_queues(0);
}

TEST_F(Failure, AnotherProcessTakesAHeapAtTheNthAllocation) {
  Options options;
  options.profile = "tiny";
  options.settings = "other=0:47M@2";
  Program& p = begin(options);
  const std::uint32_t local = p.type(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
  const VkDeviceSize before = p.budget().heapBudget[0];
  VkDeviceMemory memory = p.allocate(VkDeviceSize{2} << 20U, local);
  p.free(memory);
  EXPECT_EQ(p.try_allocate(VkDeviceSize{2} << 20U, local, memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
  EXPECT_LT(p.budget().heapBudget[0], before);
  control().set_other_usage("tiny", 0, 0);
  EXPECT_EQ(p.budget().heapBudget[0], before);
  p.allocate(VkDeviceSize{2} << 20U, local);
}

TEST_F(Failure, AnotherProcessTakesAHeapAtATime) {
  Options options;
  options.profile = "tiny";
  options.settings = "other=0:47M@1ms";
  Program& p = begin(options);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  VkDeviceMemory memory = VK_NULL_HANDLE;
  EXPECT_EQ(p.try_allocate(VkDeviceSize{2} << 20U, p.type(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT), memory),
            VK_ERROR_OUT_OF_DEVICE_MEMORY);
}

TEST_F(Failure, WhatIsNotUnderstoodIsRefused) {
  for (const char* const wrong :
       {"profile", "profle=tiny", "delay_us=5..1", "fail=vkAllocateMemory:0:VK_ERROR_UNKNOWN",
        "fail=vkAllocateMemory:1:VK_NO_ERROR", "fail=vkNothing:1:VK_ERROR_UNKNOWN", "other=0", "abort=2",
        "fail=*:p2:VK_ERROR_UNKNOWN", "profile=no_such_profile"}) {
    Options options;
    options.settings = wrong;
    EXPECT_THROW(Program{options}, std::runtime_error) << wrong;
  }
}

// A folder of one's own: its profiles come first, and may build on the driver's.
TEST_F(Failure, ProfilesOfOnesOwn) {
  setenv("VASIM_VULKAN_PROFILES", VASIM_TEST_PROFILES, 1);
  Options options;
  options.profile = "split_types,tiny";
  Program& p = begin(options);
  unsetenv("VASIM_VULKAN_PROFILES");
  std::uint32_t count = 0;
  vkEnumeratePhysicalDevices(p.instance, &count, nullptr);
  EXPECT_EQ(count, 2U);
}

int descriptors() {
  int count = 0;
  DIR* const folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr)
    ++count;
  closedir(folder);
  return count;
}

// Where the system has no more memory files, an allocation is refused and nothing of it stays.
TEST_F(Failure, TheSystemRefuses) {
  Program& p = begin({});
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const VkResult result = allocate_and_free(p);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(result, VK_ERROR_OUT_OF_HOST_MEMORY);
  EXPECT_EQ(p.budget().heapUsage[p.memory.memoryTypes[0].heapIndex], 0U);
  EXPECT_EQ(allocate_and_free(p), VK_SUCCESS);
}

// Where it has no address space for another thread, there is no device, and nothing hangs.
TEST_F(Failure, TheSystemRefusesAThread) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs address space without limit";
#endif
  Program& p = begin({});
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const std::array<float, 16> priorities{};  // more threads than the C library keeps stacks for
  const VkDeviceQueueCreateInfo queue{
      VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, nullptr, 0, 0, 16, priorities.data()};
  VkDeviceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  VkDevice device = VK_NULL_HANDLE;
  const rlimit tight{pages * 4096 + (rlim_t{4} << 20U), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  const VkResult result = vkCreateDevice(p.physical, &info, nullptr, &device);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(result, VK_ERROR_OUT_OF_HOST_MEMORY);
  ASSERT_EQ(vkCreateDevice(p.physical, &info, nullptr, &device), VK_SUCCESS);
  vkDestroyDevice(device, nullptr);
}

// The addresses of freed memory stay inaccessible for a while, but not for ever.
TEST_F(Failure, AddressesComeBack) {
  Program& p = begin({});
  const auto pages = [] {
    std::ifstream file("/proc/self/statm");
    std::uint64_t size = 0;
    file >> size;
    return size;
  };
  constexpr VkDeviceSize kSize = VkDeviceSize{16} << 20U;
  const std::uint64_t before = pages();
  for (int i = 0; i < 1000; ++i)
    p.free(p.allocate(kSize, p.type(kHost)));
  EXPECT_LT(pages() - before, 400 * kSize / 4096);
}

// A bit of everything. What fails throws, and the program cleans up behind it.
void scenario() {
  Options options;
  Program p(options);
  const VkBuffer buffer = p.buffer(65536), sparse = p.buffer(131072, kTransfer,
                                                             VK_BUFFER_CREATE_SPARSE_BINDING_BIT |
                                                                 VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT);
  const VkExportMemoryAllocateInfo info{VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, nullptr,
                                        VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
  const VkDeviceMemory memory = p.back(buffer, kHost, &info);
  p.map(memory)[0] = 1;
  vkUnmapMemory(p.device, memory);
  const VkImage image = p.image({});
  p.back(image);
  const VkMemoryRequirements needs = p.requirements(sparse);
  const VkDeviceMemory pages = p.allocate(needs.size, p.type(0, needs.memoryTypeBits));
  const VkSemaphore bound = p.semaphore(true), used = p.semaphore();
  Binds binds;
  binds.signals = {{bound, 1}};
  binds.buffers.push_back({sparse, {sparse_bind(0, needs.size, pages)}});
  p.bind({binds});
  p.submit({{{bound, 1}},
            {{used, 0}},
            {p.record([&](VkCommandBuffer commands) {
              vkCmdFillBuffer(commands, buffer, 0, VK_WHOLE_SIZE, 1);
              const VkBufferCopy copy{0, 0, 65536};
              vkCmdCopyBuffer(commands, buffer, sparse, 1, &copy);
            })},
            VK_NULL_HANDLE,
            true});
  Binds unbind;
  unbind.waits = {{used, 0}};
  unbind.buffers.push_back({sparse, {sparse_bind(0, needs.size, VK_NULL_HANDLE)}});
  p.bind_now(unbind);
  p.wait({bound, 1});
  p.free(pages);
}

// True where nothing failed.
bool run_scenario() {
  try {
    scenario();
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

TEST_F(Failure, AThousandFailuresLeakNothing) {
  Options outer;
  outer.settings = "delay_us=0..200";
  Program& p = begin(outer);  // keeps the driver's plans from being read anew
  const std::uint64_t objects = control().live_objects();
  EXPECT_TRUE(run_scenario());
  const int open = descriptors();
  const auto clean = [&] {
    EXPECT_EQ(control().live_objects(), objects);
    EXPECT_EQ(control().memory_bytes(), 0U);
    EXPECT_EQ(descriptors(), open);
    EXPECT_EQ(control().report_count(), 0U) << all_reports();
  };
  // Each call that can fail, with each of these.
  for (const VkResult error :
       {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_DEVICE_LOST})
    for (std::uint64_t nth = 1;; ++nth) {
      control().fail_call("*", nth, error);
      const bool done = run_scenario();
      clean();
      control().clear_failures();
      if (done) break;
      ASSERT_LT(nth, 1000U) << "the scenario never ends";
    }
  // Then several at a time, until there were a thousand.
  for (std::uint64_t seed = 1; control().injected_count() < 1000; ++seed) {
    control().fail_share("*", 0.05, seed, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    run_scenario();
    control().clear_failures();
    clean();
    ASSERT_LT(seed, 5000U);
  }
  EXPECT_TRUE(run_scenario());
  EXPECT_EQ(vkDeviceWaitIdle(p.device), VK_SUCCESS);
}

}  // namespace
}  // namespace vasim::test
