// Slots between free and live, and several who take them.
#include <array>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "vaspace/range/slab_allocator.hpp"

namespace vaspace::test {
namespace {

TrackedSlabAllocator slab_of(std::uint64_t slots) {
  return std::move(*TrackedSlabAllocator::create({.slot_size = 256_B, .capacity = slots * 256_B}));
}

TEST(SlabParking, R6_AParkedSlotIsNeitherFreeNorLive) {
  auto slab = slab_of(64);
  const auto live = slab.allocate({100_B, {}});
  ASSERT_TRUE(live);
  const SlotRecords records = slab.slot_records();
  EXPECT_EQ(records.park<true>(live->id.index, live->id.generation), 100U);
  EXPECT_EQ(records.park<true>(live->id.index, live->id.generation), 0U) << "parked already";
  EXPECT_EQ(slab.try_free(live->id).error().code, ErrorCode::stale_handle);
  EXPECT_EQ(slab.find_at(live->offset).error().code, ErrorCode::unknown_address);
  EXPECT_EQ(slab.report().used, 256_B);
  EXPECT_EQ(slab.validate(), nullptr);
  RangeId forged = live->id;
  ++forged.generation;
  EXPECT_EQ(slab.try_free(forged).error().code, ErrorCode::unknown_handle) << "not given out yet";
  const RangeId again = slab.activate(live->id.index, 7_B);
  EXPECT_EQ(slab.requested(again), 7_B);
  EXPECT_EQ(slab.find_at(live->offset)->id, again);
  EXPECT_TRUE(slab.try_free(again));
  EXPECT_EQ(slab.report().used, Bytes{});
}

TEST(SlabParking, SlotsThatNoHandleCanName) {
  auto slab = slab_of(64);
  const SlotRecords records = slab.slot_records();
  const auto live = slab.allocate({1_B, {}});
  for (const std::uint32_t slot : {1U, 63U, 64U, 1023U, 1024U, 1U << 26U, ~0U})
    EXPECT_EQ(records.park<false>(slot, live->id.generation), 0U) << slot;
}

// What the slack of a slot of 64 KiB cannot say.
TEST(SlabParking, ASingleByteOfTheLargestSlotIsRefused) {
  auto slab = std::move(*TrackedSlabAllocator::create({.slot_size = 64_KiB, .capacity = 1_MiB}));
  EXPECT_EQ(slab.allocate({1_B, {}}).error().code, ErrorCode::invalid_size);
  EXPECT_FALSE(slab.can_allocate({1_B, {}}));
  const auto two = slab.allocate({2_B, {}});
  ASSERT_TRUE(two);
  EXPECT_EQ(slab.requested(two->id), 2_B);
}

TEST(SlabParking, BatchesAreTheLowestInOrder) {
  auto slab = slab_of(300);
  std::set<std::uint32_t> free;
  for (std::uint32_t slot = 0; slot < 300; ++slot)
    free.insert(slot);
  std::vector<std::uint32_t> taken;
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::array<std::uint32_t, 40> batch{};
    const auto most = static_cast<std::uint32_t>(random() % batch.size());
    if (random() % 2 == 0) {
      const std::uint32_t got = slab.take(batch.data(), most);
      ASSERT_EQ(got, std::min<std::size_t>(most, free.size()));
      for (std::uint32_t j = 0; j < got; ++j) {
        ASSERT_EQ(batch[j], *free.begin());
        free.erase(free.begin());
        taken.push_back(batch[j]);
      }
    } else {
      std::uint32_t count = 0;
      for (; count < most && !taken.empty(); ++count) {
        std::swap(taken[random() % taken.size()], taken.back());
        batch[count] = taken.back();
        free.insert(taken.back());
        taken.pop_back();
      }
      int emptied = 0;
      slab.give(batch.data(), count, [&](Offset) { ++emptied; });
      ASSERT_EQ(emptied, count != 0 && taken.empty() ? 1 : 0);
    }
    ASSERT_EQ(slab.validate(), nullptr);
    ASSERT_EQ(slab.taken(), taken.size());
  }
}

// No two takers have slots of the same 64, as long as nobody steals.
TEST(SlabTakers, NeighboursGoToOneTaker) {
  constexpr int kTakers = 3;
  auto slab = slab_of(64 * 40);
  std::array<std::vector<std::uint32_t>, kTakers> held;
  std::mt19937_64 random(5);
  for (int i = 0; i < 4000; ++i) {
    auto& mine = held[random() % kTakers];
    const auto taker = static_cast<std::uint8_t>(&mine - held.data() + 1);
    std::array<std::uint32_t, 32> batch{};
    const auto most = static_cast<std::uint32_t>(1 + random() % batch.size());
    if (random() % 2 == 0 && slab.taken() < 64 * 20) {
      const std::uint32_t got = slab.take(batch.data(), most, taker, false);
      mine.insert(mine.end(), batch.begin(), batch.begin() + got);
    } else {
      std::uint32_t count = 0;
      for (; count < most && !mine.empty(); ++count) {
        std::swap(mine[random() % mine.size()], mine.back());
        batch[count] = mine.back();
        mine.pop_back();
      }
      slab.give(batch.data(), count, [](Offset) {});
    }
    ASSERT_EQ(slab.validate(), nullptr);
    std::map<std::uint32_t, int> whose;
    for (int t = 0; t < kTakers; ++t) {
      for (const std::uint32_t slot : held[static_cast<std::size_t>(t)]) {
        const auto [word, fresh] = whose.emplace(slot / 64, t);
        ASSERT_TRUE(fresh || word->second == t) << "slot " << slot;
      }
    }
  }
}

// A single slot that was given back stands outside the bitmap, until somebody looks who may not have it.
TEST(SlabTakers, TheLowestSlotStaysTheLowest) {
  auto slab = slab_of(128);
  std::array<std::uint32_t, 8> slots{};
  ASSERT_EQ(slab.take(slots.data(), 8, 1, false), 8U);
  slab.give(2);
  std::uint32_t one = 0;
  ASSERT_EQ(slab.take(&one, 1, 2, false), 1U);
  EXPECT_EQ(one, 64U);
  EXPECT_STREQ(slab.validate(), nullptr);
  slab.give(5);
  EXPECT_STREQ(slab.validate(), nullptr);
  EXPECT_EQ(slab.take(), 2U);
  EXPECT_EQ(slab.take(), 5U);
}

TEST(SlabTakers, AnothersAreTakenOnlyByStealing) {
  auto slab = slab_of(64);
  std::array<std::uint32_t, 4> mine{}, theirs{};
  ASSERT_EQ(slab.take(mine.data(), 4, 1, false), 4U);
  EXPECT_EQ(slab.take(theirs.data(), 4, 2, false), 0U);
  EXPECT_EQ(slab.take(theirs.data(), 4, 2, true), 4U);
  EXPECT_EQ(theirs[0], 4U);
  // All of them free again: anybody's.
  slab.give(mine.data(), 4, [](Offset) {});
  slab.give(theirs.data(), 4, [](Offset) {});
  EXPECT_EQ(slab.take(mine.data(), 4, 1, false), 4U);
  EXPECT_EQ(mine[0], 0U);
}

}  // namespace
}  // namespace vaspace::test
