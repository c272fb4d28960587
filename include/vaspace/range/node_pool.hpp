// Nodes by 32-bit index, in one array that grows by an eighth.
//
// Always true: index 0 is no node, but may be written to (who links neighbours needs not ask whether there is
// one); a node keeps its generation while it lies unused, so that an old handle to it stays recognisable
// (R6); acquire() after prepare(n) succeeds n times, and only prepare() asks the host allocator for anything
// and moves nodes. Externally synchronised.
//
// One array and not segments, because an index is then one shift away from its node: a segment table costs
// four instructions more at each of the two dozen looks that an operation takes.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "vaspace/base/host_array.hpp"

namespace vaspace {

// Node: trivially copyable with the members `std::uint32_t generation` and `std::uint32_t next`; the pool
// writes `next` while a node is unused and `generation` when the node is first used.
template <class Node>
class NodePool {
 public:
  // So that an index leaves four bits to whoever packs it with something else.
  static constexpr std::uint32_t kMaxNodes = 1U << 28U;

  NodePool(const HostAllocator& host, std::uint32_t first_generation) noexcept
      : nodes_(host), first_generation_(first_generation) {}

  [[nodiscard]] Node& operator[](std::uint32_t index) noexcept {
    assert(index < nodes_.size());
    return nodes_.data()[index];
  }
  [[nodiscard]] const Node& operator[](std::uint32_t index) const noexcept {
    assert(index < nodes_.size());
    return nodes_.data()[index];
  }
  // Whether `index` was ever a node; only then may it be looked at.
  [[nodiscard]] bool knows(std::uint32_t index) const noexcept { return index != 0 && index < nodes_.size(); }
  [[nodiscard]] std::uint32_t first_generation() const noexcept { return first_generation_; }

  // Whether the next `count` acquires succeed.
  [[nodiscard]] bool has(std::uint32_t count) const noexcept { return count <= available_; }
  // Makes the next `count` acquires infallible. False: no host memory (or kMaxNodes), nothing changed.
  [[nodiscard]] bool prepare(std::uint32_t count) noexcept { return has(count) || grow(count); }

  // The node's members are as whoever used it last left them, but for `generation` on its first use.
  [[nodiscard]] std::uint32_t acquire() noexcept {
    assert(available_ != 0);
    --available_;
    if (free_ != 0) {
      const std::uint32_t index = free_;
      free_ = (*this)[index].next;
      return index;
    }
    const auto index = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back_reserved(Node{});
    nodes_.back().generation = first_generation_;
    return index;
  }

  void release(std::uint32_t index) noexcept {
    (*this)[index].next = free_;
    free_ = index;
    ++available_;
  }

  // Nodes in use.
  [[nodiscard]] std::uint32_t size() const noexcept {
    return nodes_.capacity() == 0 ? 0 : static_cast<std::uint32_t>(nodes_.capacity()) - 1 - available_;
  }
  [[nodiscard]] std::uint32_t high_water() const noexcept {
    return static_cast<std::uint32_t>(nodes_.size());
  }

 private:
  static constexpr std::size_t kFirstNodes = 64;

  [[nodiscard]] bool grow(std::uint32_t count) noexcept {
    const std::size_t before =
        std::max<std::size_t>(nodes_.capacity(), 1);  // index 0 is there from the first
    const std::size_t wanted = before + (count - available_);
    const std::size_t capacity = std::max({wanted, before + before / 8, kFirstNodes});
    if (wanted > kMaxNodes || !nodes_.reserve(std::min<std::size_t>(capacity, kMaxNodes))) return false;
    if (nodes_.empty()) nodes_.push_back_reserved(Node{});
    available_ += static_cast<std::uint32_t>(nodes_.capacity() - before);
    return true;
  }

  HostArray<Node> nodes_;        // all that were ever in use
  std::uint32_t free_ = 0;       // first of the unused ones, linked by `next`
  std::uint32_t available_ = 0;  // those, and the room behind the last
  std::uint32_t first_generation_;
};

}  // namespace vaspace
