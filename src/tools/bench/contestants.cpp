#include "bench/contestants.hpp"

namespace vaspace::tools::bench {

std::vector<Contestant> contestants_of(const Workload& workload, const Options& options,
                                       const Amount& amount) {
  std::vector<Contestant> contestants;
  for (const Subject& subject : single_subjects()) {
    const bool is_limit = contestants.empty();
    if (!is_limit && (!options.wants_subject(subject.name) || !subject.takes(workload, amount))) continue;
    contestants.push_back({.subject = &subject});
  }
  return contestants;
}

void run_all(Session& session, const Pass& pass) {
  for (const Phase& phase : pass)
    session.run(phase);
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

}  // namespace vaspace::tools::bench
