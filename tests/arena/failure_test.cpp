// R7: whichever driver call or host request fails, the state is as it was before the call that met it.
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"
#include "vaspace/backends/cpu.hpp"

#include "support/faulty_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

constexpr Error kRefusal{ErrorCode::driver_error, -99};

struct Held {
  Allocation allocation;
  std::uint8_t pattern = 0;
  std::string name;
};

// A scenario of mixed sizes that touches every path: slabs, objects, growth, a large one, names, giving back.
template <class A>
class Scenario {
 public:
  Scenario(A& subject, std::uint64_t seed) : subject_(subject), random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i)
      step(i);
  }
  void finish() {
    while (!held_.empty())
      free_one(0);
    subject_.flush();
    subject_.flush();  // what was refused the first time
  }
  [[nodiscard]] int refused() const { return refused_; }

 private:
  void step(int i) {
    if (i % 13 == 12) subject_.collect();
    if (i % 41 == 40) subject_.flush();
    if (held_.empty() || random_() % 5 < 3) {
      allocate(i);
    } else {
      free_one(random_() % held_.size());
    }
    ASSERT_EQ(subject_.validate(), nullptr);
    for (const Held& held : held_)
      ASSERT_TRUE(intact(held)) << "contents were lost";
  }
  void allocate(int i) {
    static constexpr std::array<std::uint64_t, 6> kSizes{300, 1000, 2000, 5000, 70'000, 1'500'000};
    const Bytes size{kSizes[random_() % kSizes.size()]};
    const Alignment alignment{std::uint64_t{1} << (random_() % 13)};
    const std::string name = i % 4 == 0 ? "object " + std::to_string(i) : "";
    const AllocatorReport before = subject_.report();
    const auto got = subject_.allocate({.size = size, .alignment = alignment, .name = name});
    if (!got) {
      ++refused_;
      const AllocatorReport after = subject_.report();
      const ErrorCode code = got.error().code;
      EXPECT_TRUE(got.error() == kRefusal || code == ErrorCode::out_of_host_memory) << to_string(code);
      EXPECT_EQ(after.total.live, before.total.live);
      EXPECT_EQ(after.total.used, before.total.used);
      EXPECT_EQ(after.total.live_allocations, before.total.live_allocations);
      EXPECT_LE(after.total.reserved, before.total.reserved);
      // What the driver does not take back it keeps, and that is counted.
      if (after.refused_by_driver == before.refused_by_driver) {
        EXPECT_LE(after.total.committed, before.total.committed);
      }
      return;
    }
    Held held{*got, static_cast<std::uint8_t>(random_()), name};
    std::memset(reinterpret_cast<void*>(got->address.value), held.pattern, got->size.value);
    held_.push_back(std::move(held));
  }
  void free_one(std::size_t at) {
    if (held_[at].allocation.id.index % 2 == 0) {
      EXPECT_TRUE(subject_.try_free(held_[at].allocation));
    } else {
      EXPECT_TRUE(subject_.try_free(held_[at].allocation.address));
    }
    held_[at] = held_.back();
    held_.pop_back();
  }
  [[nodiscard]] bool intact(const Held& held) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(held.allocation.address.value);
    const std::uint64_t last = held.allocation.size.value - 1;
    const auto found = subject_.find(held.allocation.address);
    return bytes[0] == held.pattern && bytes[last / 2] == held.pattern && bytes[last] == held.pattern &&
           found && found->name == held.name;
  }

  A& subject_;
  std::mt19937_64 random_;
  std::vector<Held> held_;
  int refused_ = 0;
};

template <class A, class Config>
struct Kind {
  using Allocator = A;
  using Configuration = Config;
};

template <class K>
class Refusals : public testing::Test {
 protected:
  static constexpr int kSteps = 120;

  static HostObject<cpu::Backend> device(bool reserve_commits) {
    return std::move(*cpu::Backend::create({.physical_size = 64_MiB, .reserve_commits = reserve_commits}));
  }
};
using Kinds =
    testing::Types<Kind<ArenaAllocator, ArenaConfig>, Kind<ThreadSafeArenaAllocator, ArenaConfig>,
                   Kind<DefaultAllocator, DefaultConfig>, Kind<ThreadSafeDefaultAllocator, DefaultConfig>>;
TYPED_TEST_SUITE(Refusals, Kinds);

// Every kind of driver call, at every n up to 8 and at ever fewer above: driver_fault_test.cpp has them all,
// on a device whose pages cost nothing.
TYPED_TEST(Refusals, R7_AtEveryDriverCall) {
  using A = typename TypeParam::Allocator;
  for (const bool commits : {false, true}) {
    for (const Call call : {Call::reserve, Call::release, Call::create_physical, Call::destroy_physical,
                            Call::bind, Call::wait}) {
      for (int nth = 1;; nth += 1 + nth / 8) {
        auto device = this->device(commits);
        FaultyBackend faulty(*device);
        auto subject = A::create(faulty, typename TypeParam::Configuration{.retain = 128_KiB});
        ASSERT_TRUE(subject);
        faulty.fail_at(call, nth, kRefusal);
        Scenario<A> scenario(*subject, 7);
        scenario.run(this->kSteps);
        const bool reached = faulty.refused() != 0;
        faulty.stop_failing();
        scenario.finish();
        ASSERT_FALSE(this->HasFailure()) << "call " << int(call) << ", n = " << nth;
        EXPECT_EQ(subject->live(), Bytes{});
        EXPECT_TRUE(commits || subject->committed() == Bytes{}) << "call " << int(call) << ", n = " << nth;
        if (!reached || nth > 60) break;
      }
    }
  }
}

// A driver that refuses everything of one kind from some moment on.
TYPED_TEST(Refusals, R7_AtEveryDriverCallForever) {
  using A = typename TypeParam::Allocator;
  for (const Call call :
       {Call::reserve, Call::create_physical, Call::bind, Call::destroy_physical, Call::release}) {
    auto device = this->device(false);
    FaultyBackend faulty(*device);
    auto subject = A::create(faulty, {});
    ASSERT_TRUE(subject);
    faulty.fail_at(call, 3, kRefusal, true);
    Scenario<A> scenario(*subject, 3);
    scenario.run(this->kSteps);
    faulty.stop_failing();
    scenario.finish();
    ASSERT_FALSE(this->HasFailure()) << "call " << int(call);
    EXPECT_EQ(subject->committed(), Bytes{});
    EXPECT_EQ(device->measured_physical(), Bytes{});
  }
}

// Requests for host memory, creation included; host_fault_test.cpp has every one.
TYPED_TEST(Refusals, R7_AtEveryHostRequest) {
  using A = typename TypeParam::Allocator;
  auto device = this->device(false);
  for (int nth = 1; nth < 200; nth += 1 + nth / 8) {
    TestHost host;
    host.fail_at(nth);
    auto subject = A::create(*device, typename TypeParam::Configuration{.host = host.allocator()});
    if (!subject) {
      EXPECT_EQ(subject.error().code, ErrorCode::out_of_host_memory);
      EXPECT_EQ(host.bytes(), 0);
      EXPECT_EQ(device->measured_physical(), Bytes{});
      continue;
    }
    Scenario<A> scenario(*subject, 11);
    scenario.run(this->kSteps);
    scenario.finish();
    ASSERT_FALSE(this->HasFailure()) << "n = " << nth;
    EXPECT_EQ(subject->committed(), Bytes{});
    if (host.requests() < nth) break;
  }
}

// R7: free asks for nothing; neither host memory nor the driver.
TYPED_TEST(Refusals, R7_FreeTouchesNeitherHostNorDriver) {
  using A = typename TypeParam::Allocator;
  auto device = this->device(false);
  FaultyBackend faulty(*device);
  TestHost host;
  auto subject = A::create(faulty, typename TypeParam::Configuration{.host = host.allocator()});
  ASSERT_TRUE(subject);
  std::vector<Allocation> live;
  for (int i = 0; i < 500; ++i) {
    live.push_back(*subject->allocate({.size = Bytes{100U + static_cast<unsigned>(i) * 37U}, .name = "x"}));
  }
  const auto requests = host.requests();
  const auto calls = faulty.calls();
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (i % 2 == 0) {
      subject->free(live[i]);
    } else {
      subject->free(live[i].address);
    }
  }
  EXPECT_EQ(host.requests(), requests);
  EXPECT_EQ(faulty.calls(), calls);
  subject->flush();
  EXPECT_GT(faulty.calls(), calls);
}

}  // namespace
}  // namespace vaspace::test
