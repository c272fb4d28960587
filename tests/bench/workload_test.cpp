#include "bench/workload.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>

#include "bench/random.hpp"
#include "bench/renderer.hpp"
#include "support/property.hpp"

namespace vaspace::tools::bench {
namespace {

bool same(const Pass& a, const Pass& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Phase& x, const Phase& y) {
    return x.kind == y.kind && x.batch == y.batch &&
           std::equal(x.operations.begin(), x.operations.end(), y.operations.begin(), y.operations.end(),
                      [](const Operation& p, const Operation& q) {
                        return p.handle == q.handle && p.size == q.size && p.alignment == q.alignment;
                      });
  });
}

bool same(const Workload& a, const Workload& b) {
  return same(a.setup, b.setup) &&
         std::equal(a.passes.begin(), a.passes.end(), b.passes.begin(), b.passes.end(),
                    [](const Pass& x, const Pass& y) { return same(x, y); });
}

// What is live, by handle; sizes are 0 where nothing is.
class Holder {
 public:
  explicit Holder(const Workload& workload) : workload_(workload), sizes_(workload.handles) {}

  // What the header of workload.hpp says; "" or what is wrong.
  std::string run(const Phase& phase) {
    for (const Operation op : phase.operations) {
      if (op.handle >= sizes_.size()) return "a handle that does not exist";
      if (op.size > workload_.largest) return "a size above the largest";
      const bool frees = phase.kind == Kind::pair || op.size == 0;
      if (frees && sizes_[op.handle] == 0) return "a free of what is not live";
      if (frees) bytes_ -= sizes_[op.handle];
      if (!frees && sizes_[op.handle] != 0) return "an allocation over a live handle";
      if (phase.kind == Kind::allocate && op.size == 0) return "a free among allocations";
      if (phase.kind == Kind::free && op.size != 0) return "an allocation among frees";
      sizes_[op.handle] = op.size;
      bytes_ += op.size;
      most_ = std::max(most_, bytes_);
    }
    return "";
  }
  [[nodiscard]] std::size_t live() const {
    return sizes_.size() - static_cast<std::size_t>(std::count(sizes_.begin(), sizes_.end(), 0U));
  }
  [[nodiscard]] std::uint64_t most() const { return most_; }

 private:
  const Workload& workload_;
  std::vector<std::uint32_t> sizes_;
  std::uint64_t bytes_ = 0;
  std::uint64_t most_ = 0;
};

// Every pass twice, in turn.
void expect_sound(const Workload& workload) {
  Holder holder(workload);
  for (const Phase& phase : workload.setup)
    ASSERT_EQ(holder.run(phase), "") << workload.key.workload;
  const std::size_t live = holder.live();
  for (int i = 0; i < 2; ++i) {
    for (const Pass& pass : workload.passes) {
      for (const Phase& phase : pass)
        ASSERT_EQ(holder.run(phase), "") << workload.key.workload;
      ASSERT_EQ(holder.live(), live) << workload.key.workload;
    }
  }
  EXPECT_LE(holder.most(), workload.heap.value);
}

std::vector<Workload> all(std::uint64_t seed) {
  return {size_class_workload("W1", 4096, 500, Order::in_order, 1, seed),
          size_class_workload("W2", 65536, 80, Order::reverse, 2, seed),
          size_class_workload("W3", 1U << 20U, 50, Order::shuffled, 3, seed),
          churn_workload(5000, seed),
          renderer_workload(false, 20, seed),
          renderer_workload(true, 20, seed),
          pair_workload(false, 100, 1000, seed),
          pair_workload(true, 3000, 1000, seed)};
}

TEST(Random, IsSplitmix64OnEveryMachine) {
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317U);
  EXPECT_EQ(random.next(), 3203168211198807973U);
}

RC_GTEST_PROP(Random, StaysInItsBounds, (std::uint64_t seed)) {
  Random random(seed);
  const auto n = *rc::gen::inRange<std::uint32_t>(1, 1000);
  RC_ASSERT(random.below(n) < n);
  const std::uint32_t between = random.between(7, 7 + n);
  RC_ASSERT(between >= 7U);
  RC_ASSERT(between <= 7 + n);
  const std::uint32_t size = random.log_uniform(256, 32U << 20U);
  RC_ASSERT(size >= 256U);
  RC_ASSERT(size <= 32U << 20U);
}

TEST(Workloads, AreTheSameForASeed) {
  const std::vector<Workload> one = all(7), two = all(7);
  for (std::size_t i = 0; i < one.size(); ++i)
    EXPECT_TRUE(same(one[i], two[i])) << one[i].key.workload;
}

TEST(Workloads, ChangeWithTheSeed) {
  const std::vector<Workload> one = all(7), two = all(8);
  // Freeing in order or reversed leaves nothing to chance.
  for (std::size_t i = 2; i < one.size(); ++i)
    EXPECT_FALSE(same(one[i], two[i])) << one[i].key.workload;
}

TEST(Workloads, FreeWhatIsLiveAndLeaveWhatTheyFound) {
  for (const Workload& workload : all(3))
    expect_sound(workload);
}

TEST(Workloads, W1FreesEverythingInItsOrder) {
  const std::vector<std::uint32_t> shuffled = order_of(Order::shuffled, 100, 1);
  EXPECT_EQ(std::set<std::uint32_t>(shuffled.begin(), shuffled.end()).size(), 100U);
  EXPECT_NE(shuffled, order_of(Order::in_order, 100, 1));
  EXPECT_EQ(order_of(Order::in_order, 3, 1), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(order_of(Order::reverse, 3, 1), (std::vector<std::uint32_t>{2, 1, 0}));
}

TEST(Workloads, W1CountsAnAllocationAndAFreeAsOnePair) {
  const Workload workload = size_class_workload("W1", 4096, 2000, Order::in_order, 2, 1);
  const Pass& pass = workload.passes.front();
  ASSERT_EQ(pass.size(), 4U);
  EXPECT_EQ(pass[0].first_sample, pass[1].first_sample);
  EXPECT_EQ(pass[2].first_sample, pass[3].first_sample);
  EXPECT_EQ(pass[2].first_sample, 2000 / pass[0].batch);
}

TEST(Workloads, W4KeepsTheHeapSeventyPercentFull) {
  const Workload workload = churn_workload(20'000, 1);
  std::uint64_t live = 0, least = ~std::uint64_t{0};
  std::vector<std::uint32_t> sizes(workload.handles);
  for (const Phase& phase : workload.passes.front()) {
    if (phase.kind == Kind::free) break;
    for (const Operation op : phase.operations) {
      live = live + op.size - (op.size == 0 ? sizes[op.handle] : 0);
      sizes[op.handle] = op.size;
      ASSERT_LE(live, workload.footprint.value);
      if (phase.batch != 0) least = std::min(least, live);
    }
  }
  EXPECT_EQ(workload.footprint.value, (4_GiB).value / 10 * 7);
  EXPECT_GT(least, workload.footprint.value / 10 * 9);
}

TEST(Workloads, W5IsARendererWithTwelveThousandLive) {
  const Workload workload = renderer_workload(false, 100, 1);
  EXPECT_NEAR(static_cast<double>(workload.key.live), 12'500, 1'000);
  EXPECT_LT(workload.footprint, 4_GiB);
  const Phase& timed = workload.passes.front()[1];
  const auto allocations = std::count_if(timed.operations.begin(), timed.operations.end(),
                                         [](const Operation& op) { return op.size != 0; });
  EXPECT_EQ(allocations, 100 * 24);
}

TEST(Workloads, W5DrawsItsSizesByWeight) {
  Random random(1);
  std::uint32_t small = 0, large = 0;
  constexpr std::uint32_t kDraws = 100'000;
  for (std::uint32_t i = 0; i < kDraws; ++i) {
    const std::uint32_t size = renderer_size(random);
    small += size == 256 ? 1 : 0;
    large += size == 16U << 20U ? 1 : 0;
  }
  EXPECT_NEAR(small, .20 * kDraws, 500);
  EXPECT_NEAR(large, .005 * kDraws, 100);
  for (int i = 0; i < 10'000; ++i)
    ASSERT_LE(renderer_size(random, 4U << 20U), 4U << 20U);
}

TEST(Workloads, W5MixedAlignsHalfOfTheLargeOnes) {
  Random random(1);
  std::uint32_t raised = 0;
  for (int i = 0; i < 10'000; ++i) {
    raised += renderer_alignment_log2(random, 64U << 10U, true) == 16 ? 1 : 0;
    ASSERT_EQ(renderer_alignment_log2(random, 16U << 10U, true), 8U);
    ASSERT_EQ(renderer_alignment_log2(random, 16U << 20U, false), 8U);
  }
  EXPECT_NEAR(raised, 5'000, 300);
}

TEST(Workloads, W8MeetsEveryHandle) {
  const Workload workload = pair_workload(true, 5'000, 2'000, 1);
  EXPECT_EQ(workload.passes.size(), 3U);
  std::set<std::uint32_t> met;
  for (const Pass& pass : workload.passes) {
    for (const Phase& phase : pass) {
      for (const Operation op : phase.operations) {
        met.insert(op.handle);
        ASSERT_GE(op.size, 256U);
        ASSERT_LE(op.size, 4096U);
      }
    }
  }
  EXPECT_GT(met.size(), 4'000U);
  const Workload same_size = pair_workload(false, 10, 100, 1);
  for (const Operation op : same_size.passes.front().back().operations)
    ASSERT_EQ(op.size, 1024U);
}

}  // namespace
}  // namespace vaspace::tools::bench
