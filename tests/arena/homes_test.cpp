// Size classes that share an arena until what they hold earns them one of their own.
#include <array>
#include <gtest/gtest.h>
#include <vector>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/device/address_backend.hpp"

namespace vaspace::test {
namespace {

constexpr std::array<Bytes, 1> kLargePages{2_MiB};
constexpr std::uint32_t kLast = kStandardSizeClasses.size() - 1;

template <class A>
class HomesTest : public testing::Test {
 protected:
  void open(ArenaConfig config = {}) {
    auto backend = AddressBackend::create({.physical_size = 1_GiB, .page_sizes = kLargePages});
    ASSERT_TRUE(backend);
    backend_ = std::move(*backend);
    auto arena = A::create(*backend_, config);
    ASSERT_TRUE(arena);
    arena_.emplace(std::move(*arena));
  }
  void TearDown() override {
    EXPECT_EQ(arena_->validate(), nullptr);
    for (const Allocation& one : live_)
      arena_->free(one);
    arena_->flush();
    EXPECT_EQ(arena_->validate(), nullptr);
    EXPECT_EQ(arena_->report().total.committed, Bytes{});
  }
  void allocate(Bytes size) {
    const auto allocation = arena_->allocate({size, {}, {}, 0});
    ASSERT_TRUE(allocation);
    live_.push_back(*allocation);
  }
  void fill(Bytes size, Bytes upto) {
    for (Bytes sum{}; sum < upto; sum += size)
      allocate(size);
  }
  [[nodiscard]] ArenaReport arena(std::uint32_t k) { return arena_->report().arenas[k]; }

  HostObject<AddressBackend> backend_;
  std::optional<A> arena_;
  std::vector<Allocation> live_;
};
using Both = testing::Types<ArenaAllocator, ThreadSafeArenaAllocator>;
TYPED_TEST_SUITE(HomesTest, Both);

TYPED_TEST(HomesTest, ASmallProgramHasOnePage) {
  this->open();
  for (const Bytes size : {100_B, 700_B, 2_KiB, 4_KiB, 60_KiB, 1_MiB})
    this->allocate(size);
  EXPECT_EQ(this->arena_->report().total.committed, 2_MiB);
  EXPECT_EQ(this->arena(kLast).live_allocations, 6U);
}

TYPED_TEST(HomesTest, EachOnItsOwnWhereNothingIsToBeEarned) {
  this->open({.earn = {}});
  for (const Bytes size : {100_B, 700_B, 2_KiB, 4_KiB, 60_KiB, 1_MiB})
    this->allocate(size);
  EXPECT_EQ(this->arena_->report().total.committed, 12_MiB);
  EXPECT_EQ(this->arena(kLast).reservations, 0U);
}

// What passes 16 MiB goes to its own, class by class; what lies in the shared arena stays there.
TYPED_TEST(HomesTest, VolumeEarnsAnArena) {
  this->open();
  this->fill(1_KiB, 16_MiB);
  EXPECT_EQ(this->arena(1).reservations, 0U);
  this->fill(1_KiB, 64_KiB);
  EXPECT_EQ(this->arena(1).live_allocations, 63U) << "the first of these passed it";
  EXPECT_EQ(this->arena(kLast).live_allocations, 16U * 1024 + 1);
  this->allocate(512_B);
  EXPECT_EQ(this->arena(0).reservations, 0U) << "another class has not";
  this->fill(3_KiB, 20_MiB);
  EXPECT_NE(this->arena(3).live_allocations, 0U) << "of objects too";
}

// Freed and allocated again it does not add up, whether ranges are kept by a front or not.
TYPED_TEST(HomesTest, ComingAndGoingEarnsNothing) {
  this->open({.earn = 64_KiB});
  for (int i = 0; i < 1000; ++i) {
    this->fill(1_KiB, 32_KiB);
    for (const Allocation& one : this->live_)
      this->arena_->free(one);
    this->live_.clear();
    if (i % 100 == 0) this->arena_->collect();
  }
  EXPECT_EQ(this->arena(1).reservations, 0U);
}

TYPED_TEST(HomesTest, AnEmptyArenaIsGivenUp) {
  this->open({.earn = 64_KiB, .retain = {}, .retain_percent = 0});
  this->fill(1_KiB, 128_KiB);
  ASSERT_EQ(this->arena(1).reservations, 1U);
  for (const Allocation& one : this->live_)
    this->arena_->free(one);
  this->live_.clear();
  for (int i = 0; i < 3; ++i)
    this->arena_->collect();
  ASSERT_EQ(this->arena(1).reservations, 0U);
  this->allocate(1_KiB);
  EXPECT_EQ(this->arena(1).live_allocations, 0U);
  EXPECT_EQ(this->arena(kLast).live_allocations, 1U) << "it begins anew in the shared one";
}

// A table that ends in a slab has no arena that could be shared.
TYPED_TEST(HomesTest, WithoutAnObjectArenaNothingIsShared) {
  static constexpr std::array<SizeClass, 2> kSlabs{
      {{1_KiB, 2_MiB, Strategy::slab}, {4_KiB, 2_MiB, Strategy::slab}}};
  this->open({.classes = kSlabs});
  this->allocate(100_B);
  EXPECT_EQ(this->arena(0).live_allocations, 1U);
}

}  // namespace
}  // namespace vaspace::test
