#include "bench/measure.hpp"

#include "bench/contestants.hpp"
#include "bench/figures.hpp"

namespace vaspace::tools::bench {

namespace {

std::vector<std::uint64_t> timed_pass(Session& session, const Pass& pass) {
  std::vector<std::uint64_t> samples;
  for (const Phase& phase : pass) {
    if (phase.batch == 0) {
      session.run(phase);
    } else {
      session.time_batches(phase, samples);
    }
  }
  return samples;
}

MetadataRow metadata_of(const Workload& workload, const Contestant& contestant) {
  const auto bytes = static_cast<double>(contestant.books->bytes());
  return {.workload = workload.key.workload,
          .mode = workload.key.mode,
          .live = workload.key.live,
          .subject = contestant.subject->name,
          .bytes_per_live = bytes / static_cast<double>(workload.key.live),
          .per = {}};
}

}  // namespace

std::vector<TimingRow> measure(const Workload& workload, const Options& options, const Amount& amount,
                               const std::function<void()>& tick, std::vector<MetadataRow>* metadata) {
  std::vector<Contestant> contestants = contestants_of(workload, options, amount);
  for (Contestant& contestant : contestants) {
    contestant.start(workload);
    run_all(*contestant.session, workload.setup);
    run_all(*contestant.session, workload.passes.back());  // whatever is made at first use
    if (metadata != nullptr && contestant.books->bytes() > 0)
      metadata->push_back(metadata_of(workload, contestant));
  }
  std::vector<std::vector<Round>> rounds(contestants.size());
  for (unsigned round = 0; round < amount.rounds; ++round) {
    const Pass& pass = workload.passes[round % workload.passes.size()];
    in_turn(contestants.size(), round,
            [&](std::size_t i) { rounds[i].push_back(round_of(timed_pass(*contestants[i].session, pass))); });
    tick();
  }
  std::vector<TimingRow> rows;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    rows.push_back(row_of(workload, contestants[i]));
    rows.back().ns = timing_of(rounds[i]);
    rows.back().to_limit = ratio_of(rounds[i], rounds[0]);
  }
  return rows;
}

}  // namespace vaspace::tools::bench
