// Nodes of a radix tree, which count how often they are looked at.
#pragma once

#include <cstdint>
#include <vector>

#include "vaspace/range/radix_tree.hpp"

namespace vaspace::test {

struct RadixNodes {
  struct Node {
    std::uint64_t path = 0;
    RadixChildren children;
  };
  mutable std::vector<Node> nodes = std::vector<Node>(1);
  mutable std::uint64_t visits = 0;

  [[nodiscard]] std::uint64_t path(std::uint32_t i) const {
    ++visits;
    return nodes[i].path;
  }
  [[nodiscard]] RadixChildren& children(std::uint32_t i) const { return nodes[i].children; }
  void visit() const { ++visits; }
};

}  // namespace vaspace::test
