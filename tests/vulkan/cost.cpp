// What a buffer costs on lavapipe: the driver's own calls, vulkan::Heap's, and a range of a shared buffer, in
// turns within one run, without the validation layer; and what two threads do of that which no driver sees.
// A program: `vaspace_vulkan_cost` fails where a limit is passed. Asked once a night, on a machine with
// nothing else to do.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <random>
#include <thread>

#include "vaspace/frontends/vulkan.hpp"

#include "vulkan/device.hpp"

namespace {

using namespace vaspace;
using Clock = std::chrono::steady_clock;

constexpr int kPairs = 20'000;
constexpr int kRounds = 15;
constexpr std::uint32_t kUsage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;

constexpr double kMostAboveRaw = 100;  // ns, at any size
constexpr double kMostOfRaw = 0.5;     // a sub-buffer of 4 KiB
constexpr double kLeastOfTwo = 1.7;    // two threads, of one

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

// The driver's part of a buffer's life, which nobody can leave out.
class RawBuffers {
 public:
  RawBuffers(VkDevice device, NativeRange memory) : device_(device), memory_(memory) {
    find("vkCreateBuffer", create_);
    find("vkDestroyBuffer", destroy_);
    find("vkGetBufferMemoryRequirements2", needs_);
    find("vkBindBufferMemory", bind_);
  }
  void pair(Bytes size) const {
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size.value;
    info.usage = kUsage;
    VkBuffer buffer = VK_NULL_HANDLE;
    create_(device_, &info, nullptr, &buffer);
    VkBufferMemoryRequirementsInfo2 of{};
    of.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2;
    of.buffer = buffer;
    VkMemoryRequirements2 needs{};
    needs.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
    needs_(device_, &of, &needs);
    bind_(device_, buffer, (VkDeviceMemory)memory_.object, 0);
    destroy_(device_, buffer, nullptr);
  }

 private:
  template <class Function>
  void find(const char* name, Function& function) {
    function = reinterpret_cast<Function>(vkGetDeviceProcAddr(device_, name));
  }

  VkDevice device_;
  NativeRange memory_;
  PFN_vkCreateBuffer create_ = nullptr;
  PFN_vkDestroyBuffer destroy_ = nullptr;
  PFN_vkGetBufferMemoryRequirements2 needs_ = nullptr;
  PFN_vkBindBufferMemory bind_ = nullptr;
};

bool costs_little(const RawBuffers& buffers, vulkan::Heap& heap, Bytes size) {
  std::vector<double> raw, whole, range;
  const auto kept_whole = heap.create_buffer({.size = size, .usage = kUsage});
  const auto kept_range = heap.alloc_buffer(size, kUsage);
  for (int round = 0; round < kRounds; ++round) {
    raw.push_back(ns_per([&] { buffers.pair(size); }));
    whole.push_back(ns_per([&] { (void)heap.create_buffer({.size = size, .usage = kUsage}); }));
    range.push_back(ns_per([&] { (void)heap.alloc_buffer(size, kUsage); }));
  }
  const double above = median(whole) - median(raw), part = median(range) / median(raw);
  std::printf("%8llu bytes: raw %.0f ns, create_buffer %.0f (+%.0f), alloc_buffer %.0f (%.2f x raw)\n",
              static_cast<unsigned long long>(size.value), median(raw), median(whole), above, median(range),
              part);
  return above <= kMostAboveRaw && (size > 4_KiB || part <= kMostOfRaw);
}

// What one thread does in a round; every thread has one of its own.
using Round = std::function<void()>;

double rounds_per_second(unsigned threads, const std::function<Round(unsigned)>& make) {
  std::vector<double> all;
  for (int round = 0; round < 7; ++round) {
    const Clock::time_point begin = Clock::now();
    {
      std::vector<std::jthread> workers;  // by the clock on the wall: this wants two idle cores
      for (unsigned i = 0; i < threads; ++i)
        workers.emplace_back([&, i] { make(i)(); });
    }
    all.push_back(threads / std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return median(all);
}

// Somebody else may want a core for a moment: three tries.
bool scales(const char* what, double least, const std::function<Round(unsigned)>& make) {
  for (int tries = 0; tries < 3; ++tries) {
    const double one = rounds_per_second(1, make), two = rounds_per_second(2, make);
    std::printf("two threads, %s: %.2f x one thread (%.1f ns a pair)\n", what, two / one,
                1e9 / one / (10 * kPairs));
    if (two >= least * one) return true;
  }
  return false;
}

template <class Pair>
Round repeated(Pair pair) {
  return [=] {
    for (int i = 0; i < 10 * kPairs; ++i)
      pair();
  };
}

// Sixty-four of mixed sizes live; the one that was drawn gives way to another.
Round mixed(vulkan::Heap& heap, unsigned seed) {
  return [&heap, seed] {
    std::minstd_rand dice(seed + 1);
    std::vector<vulkan::Buffer> live(64);
    for (int i = 0; i < 10 * kPairs; ++i) {
      vulkan::Buffer& one = live[dice() % live.size()];
      one.reset();
      one = heap.alloc_buffer(Bytes{256U << dice() % 9U}, kUsage).value();
    }
  };
}

}  // namespace

int main() {
  auto gpu = test::TestDevice::create({.profile = {}, .validate = false});
  if (gpu == nullptr) return 1;
  auto backend = vulkan::Backend::create(gpu->config()).value();
  auto heap = vulkan::Heap::create(*backend).value();
  const Reservation block = backend->reserve({.size = 1_MiB}).value();
  const RawBuffers buffers(gpu->device, backend->locate(block.address).value());
  bool good = true;
  for (const Bytes size : {4_KiB, 64_KiB, 1_MiB})
    good = costs_little(buffers, heap, size) && good;
  for (const Bytes size : {4_KiB, 64_KiB, 1_MiB}) {
    char what[64];
    std::snprintf(what, sizeof(what), "sub-buffers of %llu KiB", (unsigned long long)(size / 1_KiB));
    good = scales(what, kLeastOfTwo,
                  [&](unsigned) {
                    return repeated([&heap, size] { (void)heap.alloc_buffer(size, kUsage); });
                  }) &&
           good;
    std::snprintf(what, sizeof(what), "memory of %llu KiB", (unsigned long long)(size / 1_KiB));
    good = scales(what, kLeastOfTwo,
                  [&](unsigned) {
                    return repeated([&heap, size] {
                      heap.free(heap.allocate(VkMemoryRequirements{size.value, 256, 1}).value());
                    });
                  }) &&
           good;
  }
  good = scales("sub-buffers of 256 B to 64 KiB, 64 live each", kLeastOfTwo,
                [&](unsigned i) { return mixed(heap, i); }) &&
         good;
  (void)backend->release(block);
  return good ? 0 : 1;
}
