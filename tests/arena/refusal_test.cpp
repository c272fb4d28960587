// R7: what the driver does not take back is kept, counted, queued and offered again.
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "support/arena_fixture.hpp"

namespace vaspace::test {
namespace {

class Refused : public testing::TestWithParam<Subject> {
 protected:
  static constexpr Bytes kPage = 64_KiB;

  void open(const char* device) {
    stage_.emplace(GetParam(), device_named(device),
                   StageConfig{.arena = {.retain = {}, .retain_percent = 0}, .exact_books = false});
    ASSERT_TRUE(stage_->open());
  }
  void TearDown() override {
    stage_->close();
    EXPECT_EQ(stage_->left(), "");
  }
  [[nodiscard]] Va& va() { return stage_->va(); }
  void allocate(std::size_t count, Bytes size) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto allocation = va().allocate({size, {}, {}, 0});
      ASSERT_TRUE(allocation);
      live_.push_back(*allocation);
    }
  }
  void free_all() {
    for (const Allocation& allocation : live_)
      va().free(allocation);
    live_.clear();
  }
  [[nodiscard]] std::uint64_t times_refused() { return va().report().refused_by_driver; }

  std::optional<Stage> stage_;
  std::vector<Allocation> live_;
};
INSTANTIATE_TEST_SUITE_P(, Refused, testing::ValuesIn(kSubjects), name_of_subject);

TEST_P(Refused, R7_UnbindsAreQueuedCountedAndTriedAgain) {
  open("AddressPages");
  allocate(5, kPage);
  free_all();
  stage_->faulty().fail_at(Call::bind, 1, kInjected, true);
  std::uint64_t refused = 0;
  for (int round = 1; round <= 3; ++round) {
    round == 1 ? va().flush() : va().collect();
    EXPECT_GE(times_refused(), refused + 5) << "each of the five";
    refused = times_refused();
    EXPECT_EQ(stage_->tally().unbinds_refused(), refused);
    EXPECT_EQ(va().report().retained, kPage * 5) << "bound, and counted";
    EXPECT_EQ(va().committed(), kPage * 5);
    EXPECT_EQ(va().validate(), nullptr);
  }
  stage_->faulty().stop_failing();
  va().collect();
  EXPECT_EQ(times_refused(), refused);
  EXPECT_EQ(va().committed(), Bytes{});
  EXPECT_EQ(va().report().total.reservations, GetParam().arena ? 0U : 1U);
}

TEST_P(Refused, R7_ARefusedPageIsUsedByTheNextWhoNeedsIt) {
  open("AddressPages");
  allocate(1, kPage);
  const Address address = live_[0].address;
  free_all();
  stage_->faulty().fail_at(Call::bind, 1, kInjected, true);
  va().flush();
  allocate(1, kPage);  // no bind is needed
  EXPECT_EQ(live_[0].address, address);
  EXPECT_EQ(va().committed(), kPage);
  EXPECT_EQ(va().report().retained, Bytes{});
  stage_->faulty().stop_failing();
  va().flush();
  EXPECT_EQ(va().committed(), kPage) << "it is touched";
  free_all();
}

TEST_P(Refused, R7_WhatIsRefusedTogetherIsTakenOneByOne) {
  open("AddressPages");
  allocate(5, kPage);
  free_all();
  stage_->faulty().fail_at(Call::bind, 1, kInjected);
  va().flush();
  EXPECT_EQ(times_refused(), 0U);
  EXPECT_EQ(va().committed(), Bytes{});
}

TEST_P(Refused, R7_PagesThatTheDeviceDoesNotTakeBackStayPooled) {
  open("AddressPages");
  allocate(3, kPage);
  free_all();
  stage_->faulty().fail_at(Call::destroy_physical, 1, kInjected, true);
  va().flush();
  EXPECT_GE(times_refused(), 3U);
  EXPECT_EQ(va().report().pooled, kPage * 3);
  EXPECT_EQ(va().committed(), kPage * 3);
  const std::uint64_t created = stage_->counting().counts().objects_created;
  allocate(2, kPage);
  EXPECT_EQ(stage_->counting().counts().objects_created, created) << "they are used again";
  free_all();
  stage_->faulty().stop_failing();
  va().flush();
  EXPECT_EQ(va().committed(), Bytes{});
}

TEST_P(Refused, R7_ReservationsAreOfferedAgain) {
  if (!GetParam().arena) {
    open("Address");  // gives back nothing before its end
    return;
  }
  for (const char* device : {"Address", "AddressCommits"}) {
    open(device);
    allocate(3, 1_MiB);
    const std::int64_t held = stage_->ledger().reservations();
    EXPECT_GE(held, 1);
    free_all();
    stage_->faulty().fail_at(Call::release, 1, kInjected, true);
    va().flush();
    const std::uint64_t refused = times_refused();
    EXPECT_GE(refused, 1U);
    EXPECT_EQ(stage_->ledger().reservations(), held);
    va().collect();
    EXPECT_GT(times_refused(), refused) << "tried again";
    EXPECT_EQ(va().validate(), nullptr);
    allocate(1, 1_MiB);  // life goes on
    free_all();
    stage_->faulty().stop_failing();
    va().flush();
    EXPECT_EQ(stage_->ledger().reservations(), 0);
    EXPECT_EQ(va().reserved(), Bytes{});
    stage_->close();
    EXPECT_EQ(stage_->left(), "");
  }
}

// Even what was refused up to the end is offered once more then.
TEST_P(Refused, R7_TheEndOffersEverythingAgain) {
  open("AddressPages");
  allocate(4, 1_MiB);
  free_all();
  for (const Call call : {Call::bind, Call::destroy_physical, Call::release}) {
    stage_->faulty().fail_at(call, 1, kInjected, true);
    va().flush();
  }
  stage_->faulty().stop_failing();
}

// A wait that is refused after an unbind was accepted: the page is gone from its address.
TEST_P(Refused, R7_AnAcceptedUnbindIsNotForgottenWhenItsWaitFails) {
  open("Cpu64KiB");
  allocate(4, kPage);
  free_all();
  stage_->faulty().fail_at(Call::wait, 1, kInjected, true);
  va().flush();
  stage_->faulty().stop_failing();
  EXPECT_EQ(va().validate(), nullptr);
  allocate(4, kPage);
  for (const Allocation& allocation : live_)
    write_pattern(allocation);
  for (const Allocation& allocation : live_)
    EXPECT_TRUE(holds_pattern(allocation));
  free_all();
}

}  // namespace
}  // namespace vaspace::test
