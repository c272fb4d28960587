#include "bench/suite.hpp"

#include <iterator>
#include <utility>

#include "bench/address_map.hpp"
#include "bench/affinity.hpp"
#include "bench/cuda_pair.hpp"
#include "bench/measure.hpp"
#include "bench/metadata.hpp"
#include "bench/placement.hpp"
#include "bench/renderer.hpp"
#include "bench/results_text.hpp"
#include "bench/scale.hpp"
#include "bench/size_classes.hpp"
#include "bench/tail.hpp"
#include "bench/threads.hpp"

namespace vaspace::tools::bench {

namespace {

template <class Row>
void append(std::vector<Row>& rows, std::vector<Row>&& more) {
  std::move(more.begin(), more.end(), std::back_inserter(rows));
}

class Suite {
 public:
  Suite(const Options& options, const Watcher& watcher)
      : options_(options), watcher_(watcher), amount_(amount_of(options.quick)) {
    results_.quick = options.quick;
  }

  BenchResults run() {
    watcher_.table(legend_text());
    // Placement and metadata first: they are the same on every machine, noisy or not.
    if (options_.wants("W7")) placement();
    if (options_.wants("metadata")) metadata();
    {
      const Pinned pinned;
      equal_sizes("W1", 4U << 10U, 50'000, 1);
      equal_sizes("W2", 64U << 10U, 8'000, 4);
      equal_sizes("W3", 1U << 20U, 500, 20);
      if (options_.wants("W4")) table({churn_workload(amount_.churn_operations, 4)});
      if (options_.wants("W5")) renderer();
      if (options_.wants("W8")) pairs();
      if (options_.wants("map")) {
        add_timings(measure_address_map(amount_, ticker("map", address_map_ticks(amount_))));
      }
      if (options_.wants("cuda")) {
        auto rows = measure_cuda_pairs(amount_, ticker("cuda", cuda_pair_ticks(amount_)));
        if (!rows.empty()) add_timings(std::move(rows));
      }
      if (options_.wants("scale")) scale();
    }
    if (options_.wants("W6")) threads();
    if (options_.wants("size_classes")) size_classes();
    return std::move(results_);
  }

 private:
  std::function<void()> ticker(std::string part, unsigned total) {
    return [this, part = std::move(part), total, done = 0U]() mutable { watcher_.step(part, ++done, total); };
  }
  void add_timings(std::vector<TimingRow>&& rows) {
    watcher_.table(timings_text(rows));
    append(results_.timings, std::move(rows));
  }
  // Workloads that make one table.
  void table(const std::vector<Workload>& workloads) {
    std::vector<TimingRow> rows;
    for (const Workload& workload : workloads) {
      append(rows, measure(workload, options_, amount_, ticker(workload.key.workload, amount_.rounds)));
    }
    add_timings(std::move(rows));
  }

  void equal_sizes(const char* name, std::uint32_t size, std::uint32_t count, std::uint32_t repeats) {
    if (!options_.wants(name)) return;
    std::vector<Workload> workloads;
    for (const Order order : kOrders)
      workloads.push_back(size_class_workload(name, size, count, order, repeats, 1));
    table(workloads);
  }
  void renderer() {
    for (const bool mixed : {false, true}) {
      const Workload workload = renderer_workload(mixed, amount_.frames, 5);
      table({workload});
      add_timings(measure_tail(workload, options_, amount_, ticker("W5 tail", amount_.tail_groups)));
      add_timings(
          measure_first_pass(workload, options_, amount_, ticker("W5 first pass", amount_.tail_groups)));
    }
  }
  void pairs() {
    for (const bool mixed : {false, true}) {
      std::vector<Workload> workloads;
      for (const std::uint32_t live : {1'000U, 10'000U, 100'000U, 1'000'000U})
        workloads.push_back(pair_workload(mixed, live, amount_.pairs, 8));
      table(workloads);
    }
  }
  void add_scale(ScaleRows&& rows) {
    watcher_.table(metadata_text(rows.metadata));
    append(results_.metadata, std::move(rows.metadata));
    add_timings(std::move(rows.timings));
  }
  void scale() {
    add_scale(measure_scale(options_, amount_, ticker("scale", scale_ticks(amount_))));
    add_scale(measure_reservations(options_, amount_, ticker("reservations", reservation_ticks(amount_))));
  }
  void threads() {
    add_timings(measure_shared(options_, amount_, ticker("W6 shared", 2 * (amount_.rounds + 1))));
    add_timings(measure_cross(options_, amount_, ticker("W6 cross", amount_.rounds + 1)));
  }
  void placement() {
    results_.placement = measure_placement(options_, amount_, ticker("W7", 8 * amount_.seeds));
    watcher_.table(placement_text(results_.placement));
  }
  void metadata() {
    results_.metadata = measure_metadata(options_, amount_, ticker("metadata", 8));
    watcher_.table(metadata_text(results_.metadata));
  }
  void size_classes() {
    const Pinned pinned;
    results_.size_classes = measure_size_classes(options_, amount_, ticker("size classes", kSizeClassTicks));
    watcher_.table(size_classes_text(results_.size_classes));
  }

  const Options& options_;
  const Watcher& watcher_;
  Amount amount_;
  BenchResults results_;
};

}  // namespace

BenchResults run_suite(const Options& options, const Watcher& watcher) {
  return Suite(options, watcher).run();
}

}  // namespace vaspace::tools::bench
