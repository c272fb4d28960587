// A paged space that is compacted, step by step or to the end of a pass.
//
// VASPACE_CHURN_MIB in the environment sets how large the churned space is (256 is what docs/va.md quotes).
#pragma once

#include <cstdlib>

#include "paged_fixture.hpp"

namespace vaspace::test {

class Compaction : public PagedTest {
 protected:
  // Until a pass is over. Each page that it moves lowers the measure.
  StepReport compact_all(std::uint64_t pages_per_step = 16) {
    StepReport sum;
    for (bool finished = false; !finished;) {
      const std::uint64_t before = space_->measure();
      const StepReport step = space_->compact({.pages = pages_per_step});
      EXPECT_LE(step.pages(), pages_per_step);
      EXPECT_LE(space_->measure() + step.pages(), before);
      EXPECT_TRUE(step.finished || step.spent() == pages_per_step);
      finished = step.finished;
      sum.demoted += step.demoted;
      sum.dropped += step.dropped;
      sum.meshed += step.meshed;
      sum.refused += step.refused;
      sum.postponed += step.postponed;
      sum.cancelled += step.cancelled;
      sum.copied += step.copied;
    }
    return sum;
  }
  static Bytes churned() {
    const char* wanted = std::getenv("VASPACE_CHURN_MIB");
    return 1_MiB * (wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 48);
  }
  static double ratio(Bytes a, Bytes b) {
    return static_cast<double>(a.value) / static_cast<double>(b.value);
  }
  static double mib(Bytes a) { return static_cast<double>(a.value) / 1048576.0; }
};

}  // namespace vaspace::test
