// The subjects of one workload, under way side by side.
#pragma once

#include <memory>
#include <vector>

#include "bench/options.hpp"
#include "bench/registry.hpp"
#include "bench/results.hpp"
#include "support/host.hpp"

namespace vaspace::tools::bench {

struct Contestant {
  const Subject* subject = nullptr;
  std::unique_ptr<test::TestHost> books{};  // counts what the session's allocator keeps; outlives it
  std::unique_ptr<Session> session{};

  // A new allocator that has served nothing.
  void start(const Workload& workload) {
    session.reset();
    books = std::make_unique<test::TestHost>();
    Setup setup = setup_of(workload);
    setup.host = books->allocator();
    session = subject->make(setup);
  }
};

// limit_lifo first, then the wanted ones that take the workload; none is started.
[[nodiscard]] std::vector<Contestant> contestants_of(const Workload& workload, const Options& options,
                                                     const Amount& amount);

void run_all(Session& session, const Pass& pass);

// Without its figures.
[[nodiscard]] TimingRow row_of(const Workload& workload, const Contestant& contestant);

// Whoever goes first in a round is not always the same.
template <class Use>
void in_turn(std::size_t count, unsigned round, Use&& use) {
  for (std::size_t i = 0; i < count; ++i)
    use((i + round) % count);
}

}  // namespace vaspace::tools::bench
