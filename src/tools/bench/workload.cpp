#include "bench/workload.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "bench/random.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr std::uint32_t kMostPerBatch = 512;

// W4, as it is made.
class Churn {
 public:
  Churn(Bytes target, std::uint64_t seed) : random_(seed), target_(target.value), next_(draw()) {}

  void step(std::vector<Operation>& out) {
    if (bytes_ + next_ <= target_) {
      const std::uint32_t handle = unused_.empty() ? handles_++ : unused_.back();
      if (!unused_.empty()) unused_.pop_back();
      out.push_back(allocation(handle, next_));
      live_.push_back(out.back());
      bytes_ += next_;
      next_ = draw();
    } else {
      const std::uint32_t at = random_.below(live_.size());
      out.push_back(freeing(live_[at].handle));
      bytes_ -= live_[at].size;
      unused_.push_back(live_[at].handle);
      live_[at] = live_.back();
      live_.pop_back();
    }
  }
  [[nodiscard]] bool full() const { return bytes_ + next_ > target_; }
  [[nodiscard]] const std::vector<Operation>& live() const { return live_; }
  [[nodiscard]] std::uint32_t handles() const { return handles_; }

 private:
  std::uint32_t draw() { return random_.log_uniform(256, 32U << 20U); }

  Random random_;
  std::uint64_t target_;
  std::uint32_t next_;
  std::uint64_t bytes_ = 0;
  std::uint32_t handles_ = 0;
  std::vector<std::uint32_t> unused_;
  std::vector<Operation> live_;
};

}  // namespace

const char* name_of(Unit unit) {
  constexpr const char* kNames[] = {"pair", "op", "allocate", "free", "find"};
  return kNames[static_cast<unsigned>(unit)];
}

const char* name_of(Order order) {
  constexpr const char* kNames[] = {"in_order", "reverse", "shuffled"};
  return kNames[static_cast<unsigned>(order)];
}

std::vector<std::uint32_t> order_of(Order order, std::uint32_t count, std::uint64_t seed) {
  std::vector<std::uint32_t> sequence(count);
  std::iota(sequence.begin(), sequence.end(), 0U);
  if (order == Order::reverse) std::reverse(sequence.begin(), sequence.end());
  if (order == Order::shuffled) Random(seed).shuffle(sequence);
  return sequence;
}

Workload size_class_workload(const char* name, std::uint32_t size, std::uint32_t count, Order order,
                             std::uint32_t repeats, std::uint64_t seed) {
  Workload workload;
  workload.key = {.workload = name, .mode = "same", .live = count, .order = name_of(order)};
  workload.unit = Unit::pair;
  workload.heap = 4_GiB;
  workload.handles = count;
  workload.largest = size;
  workload.footprint = Bytes{std::uint64_t{size} * count};
  workload.one_size = true;
  const std::uint32_t batch = std::min(kMostPerBatch, std::max(count / 10, 1U));
  const std::uint32_t samples = count / batch;
  Pass pass;
  for (std::uint32_t repeat = 0; repeat < repeats; ++repeat) {
    Phase allocate{.kind = Kind::allocate, .batch = batch, .first_sample = repeat * samples};
    Phase free{.kind = Kind::free, .batch = batch, .first_sample = repeat * samples};
    for (std::uint32_t i = 0; i < count; ++i)
      allocate.operations.push_back(allocation(i, size));
    for (const std::uint32_t handle : order_of(order, count, seed + repeat))
      free.operations.push_back(freeing(handle));
    pass.push_back(std::move(allocate));
    pass.push_back(std::move(free));
  }
  workload.passes.push_back(std::move(pass));
  return workload;
}

Workload churn_workload(std::uint32_t operations, std::uint64_t seed) {
  Workload workload;
  workload.heap = 4_GiB;
  const Bytes target{workload.heap.value / 10 * 7};
  Churn churn(target, seed);
  Phase ramp, timed{.batch = kMostPerBatch}, drain{.kind = Kind::free};
  while (!churn.full())
    churn.step(ramp.operations);
  const std::size_t live = churn.live().size();
  for (std::uint32_t i = 0; i < operations; ++i)
    churn.step(timed.operations);
  for (const Operation& held : churn.live())
    drain.operations.push_back(freeing(held.handle));
  workload.key = {.workload = "W4", .live = live};
  workload.handles = churn.handles();
  workload.largest = 32U << 20U;
  workload.footprint = target;
  workload.passes = {{std::move(ramp), std::move(timed), std::move(drain)}};
  return workload;
}

Workload pair_workload(const char* name, const PairSizes& sizes, std::uint32_t live,
                       std::uint32_t pairs_per_pass, std::uint32_t most_passes, std::uint64_t seed) {
  Random random(seed);
  const auto size = [&] {
    return sizes.from < sizes.to ? random.log_uniform(sizes.from, sizes.to) : sizes.to;
  };
  Workload workload;
  workload.key = {.workload = name, .mode = sizes.mode, .live = live};
  workload.unit = Unit::pair;
  workload.heap = 4_GiB;
  workload.handles = live;
  workload.largest = sizes.to;
  workload.one_size = sizes.from == sizes.to;
  Phase fill{.kind = Kind::allocate};
  for (std::uint32_t i = 0; i < live; ++i) {
    fill.operations.push_back(allocation(i, size()));
    workload.footprint += Bytes{fill.operations.back().size};
  }
  workload.setup.push_back(std::move(fill));
  workload.heap = std::max(workload.heap, workload.footprint * 2);
  const auto pairs = [&](std::uint32_t count, std::uint32_t batch) {
    Phase phase{.kind = Kind::pair, .batch = batch};
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t handle = random.below(live);
      phase.operations.push_back(allocation(handle, size()));
    }
    return phase;
  };
  // Enough passes that every handle is met: else most of a million would never leave the cache. Each begins
  // untimed, because the other subjects were in the caches before.
  const std::uint32_t passes = std::min((live + pairs_per_pass - 1) / pairs_per_pass, most_passes);
  for (std::uint32_t i = 0; i < passes; ++i) {
    Phase warm_up = pairs(std::min(live, pairs_per_pass), 0);
    workload.passes.push_back({std::move(warm_up), pairs(pairs_per_pass, kMostPerBatch)});
  }
  return workload;
}

Workload pair_workload(bool mixed, std::uint32_t live, std::uint32_t pairs_per_pass, std::uint64_t seed) {
  return pair_workload("W8", mixed ? kMixedPairs : kSamePairs, live, pairs_per_pass,
                       std::numeric_limits<std::uint32_t>::max(), seed);
}

}  // namespace vaspace::tools::bench
