#include "bench/tail.hpp"

#include <array>
#include <malloc.h>

#include "bench/contestants.hpp"
#include "bench/figures.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr std::array<Unit, 2> kUnits{Unit::allocate, Unit::free};
constexpr int kTimes = 3;

// The least that each operation took, phase by phase; empty for a phase that is not timed.
using Least = std::vector<std::vector<std::uint64_t>>;

// Three passes over the one allocator.
Least least_of_passes(Contestant& contestant, const Workload& workload) {
  const Pass& pass = workload.passes.front();
  Least least(pass.size());
  for (int i = 0; i < kTimes; ++i) {
    for (std::size_t k = 0; k < pass.size(); ++k) {
      if (pass[k].batch == 0) {
        contestant.session->run(pass[k]);
      } else {
        contestant.session->time_each(pass[k], least[k]);
      }
    }
  }
  return least;
}

// The first pass of three allocators.
Least least_of_first_passes(Contestant& contestant, const Workload& workload) {
  const Pass& pass = workload.passes.front();
  Least least(pass.size());
  for (int i = 0; i < kTimes; ++i) {
    contestant.session.reset();
    ::malloc_trim(0);  // or its successor would grow into pages that are already there
    contestant.start(workload);
    for (std::size_t k = 0; k < pass.size(); ++k)
      contestant.session->time_each(pass[k], least[k]);
  }
  return least;
}

// The operations of one unit, as picoseconds.
Round operations_of(const Least& least, const Pass& pass, Unit unit) {
  std::vector<std::uint64_t> samples;
  for (std::size_t k = 0; k < pass.size(); ++k) {
    for (std::size_t i = 0; i < least[k].size(); ++i) {
      const bool allocates = pass[k].operations[i].size != 0;
      if (allocates == (unit == Unit::allocate)) samples.push_back(least[k][i] * 1000);
    }
  }
  return round_of(std::move(samples));
}

std::vector<TimingRow> rows_of(const Workload& workload, std::vector<Contestant>& contestants,
                               Least (*time)(Contestant&, const Workload&), const Amount& amount,
                               const std::function<void()>& tick) {
  std::vector<std::array<std::vector<Round>, kUnits.size()>> rounds(contestants.size());
  for (unsigned group = 0; group < amount.tail_groups; ++group) {
    in_turn(contestants.size(), group, [&](std::size_t i) {
      const Least least = time(contestants[i], workload);
      for (std::size_t u = 0; u < kUnits.size(); ++u)
        rounds[i][u].push_back(operations_of(least, workload.passes.front(), kUnits[u]));
    });
    tick();
  }
  std::vector<TimingRow> rows;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    for (std::size_t u = 0; u < kUnits.size(); ++u) {
      rows.push_back(row_of(workload, contestants[i]));
      rows.back().unit = kUnits[u];
      rows.back().ns = timing_of(rounds[i][u]);
      rows.back().to_limit = ratio_of(rounds[i][u], rounds[0][u]);
    }
  }
  return rows;
}

}  // namespace

std::vector<TimingRow> measure_tail(const Workload& workload, const Options& options, const Amount& amount,
                                    const std::function<void()>& tick) {
  std::vector<Contestant> contestants = contestants_of(workload, options, amount);
  for (Contestant& contestant : contestants)
    contestant.start(workload);
  return rows_of(workload, contestants, least_of_passes, amount, tick);
}

std::vector<TimingRow> measure_first_pass(const Workload& workload, const Options& options,
                                          const Amount& amount, const std::function<void()>& tick) {
  std::vector<Contestant> contestants = contestants_of(workload, options, amount);
  std::vector<TimingRow> rows = rows_of(workload, contestants, least_of_first_passes, amount, tick);
  for (TimingRow& row : rows) {
    row.key.workload = "W5_first";
    row.key.live = 0;  // it begins with none
  }
  return rows;
}

}  // namespace vaspace::tools::bench
