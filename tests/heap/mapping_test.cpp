// V10 to V13: the host and the memory.
#include <cstring>
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

HeapRequest mapped_request(Bytes size, Intent intent, Mapping mapping = Mapping::required) {
  HeapRequest request = request_for(size, Alignment{16}, intent);
  request.mapping = mapping;
  return request;
}

// Whoever asks, small or large: a block is mapped once, and each sees its own bytes.
TEST(HeapMapping, ABlockIsMappedOnceForAll_V10) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device, {.non_coherent_atom = Alignment{64}});
  std::vector<HeapAllocation> live;
  for (int i = 0; i < 60; ++i) {
    const Bytes size = i % 3 == 0 ? 300_B : i % 3 == 1 ? 30_KiB : 130_KiB;
    live.push_back(*heap->allocate(mapped_request(size, Intent::upload)));
    ASSERT_NE(live.back().mapped, nullptr);
    std::memset(live.back().mapped, i, size.value);
  }
  for (int i = 0; i < 60; ++i) {
    const HeapAllocation& a = live[static_cast<std::size_t>(i)];
    for (const std::uint64_t at : {std::uint64_t{0}, a.size.value / 2, a.size.value - 1})
      ASSERT_EQ(a.mapped[at], std::byte(i));
    EXPECT_EQ(a.mapped, device.objects()[a.block - 1].memory.get() + a.offset.value);
  }
  EXPECT_EQ(device.maps(), device.held_objects());
  // Counted maps on top of it change nothing.
  EXPECT_EQ(*heap->map(live[1]), live[1].mapped);
  EXPECT_EQ(*heap->map(live[2]), live[2].mapped);
  EXPECT_TRUE(heap->unmap(live[1]));
  EXPECT_TRUE(heap->unmap(live[2]));
  EXPECT_EQ(heap->unmap(live[2]).error().code, ErrorCode::wrong_state);
  EXPECT_EQ(device.unmaps(), 0U);
  heap->free(live);
  EXPECT_EQ(heap->trim(), 0_B);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

// Of what is small as of what has a record: who has no map takes none away, and a free ends its own.
TEST(HeapMapping, EachCountsItsOwnMaps_V10) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  for (const Bytes size : {300_B, 30_KiB, 130_KiB}) {
    const HeapRequest request = request_for(size, {}, Intent::upload);
    const HeapAllocation mapped = *heap->allocate(request), other = *heap->allocate(request);
    ASSERT_EQ(mapped.block, other.block);
    const std::uint64_t unmaps = device.unmaps();
    std::byte* const seen = *heap->map(mapped);
    EXPECT_EQ(heap->unmap(other).error().code, ErrorCode::wrong_state);
    EXPECT_EQ(device.unmaps(), unmaps);
    *seen = std::byte{1};
    ASSERT_TRUE(heap->map(mapped));
    ASSERT_TRUE(heap->map(other));
    heap->free(mapped);  // with two maps
    EXPECT_EQ(device.unmaps(), unmaps);
    EXPECT_TRUE(heap->unmap(other));
    EXPECT_EQ(device.unmaps(), unmaps + 1);
    const HeapAllocation next = *heap->allocate(request);
    EXPECT_EQ(heap->unmap(next).error().code, ErrorCode::wrong_state);
    heap->free(next);
    heap->free(other);
  }
  EXPECT_EQ(heap->trim(), 0_B);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

// More than one chain of the table that counts them.
TEST(HeapMapping, ManySmallOnesCount_V10) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  std::vector<HeapAllocation> live;
  for (int i = 0; i < 2000; ++i) {
    live.push_back(*heap->allocate(request_for(300_B, {}, Intent::upload)));
    if (i % 2 == 0) {
      ASSERT_TRUE(heap->map(live.back()));
    }
  }
  for (std::size_t i = 0; i < live.size(); ++i) {
    const auto unmapped = heap->unmap(live[i]);
    ASSERT_EQ(unmapped.has_value(), i % 2 == 0);
    ASSERT_FALSE(heap->unmap(live[i]));
  }
  EXPECT_EQ(device.maps(), device.unmaps());
  heap->free(live);
}

// Whatever its size, and although its block is still there.
TEST(HeapMapping, WhatIsNotLiveIsNeitherMappedNorPinned_R6) {
  PlainDevice device(discrete());
  device.timelines = {{1, 0}};
  auto heap = SingleThreadedHeap::create(device);
  for (const Bytes size : {300_B, 30_KiB, 130_KiB}) {
    const HeapRequest request = request_for(size, {}, Intent::upload);
    const HeapAllocation neighbour = *heap->allocate(request);
    const HeapAllocation freed = *heap->allocate(request);
    const HeapAllocation retired = *heap->allocate(request);
    EXPECT_TRUE(heap->pin(freed));
    EXPECT_TRUE(heap->unpin(freed));
    ASSERT_TRUE(heap->map(freed));
    ASSERT_TRUE(heap->unmap(freed));
    heap->free(freed);
    ASSERT_TRUE(heap->retire(retired, std::vector{at(1, 1)}));
    HeapAllocation foreign = freed;
    foreign.id.generation += 1'000'000;
    for (const HeapAllocation& gone : {freed, retired, foreign}) {
      const auto is_told = [](ErrorCode code) {
        return code == ErrorCode::stale_handle || code == ErrorCode::unknown_handle;
      };
      EXPECT_TRUE(is_told(heap->map(gone).error().code)) << size.value;
      EXPECT_TRUE(is_told(heap->unmap(gone).error().code)) << size.value;
      EXPECT_TRUE(is_told(heap->pin(gone).error().code)) << size.value;
      EXPECT_TRUE(is_told(heap->unpin(gone).error().code)) << size.value;
    }
    EXPECT_EQ(device.maps(), device.unmaps()) << size.value;
    heap->free(neighbour);
  }
  device.timelines[1] = 1;
  EXPECT_EQ(heap->trim(), 0_B);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

TEST(HeapMapping, CountedMapsEndWithTheLast_V10) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  const auto a = *heap->allocate(request_for(100_KiB, {}, Intent::upload));
  const auto b = *heap->allocate(request_for(100_KiB, {}, Intent::upload));
  ASSERT_EQ(a.block, b.block);
  EXPECT_EQ(a.mapped, nullptr);
  EXPECT_EQ(heap->unmap(a).error().code, ErrorCode::wrong_state);
  std::byte* const at = *heap->map(a);
  EXPECT_EQ(*heap->map(b) - at,
            static_cast<std::ptrdiff_t>(b.offset.value) - static_cast<std::ptrdiff_t>(a.offset.value));
  EXPECT_EQ(device.maps(), 1U);
  EXPECT_TRUE(heap->unmap(a));
  EXPECT_EQ(device.unmaps(), 0U);
  EXPECT_TRUE(heap->unmap(b));
  EXPECT_EQ(device.unmaps(), 1U);
  // Freed while it is mapped: the block is unmapped when it goes back.
  EXPECT_TRUE(heap->map(a));
  heap->free(a);
  heap->free(b);
  EXPECT_EQ(heap->trim(), 0_B);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

TEST(HeapMapping, OnlyWhatTheHostCanSee_V11) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  const auto large = *heap->allocate(request_for(100_KiB));
  const auto small = *heap->allocate(request_for(1_KiB));
  EXPECT_EQ(heap->map(large).error().code, ErrorCode::not_supported);
  EXPECT_EQ(heap->map(small).error().code, ErrorCode::not_supported);
  EXPECT_EQ(heap->flush(large).error().code, ErrorCode::not_supported);
  const auto preferred = *heap->allocate(mapped_request(1_KiB, Intent::device, Mapping::preferred));
  EXPECT_EQ(preferred.mapped, nullptr) << "there is no roomy window";
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
  heap->free(large);
  heap->free(small);
  heap->free(preferred);
}

TEST(HeapMapping, FlushesAreWidenedToWholeAtomsThatAreNobodyElses_V12_V13) {
  for (const std::uint64_t atom :
       {std::uint64_t{1}, std::uint64_t{64}, std::uint64_t{256}, std::uint64_t{4096}}) {
    PlainDevice device(discrete(8_GiB, Bytes{atom}));
    auto heap = SingleThreadedHeap::create(device, {.non_coherent_atom = Alignment{atom}});
    Ledger ledger(device, Alignment{1}, Alignment{atom});
    std::vector<HeapAllocation> live;
    Dice dice(atom);
    for (int i = 0; i < 80; ++i) {
      const HeapRequest request =
          mapped_request(Bytes{1 + dice.below(i % 4 == 0 ? 200000 : 5000)}, Intent::readback);
      live.push_back(*heap->allocate(request));
      ASSERT_EQ(live.back().memory_type, 2U);
      ledger.add(live.back(), request);
      const Bytes offset{dice.below(live.back().size.value)};
      const Bytes size{dice.below((live.back().size - offset).value) + 1};
      device.flushes.clear();
      ASSERT_TRUE(heap->flush(live.back(), offset, size));
      ASSERT_EQ(device.flushes.size(), 1U);
      EXPECT_LE(device.flushes[0].offset, live.back().offset + offset);
      EXPECT_GE(device.flushes[0].offset + device.flushes[0].size, live.back().offset + offset + size);
      ASSERT_TRUE(heap->invalidate(live.back()));
    }
    const HeapAllocation& last = live.back();
    EXPECT_EQ(heap->flush(last, last.size + 1_B).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(heap->flush(last, 1_B, last.size).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(device.broken(), std::vector<std::string>{});
    heap->free(live);
  }
}

TEST(HeapMapping, ABatchOfNeighboursIsOneCall_V12) {
  PlainDevice device(discrete(8_GiB, 64_B));
  auto heap = SingleThreadedHeap::create(device, {.non_coherent_atom = Alignment{64}});
  std::vector<HeapAllocation> live;
  std::vector<MappedRange> ranges;
  for (int i = 0; i < 8; ++i) {
    live.push_back(*heap->allocate(mapped_request(128_KiB, Intent::readback)));
    ranges.push_back({live.back()});
  }
  ASSERT_TRUE(heap->flush(ranges));
  EXPECT_EQ(device.flushes.size(), 1U);
  const auto coherent = *heap->allocate(mapped_request(128_KiB, Intent::upload));
  device.flushes.clear();
  ASSERT_TRUE(heap->flush(coherent));
  EXPECT_EQ(device.flushes.size(), 0U) << "nothing to do";
  ranges[2].offset = 64_KiB;
  device.flushes.clear();
  ASSERT_TRUE(heap->invalidate(ranges));
  EXPECT_EQ(device.flushes.size(), 2U);
  const auto unmapped_heap = SingleThreadedHeap::create(device);
  HeapRequest quiet = request_for(128_KiB, {}, Intent::readback);
  auto unmapped = *SingleThreadedHeap::create(device);
  const auto never = *unmapped.allocate(quiet);
  EXPECT_EQ(unmapped.flush(never).error().code, ErrorCode::wrong_state);
  unmapped.free(never);
  heap->free(live);
  heap->free(coherent);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

}  // namespace
}  // namespace vaspace::test
