// What a buffer costs on lavapipe: the driver's own calls, vulkan::Heap's, and a range of a shared buffer, in
// turns within one run, without the validation layer. A program, not a test: `vaspace_vulkan_cost`, nothing
// is asserted.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <thread>

#include "vaspace/frontends/vulkan.hpp"

#include "vulkan/device.hpp"

namespace {

using namespace vaspace;
using Clock = std::chrono::steady_clock;

constexpr int kPairs = 20'000;
constexpr int kRounds = 15;
constexpr std::uint32_t kUsage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;

// Of the processor's time that this thread had, so that a busy machine measures the same.
double thread_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <class Pair>
double ns_per(Pair&& pair) {
  const double begin = thread_ns();
  for (int i = 0; i < kPairs; ++i)
    pair();
  return (thread_ns() - begin) / kPairs;
}

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

}  // namespace

int main() {
  auto gpu = test::TestDevice::create({.profile = {}, .validate = false});
  if (gpu == nullptr) return 1;
  auto backend = vulkan::Backend::create(gpu->config()).value();
  auto heap = vulkan::Heap::create(*backend).value();
  const VkDevice device = gpu->device;
  const auto create = reinterpret_cast<PFN_vkCreateBuffer>(vkGetDeviceProcAddr(device, "vkCreateBuffer"));
  const auto destroy = reinterpret_cast<PFN_vkDestroyBuffer>(vkGetDeviceProcAddr(device, "vkDestroyBuffer"));
  const auto needs_of = reinterpret_cast<PFN_vkGetBufferMemoryRequirements2>(
      vkGetDeviceProcAddr(device, "vkGetBufferMemoryRequirements2"));
  const auto bind =
      reinterpret_cast<PFN_vkBindBufferMemory>(vkGetDeviceProcAddr(device, "vkBindBufferMemory"));
  const Reservation block = backend->reserve({.size = 1_MiB}).value();
  const NativeRange at = backend->locate(block.address).value();

  for (const std::uint64_t size : {std::uint64_t{4096}, std::uint64_t{65536}, std::uint64_t{1} << 20U}) {
    std::vector<double> raw, whole, range;
    const auto kept_whole = heap.create_buffer({.size = Bytes{size}, .usage = kUsage});
    const auto kept_range = heap.alloc_buffer(Bytes{size}, kUsage);
    for (int round = 0; round < kRounds; ++round) {
      raw.push_back(ns_per([&] {
        VkBufferCreateInfo info{};
        info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
        info.size = size;
        info.usage = kUsage;
        VkBuffer buffer = VK_NULL_HANDLE;
        create(device, &info, nullptr, &buffer);
        VkBufferMemoryRequirementsInfo2 of{};
        of.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2;
        of.buffer = buffer;
        VkMemoryRequirements2 needs{};
        needs.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
        needs_of(device, &of, &needs);
        bind(device, buffer, (VkDeviceMemory)at.object, 0);
        destroy(device, buffer, nullptr);
      }));
      whole.push_back(ns_per([&] { (void)heap.create_buffer({.size = Bytes{size}, .usage = kUsage}); }));
      range.push_back(ns_per([&] { (void)heap.alloc_buffer(Bytes{size}, kUsage); }));
    }
    std::printf("%8llu bytes: raw %.0f ns, create_buffer %.0f (+%.0f), alloc_buffer %.0f (%.2f x raw)\n",
                static_cast<unsigned long long>(size), median(raw), median(whole),
                median(whole) - median(raw), median(range), median(range) / median(raw));
  }

  const auto pairs_per_second = [&](unsigned threads, auto&& pair) {
    std::vector<double> all;
    for (int round = 0; round < 7; ++round) {
      const Clock::time_point begin = Clock::now();
      {
        std::vector<std::jthread> workers;  // by the clock on the wall: this wants two idle cores
        for (unsigned i = 0; i < threads; ++i)
          workers.emplace_back([&] {
            for (int n = 0; n < 10 * kPairs; ++n)
              pair();
          });
      }
      all.push_back(10.0 * kPairs * threads / std::chrono::duration<double>(Clock::now() - begin).count());
    }
    return median(all);
  };
  const auto sub_buffer = [&] { (void)heap.alloc_buffer(4_KiB, kUsage); };
  const VkMemoryRequirements needs{4096, 256, 1};
  const auto memory = [&] { heap.free(heap.allocate(needs).value()); };
  const double one = pairs_per_second(1, sub_buffer), two = pairs_per_second(2, sub_buffer);
  const double one_memory = pairs_per_second(1, memory), two_memory = pairs_per_second(2, memory);
  std::printf(
      "two threads: sub-buffers of 4 KiB %.2f x one thread (%.1f ns), memory of 4 KiB %.2f x (%.1f ns)\n",
      two / one, 1e9 / one, two_memory / one_memory, 1e9 / one_memory);
  (void)backend->release(block);
  return 0;
}
