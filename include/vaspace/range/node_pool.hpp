// Nodes by 32-bit index, in segments that never move.
//
// Always true: index 0 is no node; a node's place in host memory never changes; a node keeps its generation
// while it lies unused, so that an old handle to it stays recognisable (R6); acquire() after prepare(n)
// succeeds n times and asks the host allocator for nothing. Externally synchronised.
#pragma once

#include <cassert>
#include <cstdint>
#include <limits>

#include "vaspace/base/host_array.hpp"

namespace vaspace {

// Node: trivially copyable with the members `std::uint32_t generation` and `std::uint32_t next`; the pool
// writes `next` while a node is unused and `generation` when the node is first used.
template <class Node>
class NodePool {
 public:
  static constexpr std::uint32_t kSegmentBits = 8;
  static constexpr std::uint32_t kSegmentNodes = 1U << kSegmentBits;
  // So that an index leaves four bits to whoever packs it with something else.
  static constexpr std::uint32_t kMaxNodes = 1U << 28U;

  NodePool(const HostAllocator& host, std::uint32_t first_generation) noexcept
      : segments_(host), first_generation_(first_generation) {}
  NodePool(NodePool&&) noexcept = default;
  NodePool& operator=(NodePool&& other) noexcept {
    if (this != &other) {
      release_segments();
      segments_ = static_cast<HostArray<Node*>&&>(other.segments_);
      free_ = other.free_;
      unused_ = other.unused_;
      high_water_ = other.high_water_;
      first_generation_ = other.first_generation_;
    }
    return *this;
  }
  NodePool(const NodePool&) = delete;
  NodePool& operator=(const NodePool&) = delete;
  ~NodePool() { release_segments(); }

  [[nodiscard]] Node& operator[](std::uint32_t index) noexcept {
    assert(index != 0 && index < high_water_);
    return segments_.data()[index >> kSegmentBits][index & (kSegmentNodes - 1)];
  }
  [[nodiscard]] const Node& operator[](std::uint32_t index) const noexcept {
    assert(index != 0 && index < high_water_);
    return segments_.data()[index >> kSegmentBits][index & (kSegmentNodes - 1)];
  }
  // Whether `index` was ever a node; only then may it be looked at.
  [[nodiscard]] bool knows(std::uint32_t index) const noexcept { return index != 0 && index < high_water_; }
  [[nodiscard]] std::uint32_t first_generation() const noexcept { return first_generation_; }

  // Makes the next `count` acquires infallible. False: no host memory (or kMaxNodes), nothing changed.
  [[nodiscard]] bool prepare(std::uint32_t count) noexcept {
    while (available() < count) {
      if (!add_segment()) return false;
    }
    return true;
  }

  // The node's members are as whoever used it last left them, but for `generation` on its first use.
  [[nodiscard]] std::uint32_t acquire() noexcept {
    assert(available() != 0);
    if (free_ != 0) {
      const std::uint32_t index = free_;
      free_ = (*this)[index].next;
      --unused_;
      return index;
    }
    const std::uint32_t index = high_water_++;
    (*this)[index].generation = first_generation_;
    return index;
  }

  void release(std::uint32_t index) noexcept {
    (*this)[index].next = free_;
    free_ = index;
    ++unused_;
  }

  // Nodes in use.
  [[nodiscard]] std::uint32_t size() const noexcept { return high_water_ - 1 - unused_; }
  [[nodiscard]] std::uint32_t high_water() const noexcept { return high_water_; }

 private:
  [[nodiscard]] std::uint32_t room() const noexcept {
    return static_cast<std::uint32_t>(segments_.size()) << kSegmentBits;
  }
  [[nodiscard]] std::uint32_t available() const noexcept {
    const std::uint32_t fresh = room() > high_water_ ? room() - high_water_ : 0;
    return unused_ + fresh;
  }
  [[nodiscard]] bool add_segment() noexcept {
    if (room() + kSegmentNodes > kMaxNodes || !segments_.reserve_more(1)) return false;
    const HostAllocator& host = segments_.host();
    void* memory = host.allocate(host.user, sizeof(Node) * kSegmentNodes, alignment());
    if (memory == nullptr) return false;
    segments_.push_back_reserved(static_cast<Node*>(memory));
    for (std::uint32_t i = 0; i < kSegmentNodes; ++i)
      ::new (static_cast<void*>(segments_.back() + i)) Node;
    return true;
  }
  void release_segments() noexcept {
    const HostAllocator& host = segments_.host();
    for (Node* segment : segments_) {
      host.deallocate(host.user, segment, sizeof(Node) * kSegmentNodes, alignment());
    }
    segments_.clear();
  }
  // A node whose size divides a cache line never straddles two.
  static constexpr std::size_t alignment() noexcept { return alignof(Node) < 64 ? 64 : alignof(Node); }

  HostArray<Node*> segments_;
  std::uint32_t free_ = 0;    // first of the unused nodes, linked by `next`
  std::uint32_t unused_ = 0;  // how many those are
  std::uint32_t high_water_ = 1;
  std::uint32_t first_generation_;
};

}  // namespace vaspace
