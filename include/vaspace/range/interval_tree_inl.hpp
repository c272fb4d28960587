// The slower half of interval_tree.hpp: how the tree grows, shrinks and is checked.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "vaspace/range/interval_tree.hpp"

namespace vaspace {

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::swap(IntervalTree& other) noexcept {
  std::swap(root_, other.root_);
  std::swap(first_, other.first_);
  std::swap(levels_, other.levels_);
  std::swap(size_, other.size_);
  std::swap(nodes_, other.nodes_);
  std::swap(spares_, other.spares_);
  std::swap(spare_, other.spare_);
}

// A tree of L levels has at least 2 * kInnerMin^(L-2) * kLeafMin entries.
template <class Value, std::size_t kNodeBytes>
std::size_t IntervalTree<Value, kNodeBytes>::most_levels(std::size_t entries) noexcept {
  std::size_t levels = 1;
  for (std::size_t rest = entries / (2 * kLeafMin); rest != 0; rest /= kInnerMin)
    ++levels;
  return levels;
}

template <class Value, std::size_t kNodeBytes>
std::size_t IntervalTree<Value, kNodeBytes>::most_nodes(std::size_t entries) noexcept {
  std::size_t level = std::max<std::size_t>(entries / kLeafMin, 1);
  std::size_t nodes = level;
  for (; level > 1; nodes += level)
    level = std::max<std::size_t>(level / kInnerMin, 1);
  return nodes;
}

// Two bounds, of which one will do: an insert takes at most one node a level, of as many levels as there will
// ever be; and a tree of so many entries has only so many nodes. Both still hold for the rest after some of
// the inserts, so that what was prepared stays prepared.
template <class Value, std::size_t kNodeBytes>
bool IntervalTree<Value, kNodeBytes>::prepare(std::size_t insertions) noexcept {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  if (insertions > (kMost >> 8U) - size_) return false;
  const std::size_t by_levels = insertions * most_levels(size_ + insertions);
  const std::size_t all = most_nodes(size_ + insertions);
  const std::size_t wanted = std::min(by_levels, all - std::min(nodes_, all));
  const std::size_t before = spare_;
  while (spare_ < wanted) {
    void* memory = host_.allocate(host_.user, node_bytes(), kAlignment);
    if (memory == nullptr) break;
    ++nodes_;
    put_back(memory);
  }
  if (spare_ >= wanted) return true;
  while (spare_ > before)
    release_one();
  return false;
}

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::release_one() noexcept {
  Spare* memory = spares_;
  spares_ = memory->next;
  --spare_;
  host_.deallocate(host_.user, memory, node_bytes(), kAlignment);
}

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::release_spare() noexcept {
  while (spare_ != 0)
    release_one();
}

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::insert(std::uint64_t begin, std::uint64_t end,
                                             const Value& value) noexcept {
  if (root_ == nullptr) {
    root_ = first_ = take<Leaf>();
    levels_ = 1;
  }
  Path path;
  Leaf* leaf = leaf_of(begin, path);
  if (leaf->count == kLeafRoom) {
    Leaf* right = split(leaf, path);
    if (begin > right->begin[0]) leaf = right;
  }
  const std::size_t i = upper(leaf->begin.data(), leaf->count, begin);
  move(leaf, i + 1, leaf, i, leaf->count - i);
  leaf->begin[i] = begin;
  leaf->end[i] = end;
  leaf->value[i] = value;
  ++leaf->count;
  ++size_;
}

template <class Value, std::size_t kNodeBytes>
auto IntervalTree<Value, kNodeBytes>::split(Leaf* leaf, Path& path) noexcept -> Leaf* {
  Leaf* right = take<Leaf>();
  right->count = kLeafRoom - kLeafMin;
  move(right, 0, leaf, kLeafMin, right->count);
  leaf->count = kLeafMin;
  right->previous = leaf;
  right->next = leaf->next;
  if (leaf->next != nullptr) leaf->next->previous = right;
  leaf->next = right;
  insert_child(path, 1, right->begin[0], right);
  return right;
}

// `child` comes right of the one that the path leads to; `key` parts the two.
template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::insert_child(Path& path, std::size_t level, std::uint64_t key,
                                                   void* child) noexcept {
  if (level == levels_) {
    auto* root = take<Inner>();
    root->count = 1;
    root->child[0] = root_;
    insert_child(root, 1, key, child);
    root_ = root;
    ++levels_;
    return;
  }
  auto [inner, index] = path[level];
  if (inner->count < kInnerRoom) {
    insert_child(inner, index + 1, key, child);
    return;
  }
  auto* right = take<Inner>();
  right->count = kInnerRoom - kInnerMin;
  move(right->child.data(), inner->child.data() + kInnerMin, right->count);
  move(right->key.data(), inner->key.data() + kInnerMin, right->count - 1);
  inner->count = kInnerMin;
  const std::uint64_t middle = inner->key[kInnerMin - 1];
  if (index < kInnerMin) {
    insert_child(inner, index + 1, key, child);
  } else {
    insert_child(right, index + 1 - kInnerMin, key, child);
  }
  insert_child(path, level + 1, middle, right);
}

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::insert_child(Inner* inner, std::size_t index, std::uint64_t key,
                                                   void* child) noexcept {
  move(inner->child.data() + index + 1, inner->child.data() + index, inner->count - index);
  move(inner->key.data() + index, inner->key.data() + index - 1, inner->count - index);
  inner->child[index] = child;
  inner->key[index - 1] = key;
  ++inner->count;
}

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::remove(At at, std::size_t count) noexcept {
  Path path;
  Leaf* leaf = leaf_of(at.begin(), path);
  move(leaf, at.index, leaf, at.index + count, leaf->count - at.index - count);
  leaf->count -= count;
  size_ -= count;
  refill(leaf, path);
}

// After a removal: from a neighbour with the same parent, or into it.
template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::refill(Leaf* leaf, Path& path) noexcept {
  if (levels_ == 1 && leaf->count == 0) {
    put_back(leaf);
    root_ = first_ = nullptr;
    levels_ = 0;
  }
  if (levels_ <= 1 || leaf->count >= kLeafMin) return;
  auto [parent, index] = path[1];
  const std::size_t l = index == 0 ? 0 : index - 1;
  auto* left = static_cast<Leaf*>(parent->child[l]);
  auto* right = static_cast<Leaf*>(parent->child[l + 1]);
  const std::size_t both = left->count + right->count;
  if (both <= kLeafRoom) {
    move(left, left->count, right, 0, right->count);
    left->next = right->next;
    if (right->next != nullptr) right->next->previous = left;
    put_back(right);
    left->count = both;
    remove_child(path, 1, l + 1);
    return;
  }
  const std::size_t half = both / 2;
  if (left->count < half) {
    const std::size_t n = half - left->count;
    move(left, left->count, right, 0, n);
    move(right, 0, right, n, right->count - n);
  } else {
    const std::size_t n = left->count - half;
    move(right, n, right, 0, right->count);
    move(right, 0, left, half, n);
  }
  left->count = half;
  right->count = both - half;
  parent->key[l] = right->begin[0];
}

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::remove_child(Path& path, std::size_t level,
                                                   std::size_t index) noexcept {
  Inner* inner = path[level].node;
  move(inner->child.data() + index, inner->child.data() + index + 1, inner->count - index - 1);
  move(inner->key.data() + index - 1, inner->key.data() + index, inner->count - index - 1);
  --inner->count;
  if (level + 1 < levels_) {
    if (inner->count < kInnerMin) refill(path, level);
  } else if (inner->count == 1) {
    root_ = inner->child[0];
    put_back(inner);
    --levels_;
  }
}

// An inner node that lacks one child: as for leaves, the key between the two taking part.
template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::refill(Path& path, std::size_t level) noexcept {
  auto [parent, index] = path[level + 1];
  const std::size_t l = index == 0 ? 0 : index - 1;
  auto* left = static_cast<Inner*>(parent->child[l]);
  auto* right = static_cast<Inner*>(parent->child[l + 1]);
  std::uint64_t& between = parent->key[l];
  if (left->count + right->count <= kInnerRoom) {
    left->key[left->count - 1] = between;
    move(left->child.data() + left->count, right->child.data(), right->count);
    move(left->key.data() + left->count, right->key.data(), right->count - 1);
    left->count += right->count;
    put_back(right);
    remove_child(path, level + 1, l + 1);
  } else if (left->count < right->count) {
    left->child[left->count] = right->child[0];
    left->key[left->count - 1] = std::exchange(between, right->key[0]);
    ++left->count;
    --right->count;
    move(right->child.data(), right->child.data() + 1, right->count);
    move(right->key.data(), right->key.data() + 1, right->count - 1);
  } else {
    move(right->child.data() + 1, right->child.data(), right->count);
    move(right->key.data() + 1, right->key.data(), right->count - 1);
    --left->count;
    right->child[0] = left->child[left->count];
    right->key[0] = std::exchange(between, left->key[left->count - 1]);
    ++right->count;
  }
}

// The keys left and right of the entry may part it from its new begin. The lowest inner node with a child on
// that side has the key.
template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::move_begin(At at, std::uint64_t begin) noexcept {
  Path path;
  Leaf* leaf = leaf_of(at.begin(), path);
  leaf->begin[at.index] = begin;
  std::size_t level = 1;
  if (at.index == 0) {
    while (level < levels_ && path[level].index == 0)
      ++level;
    if (level < levels_) {
      std::uint64_t& key = path[level].node->key[path[level].index - 1];
      key = std::min(key, begin);
    }
  }
  if (at.index + 1 == leaf->count && leaf->next != nullptr) {
    level = 1;
    while (path[level].index + 1 == path[level].node->count)
      ++level;
    std::uint64_t& key = path[level].node->key[path[level].index];
    if (key <= begin) key = leaf->next->begin[0];
  }
}

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::clear() noexcept {
  if (root_ != nullptr) clear(root_, levels_ - 1);
  root_ = first_ = nullptr;
  levels_ = size_ = 0;
}
template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::clear(void* node, std::size_t level) noexcept {
  if (level != 0) {
    const auto* inner = static_cast<const Inner*>(node);
    for (std::size_t i = 0; i < inner->count; ++i)
      clear(inner->child[i], level - 1);
  }
  put_back(node);
}

template <class Value, std::size_t kNodeBytes>
const char* IntervalTree<Value, kNodeBytes>::validate() const noexcept {
  Walk walk;
  if (root_ != nullptr) check(root_, levels_ - 1, 0, std::numeric_limits<std::uint64_t>::max(), walk);
  if (walk.wrong != nullptr) return walk.wrong;
  if (walk.last != nullptr && walk.last->next != nullptr) return "interval tree: the chain does not end";
  if ((root_ == nullptr) != (first_ == nullptr)) return "interval tree: the chain has no begin";
  if (walk.entries != size_) return "interval tree: entries are counted wrongly";
  if (walk.nodes != nodes_) return "interval tree: nodes are counted wrongly";
  std::size_t spare = 0;
  for (const Spare* each = spares_; each != nullptr && spare <= spare_; each = each->next)
    ++spare;
  return spare == spare_ ? nullptr : "interval tree: spare nodes are counted wrongly";
}

// What lies below `node` begins in [low, high).
template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::check(const void* node, std::size_t level, std::uint64_t low,
                                            std::uint64_t high, Walk& walk) const noexcept {
  ++walk.nodes;
  if (level == 0) {
    check_leaf(static_cast<const Leaf*>(node), low, high, walk);
    return;
  }
  const auto* inner = static_cast<const Inner*>(node);
  if (inner->count > kInnerRoom || inner->count < (node == root_ ? 2 : kInnerMin)) {
    walk.wrong = "interval tree: an inner node is not half full";
  }
  for (std::size_t i = 0; i < inner->count && walk.wrong == nullptr; ++i) {
    const std::uint64_t from = i == 0 ? low : inner->key[i - 1];
    const std::uint64_t to = i + 1 == inner->count ? high : inner->key[i];
    if (from < low || to > high || from >= to) walk.wrong = "interval tree: keys do not rise";
    if (walk.wrong == nullptr) check(inner->child[i], level - 1, from, to, walk);
  }
}

template <class Value, std::size_t kNodeBytes>
void IntervalTree<Value, kNodeBytes>::check_leaf(const Leaf* leaf, std::uint64_t low, std::uint64_t high,
                                                 Walk& walk) const noexcept {
  std::uint64_t end = walk.last == nullptr ? 0 : walk.last->end[walk.last->count - 1];
  if (leaf->count > kLeafRoom || leaf->count < (leaf == root_ ? 1 : kLeafMin)) {
    walk.wrong = "interval tree: a leaf is not half full";
    return;
  }
  for (std::size_t i = 0; i < leaf->count; ++i) {
    if (leaf->begin[i] < end || leaf->end[i] <= leaf->begin[i]) {
      walk.wrong = "interval tree: entries are empty, overlap or fall";
    }
    if (leaf->begin[i] < low || leaf->begin[i] >= high) walk.wrong = "interval tree: a key parts wrongly";
    end = leaf->end[i];
  }
  if (leaf->previous != walk.last || (walk.last == nullptr ? first_ : walk.last->next) != leaf) {
    walk.wrong = "interval tree: the chain leaves the order";
  }
  walk.last = leaf;
  walk.entries += leaf->count;
}

}  // namespace vaspace
