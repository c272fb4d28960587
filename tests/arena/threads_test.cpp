// T1: any thread allocates, any other frees, while a third collects and a fourth reports.
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"
#include "vaspace/backends/cpu.hpp"

namespace vaspace::test {
namespace {

// What one thread allocated and any other may free.
class Exchange {
 public:
  void put(const Allocation& allocation) {
    const std::scoped_lock lock(mutex_);
    held_.push_back(allocation);
  }
  bool take(std::uint64_t which, Allocation& allocation) {
    const std::scoped_lock lock(mutex_);
    if (held_.empty()) return false;
    std::swap(held_[which % held_.size()], held_.back());
    allocation = held_.back();
    held_.pop_back();
    return true;
  }

 private:
  std::mutex mutex_;
  std::vector<Allocation> held_;
};

void fill(const Allocation& a) {
  auto* words = reinterpret_cast<std::uint64_t*>(a.address.value);
  for (std::size_t i = 0; i < a.size.value / 8; i += 64)
    words[i] = a.address.value + i;
}
bool intact(const Allocation& a) {
  const auto* words = reinterpret_cast<const std::uint64_t*>(a.address.value);
  for (std::size_t i = 0; i < a.size.value / 8; i += 64) {
    if (words[i] != a.address.value + i) return false;
  }
  return true;
}

template <class A>
class AnyThread : public testing::Test {};
using Subjects = testing::Types<ThreadSafeArenaAllocator, ThreadSafeDefaultAllocator>;
TYPED_TEST_SUITE(AnyThread, Subjects);

TYPED_TEST(AnyThread, T1_AllocatesAndFreesWhatOthersAllocated) {
  constexpr int kThreads = 4;
  constexpr int kOps = 4000;
  auto device = std::move(*cpu::Backend::create({.physical_size = 256_MiB}));
  auto subject = std::move(*TypeParam::create(*device));
  Exchange exchange;
  std::atomic<int> damaged{0};
  std::atomic<int> refused{0};
  std::atomic<bool> done{false};
  const auto work = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < kOps; ++i) {
      Allocation a;
      if (random() % 2 == 0) {
        const Bytes size{(std::uint64_t{256} << (random() % 11)) + random() % 100};
        const auto got = subject.allocate({.size = size, .name = i % 16 == 0 ? "named" : ""});
        if (!got) {
          ++refused;
          continue;
        }
        fill(*got);
        exchange.put(*got);
      } else if (exchange.take(random(), a)) {
        if (!intact(a)) ++damaged;
        if (i % 3 == 0) {
          subject.free(a.address);
        } else {
          subject.free(a);
        }
      }
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back(work, static_cast<std::uint64_t>(t) + 1);
  std::thread collector([&] {
    for (int i = 0; !done; ++i) {
      if (i % 8 == 0) {
        subject.flush();
      } else {
        subject.collect();
      }
      std::this_thread::yield();
    }
  });
  std::thread reporter([&] {
    while (!done) {
      const AllocatorReport report = subject.report();
      Bytes live{};
      for (const ArenaReport& arena : report.arenas)
        live += arena.live;
      EXPECT_EQ(live, report.total.live);
      EXPECT_LE(report.total.live, report.total.used);
      EXPECT_LE(report.total.used, report.total.reserved);
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads)
    thread.join();
  done = true;
  collector.join();
  reporter.join();
  EXPECT_EQ(damaged, 0);
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(subject.validate(), nullptr);
  Allocation a;
  while (exchange.take(0, a))
    subject.free(a);
  subject.flush();
  EXPECT_EQ(subject.committed(), Bytes{});
  EXPECT_EQ(subject.live(), Bytes{});
}

// R9 in the threaded policy: one thread gets the same places as the single-threaded one gives.
TEST(ThreadPolicies, R9_OneThreadGetsTheSamePlaces) {
  auto device = std::move(*cpu::Backend::create({.physical_size = 256_MiB}));
  auto threaded = std::move(*ThreadSafeArenaAllocator::create(*device));
  auto single = std::move(*ArenaAllocator::create(*device));
  std::mt19937_64 random(5);
  std::vector<std::array<Allocation, 2>> live;
  for (int i = 0; i < 3000; ++i) {
    if (random() % 3 != 0 || live.empty()) {
      const AllocationRequest request{.size = Bytes{256 + random() % 1700}};
      const auto a = threaded.allocate(request);
      const auto b = single.allocate(request);
      ASSERT_TRUE(a && b);
      live.push_back({*a, *b});
    } else {
      const std::size_t at = random() % live.size();
      threaded.free(live[at][0]);
      single.free(live[at][1]);
      live[at] = live.back();
      live.pop_back();
    }
  }
  // Slots in handles are places: the same numbers of arena and slot.
  for (const auto& [a, b] : live)
    EXPECT_EQ(a.id.index, b.id.index);
  for (const auto& [a, b] : live) {
    threaded.free(a);
    single.free(b);
  }
}

}  // namespace
}  // namespace vaspace::test
