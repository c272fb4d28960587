// Threads that stay where they are, where the system allows it.
#pragma once

#include <vector>

namespace vaspace::tools::bench {

// The processors that this thread may run on, highest first; empty where the system does not say. The lowest
// one gets the interrupts, as a rule.
[[nodiscard]] std::vector<int> allowed_processors();
// This thread, from now on. False: it runs where it likes.
bool pin_to(int processor);

// Pins the calling thread to the first of them while it lives.
class Pinned {
 public:
  Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned();

  // -1: not pinned.
  [[nodiscard]] int processor() const { return processor_; }

 private:
  std::vector<int> allowed_;
  int processor_ = -1;
};

}  // namespace vaspace::tools::bench
