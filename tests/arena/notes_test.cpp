// Names, user data, leak reports; and moving an allocator with all of it.
#include <gtest/gtest.h>
#include <string>
#include <type_traits>
#include <vector>

#include "vaspace/device/address_backend.hpp"

#include "support/arena_fixture.hpp"

namespace vaspace::test {
namespace {

static_assert(VaAllocator<ArenaAllocator> && VaAllocator<ThreadSafeArenaAllocator>);
static_assert(VaAllocator<DefaultAllocator> && VaAllocator<ThreadSafeDefaultAllocator>);

class VaNotes : public VaTest {
 protected:
  static constexpr Bytes kSizes[] = {64_B, 3_KiB, 700_KiB};
};
std::vector<Device> note_devices() {
  return {device_named("Address"), device_named("AddressPages"), device_named("AddressCommits")};
}
INSTANTIATE_TEST_SUITE_P(, VaNotes,
                         testing::Combine(testing::ValuesIn(kSubjects), testing::ValuesIn(note_devices())),
                         name_of);

TEST_P(VaNotes, NamesAreCopiedAndFound) {
  open();
  std::string name(3000, 'm');
  const auto allocation = va().allocate({5_KiB, {}, name, 42});
  ASSERT_TRUE(allocation);
  const std::string kept = name;
  name.assign(3000, '?');
  const auto info = va().find(allocation->address);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->name, kept);
  EXPECT_EQ(info->user_data, 42U);
  EXPECT_EQ(info->allocation.id, allocation->id);
  EXPECT_GE(info->used, 5_KiB);
  va().free(*allocation);
}

TEST_P(VaNotes, WhoeverComesNextDoesNotInheritTheNote) {
  open();
  for (const Bytes size : kSizes) {
    const auto first = va().allocate({size, {}, "first", 7});
    ASSERT_TRUE(first);
    va().free(*first);
    const auto second = va().allocate({size, {}, {}, 0});
    ASSERT_TRUE(second);
    ASSERT_EQ(second->address, first->address);
    EXPECT_EQ(va().find(second->address)->name, "");
    EXPECT_EQ(va().find(second->address)->user_data, 0U);
    va().free(*second);
  }
}

TEST_P(VaNotes, UserDataNeedsNoNameAndANameNoUserData) {
  open();
  const auto data = va().allocate({1_KiB, {}, {}, 99});
  const auto name = va().allocate({1_KiB, {}, "only a name", 0});
  ASSERT_TRUE(data && name);
  EXPECT_EQ(va().find(data->address)->user_data, 99U);
  EXPECT_EQ(va().find(data->address)->name, "");
  EXPECT_EQ(va().find(name->address)->name, "only a name");
  va().free(*data);
  va().free(*name);
}

TEST_P(VaNotes, WithoutNotesNothingIsAskedForThem) {
  std::int64_t blocks[2] = {};
  for (const bool named : {false, true}) {
    open();
    for (int i = 0; i < 200; ++i)
      ASSERT_TRUE(va().allocate({100_B, {}, named ? "n" : "", 0}));
    blocks[named ? 1 : 0] = stage_->host().blocks();
    stage_->close();
  }
  EXPECT_GE(blocks[1], blocks[0] + 200) << "a name each";
}

// In the order of arenas and, in each, of addresses; and to the observer as well.
TEST_P(VaNotes, LeaksAreReportedByNameAtDestruction) {
  open();
  const Bytes sizes[] = {700_KiB, 64_B, 3_KiB, 64_B};
  const char* names[] = {"third", "first", "middle", "second"};
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(va().allocate({sizes[i], {}, names[i], 0}));
  const auto freed = va().allocate({64_B, {}, "freed", 0});
  ASSERT_TRUE(freed);
  va().free(*freed);
  stage_->close();
  const std::vector<std::string> by_arena{"first", "second", "middle", "third"};
  const std::vector<std::string> by_address{"third", "first", "middle", "second"};
  EXPECT_EQ(stage_->leaks(), subject().arena ? by_arena : by_address);
  EXPECT_EQ(stage_->tally().leaks(), 4U);
}

TEST_P(VaNotes, NothingLeakedIsNothingSaid) {
  open();
  const auto allocation = va().allocate({64_B, {}, "mine", 0});
  ASSERT_TRUE(allocation);
  va().free(*allocation);
  stage_->close();
  EXPECT_TRUE(stage_->leaks().empty());
}

std::string printed_at_the_end(const Subject& subject, int leaks) {
  const auto backend = device_named("Address").open();
  auto va = subject.make(*backend, {});
  for (int i = 0; i < leaks; ++i)
    EXPECT_TRUE((*va)->allocate({100_KiB, {}, "mesh/" + std::to_string(i), 0}));
  testing::internal::CaptureStderr();
  va->reset();
  return testing::internal::GetCapturedStderr();
}

TEST(VaLeaks, ByDefaultTheFirstSixteenArePrinted) {
  for (const Subject& subject : kSubjects) {
    EXPECT_EQ(printed_at_the_end(subject, 0), "");
    const std::string few = printed_at_the_end(subject, 2);
    EXPECT_NE(few.find("leaked 102400 bytes"), std::string::npos) << few;
    EXPECT_NE(few.find("'mesh/0'"), std::string::npos);
    EXPECT_NE(few.find("'mesh/1'"), std::string::npos);
    EXPECT_EQ(few.find("in all"), std::string::npos);
    const std::string many = printed_at_the_end(subject, 40);
    EXPECT_NE(many.find("'mesh/15'"), std::string::npos);
    EXPECT_EQ(many.find("'mesh/16'"), std::string::npos);
    EXPECT_NE(many.find("leaked 40 allocations in all"), std::string::npos) << many;
  }
}

template <class A>
class VaMove : public testing::Test {};
using Movables =
    testing::Types<ArenaAllocator, ThreadSafeArenaAllocator, DefaultAllocator, ThreadSafeDefaultAllocator>;
TYPED_TEST_SUITE(VaMove, Movables);

// R10: with everything that lives in it; what is moved from is assigned to or destroyed.
TYPED_TEST(VaMove, R10_AnAllocatorMovesWithWhatLivesInIt) {
  static_assert(std::is_nothrow_move_constructible_v<TypeParam> &&
                std::is_nothrow_move_assignable_v<TypeParam>);
  static_assert(!std::is_copy_constructible_v<TypeParam> && !std::is_copy_assignable_v<TypeParam>);
  TestHost host;
  const auto backend = device_named("AddressPages").open();
  LedgerBackend ledger(*backend);
  const ArenaConfig config{.host = host.allocator()};
  {
    Result<TypeParam> made = create_as<TypeParam>(ledger, config);
    ASSERT_TRUE(made);
    TypeParam first = std::move(*made);
    const auto named = first.allocate({3_KiB, {}, "named", 5});
    const auto plain = first.allocate({1_MiB, {}, {}, 0});
    ASSERT_TRUE(named && plain);
    TypeParam second = std::move(first);
    EXPECT_EQ(second.find(named->address)->name, "named");
    EXPECT_EQ(second.validate(), nullptr);
    Result<TypeParam> again = create_as<TypeParam>(ledger, config);
    ASSERT_TRUE(again);
    first = std::move(*again);  // assigned to
    const auto other = first.allocate({64_B, {}, {}, 0});
    ASSERT_TRUE(other);
    EXPECT_FALSE(second.try_free(*other)) << "R6: another allocator's";
    first.free(*other);
    first = std::move(second);  // what it had goes back to the device
    first.free(*named);
    first.free(plain->address);
    EXPECT_EQ(first.live(), Bytes{});
    EXPECT_EQ(first.validate(), nullptr);
  }
  EXPECT_EQ(host.bytes(), 0);
  EXPECT_EQ(ledger.reservations(), 0);
  EXPECT_EQ(ledger.objects(), 0);
}

}  // namespace
}  // namespace vaspace::test
