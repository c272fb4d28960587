#include "bench/renderer.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace vaspace::tools::bench {

namespace {

struct Weight {
  std::uint32_t size;
  double share;
};
constexpr std::array<Weight, 12> kWeights{{{256, .20},
                                           {512, .14},
                                           {768, .06},
                                           {1U << 10U, .12},
                                           {2U << 10U, .10},
                                           {4U << 10U, .12},
                                           {16U << 10U, .08},
                                           {64U << 10U, .08},
                                           {256U << 10U, .05},
                                           {1U << 20U, .03},
                                           {4U << 20U, .015},
                                           {16U << 20U, .005}}};
constexpr std::uint32_t kLarge = 64U << 10U;
constexpr std::uint32_t kPerFrame = 24;
constexpr std::uint32_t kRampFrames = 6000;  // four times the longest mean lifetime
constexpr std::uint32_t kBatch = 512;

std::uint32_t lifetime(Random& random) {
  const double kind = random.unit();
  if (kind < .3) return random.between(1, 3);
  if (kind < .8) return random.between(50, 499);
  return 500 + static_cast<std::uint32_t>(random.exponential(1500));
}

// The stream as it is made: which handles are free, which are due when.
class Scene {
 public:
  Scene(bool mixed, std::uint64_t seed) : random_(seed), mixed_(mixed) {}

  void frame(std::vector<Operation>& out) {
    for (const Held& held : due_[now_ % kHorizon])
      release(held, out);
    due_[now_ % kHorizon].clear();
    for (std::uint32_t i = 0; i < kPerFrame; ++i)
      acquire(out);
    ++now_;
  }
  // What is still live, frame by frame.
  void end(std::vector<Operation>& out) {
    for (std::uint32_t i = 0; i < kHorizon; ++i) {
      for (const Held& held : due_[(now_ + i) % kHorizon])
        out.push_back(freeing(held.handle));
    }
  }

  [[nodiscard]] std::uint32_t handles() const { return handles_; }
  [[nodiscard]] std::uint32_t live() const { return handles_ - static_cast<std::uint32_t>(unused_.size()); }
  [[nodiscard]] Bytes most_bytes() const { return Bytes{most_bytes_}; }

 private:
  static constexpr std::uint32_t kHorizon = 1U << 15U;  // frames; no lifetime is longer
  struct Held {
    std::uint32_t handle;
    std::uint32_t size;
  };

  void acquire(std::vector<Operation>& out) {
    const std::uint32_t size = renderer_size(random_);
    const std::uint32_t log2 = renderer_alignment_log2(random_, size, mixed_);
    const std::uint32_t until = std::min(lifetime(random_), kHorizon - 1);
    std::uint32_t handle = handles_;
    if (unused_.empty()) {
      ++handles_;
    } else {
      handle = unused_.back();
      unused_.pop_back();
    }
    out.push_back(allocation(handle, size, log2));
    due_[(now_ + until) % kHorizon].push_back({handle, size});
    bytes_ += size;
    most_bytes_ = std::max(most_bytes_, bytes_);
  }
  void release(const Held& held, std::vector<Operation>& out) {
    out.push_back(freeing(held.handle));
    unused_.push_back(held.handle);
    bytes_ -= held.size;
  }

  Random random_;
  bool mixed_;
  std::uint32_t now_ = 0;
  std::uint32_t handles_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t most_bytes_ = 0;
  std::vector<std::uint32_t> unused_;
  std::vector<std::vector<Held>> due_ = std::vector<std::vector<Held>>(kHorizon);
};

}  // namespace

std::uint32_t renderer_size(Random& random, std::uint32_t largest) {
  for (;;) {
    double at = random.unit();
    std::uint32_t size = kWeights.back().size;
    for (const Weight& weight : kWeights) {
      if (at < weight.share) {
        size = weight.size;
        break;
      }
      at -= weight.share;
    }
    if (size <= largest) return size;
  }
}

std::uint32_t renderer_alignment_log2(Random& random, std::uint32_t size, bool mixed) {
  return mixed && size >= kLarge && random.below(2) == 0 ? 16 : 8;
}

Workload renderer_workload(bool mixed, std::uint32_t frames, std::uint64_t seed) {
  Scene scene(mixed, seed);
  Phase ramp, timed{.batch = kBatch}, drain{.kind = Kind::free};
  for (std::uint32_t i = 0; i < kRampFrames; ++i)
    scene.frame(ramp.operations);
  const std::uint32_t live = scene.live();
  for (std::uint32_t i = 0; i < frames; ++i)
    scene.frame(timed.operations);
  scene.end(drain.operations);

  Workload workload;
  workload.key = {.workload = "W5", .mode = mixed ? "mixed" : "256", .live = live};
  workload.heap = 4_GiB;
  workload.handles = scene.handles();
  workload.largest = kWeights.back().size;
  workload.footprint = scene.most_bytes();
  workload.passes = {{std::move(ramp), std::move(timed), std::move(drain)}};
  return workload;
}

}  // namespace vaspace::tools::bench
