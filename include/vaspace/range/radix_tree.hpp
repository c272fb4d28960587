// A binary radix tree whose nodes are its elements, with the smallest element of every subtree at its top.
//
//                 3              every node is the smallest of its subtree (so the smallest of all is the
//               /   \            root), and stands where its path's bits lead: the d-th bit from the top says
//              5     9           which child of the node at depth d
//             / \   /
//            6   7 12
//
// Always true: a node's path is greater than its parent's; all paths below child 0 are smaller than those
// below child 1; no two paths are equal. So find-min is the root, a lower bound stops at the first node on
// its way that is not below it, and every operation visits at most as many nodes as a path has significant
// bits - it needs neither memory nor rebalancing.
//
// After McCreight's priority search tree ("Priority Search Trees", SIAM J. Comput. 14(2), 1985), with the
// same key on both axes.
//
// The tree is a root index; its nodes live elsewhere. Nodes gives them: path(i) is an unsigned 64-bit number
// whose most significant bit is the first to branch on; children(i) is a reference to two indices, 0 being
// none; visit() is called for nodes looked at without their paths. A tree whose paths all begin with the same
// `depth` bits branches on the bits behind them.
#pragma once

#include <cstdint>

namespace vaspace {

struct RadixChildren {
  std::uint32_t side[2] = {0, 0};

  [[nodiscard]] bool none() const noexcept { return (side[0] | side[1]) == 0; }
};

template <class Nodes>
class RadixTree {
 public:
  using Index = std::uint32_t;

  // `path` is nodes.path(node), which is in no tree. Which of two nodes is smaller is chosen without a
  // branch: it is a coin's toss, and a wrong guess costs more than both sides. The depth that was reached.
  [[gnu::always_inline]] static unsigned insert(const Nodes& nodes, Index& root, Index node,
                                                std::uint64_t path, unsigned depth = 0) noexcept {
    Index* link = &root;
    for (Index here = *link; here != 0; here = *link, ++depth) {
      const std::uint64_t here_path = nodes.path(here);
      const bool goes_above = path < here_path;
      const Index change = (node ^ here) & (0U - static_cast<Index>(goes_above));
      const Index above = here ^ change;
      node ^= change;
      path = goes_above ? here_path : path;
      nodes.children(above) = nodes.children(here);
      *link = above;
      link = &nodes.children(above).side[side(path, depth)];
    }
    nodes.children(node) = {};
    *link = node;
    return depth;
  }

  // `path` is nodes.path(node), which is in the tree.
  static void erase(const Nodes& nodes, Index& root, Index node, std::uint64_t path,
                    unsigned depth = 0) noexcept {
    Index* link = &root;
    for (; *link != node; ++depth) {
      nodes.visit();
      link = &nodes.children(*link).side[side(path, depth)];
    }
    erase_top(nodes, *link);
  }

  // Takes the top out of the tree whose root is `top`. The smallest below it moves up, and leaves the same
  // gap one level further down. (Halves are moved one by one: as one they would go through a vector
  // register.)
  static void erase_top(const Nodes& nodes, Index& top) noexcept {
    Index* link = &top;
    Index low = nodes.children(top).side[0];
    Index high = nodes.children(top).side[1];
    for (;;) {
      const bool has_low = low != 0;
      const Index up = has_low ? low : high;
      *link = up;
      if (up == 0) return;
      nodes.visit();
      RadixChildren& children = nodes.children(up);
      const RadixChildren further{{children.side[0], children.side[1]}};
      children.side[0] = low;
      children.side[1] = high;
      link = &children.side[has_low ? 0 : 1];
      low = further.side[0];
      high = further.side[1];
    }
  }

  // The smallest node whose path is not below `path`, or 0.
  [[nodiscard]] static Index lower_bound(const Nodes& nodes, Index root, std::uint64_t path,
                                         unsigned depth = 0) noexcept {
    Index greater = 0;  // the top of the nearest subtree known to lie above `path`
    for (Index here = root; here != 0; ++depth) {
      if (nodes.path(here) >= path) return here;
      const RadixChildren below = nodes.children(here);
      const unsigned way = side(path, depth);
      if (way == 0 && below.side[1] != 0) greater = below.side[1];
      here = below.side[way];
    }
    return greater;
  }

  // The greatest node whose path is not above `path`, or 0.
  [[nodiscard]] static Index at_or_before(const Nodes& nodes, Index root, std::uint64_t path,
                                          unsigned depth = 0) noexcept {
    Index best = 0;     // the last node on the way, the greatest of the way so far
    Index smaller = 0;  // the top of the nearest subtree beside the way, wholly below `path`
    for (Index here = root; here != 0 && nodes.path(here) <= path; ++depth) {
      best = here;
      const RadixChildren below = nodes.children(here);
      const unsigned way = side(path, depth);
      if (way == 1 && below.side[0] != 0) smaller = below.side[0];
      here = below.side[way];
    }
    if (smaller == 0) return best;
    const Index last = greatest(nodes, smaller);
    return nodes.path(last) > nodes.path(best) ? last : best;
  }

  // The greatest node below and including `here`, which is not 0.
  [[nodiscard]] static Index greatest(const Nodes& nodes, Index here) noexcept {
    for (;;) {
      const RadixChildren below = nodes.children(here);
      const Index next = below.side[1] != 0 ? below.side[1] : below.side[0];
      if (next == 0) return here;
      here = next;
    }
  }

  // nullptr, or the first sentence above that does not hold; `prefix`: the `depth` bits that all paths begin
  // with. O(nodes), at most 64 frames deep.
  [[nodiscard]] static const char* validate(const Nodes& nodes, Index root, unsigned depth = 0,
                                            std::uint64_t prefix = 0) noexcept {
    if (root == 0) return nullptr;
    if (depth != 0 && nodes.path(root) >> (64U - depth) != prefix) return kAstray;
    return validate_below(nodes, root, depth, prefix);
  }

 private:
  static constexpr const char* kAstray = "a node stands where its path does not lead";

  [[nodiscard]] static unsigned side(std::uint64_t path, unsigned depth) noexcept {
    return static_cast<unsigned>((path >> (63U - depth)) & 1U);
  }

  static const char* validate_below(const Nodes& nodes, Index here, unsigned depth,
                                    std::uint64_t prefix) noexcept {
    for (unsigned branch = 0; branch < 2; ++branch) {
      const Index child = nodes.children(here).side[branch];
      if (child == 0) continue;
      if (depth > 63) return "the tree is deeper than a path has bits";
      const std::uint64_t path = nodes.path(child);
      const std::uint64_t way = (prefix << 1U) | branch;
      if (path <= nodes.path(here)) return "a path is not greater than its parent's";
      if (path >> (63U - depth) != way) return kAstray;
      if (const char* wrong = validate_below(nodes, child, depth + 1, way); wrong != nullptr) return wrong;
    }
    return nullptr;
  }
};

}  // namespace vaspace
