// Heap-ordered radix trees in a row, with a bitmap that finds the first that is not empty: the top of a radix
// tree as an array.
//
//   prefix = 01, bits = 3: paths that begin with 01 go by their next three bits
//
//     to 01000         01001   01010   ...   01110      01111 and above
//     slot  0          1       2             6          7
//     bitmap 1         0       1             0          1
//     tree   7         .       18            .          27             each as in radix_tree.hpp
//            |                 |
//           11                 19
//
// Always true: a slot's bit is set exactly when its tree is not empty; a tree holds exactly the nodes that
// belong in its slot; room() is how many more go in before there are two for each slot. So where slots fit
// what it holds (its Shape), an operation looks at about one node; it never looks at more than paths have
// bits.
//
// It begins with one slot and takes no memory. rehouse() moves everything to memory that the caller brings;
// nothing else asks for any (R7). Externally synchronised.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "vaspace/range/lowest_bit.hpp"
#include "vaspace/range/radix_tree.hpp"

namespace vaspace {

// A cache line, and none but that line is looked at where it has up to 64 slots: the rest is the slot and its
// node.
class alignas(64) RadixDirectory {
 public:
  using Index = std::uint32_t;

  // Slots up to `last`, by the bits of a path from `place` up, where those above are as in `prefix`.
  struct Shape {
    std::uint64_t prefix = 0;
    std::uint32_t last = 0;  // 2^bits - 1
    std::uint32_t place = 63;

    friend constexpr bool operator==(const Shape&, const Shape&) noexcept = default;
    // What rehouse() needs, aligned to 8.
    [[nodiscard]] std::size_t bytes() const noexcept {
      return words_for(last) * sizeof(std::uint64_t) + sizeof(Index) * (std::size_t{last} + 1);
    }
  };
  static constexpr unsigned kMaxBits = 12;
  // A tree that is deeper, in a directory that is not crowded, says that its shape does not fit.
  static constexpr unsigned kFittingDepth = 8;

  // It points into itself while it has one slot: whoever keeps it in an array makes it there, and does not
  // move it.
  void make() noexcept { *this = RadixDirectory{}, slots_ = &only_; }

  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] bool empty() const noexcept { return top_ == 0; }
  [[nodiscard]] std::int32_t room() const noexcept { return room_; }

  // Whether another shape would be faster: there is no room, or the node has come to lie deep.
  template <class Nodes>
  [[gnu::always_inline]] bool insert(const Nodes& nodes, Index node) noexcept {
    const std::uint64_t path = nodes.path(node);
    const std::uint32_t slot = slot_of(path);
    --room_;
    if (slots_[slot] != 0) return insert_below(nodes, slot, node, path);
    mark(slot);
    nodes.children(node) = {};
    slots_[slot] = node;
    return room_ < 0;
  }
  template <class Nodes>
  void erase(const Nodes& nodes, Index node) noexcept {
    const std::uint64_t path = nodes.path(node);
    const std::uint32_t slot = slot_of(path);
    if (slots_[slot] == node) return take_top(nodes, slot, node);
    ++room_;
    RadixTree<Nodes>::erase(nodes, slots_[slot], node, path, depth_of(slot));
  }
  // Takes the smallest out. Not empty.
  template <class Nodes>
  [[nodiscard, gnu::always_inline]] Index take_first(const Nodes& nodes) noexcept {
    const std::uint32_t slot = first_slot();
    const Index node = slots_[slot];
    nodes.visit();
    take_top(nodes, slot, node);
    return node;
  }
  // Whether there is one slot, and in it `node` alone.
  template <class Nodes>
  [[nodiscard]] bool is_only(const Nodes& nodes, Index node) const noexcept {
    return slots_ == &only_ && only_ == node && nodes.children(node).none();
  }
  // `other` in place of that node.
  template <class Nodes>
  void replace_only(const Nodes& nodes, Index other) noexcept {
    nodes.children(other) = {};
    only_ = other;
  }

  // The smallest. Not empty.
  [[nodiscard]] Index first() const noexcept { return slots_[first_slot()]; }
  // The smallest whose path is not below `path`, or 0.
  template <class Nodes>
  [[nodiscard]] Index lower_bound(const Nodes& nodes, std::uint64_t path) const noexcept {
    const std::uint32_t slot = slot_of(path);
    const Index here = RadixTree<Nodes>::lower_bound(nodes, slots_[slot], path, depth_of(slot));
    if (here != 0) return here;
    const std::uint32_t next = slot_behind(slot);
    return next == kNone ? 0 : slots_[next];
  }
  // The greatest, or 0.
  template <class Nodes>
  [[nodiscard]] Index greatest(const Nodes& nodes) const noexcept {
    return empty() ? 0 : RadixTree<Nodes>::greatest(nodes, slots_[last_slot()]);
  }

  // The shape for what it holds now. Not empty.
  template <class Nodes>
  [[nodiscard]] Shape fitting_shape(const Nodes& nodes) const noexcept {
    return shape_with(nodes, std::min(static_cast<unsigned>(std::bit_width(held())), kMaxBits));
  }
  // What to do when insert() asks for another shape: the one to take on, or the present one. With room left,
  // what it holds lies elsewhere than when it took on its shape; then it moves only after it has been asked
  // as often as it has nodes to move, so that what comes and goes cannot make it move each time.
  template <class Nodes>
  [[nodiscard]] Shape better_shape(const Nodes& nodes) noexcept {
    if (room_ < 0) return fitting_shape(nodes);
    if (patience_ != 0) {
      --patience_;
      return shape_;
    }
    patience_ = held();
    return shape_with(nodes, static_cast<unsigned>(std::bit_width(shape_.last)));
  }
  // The memory it lives in, of shape().bytes(); nullptr while it has one slot.
  [[nodiscard]] void* house() const noexcept {
    if (slots_ == &only_) return nullptr;
    return words_ != nullptr ? static_cast<void*>(words_) : static_cast<void*>(slots_);
  }
  // Takes on `shape` in `memory` and moves all nodes there; the former house is the caller's again.
  template <class Nodes>
  void rehouse(const Nodes& nodes, const Shape& shape, void* memory) noexcept {
    RadixDirectory former = *this;
    if (slots_ == &only_) former.slots_ = &former.only_;
    settle(shape, memory);
    while (!former.empty())
      (void)insert(nodes, former.take_first(nodes));
    patience_ = held();
  }

  // nullptr, or the first sentence above that does not hold.
  template <class Nodes>
  [[nodiscard]] const char* validate(const Nodes& nodes) const noexcept {
    std::int32_t held = 0;
    for (std::uint32_t slot = 0; slot <= shape_.last; ++slot) {
      const Index root = slots_[slot];
      if (marked(slot) != (root != 0)) return "a slot's bit disagrees with its tree";
      if (root == 0) continue;
      const unsigned depth = depth_of(slot);
      const std::uint64_t prefix = depth == 0 ? 0 : nodes.path(root) >> (64 - depth);
      const char* wrong = RadixTree<Nodes>::validate(nodes, root, depth, prefix);
      if (wrong != nullptr) return wrong;
      if (!all_belong(nodes, root, slot)) return "a node is not in its slot";
      held += count(nodes, root);
    }
    for (std::size_t word = 0; words_ != nullptr && word < words_for(shape_.last); ++word) {
      if ((words_[word] != 0) != (((top_ >> word) & 1U) != 0)) return "a top bit disagrees with its word";
    }
    return room_ == room_of(shape_.last) - held ? nullptr : "the room left disagrees with what is held";
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr unsigned kWordBits = 6;

  [[nodiscard]] static constexpr std::int32_t room_of(std::uint32_t last) noexcept {
    return last >> (kMaxBits - 1) != 0 ? 1 << 30 : 2 * static_cast<std::int32_t>(last + 1);
  }
  [[nodiscard]] std::uint32_t held() const noexcept {
    return static_cast<std::uint32_t>(room_of(shape_.last) - room_);
  }
  // 2^bits slots between the least and the greatest that it holds.
  template <class Nodes>
  [[nodiscard]] Shape shape_with(const Nodes& nodes, unsigned bits) const noexcept {
    const std::uint64_t low = nodes.path(first());
    const std::uint64_t high = nodes.path(greatest(nodes));
    const unsigned skip = std::min(static_cast<unsigned>(std::countl_zero(low ^ high)), 63 - bits);
    return {
        .prefix = low & ~(~std::uint64_t{0} >> skip), .last = (1U << bits) - 1, .place = 64 - skip - bits};
  }
  // Words below the top; up to 64 slots need none.
  [[nodiscard]] static constexpr std::size_t words_for(std::uint32_t last) noexcept {
    return last < 64 ? 0 : (std::size_t{last} + 1) / 64;
  }

  // Slots rise with paths. Without a branch: in a directory of one slot, half of all paths lie beyond it.
  [[nodiscard]] std::uint32_t slot_of(std::uint64_t path) const noexcept {
    const std::uint64_t above = (path - shape_.prefix) & (0 - std::uint64_t{path >= shape_.prefix});
    const std::uint64_t slot = above >> shape_.place;
    const std::uint64_t beyond = 0 - std::uint64_t{slot > shape_.last};
    return static_cast<std::uint32_t>((slot & ~beyond) | (shape_.last & beyond));
  }
  // How many bits all paths of a slot have in common. The outer slots also hold what lies beyond.
  [[nodiscard]] unsigned depth_of(std::uint32_t slot) const noexcept {
    return slot - 1 < shape_.last - 1 ? 64U - shape_.place : 0;
  }

  template <class Nodes>
  [[gnu::always_inline]] bool insert_below(const Nodes& nodes, std::uint32_t slot, Index node,
                                           std::uint64_t path) noexcept {
    const unsigned depth = depth_of(slot);
    const unsigned reached = RadixTree<Nodes>::insert(nodes, slots_[slot], node, path, depth);
    return room_ < 0 || reached - depth > kFittingDepth;
  }

  // Takes out `top`, the top of the slot's tree.
  template <class Nodes>
  [[gnu::always_inline]] void take_top(const Nodes& nodes, std::uint32_t slot, Index top) noexcept {
    ++room_;
    if (nodes.children(top).none()) {
      slots_[slot] = 0;
      unmark(slot);
    } else {
      RadixTree<Nodes>::erase_top(nodes, slots_[slot]);
    }
  }

  void settle(const Shape& shape, void* memory) noexcept {
    auto* words = static_cast<std::uint64_t*>(memory);
    for (std::size_t word = 0; word < words_for(shape.last); ++word)
      ::new (static_cast<void*>(words + word)) std::uint64_t(0);
    auto* slots = reinterpret_cast<Index*>(words + words_for(shape.last));
    for (std::size_t slot = 0; slot <= shape.last; ++slot)
      ::new (static_cast<void*>(slots + slot)) Index(0);
    top_ = 0;
    words_ = words_for(shape.last) == 0 ? nullptr : words;
    slots_ = slots;
    shape_ = shape;
    room_ = room_of(shape.last);
  }

  void mark(std::uint32_t slot) noexcept {
    if (words_ != nullptr) {
      words_[slot >> kWordBits] |= std::uint64_t{1} << (slot & 63U);
      slot >>= kWordBits;
    }
    top_ |= std::uint64_t{1} << slot;
  }
  [[gnu::always_inline]] void unmark(std::uint32_t slot) noexcept {
    if (words_ != nullptr) {
      std::uint64_t& word = words_[slot >> kWordBits];
      word &= ~(std::uint64_t{1} << (slot & 63U));
      if (word != 0) return;
      slot >>= kWordBits;
    }
    top_ &= ~(std::uint64_t{1} << slot);
  }
  [[nodiscard]] bool marked(std::uint32_t slot) const noexcept {
    const std::uint64_t word = words_ != nullptr ? words_[slot >> kWordBits] : top_;
    return ((word >> (slot & 63U)) & 1U) != 0;
  }
  [[nodiscard]] std::uint32_t first_slot() const noexcept {
    const std::uint32_t top = lowest_bit(top_);
    return words_ == nullptr ? top : first_of(top);
  }
  [[nodiscard]] std::uint32_t first_of(std::uint32_t word) const noexcept {
    return (word << kWordBits) | lowest_bit(words_[word]);
  }
  [[nodiscard]] std::uint32_t last_slot() const noexcept {
    const auto top = static_cast<std::uint32_t>(63 - std::countl_zero(top_));
    if (words_ == nullptr) return top;
    return (top << kWordBits) | static_cast<std::uint32_t>(63 - std::countl_zero(words_[top]));
  }
  // The first marked slot above `slot`, or kNone.
  [[nodiscard]] std::uint32_t slot_behind(std::uint32_t slot) const noexcept {
    std::uint32_t at = slot;
    if (words_ != nullptr) {
      at >>= kWordBits;
      const std::uint64_t rest = words_[at] & (~std::uint64_t{1} << (slot & 63U));
      if (rest != 0) return (at << kWordBits) | lowest_bit(rest);
    }
    const std::uint64_t above = top_ & (~std::uint64_t{1} << at);
    if (above == 0) return kNone;
    const std::uint32_t top = lowest_bit(above);
    return words_ == nullptr ? top : first_of(top);
  }

  template <class Nodes>
  [[nodiscard]] static std::int32_t count(const Nodes& nodes, Index root) noexcept {
    if (root == 0) return 0;
    const RadixChildren below = nodes.children(root);
    return 1 + count(nodes, below.side[0]) + count(nodes, below.side[1]);
  }
  template <class Nodes>
  [[nodiscard]] bool all_belong(const Nodes& nodes, Index root, std::uint32_t slot) const noexcept {
    if (root == 0) return true;
    const RadixChildren below = nodes.children(root);
    return slot_of(nodes.path(root)) == slot && all_belong(nodes, below.side[0], slot) &&
           all_belong(nodes, below.side[1], slot);
  }

  std::uint64_t top_ = 0;           // bit per word, or per slot where there are no words
  std::uint64_t* words_ = nullptr;  // bit per slot
  Index* slots_ = nullptr;
  Shape shape_;
  Index only_ = 0;  // the slot, while there is one
  std::int32_t room_ = room_of(0);
  std::uint32_t patience_ = 0;  // see better_shape
};

}  // namespace vaspace
