// What a run of the benchmark comes to: the rows of its JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/workload.hpp"

namespace vaspace::tools::bench {

// In nanoseconds per unit.
struct Timing {
  double median = 0;  // of the rounds' medians
  double min = 0;     // least and greatest of the rounds' medians
  double max = 0;
  // Of all batches; where operations are timed one by one, of all operations.
  double p99 = 0;
  double p999 = 0;
  double worst = 0;
  double mean = 0;
};

struct Ratio {
  double median = 0;  // of the rounds' ratios
  double min = 0;
  double max = 0;
};

struct TimingRow {
  WorkloadKey key;
  Unit unit = Unit::op;
  std::string subject;
  std::string policy;
  Timing ns;
  std::optional<Ratio> to_limit;
  std::uint64_t refused = 0;  // allocations, of all rounds
};

struct PlacementRow {
  std::string mode;
  std::string subject;
  double occupancy_first_refusal = 0;
  double refusals_at_90 = 0;
  double largest_free_ratio_60 = 0;
  unsigned seeds = 0;
};

struct MetadataRow {
  std::string workload;
  std::string mode;
  std::uint64_t live = 0;
  std::string subject;
  double bytes_per_live = 0;
  std::string per;  // of what else there is a figure: "slot", "node", or empty
  double bytes_per = 0;
};

// Microseconds per call.
struct CallTimes {
  double min = 0;
  double max = 0;
  double mean = 0;
  double median = 0;
};

struct SizeClassRow {
  std::string size;  // bytes, or "mixed"
  std::uint64_t count = 0;
  std::string order;
  bool warm = false;
  std::string allocator;
  CallTimes allocate;
  CallTimes free;
  std::uint64_t refused = 0;
};

struct BenchResults {
  bool quick = false;
  std::vector<TimingRow> timings;
  std::vector<PlacementRow> placement;
  std::vector<MetadataRow> metadata;
  std::vector<SizeClassRow> size_classes;
};

}  // namespace vaspace::tools::bench
