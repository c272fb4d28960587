// Threads that start together, for what is measured over all of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "bench/affinity.hpp"

namespace vaspace::tools::bench {

// Where all threads of a crew meet; waiting is a busy loop that lets others run now and then.
class Barrier {
 public:
  explicit Barrier(unsigned threads) : threads_(threads) {}

  void meet() {
    const unsigned turn = turn_.load();
    if (arrived_.fetch_add(1) + 1 == threads_) {
      arrived_ = 0;
      turn_.store(turn + 1);
      return;
    }
    for (unsigned spins = 0; turn_.load() == turn; ++spins) {
      if (spins % 1024 == 1023) std::this_thread::yield();
    }
  }

 private:
  unsigned threads_;
  std::atomic<unsigned> arrived_{0};
  std::atomic<unsigned> turn_{0};
};

// One thread for each of [0, threads), each on a processor of its own as far as there are any.
inline void run_crew(unsigned threads, const std::function<void(unsigned)>& work) {
  const std::vector<int> processors = allowed_processors();
  std::vector<std::jthread> crew;
  for (unsigned i = 0; i < threads; ++i) {
    crew.emplace_back([&, i] {
      if (!processors.empty()) pin_to(processors[i % processors.size()]);
      work(i);
    });
  }
}

}  // namespace vaspace::tools::bench
