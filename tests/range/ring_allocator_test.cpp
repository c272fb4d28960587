#include "vaspace/range/ring_allocator.hpp"

#include <concepts>
#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "range/ring_fixture.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

static_assert(std::movable<RingAllocator> && !std::copyable<RingAllocator>);

TEST(RingAllocator, ReusesInOrder_R1) {
  RingAllocator ring = make_ring(8_B);
  for (std::uint64_t frame = 1; frame <= 100; ++frame) {
    const auto got = ring.allocate(of(3));
    ASSERT_TRUE(got) << frame;
    EXPECT_EQ(got->offset, Offset{frame % 2 == 1 ? 0U : 3U}) << "two frames in flight share the block";
    ASSERT_TRUE(ring.close(frame));
    ASSERT_TRUE(ring.retire(frame - 1));
    ASSERT_EQ(ring.validate(), nullptr);
  }
}

TEST(RingAllocator, NothingComesBackBeforeItsPoint) {
  RingAllocator ring = make_ring(8_B);
  ASSERT_TRUE(ring.allocate(of(4)));
  ASSERT_TRUE(ring.close(10));
  ASSERT_TRUE(ring.allocate(of(4)));
  ASSERT_TRUE(ring.retire(9));
  EXPECT_EQ(error_of(ring.allocate(of(1))), ErrorCode::out_of_space);
  ASSERT_TRUE(ring.retire(10));
  EXPECT_EQ(ring.allocate(of(4))->offset, Offset{0});
  ASSERT_TRUE(ring.retire(~0ULL));
  EXPECT_EQ(error_of(ring.allocate(of(1))), ErrorCode::out_of_space) << "what is not closed stays";
  ASSERT_TRUE(ring.close(~0ULL));
  ASSERT_TRUE(ring.retire(~0ULL)) << "completed before it was closed";
  EXPECT_EQ(ring.allocate(of(8))->offset, Offset{0});
}

TEST(RingAllocator, TheSkippedEndIsAccounted_R2) {
  RingAllocator ring = make_ring(8_B);
  ASSERT_TRUE(ring.allocate(of(3)));
  ASSERT_TRUE(ring.close(1));
  ASSERT_TRUE(ring.allocate(of(3)));
  ASSERT_TRUE(ring.close(2));
  EXPECT_EQ(ring.largest_free(), 2_B);
  EXPECT_EQ(error_of(ring.allocate(of(3))), ErrorCode::out_of_space) << "3 are free, but not in one piece";
  ASSERT_TRUE(ring.retire(1));
  EXPECT_EQ(ring.largest_free(), 3_B);
  EXPECT_EQ(ring.allocate(of(3))->offset, Offset{0});
  EXPECT_EQ(ring.report().skipped, 2_B);
  EXPECT_EQ(ring.report().used, 8_B);
  EXPECT_EQ(ring.report().free(), 0_B);
  ASSERT_TRUE(ring.retire(2));
  EXPECT_EQ(ring.report().skipped, 0_B) << "free with what lay before it";
  EXPECT_EQ(ring.report().used, 3_B);
  EXPECT_EQ(ring.report().open, 3_B);
  EXPECT_EQ(ring.largest_free(), 5_B);
  EXPECT_EQ(ring.validate(), nullptr);
}

TEST(RingAllocator, TheWholeCapacityIsUsable_R5) {
  RingAllocator ring = make_ring(8_B);
  for (std::uint64_t frame = 1; frame <= 3; ++frame) {
    ASSERT_TRUE(ring.allocate(of(8, 8)));
    EXPECT_EQ(ring.largest_free(), 0_B);
    ASSERT_TRUE(ring.close(frame));
    ASSERT_TRUE(ring.retire(frame));
    EXPECT_EQ(ring.largest_free(), 8_B);
  }
  for (int i = 0; i < 8; ++i)
    ASSERT_TRUE(ring.allocate(of(1)));
  EXPECT_EQ(ring.report().free(), 0_B);
}

TEST(RingAllocator, EdgesOfSizeAndAlignment_R8) {
  RingAllocator ring = make_ring(64_B);
  ASSERT_TRUE(ring.allocate(of(1)));
  const std::string before = state_of(ring);
  EXPECT_EQ(error_of(ring.allocate(of(0))), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(ring.allocate(of(0, 0))), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(ring.allocate(of(1, 0))), ErrorCode::invalid_alignment);
  EXPECT_EQ(error_of(ring.allocate(of(1, 12))), ErrorCode::invalid_alignment);
  EXPECT_EQ(error_of(ring.allocate(of(65))), ErrorCode::too_large);
  EXPECT_EQ(error_of(ring.allocate(of(~0ULL, 1ULL << 63U))), ErrorCode::too_large);
  EXPECT_EQ(error_of(ring.allocate(of(1, 128))), ErrorCode::too_large);
  EXPECT_EQ(error_of(ring.allocate(of(1, 64))), ErrorCode::out_of_space);
  EXPECT_EQ(error_of(ring.allocate(of(64))), ErrorCode::out_of_space);
  EXPECT_EQ(state_of(ring), before);
  ASSERT_TRUE(ring.close(1));
  ASSERT_TRUE(ring.retire(1));
  EXPECT_EQ(ring.allocate(of(64, 64))->offset, Offset{0});
}

TEST(RingAllocator, BlockOfTheWholeAxis_R8) {
  RingAllocator ring = make_ring(kMaxBytes);
  constexpr std::uint64_t kHalf = 1ULL << 63U;
  ASSERT_TRUE(ring.allocate(of(kHalf + 1)));
  ASSERT_TRUE(ring.close(1));
  EXPECT_EQ(error_of(ring.allocate(of(1, kHalf))), ErrorCode::out_of_space);  // would align up to 2^64
  EXPECT_EQ(ring.allocate(of(kHalf - 2))->end(), Offset{~0ULL});
  EXPECT_EQ(ring.report().used, kMaxBytes);
  ASSERT_TRUE(ring.close(2));
  ASSERT_TRUE(ring.retire(1));
  EXPECT_EQ(error_of(ring.allocate(of(~0ULL))), ErrorCode::out_of_space);
  EXPECT_EQ(ring.allocate(of(kHalf, kHalf))->offset, Offset{0});
  EXPECT_EQ(ring.allocate(of(1))->offset, Offset{kHalf});
  EXPECT_EQ(ring.report().used, kMaxBytes);
  EXPECT_EQ(ring.validate(), nullptr);
}

TEST(RingAllocator, ValuesThatGoBackChangeNothing) {
  RingAllocator ring = make_ring(8_B);
  ASSERT_TRUE(ring.allocate(of(2)));
  ASSERT_TRUE(ring.close(5));
  ASSERT_TRUE(ring.allocate(of(2)));
  const std::string before = state_of(ring);
  EXPECT_EQ(error_of(ring.close(4)), ErrorCode::wrong_state);
  EXPECT_EQ(state_of(ring), before);
  ASSERT_TRUE(ring.retire(3));
  EXPECT_EQ(error_of(ring.retire(2)), ErrorCode::wrong_state);
  EXPECT_EQ(state_of(ring), before);
  ASSERT_TRUE(ring.close(5)) << "the same value again joins that close";
  EXPECT_EQ(ring.report().pending, 1U);
  ASSERT_TRUE(ring.close(7)) << "nothing to close, but the value counts";
  EXPECT_EQ(error_of(ring.close(6)), ErrorCode::wrong_state);
  ASSERT_TRUE(ring.retire(5));
  EXPECT_EQ(ring.report().used, 0_B);
}

TEST(RingAllocator, GrowsItsBookInAllocateOnly_R7) {
  test::TestHost host;
  {
    auto ring = RingAllocator::create({.capacity = 64_B, .pending_closes = 1, .host = host.allocator()});
    ASSERT_TRUE(ring);
    for (std::uint64_t i = 1; i <= 20; ++i) {
      host.fail_at(1);
      auto got = ring->allocate(of(1));
      if (!got) {
        EXPECT_EQ(error_of(got), ErrorCode::out_of_host_memory);
        EXPECT_EQ(ring->report().used, Bytes{i - 1});
        EXPECT_EQ(ring->report().pending, i - 1);
        got = ring->allocate(of(1));
      }
      ASSERT_TRUE(got);
      EXPECT_EQ(got->offset, Offset{i - 1}) << "the refusal took nothing";
      const auto requests = host.requests();
      ASSERT_TRUE(ring->close(i));
      EXPECT_EQ(host.requests(), requests) << "close asks for nothing";
      ASSERT_EQ(ring->validate(), nullptr);
    }
    const auto requests = host.requests();
    for (std::uint64_t i = 1; i <= 20; ++i) {
      ASSERT_TRUE(ring->retire(i));
      EXPECT_EQ(ring->report().used, Bytes{20 - i});
    }
    EXPECT_EQ(host.requests(), requests) << "retire asks for nothing";
    EXPECT_EQ(requests, 1 + 5 + 5) << "1 at create, then 2, 4, 8, 16, 32, each refused once";
  }
  EXPECT_EQ(host.bytes(), 0);
}

TEST(RingAllocator, Configuration_R7) {
  EXPECT_EQ(error_of(RingAllocator::create({})), ErrorCode::invalid_configuration);
  EXPECT_EQ(error_of(RingAllocator::create({.capacity = 8_B, .pending_closes = 0})),
            ErrorCode::invalid_configuration);
  test::TestHost host;
  host.fail_at(1);
  EXPECT_EQ(error_of(RingAllocator::create({.capacity = 8_B, .host = host.allocator()})),
            ErrorCode::out_of_host_memory);
  EXPECT_EQ(host.blocks(), 0);
}

TEST(RingAllocator, Moves_R10) {
  RingAllocator from = make_ring(8_B);
  ASSERT_TRUE(from.allocate(of(5)));
  ASSERT_TRUE(from.close(1));
  RingAllocator to = std::move(from);
  EXPECT_EQ(to.allocate(of(3))->offset, Offset{5});
  ASSERT_TRUE(to.retire(1));
  EXPECT_EQ(to.report().used, 3_B);
  from = make_ring(16_B);
  EXPECT_EQ(from.allocate(of(16))->offset, Offset{0});
  EXPECT_EQ(from.validate(), nullptr);
  EXPECT_EQ(to.validate(), nullptr);
}

TEST(RingAllocator, SameCallsSamePlacement_R9) {
  const auto run = [] {
    RingAllocator ring = make_ring(64_KiB, 1);
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t i = 1; i < 2000; ++i) {
      offsets.push_back(ring.allocate(of(i % 701 + 1, 1ULL << (i % 9)))->offset.value);
      (void)ring.close(i);
      if (i > 40) (void)ring.retire(i - 40);
    }
    return offsets;
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace vaspace::test
