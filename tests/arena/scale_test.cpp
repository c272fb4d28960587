// Many of everything, on the address-only backend.
#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "vaspace/arena/address_tracker.hpp"

#include "support/arena_fixture.hpp"
#include "support/arena_scale.hpp"

namespace vaspace::test {
namespace {

constexpr std::size_t kMillion = kSanitized ? 50'000 : 1'000'000;
constexpr std::size_t kTenThousand = kSanitized ? 2'000 : 10'000;

Device large_device(const char* name) {
  Device device = device_named(name);
  return device.of_size(64_GiB);
}

void expect_disjoint(std::vector<Allocation>& made) {
  std::sort(made.begin(), made.end(),
            [](const Allocation& a, const Allocation& b) { return a.address < b.address; });
  for (std::size_t i = 1; i < made.size(); ++i)
    ASSERT_LE(made[i - 1].end(), made[i].address) << "R1";
}

TEST(VaScale, R1_R5_AMillionLiveAllocations) {
  for (const Subject& subject : kSubjects) {
    const std::size_t count = subject.threaded ? kMillion / 10 : kMillion;
    Stage stage(subject, large_device("AddressPages"));
    ASSERT_TRUE(stage.open());
    std::mt19937_64 random(11);
    std::vector<Allocation> made;
    Bytes live{};
    for (std::size_t i = 0; i < count; ++i) {
      const Bytes size{64 + random() % 8000};
      const auto allocation = stage.va().allocate({size, {}, {}, 0});
      ASSERT_TRUE(allocation) << i << ": " << to_string(allocation.error().code);
      made.push_back(*allocation);
      live += size;
    }
    EXPECT_EQ(stage.va().report().total.live_allocations, count);
    EXPECT_EQ(stage.va().live(), live);
    EXPECT_GE(stage.va().used(), live);
    EXPECT_GE(stage.va().committed(), live);
    expect_disjoint(made);
    // Every third by its address, then the rest from behind.
    for (std::size_t i = 0; i < made.size(); i += 3)
      stage.va().free(made[i].address);
    for (std::size_t i = made.size(); i-- != 0;)
      if (i % 3 != 0) stage.va().free(made[i]);
    EXPECT_TRUE(stage.misuses().empty());
    stage.va().flush();
    EXPECT_EQ(stage.va().committed(), Bytes{});
    EXPECT_EQ(stage.va().validate(), nullptr);
    stage.close();
    EXPECT_EQ(stage.left(), "");
  }
}

// Reservations of one slot row each, so that there are ever so many.
constexpr SizeClass kNarrow[] = {{4_KiB, 64_KiB, Strategy::slab}, {64_KiB, 64_KiB}, {kMaxBytes, 1_MiB}};

// Nodes that `frees` look-ups by address have visited, with `count` reservations.
std::uint64_t visits_at(const Subject& subject, std::size_t count, std::size_t frees) {
  Stage stage(subject, large_device("AddressPages"), {.arena = {.classes = kNarrow}});
  EXPECT_TRUE(stage.open());
  std::vector<Allocation> made;
  for (std::size_t i = 0; i < count; ++i)
    made.push_back(*stage.va().allocate({64_KiB, {}, {}, 0}));
  EXPECT_EQ(stage.va().report().total.reservations, count);
  EXPECT_EQ(stage.va().validate(), nullptr);
  std::mt19937_64 random(1);
  const std::uint64_t before = stage.va().report().address_visits;
  for (std::size_t i = 0; i < frees; ++i) {
    const std::size_t which = random() % made.size();
    stage.va().free(made[which].address);
    made[which] = *stage.va().allocate({64_KiB, {}, {}, 0});
  }
  const std::uint64_t visits = stage.va().report().address_visits - before;
  EXPECT_TRUE(stage.misuses().empty());
  for (const Allocation& allocation : made)
    stage.va().free(allocation);
  stage.va().flush();
  EXPECT_EQ(stage.va().report().total.reservations, 0U);
  stage.close();
  EXPECT_EQ(stage.left(), "");
  return visits;
}

TEST(VaScale, FreeByAddressLooksAtAsManyNodesAt10As10000Reservations) {
  for (const Subject& subject : {kSubjects[0], kSubjects[1]}) {
    const std::uint64_t few = visits_at(subject, 10, 1000);
    const std::uint64_t many = visits_at(subject, kTenThousand, 1000);
    EXPECT_EQ(few, many) << subject;
    EXPECT_GT(few, 0U);
    EXPECT_LE(few, 1000U * AddressTracker::kLevels);
  }
}

// More allocations with a reservation of their own than 28 bits have pages for.
TEST(VaScale, R5_ManyReservationsOnAHugeDevice) {
  for (const Subject& subject : {kSubjects[0], kSubjects[1]}) {
    Stage stage(subject, device_named("AddressPages").of_size(1_TiB));
    ASSERT_TRUE(stage.open());
    std::vector<Allocation> made;
    for (std::size_t i = 0; i < 60; ++i) {
      const auto allocation = stage.va().allocate({100_KiB, Alignment{2_GiB}, {}, 0});
      ASSERT_TRUE(allocation) << i << ": " << to_string(allocation.error().code);
      EXPECT_TRUE(is_aligned(allocation->address, Alignment{2_GiB}));
      made.push_back(*allocation);
    }
    expect_disjoint(made);
    for (const Allocation& allocation : made)
      stage.va().free(allocation.address);
    EXPECT_EQ(stage.va().report().retained, 60 * 128_KiB);
    stage.va().flush();
    EXPECT_EQ(stage.va().committed(), Bytes{});
    EXPECT_EQ(stage.va().reserved(), Bytes{});
    stage.close();
    EXPECT_EQ(stage.left(), "");
  }
}

}  // namespace
}  // namespace vaspace::test
