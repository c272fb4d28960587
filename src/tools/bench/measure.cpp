#include "bench/measure.hpp"

#include <array>
#include <charconv>
#include <fmt/format.h>

#include "bench/figures.hpp"
#include "failed.hpp"
#include "statistics.hpp"

namespace vaspace::tools::bench {

namespace {

// A subject under way.
struct Contestant {
  const Subject* subject;
  std::unique_ptr<Session> session;
};

std::vector<Contestant> contestants_of(const Workload& workload, const Options& options,
                                       const Amount& amount) {
  std::vector<Contestant> contestants;
  for (const Subject& subject : single_subjects()) {
    const bool is_limit = contestants.empty();
    if (!is_limit && (!options.wants_subject(subject.name) || !subject.takes(workload, amount))) continue;
    contestants.push_back({&subject, subject.make(setup_of(workload))});
  }
  return contestants;
}

void run_all(Session& session, const Pass& pass) {
  for (const Phase& phase : pass)
    session.run(phase);
}

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

TimingRow row_of(const Workload& workload, const Contestant& contestant) {
  return {.key = workload.key,
          .unit = workload.unit,
          .subject = contestant.subject->name,
          .policy = contestant.subject->policy,
          .ns = {},
          .to_limit = {},
          .refused = contestant.session->refused()};
}

// Whoever goes first in a round is not always the same.
template <class Use>
void in_turn(std::size_t count, unsigned round, Use&& use) {
  for (std::size_t i = 0; i < count; ++i)
    use((i + round) % count);
}

// The least that each operation of W5's timed phase took in three passes.
std::vector<std::uint64_t> least_of_three(Session& session, const Pass& pass) {
  std::vector<std::uint64_t> least;
  for (int i = 0; i < 3; ++i) {
    for (const Phase& phase : pass) {
      if (phase.batch == 0) {
        session.run(phase);
      } else {
        session.time_each(phase, least);
      }
    }
  }
  return least;
}

const Phase& timed_phase(const Pass& pass) {
  for (const Phase& phase : pass) {
    if (phase.batch != 0) return phase;
  }
  throw Failed("a pass without a timed phase");
}

// The operations of one unit, as picoseconds.
Round operations_of(const std::vector<std::uint64_t>& least, const Phase& phase, Unit unit) {
  std::vector<std::uint64_t> samples;
  for (std::size_t i = 0; i < least.size(); ++i) {
    if ((phase.operations[i].size != 0) == (unit == Unit::allocate)) samples.push_back(least[i] * 1000);
  }
  return round_of(std::move(samples));
}

}  // namespace

std::vector<TimingRow> measure(const Workload& workload, const Options& options, const Amount& amount,
                               const std::function<void()>& tick) {
  std::vector<Contestant> contestants = contestants_of(workload, options, amount);
  for (const Contestant& contestant : contestants) {
    run_all(*contestant.session, workload.setup);
    run_all(*contestant.session, workload.passes.back());  // whatever is made at first use
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

std::vector<TimingRow> measure_tail(const Workload& workload, const Options& options, const Amount& amount,
                                    const std::function<void()>& tick) {
  std::vector<Contestant> contestants = contestants_of(workload, options, amount);
  const Pass& pass = workload.passes.front();
  const Phase& timed = timed_phase(pass);
  constexpr Unit kUnits[] = {Unit::allocate, Unit::free};
  std::vector<std::array<std::vector<Round>, 2>> rounds(contestants.size());
  for (unsigned group = 0; group < amount.tail_groups; ++group) {
    in_turn(contestants.size(), group, [&](std::size_t i) {
      const std::vector<std::uint64_t> least = least_of_three(*contestants[i].session, pass);
      for (std::size_t u = 0; u < 2; ++u)
        rounds[i][u].push_back(operations_of(least, timed, kUnits[u]));
    });
    tick();
  }
  std::vector<TimingRow> rows;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    for (std::size_t u = 0; u < 2; ++u) {
      rows.push_back(row_of(workload, contestants[i]));
      rows.back().unit = kUnits[u];
      rows.back().ns = timing_of(rounds[i][u]);
      rows.back().to_limit = ratio_of(rounds[i][u], rounds[0][u]);
    }
  }
  return rows;
}

std::uint64_t run_to_count(const std::vector<std::string>& what) {
  constexpr std::uint32_t kPairs = 100'000;
  std::uint32_t live = 0;
  bool known = what.size() == 4 && what[0] == "W8" && (what[1] == "same" || what[1] == "mixed");
  if (known) {
    const std::string& text = what[2];
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), live);
    known = error == std::errc{} && stop == text.data() + text.size() && live > 0 && live <= 10'000'000;
  }
  if (!known) throw WrongUsage("--count-instructions: not like W8/mixed/10000/arena");
  const Workload workload = pair_workload(what[1] == "mixed", live, kPairs, 1);
  for (const Subject& subject : single_subjects()) {
    if (what[3] != subject.name || !subject.takes(workload, amount_of(false))) continue;
    const auto session = subject.make(setup_of(workload));
    run_all(*session, workload.setup);
    session->run(workload.passes.front().back());
    return kPairs;
  }
  throw WrongUsage(fmt::format("--count-instructions: {} has no subject \"{}\"", what[1], what[3]));
}

}  // namespace vaspace::tools::bench
