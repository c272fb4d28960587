// What a heap has handed out, as a test keeps it beside the heap, and the rules between neighbours.
#pragma once

#include <gtest/gtest.h>
#include <map>

#include "vaspace/heap/heap.hpp"

#include "plain_device.hpp"
#include "support/random.hpp"

namespace vaspace::test {

inline TimelinePoint at(std::uint32_t timeline, std::uint64_t value) {
  return {TimelineId{timeline}, value};
}

class Ledger {
 public:
  Ledger(const Backend& device, Alignment granularity, Alignment atom)
      : profile_(device.profile()), g_(granularity.value), atom_(atom.value) {}

  // V1, V2, V6, V7, V13 and R1 against everything that is live.
  void add(const HeapAllocation& allocation, const HeapRequest& request) {
    EXPECT_EQ(allocation.size, request.requirements.size);
    EXPECT_TRUE(is_aligned(allocation.offset, request.requirements.alignment)) << "V7";
    EXPECT_NE(request.requirements.memory_type_bits >> allocation.memory_type & 1U, 0U) << "V6";
    auto& block = blocks_[allocation.block];
    const auto next = block.lower_bound(allocation.offset.value);
    const Entry mine{allocation, request.kind};
    if (next != block.end()) check(mine, next->second);
    if (next != block.begin()) check(std::prev(next)->second, mine);
    block.emplace(allocation.offset.value, mine);
    live_ += allocation.size;
    ++count_;
  }
  void remove(const HeapAllocation& allocation) {
    EXPECT_EQ(blocks_[allocation.block].erase(allocation.offset.value), 1U);
    live_ -= allocation.size;
    --count_;
  }
  [[nodiscard]] Bytes live() const { return live_; }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  struct Entry {
    HeapAllocation allocation;
    ResourceKind kind{};
  };
  // `a` begins below `b`.
  void check(const Entry& a, const Entry& b) const {
    const std::uint64_t end = (a.allocation.offset + a.allocation.size).value;
    const std::uint64_t begin = b.allocation.offset.value;
    EXPECT_LE(end, begin) << "R1: they overlap";
    const bool differ = a.kind != b.kind || a.kind == ResourceKind::unknown;
    EXPECT_TRUE(!differ || (end - 1) / g_ < begin / g_) << "V1: they share a page of the granularity";
    const MemoryType& type = profile_.memory_types[a.allocation.memory_type];
    const bool flushed = type.host_visible && !type.host_coherent;
    EXPECT_TRUE(!flushed || (end - 1) / atom_ < begin / atom_) << "V13: they share an atom";
  }

  const DeviceProfile& profile_;
  std::uint64_t g_;
  std::uint64_t atom_;
  std::map<std::uint32_t, std::map<std::uint64_t, Entry>> blocks_;
  Bytes live_{};
  std::uint64_t count_ = 0;
};

inline HeapRequest request_for(Bytes size, Alignment alignment = Alignment{256},
                               Intent intent = Intent::device, ResourceKind kind = ResourceKind::linear) {
  HeapRequest request;
  request.requirements = {size, alignment, ~0U};
  request.intent = intent;
  request.kind = kind;
  return request;
}

// Small and repeatable.
class Dice : public TestRandom {
 public:
  explicit Dice(std::uint64_t seed) : TestRandom(seed * 2654435761U + 1) {}
};

}  // namespace vaspace::test
