// A binary radix tree whose nodes are its elements, with the smallest element of every subtree at its top.
//
//                 3              every node is the smallest of its subtree (so the smallest of all is the
//                 root),
//               /   \            and stands where its path's bits lead: the d-th bit from the top says which
//              5     9           child of the node at depth d
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
// whose most significant bit is the first to branch on; child(i, side) is a reference to an index, 0 being
// none.
#pragma once

#include <cstdint>

namespace vaspace {

template <class Nodes>
class RadixTree {
 public:
  using Index = std::uint32_t;

  // `node` is in no tree.
  static void insert(Nodes& nodes, Index& root, Index node) noexcept {
    std::uint64_t path = nodes.path(node);
    Index* link = &root;
    for (unsigned depth = 0; *link != 0; ++depth) {
      const Index here = *link;
      const std::uint64_t here_path = nodes.path(here);
      if (path < here_path) {  // take its place, and carry it further down instead
        nodes.child(node, 0) = nodes.child(here, 0);
        nodes.child(node, 1) = nodes.child(here, 1);
        *link = node;
        node = here;
        path = here_path;
      }
      link = &nodes.child(*link, side(path, depth));
    }
    nodes.child(node, 0) = 0;
    nodes.child(node, 1) = 0;
    *link = node;
  }

  // `node` is in the tree.
  static void erase(Nodes& nodes, Index& root, Index node) noexcept {
    const std::uint64_t path = nodes.path(node);
    Index* link = &root;
    for (unsigned depth = 0; *link != node; ++depth)
      link = &nodes.child(*link, side(path, depth));
    // The smallest below it moves up, and leaves the same gap one level further down.
    Index low = nodes.child(node, 0);
    Index high = nodes.child(node, 1);
    while ((low | high) != 0) {
      const unsigned from = low != 0 ? 0 : 1;
      const Index up = low != 0 ? low : high;
      const Index up_low = nodes.child(up, 0);
      const Index up_high = nodes.child(up, 1);
      *link = up;
      nodes.child(up, 1 - from) = from == 0 ? high : 0;
      link = &nodes.child(up, from);
      low = up_low;
      high = up_high;
    }
    *link = 0;
  }

  // The smallest node whose path is not below `path`, or 0.
  [[nodiscard]] static Index lower_bound(const Nodes& nodes, Index root, std::uint64_t path) noexcept {
    Index greater = 0;  // the top of the nearest subtree known to lie above `path`
    Index here = root;
    for (unsigned depth = 0; here != 0; ++depth) {
      if (nodes.path(here) >= path) return here;
      if (side(path, depth) == 0) {
        if (const Index high = nodes.child(here, 1); high != 0) greater = high;
        here = nodes.child(here, 0);
      } else {
        here = nodes.child(here, 1);
      }
    }
    return greater;
  }

  // The greatest node whose path is not above `path`, or 0.
  [[nodiscard]] static Index at_or_before(const Nodes& nodes, Index root, std::uint64_t path) noexcept {
    Index best = 0;     // the last node on the way, the greatest of the way so far
    Index smaller = 0;  // the top of the nearest subtree beside the way, wholly below `path`
    Index here = root;
    for (unsigned depth = 0; here != 0 && nodes.path(here) <= path; ++depth) {
      best = here;
      if (side(path, depth) == 1) {
        if (const Index low = nodes.child(here, 0); low != 0) smaller = low;
        here = nodes.child(here, 1);
      } else {
        here = nodes.child(here, 0);
      }
    }
    if (smaller == 0) return best;
    const Index last = greatest(nodes, smaller);
    return nodes.path(last) > nodes.path(best) ? last : best;
  }

  // The greatest node below and including `here`, which is not 0.
  [[nodiscard]] static Index greatest(const Nodes& nodes, Index here) noexcept {
    for (;;) {
      const Index high = nodes.child(here, 1);
      const Index next = high != 0 ? high : nodes.child(here, 0);
      if (next == 0) return here;
      here = next;
    }
  }

  // nullptr, or the first sentence above that does not hold. O(nodes), at most 64 frames deep.
  [[nodiscard]] static const char* validate(const Nodes& nodes, Index root) noexcept {
    return root == 0 ? nullptr : validate_below(nodes, root, 0, 0, 0);
  }

 private:
  [[nodiscard]] static unsigned side(std::uint64_t path, unsigned depth) noexcept {
    return static_cast<unsigned>((path >> (63U - depth)) & 1U);
  }

  // `prefix`: the first `depth` bits that every path here has.
  static const char* validate_below(const Nodes& nodes, Index here, unsigned depth, std::uint64_t prefix,
                                    std::uint64_t above) noexcept {
    const std::uint64_t path = nodes.path(here);
    if (depth > 63) return "the tree is deeper than a path has bits";
    if (depth != 0 && path <= above) return "a path is not greater than its parent's";
    if (depth != 0 && (path >> (64U - depth)) != prefix) return "a node stands where its path does not lead";
    for (unsigned branch = 0; branch < 2; ++branch) {
      const Index child = nodes.child(here, branch);
      if (child == 0) continue;
      const char* wrong = validate_below(nodes, child, depth + 1, (prefix << 1U) | branch, path);
      if (wrong != nullptr) return wrong;
    }
    return nullptr;
  }
};

}  // namespace vaspace
