// Heap-ordered radix trees in a row, one for each value of a path's leading bits: the top of a radix tree as
// an array, with a bitmap that finds its first tree that is not empty.
//
//   bits = 3       000   001   010   011   100   101   110   111      slot: the path's first 3 bits
//   bitmap          1     0     1     1     0     0     0     0
//   tree            7     .     18    27    .     .     .     .       each as in radix_tree.hpp, from bit 3
//   on
//                   |          |  |
//                  11         19  22
//
// Always true: a slot's bit is set exactly when its tree is not empty; a tree holds exactly the nodes whose
// paths begin with its slot's number; room() is how many more go in before there are two for each slot. So
// with slots for what it holds an operation looks at about one node, and never at more than paths have bits.
//
// It begins with one slot and takes no memory. rehouse() moves everything to memory that the caller brings;
// nothing else asks for any (R7). Externally synchronised.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "vaspace/range/radix_tree.hpp"

namespace vaspace {

class RadixDirectory {
 public:
  using Index = std::uint32_t;
  static constexpr unsigned kMaxBits = 12;
  static constexpr unsigned kBitsPerStep = 3;

  // It points into itself while it has one slot: whoever keeps it in an array makes it there, and does not
  // move it.
  void make() noexcept { *this = RadixDirectory{}, slots_ = &only_; }

  [[nodiscard]] unsigned bits() const noexcept { return static_cast<unsigned>(room_and_bits_) & kBitsMask; }
  [[nodiscard]] bool empty() const noexcept { return top_ == 0; }
  [[nodiscard]] std::int32_t room() const noexcept { return room_and_bits_ >> kBitsShift; }
  // Whether more slots would make it faster.
  [[nodiscard]] bool crowded() const noexcept { return room_and_bits_ < 0; }

  template <class Nodes>
  void insert(const Nodes& nodes, Index node) noexcept {
    const std::uint64_t path = nodes.path(node);
    const std::uint32_t slot = slot_of(path);
    mark(slot);
    room_and_bits_ -= kOneRoom;
    RadixTree<Nodes>::insert(nodes, slots_[slot], node, path, bits());
  }
  template <class Nodes>
  void erase(const Nodes& nodes, Index node) noexcept {
    const std::uint64_t path = nodes.path(node);
    const std::uint32_t slot = slot_of(path);
    room_and_bits_ += kOneRoom;
    RadixTree<Nodes>::erase(nodes, slots_[slot], node, path, bits());
    unmark_if(slot, slots_[slot] == 0);
  }
  // Takes the smallest out. Not empty.
  template <class Nodes>
  [[nodiscard]] Index take_first(const Nodes& nodes) noexcept {
    const std::uint32_t slot = first_slot();
    const Index node = slots_[slot];
    nodes.visit();
    room_and_bits_ += kOneRoom;
    RadixTree<Nodes>::erase_top(nodes, slots_[slot]);
    unmark_if(slot, slots_[slot] == 0);
    return node;
  }
  // `other` in place of `node`, if that is alone in here and there is one slot. False: nothing has changed.
  template <class Nodes>
  [[nodiscard]] bool replace_only(const Nodes& nodes, Index node, Index other) noexcept {
    const RadixChildren below = nodes.children(node);
    if (slots_ != &only_ || only_ != node || (below.side[0] | below.side[1]) != 0) return false;
    nodes.children(other) = {};
    only_ = other;
    return true;
  }

  // The smallest. Not empty.
  [[nodiscard]] Index first() const noexcept { return slots_[first_slot()]; }
  // The smallest whose path is not below `path`, or 0.
  template <class Nodes>
  [[nodiscard]] Index lower_bound(const Nodes& nodes, std::uint64_t path) const noexcept {
    const std::uint32_t slot = slot_of(path);
    const Index here = RadixTree<Nodes>::lower_bound(nodes, slots_[slot], path, bits());
    if (here != 0) return here;
    const std::uint32_t next = slot_behind(slot);
    return next == kNone ? 0 : slots_[next];
  }
  // The greatest, or 0.
  template <class Nodes>
  [[nodiscard]] Index greatest(const Nodes& nodes) const noexcept {
    if (empty()) return 0;
    return RadixTree<Nodes>::greatest(nodes, slots_[last_slot()]);
  }

  // What rehouse(bits) needs, aligned to 8.
  [[nodiscard]] static std::size_t bytes_for(unsigned bits) noexcept {
    return words_for(bits) * sizeof(std::uint64_t) + (sizeof(Index) << bits);
  }
  // The memory it lives in, of bytes_for(bits()); nullptr while it has one slot.
  [[nodiscard]] void* house() const noexcept {
    if (slots_ == &only_) return nullptr;
    return words_ != nullptr ? static_cast<void*>(words_) : static_cast<void*>(slots_);
  }
  // Makes it 2^bits slots in `memory` and moves all nodes there; the former house is the caller's again.
  template <class Nodes>
  void rehouse(const Nodes& nodes, unsigned bits, void* memory) noexcept {
    RadixDirectory former = *this;
    if (slots_ == &only_) former.slots_ = &former.only_;
    settle(bits, memory);
    while (!former.empty())
      insert(nodes, former.take_first(nodes));
  }
  // Forgets all nodes and keeps its slots.
  void clear() noexcept {
    if (house() == nullptr) {
      make();
    } else {
      settle(bits(), house());
    }
  }

  // nullptr, or the first sentence above that does not hold.
  template <class Nodes>
  [[nodiscard]] const char* validate(const Nodes& nodes) const noexcept {
    std::int32_t held = 0;
    for (std::uint32_t slot = 0; slot < (std::uint32_t{1} << bits()); ++slot) {
      if (marked(slot) != (slots_[slot] != 0)) return "a slot's bit disagrees with its tree";
      const char* wrong = RadixTree<Nodes>::validate(nodes, slots_[slot], bits(), slot);
      if (wrong != nullptr) return wrong;
      held += count(nodes, slots_[slot]);
    }
    for (std::size_t word = 0; words_ != nullptr && word < words_for(bits()); ++word) {
      if ((words_[word] != 0) != (((top_ >> word) & 1U) != 0)) return "a top bit disagrees with its word";
    }
    return room() == room_of(bits()) - held ? nullptr : "the room left disagrees with what is held";
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr unsigned kWordBits = 6;
  // Room and bits share a word, so that 2 directories fill a cache line.
  static constexpr unsigned kBitsShift = 5;
  static constexpr unsigned kBitsMask = (1U << kBitsShift) - 1;
  static constexpr std::int32_t kOneRoom = 1 << kBitsShift;

  [[nodiscard]] static constexpr std::int32_t room_of(unsigned bits) noexcept {
    return bits >= kMaxBits ? (1 << 26) - 1 : 2 << bits;
  }
  // Words below the top; up to 64 slots need none.
  [[nodiscard]] static constexpr std::size_t words_for(unsigned bits) noexcept {
    return bits <= kWordBits ? 0 : std::size_t{1} << (bits - kWordBits);
  }
  [[nodiscard]] std::uint32_t slot_of(std::uint64_t path) const noexcept {
    return static_cast<std::uint32_t>((path >> 1U) >> (63U - bits()));
  }

  void settle(unsigned bits, void* memory) noexcept {
    auto* words = static_cast<std::uint64_t*>(memory);
    for (std::size_t word = 0; word < words_for(bits); ++word)
      ::new (static_cast<void*>(words + word)) std::uint64_t(0);
    auto* slots = reinterpret_cast<Index*>(words + words_for(bits));
    for (std::size_t slot = 0; slot < std::size_t{1} << bits; ++slot)
      ::new (static_cast<void*>(slots + slot)) Index(0);
    top_ = 0;
    words_ = words_for(bits) == 0 ? nullptr : words;
    slots_ = slots;
    room_and_bits_ = room_of(bits) * kOneRoom + static_cast<std::int32_t>(bits);
  }

  void mark(std::uint32_t slot) noexcept {
    if (words_ != nullptr) {
      words_[slot >> kWordBits] |= std::uint64_t{1} << (slot & 63U);
      slot >>= kWordBits;
    }
    top_ |= std::uint64_t{1} << slot;
  }
  void unmark_if(std::uint32_t slot, bool gone) noexcept {
    if (words_ != nullptr) {
      std::uint64_t& word = words_[slot >> kWordBits];
      word &= ~(std::uint64_t{gone} << (slot & 63U));
      gone = word == 0;
      slot >>= kWordBits;
    }
    top_ &= ~(std::uint64_t{gone} << slot);
  }
  [[nodiscard]] bool marked(std::uint32_t slot) const noexcept {
    const std::uint64_t word = words_ != nullptr ? words_[slot >> kWordBits] : top_;
    return ((word >> (slot & 63U)) & 1U) != 0;
  }
  [[nodiscard]] std::uint32_t first_slot() const noexcept {
    const auto top = static_cast<std::uint32_t>(std::countr_zero(top_));
    return words_ == nullptr ? top : first_of(top);
  }
  [[nodiscard]] std::uint32_t first_of(std::uint32_t word) const noexcept {
    return (word << kWordBits) | static_cast<std::uint32_t>(std::countr_zero(words_[word]));
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
      if (rest != 0) return (at << kWordBits) | static_cast<std::uint32_t>(std::countr_zero(rest));
    }
    const std::uint64_t above = top_ & (~std::uint64_t{1} << at);
    if (above == 0) return kNone;
    const auto top = static_cast<std::uint32_t>(std::countr_zero(above));
    return words_ == nullptr ? top : first_of(top);
  }

  template <class Nodes>
  [[nodiscard]] static std::int32_t count(const Nodes& nodes, Index root) noexcept {
    if (root == 0) return 0;
    const RadixChildren below = nodes.children(root);
    return 1 + count(nodes, below.side[0]) + count(nodes, below.side[1]);
  }

  std::uint64_t top_ = 0;           // bit per word, or per slot where there are no words
  std::uint64_t* words_ = nullptr;  // bit per slot
  Index* slots_ = nullptr;
  Index only_ = 0;  // the slot, while there is one
  std::int32_t room_and_bits_ = room_of(0) * kOneRoom;
};
static_assert(sizeof(RadixDirectory) == 32);

}  // namespace vaspace
