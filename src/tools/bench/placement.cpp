#include "bench/placement.hpp"

#include "bench/random.hpp"
#include "bench/renderer.hpp"
#include "bench/subjects.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr Bytes kHeap = 256_MiB;
constexpr std::uint32_t kLargest = 4U << 20U;
const Setup kSetup{.heap = kHeap};

// A heap kept at an occupancy: below it, allocate; else free at random. What comes next does not depend on
// where anything lies, only on what was refused.
template <class S>
class Heap {
 public:
  Heap(double occupancy, bool mixed, std::uint64_t seed)
      : subject_(kSetup),
        random_(seed),
        mixed_(mixed),
        target_(static_cast<std::uint64_t>(occupancy * static_cast<double>(kHeap.value))) {}

  void churn(std::uint32_t operations) {
    for (std::uint32_t i = 0; i < operations; ++i)
      step();
  }
  // Until the first refusal.
  void fill() {
    while (allocate()) {
    }
  }
  [[nodiscard]] double occupancy() const {
    return static_cast<double>(bytes_) / static_cast<double>(kHeap.value);
  }
  [[nodiscard]] double refusals() const {
    return asked_ == 0 ? 0 : static_cast<double>(refused_) / static_cast<double>(asked_);
  }
  [[nodiscard]] double largest_free_ratio() const {
    return static_cast<double>(subject_.largest_free().value) / static_cast<double>(kHeap.value - bytes_);
  }

 private:
  struct Held {
    typename S::Handle handle;
    std::uint32_t size;
  };

  void step() {
    if (bytes_ >= target_) return free_one();
    allocate();
  }
  bool allocate() {
    const std::uint32_t size = renderer_size(random_, kLargest);
    const unsigned alignment_log2 = renderer_alignment_log2(random_, size, mixed_);
    const std::uint64_t before = subject_.refused();
    const auto handle = subject_.allocate(size, alignment_log2);
    ++asked_;
    if (subject_.refused() != before) {
      ++refused_;
      return false;
    }
    held_.push_back({handle, size});
    bytes_ += size;
    return true;
  }
  void free_one() {
    const std::uint32_t at = random_.below(held_.size());
    subject_.free(held_[at].handle);
    bytes_ -= held_[at].size;
    held_[at] = held_.back();
    held_.pop_back();
  }

  S subject_;
  Random random_;
  bool mixed_;
  std::uint64_t target_;
  std::uint64_t bytes_ = 0;
  std::uint64_t asked_ = 0;
  std::uint64_t refused_ = 0;
  std::vector<Held> held_;
};

template <class S>
void add_seed(PlacementRow& row, bool mixed, std::uint64_t seed, std::uint32_t operations) {
  Heap<S> at_80(.8, mixed, seed);
  at_80.churn(operations);
  at_80.fill();
  row.occupancy_first_refusal += at_80.occupancy();
  Heap<S> at_90(.9, mixed, seed);
  at_90.churn(operations);
  row.refusals_at_90 += at_90.refusals();
  Heap<S> at_60(.6, mixed, seed);
  at_60.churn(operations);
  row.largest_free_ratio_60 += at_60.largest_free_ratio();
}

struct Placer {
  const char* name;
  void (*add_seed)(PlacementRow& row, bool mixed, std::uint64_t seed, std::uint32_t operations);
};
constexpr Placer kPlacers[] = {
    {"oracle", add_seed<OracleSubject>},
    {"object", add_seed<ObjectSubject>},
    {"default", add_seed<VaSubject<DefaultAllocator, OnAddresses>>},
    {"arena", add_seed<VaSubject<ArenaAllocator, OnCpu>>},
};

PlacementRow row_of(const Placer& placer, bool mixed, const Amount& amount,
                    const std::function<void()>& tick) {
  PlacementRow row{.mode = mixed ? "mixed" : "256", .subject = placer.name, .seeds = amount.seeds};
  for (unsigned seed = 1; seed <= amount.seeds; ++seed) {
    placer.add_seed(row, mixed, seed, amount.placement_operations);
    tick();
  }
  row.occupancy_first_refusal /= amount.seeds;
  row.refusals_at_90 /= amount.seeds;
  row.largest_free_ratio_60 /= amount.seeds;
  return row;
}

}  // namespace

std::vector<PlacementRow> measure_placement(const Options& options, const Amount& amount,
                                            const std::function<void()>& tick) {
  std::vector<PlacementRow> rows;
  for (const bool mixed : {false, true}) {
    for (const Placer& placer : kPlacers) {
      if (options.wants_subject(placer.name)) rows.push_back(row_of(placer, mixed, amount, tick));
    }
  }
  return rows;
}

}  // namespace vaspace::tools::bench
