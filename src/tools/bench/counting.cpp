#include "bench/counting.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <optional>

#include "bench/options.hpp"
#include "bench/registry.hpp"
#include "bench/renderer.hpp"
#include "failed.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr std::uint32_t kPairs = 100'000;

std::optional<std::uint32_t> number_of(const std::string& text, std::uint32_t most) {
  std::uint32_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool known = error == std::errc{} && stop == text.data() + text.size() && number > 0;
  return known && number <= most ? std::optional(number) : std::nullopt;
}

struct Counting {
  Workload workload;
  std::uint64_t count = 0;
};

std::optional<Counting> equal_sizes(const char* workload, std::uint32_t size, const std::string& order,
                                    const std::string& count) {
  const auto number = number_of(count, 1'000'000);
  for (const Order one : kOrders) {
    if (number && order == name_of(one))
      return Counting{size_class_workload(workload, size, *number, one, 1, 1), *number};
  }
  return std::nullopt;
}

std::optional<Counting> churn(const std::string& mode, const std::string& operations) {
  const auto number = number_of(operations, 10'000'000);
  if (!number || mode != "churn") return std::nullopt;
  return Counting{churn_workload(*number, 4), *number};
}

std::optional<Counting> renderer(const std::string& mode, const std::string& frames) {
  const auto number = number_of(frames, 100'000);
  if (!number || (mode != "256" && mode != "mixed")) return std::nullopt;
  Counting counting{renderer_workload(mode == "mixed", *number, 5)};
  for (const Phase& phase : counting.workload.passes.front())
    counting.count += phase.batch != 0 ? phase.operations.size() : 0;
  return counting;
}

std::optional<Counting> pairs(const std::string& mode, const std::string& live) {
  const auto number = number_of(live, 10'000'000);
  if (!number || (mode != "same" && mode != "mixed")) return std::nullopt;
  Counting counting{pair_workload(mode == "mixed", *number, kPairs, 1), kPairs};
  // Its warm-up is as long as the pairs: one of the two is enough under a profiler.
  Pass& pass = counting.workload.passes.front();
  pass.erase(pass.begin());
  return counting;
}

std::optional<Counting> counting_of(const std::vector<std::string>& what) {
  if (what.size() != 4) return std::nullopt;
  if (what[0] == "W1") return equal_sizes("W1", 4U << 10U, what[1], what[2]);
  if (what[0] == "W2") return equal_sizes("W2", 64U << 10U, what[1], what[2]);
  if (what[0] == "W3") return equal_sizes("W3", 1U << 20U, what[1], what[2]);
  if (what[0] == "W4") return churn(what[1], what[2]);
  if (what[0] == "W5") return renderer(what[1], what[2]);
  return what[0] == "W8" ? pairs(what[1], what[2]) : std::nullopt;
}

// The profiler's --toggle-collect finds it by name.
[[gnu::noinline]] void count_these(Session& session, const Phase& phase) {
  session.run(phase);
}

void run(Session& session, const Counting& counting) {
  const Pass& pass = counting.workload.passes.front();
  // Steady state: what is made at first use is not counted.
  for (const Phase& phase : counting.workload.setup.empty() ? pass : counting.workload.setup)
    session.run(phase);
  for (const Phase& phase : pass) {
    if (phase.batch != 0) {
      count_these(session, phase);
    } else {
      session.run(phase);
    }
  }
}

}  // namespace

Counted run_to_count(const std::vector<std::string>& what) {
  const std::optional<Counting> counting = counting_of(what);
  if (!counting)
    throw WrongUsage(
        "--count-instructions: not like W8/mixed/10000/arena, W1/shuffled/50000/arena, W4/churn/100000/arena "
        "or "
        "W5/256/1000/arena");
  for (const Subject& subject : single_subjects()) {
    if (what[3] != subject.name || !subject.takes(counting->workload, amount_of(false))) continue;
    const auto session = subject.make(setup_of(counting->workload));
    run(*session, *counting);
    if (session->refused() != 0)
      throw WrongUsage(fmt::format("--count-instructions: {} of that many do not fit", what[0]));
    return {counting->count, counting->workload.unit};
  }
  throw WrongUsage(
      fmt::format("--count-instructions: {}/{} has no subject \"{}\"", what[0], what[1], what[3]));
}

}  // namespace vaspace::tools::bench
