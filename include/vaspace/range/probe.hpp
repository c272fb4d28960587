// How a test looks into a structure that must cost nothing to anyone else.
#pragma once

#include <cstdint>

namespace vaspace {

struct NoProbe {
  void visit() const noexcept {}
};

// Counts the nodes that operations look at.
struct VisitProbe {
  mutable std::uint64_t visits = 0;
  void visit() const noexcept { ++visits; }
};

}  // namespace vaspace
