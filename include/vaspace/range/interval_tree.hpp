// The B+-tree under IntervalMap: intervals with a value, ordered by their begin, in nodes of a few cache
// lines.
//
//                     [ 40 | 90 ]                   inner: what lies left of a key is below it, what lies
//               /        |        \                 right of it is not
//   [0-9 12-30] <-> [40-55 60-90] <-> [99-100]      leaves: begins, ends, values; chained
//
// Always true: entries are not empty, do not overlap and rise; every entry left of a key begins below it,
// every entry right of it at or above it; every node but the root is at least half full, and all leaves lie
// equally deep; the chain of leaves holds all entries in order; nodes() + spare() is what was got from the
// host and not given back.
//
// insert takes nodes from the spare ones and never asks the host: its caller makes sure of them by prepare().
// What the tree does not need goes back to the spare ones. Externally synchronised.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "vaspace/base/host_allocator.hpp"

namespace vaspace {

template <class Value, std::size_t kNodeBytes>
class IntervalTree {
  static_assert(kNodeBytes >= 64);
  static_assert(std::is_trivially_copyable_v<Value> && std::is_trivially_destructible_v<Value> &&
                std::is_default_constructible_v<Value>);

 public:
  static constexpr std::size_t kLeafRoom = std::max<std::size_t>(4, (kNodeBytes - 24) / (16 + sizeof(Value)));
  static constexpr std::size_t kInnerRoom = std::max<std::size_t>(4, kNodeBytes / 16);
  static constexpr std::size_t kLeafMin = kLeafRoom / 2;
  static constexpr std::size_t kInnerMin = kInnerRoom / 2;

  struct Leaf {
    std::size_t count = 0;
    Leaf* previous = nullptr;
    Leaf* next = nullptr;
    std::array<std::uint64_t, kLeafRoom> begin;
    std::array<std::uint64_t, kLeafRoom> end;
    std::array<Value, kLeafRoom> value;
  };
  // An entry; none where `leaf` is null. Good until the next insert or remove.
  struct At {
    Leaf* leaf = nullptr;
    std::size_t index = 0;

    [[nodiscard]] explicit operator bool() const noexcept { return leaf != nullptr; }
    [[nodiscard]] std::uint64_t begin() const noexcept { return leaf->begin[index]; }
    [[nodiscard]] std::uint64_t& end() const noexcept { return leaf->end[index]; }
    [[nodiscard]] Value& value() const noexcept { return leaf->value[index]; }
    [[nodiscard]] At next() const noexcept {
      return index + 1 < leaf->count ? At{leaf, index + 1} : At{leaf->next, 0};
    }
    friend bool operator==(const At&, const At&) noexcept = default;
  };

  explicit IntervalTree(const HostAllocator& host) noexcept : host_(host) {}
  IntervalTree(IntervalTree&& other) noexcept : host_(other.host_) { swap(other); }
  IntervalTree& operator=(IntervalTree&& other) noexcept {
    if (this != &other) {
      IntervalTree old(std::move(*this));
      host_ = other.host_;
      swap(other);
    }
    return *this;
  }
  IntervalTree(const IntervalTree&) = delete;
  IntervalTree& operator=(const IntervalTree&) = delete;
  ~IntervalTree() {
    clear();
    release_spare();
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t nodes() const noexcept { return nodes_; }
  [[nodiscard]] std::size_t spare() const noexcept { return spare_; }
  [[nodiscard]] std::size_t levels() const noexcept { return levels_; }
  static constexpr std::size_t node_bytes() noexcept { return std::max(sizeof(Leaf), sizeof(Inner)); }

  [[nodiscard]] At first() const noexcept { return {first_, 0}; }
  // The last entry that begins at or below `point`.
  [[nodiscard]] At floor(std::uint64_t point) const noexcept {
    if (root_ == nullptr) return {};
    Leaf* leaf = leaf_of(point);
    const std::size_t i = upper(leaf->begin.data(), leaf->count, point);
    if (i != 0) return {leaf, i - 1};
    return leaf->previous == nullptr ? At{} : At{leaf->previous, leaf->previous->count - 1};
  }
  // The first entry that begins at or above `point`.
  [[nodiscard]] At ceil(std::uint64_t point) const noexcept {
    const At below = floor(point);
    if (!below) return first();
    return below.begin() == point ? below : below.next();
  }

  // The next `insertions` inserts find the nodes that they need, or false; then nothing has changed.
  [[nodiscard]] bool prepare(std::size_t insertions) noexcept;
  // Gives the spare nodes back to the host; what was prepared no longer is.
  void release_spare() noexcept;

  // It overlaps no other; nodes are prepared. O(log n).
  void insert(std::uint64_t begin, std::uint64_t end, const Value& value) noexcept;
  // `count` entries from `at` on, all in its leaf. O(log n).
  void remove(At at, std::size_t count) noexcept;
  // Moves the begin of an entry, which stays where it is in the order. O(log n).
  void move_begin(At at, std::uint64_t begin) noexcept;
  // Every node becomes a spare one.
  void clear() noexcept;

  [[nodiscard]] const char* validate() const noexcept;

 private:
  struct Inner {
    std::size_t count = 0;  // of children
    std::array<std::uint64_t, kInnerRoom - 1> key;
    std::array<void*, kInnerRoom> child;
  };
  struct Spare {
    Spare* next;
  };
  struct Step {
    Inner* node;
    std::size_t index;  // of the child that the way goes on to
  };
  using Path =
      std::array<Step, 64>;  // by level, the leaves' being 0; a node but the root has 2 children or more
  static constexpr std::size_t kAlignment = 64;

  // How many of n keys, which rise, are at or below x.
  [[nodiscard]] static std::size_t upper(const std::uint64_t* keys, std::size_t n, std::uint64_t x) noexcept {
    const std::uint64_t* from = keys;
    while (n > 1) {
      const std::size_t half = n / 2;
      from += from[half - 1] <= x ? half : 0;
      n -= half;
    }
    return static_cast<std::size_t>(from - keys) + (n == 1 && *from <= x ? 1 : 0);
  }
  [[nodiscard]] Leaf* leaf_of(std::uint64_t point) const noexcept {
    void* node = root_;
    for (std::size_t level = levels_; level > 1; --level) {
      const auto* inner = static_cast<const Inner*>(node);
      node = inner->child[upper(inner->key.data(), inner->count - 1, point)];
    }
    return static_cast<Leaf*>(node);
  }
  Leaf* leaf_of(std::uint64_t point, Path& path) const noexcept {
    void* node = root_;
    for (std::size_t level = levels_ - 1; level > 0; --level) {
      auto* inner = static_cast<Inner*>(node);
      path[level] = {inner, upper(inner->key.data(), inner->count - 1, point)};
      node = inner->child[path[level].index];
    }
    return static_cast<Leaf*>(node);
  }

  // Moves n elements within or between arrays.
  template <class T>
  static void move(T* to, const T* from, std::size_t n) noexcept {
    if (to < from) {
      std::copy(from, from + n, to);
    } else {
      std::copy_backward(from, from + n, to + n);
    }
  }
  static void move(Leaf* to, std::size_t at, const Leaf* from, std::size_t index, std::size_t n) noexcept {
    move(to->begin.data() + at, from->begin.data() + index, n);
    move(to->end.data() + at, from->end.data() + index, n);
    move(to->value.data() + at, from->value.data() + index, n);
  }

  template <class Node>
  [[nodiscard]] Node* take() noexcept {
    Spare* memory = spares_;
    spares_ = memory->next;
    --spare_;
    ++nodes_;
    return ::new (static_cast<void*>(memory)) Node;
  }
  void put_back(void* node) noexcept {
    spares_ = ::new (node) Spare{spares_};
    ++spare_;
    --nodes_;
  }
  void release_one() noexcept;
  void swap(IntervalTree& other) noexcept;

  [[nodiscard]] static std::size_t most_levels(std::size_t entries) noexcept;
  [[nodiscard]] static std::size_t most_nodes(std::size_t entries) noexcept;
  [[nodiscard]] Leaf* split(Leaf* leaf, Path& path) noexcept;
  void insert_child(Path& path, std::size_t level, std::uint64_t key, void* child) noexcept;
  static void insert_child(Inner* inner, std::size_t index, std::uint64_t key, void* child) noexcept;
  void refill(Leaf* leaf, Path& path) noexcept;
  void remove_child(Path& path, std::size_t level, std::size_t index) noexcept;
  void refill(Path& path, std::size_t level) noexcept;
  void clear(void* node, std::size_t level) noexcept;

  // One walk of validate(): what it has seen so far, and the first thing that is wrong.
  struct Walk {
    const Leaf* last = nullptr;
    std::size_t entries = 0;
    std::size_t nodes = 0;
    const char* wrong = nullptr;
  };
  void check(const void* node, std::size_t level, std::uint64_t low, std::uint64_t high,
             Walk& walk) const noexcept;
  void check_leaf(const Leaf* leaf, std::uint64_t low, std::uint64_t high, Walk& walk) const noexcept;

  HostAllocator host_;
  void* root_ = nullptr;  // a Leaf where levels_ is 1, else an Inner
  Leaf* first_ = nullptr;
  std::size_t levels_ = 0;
  std::size_t size_ = 0;
  std::size_t nodes_ = 0;
  Spare* spares_ = nullptr;
  std::size_t spare_ = 0;
};

}  // namespace vaspace

#include "vaspace/range/interval_tree_inl.hpp"
