// Binds that are done later. The latency is either so long that no test outlives it, or is waited for.
#include "support/backend_cpu.hpp"

namespace vaspace::test {
namespace {

constexpr std::uint64_t kNever = 1'000'000'000'000'000;  // eleven days, in ns
constexpr std::uint64_t kSoon = 2'000'000;

class LatencyTest : public CpuTest {
 protected:
  void open_with(std::uint64_t latency_ns, cpu::BackendConfig config = {}) {
    config.bind_latency_ns = latency_ns;
    open(config, 16);
  }
  [[nodiscard]] bool passed(const Result<TimelinePoint>& point) {
    return backend_->completed(*point).value();
  }
};

TEST_F(LatencyTest, V27_UntilThePointHasPassedNothingHasHappened) {
  open_with(kNever);
  const PhysicalId id = create(1, at(0))[0];
  const auto point = submit({{at(0), kPage, id, {}}});
  ASSERT_TRUE(point);
  EXPECT_FALSE(passed(point));
  EXPECT_EQ(kernel_mappings(reservation_), 1U) << "not mapped yet";
  EXPECT_EQ(backend_->wait(*point, 0).error().code, ErrorCode::timed_out);
  EXPECT_EQ(backend_->wait(*point, 1'000'000).error().code, ErrorCode::timed_out);
  EXPECT_EQ(backend_->map(at(0), kPage).error().code, ErrorCode::wrong_state);
  EXPECT_EQ(backend_->set_access(at(0), kPage, Access::read).error().code, ErrorCode::wrong_state);
  EXPECT_EQ(backend_->destroy_physical({&id, 1}).error().code, ErrorCode::wrong_state);
}

TEST_F(LatencyTest, V27_WhatAnUnbindFreesIsNotReusedBeforeItsPoint) {
  open_with(kNever);
  const PhysicalId id = create(1, at(0))[0];
  ASSERT_TRUE(submit({{at(0), kPage, id, {}}}));
  const auto gone = submit({{at(0), kPage, {}, {}}});
  ASSERT_TRUE(gone);
  EXPECT_FALSE(passed(gone));
  EXPECT_EQ(backend_->destroy_physical({&id, 1}).error().code, ErrorCode::wrong_state);
  EXPECT_EQ(backend_->release(reservation_).error().code, ErrorCode::wrong_state);
  EXPECT_EQ(physical_in_heap_files(), kPage);
}

TEST_F(LatencyTest, OnceThePointHasPassedAllHasHappened) {
  open_with(kSoon);
  const PhysicalId id = settle(0);
  write(0, std::byte{4});
  const auto gone = submit({{at(0), kPage, {}, {}}});
  ASSERT_TRUE(gone);
  wait(gone);
  EXPECT_TRUE(passed(gone));
  EXPECT_EQ(kernel_mappings(reservation_), 1U);
  destroy({id});
  EXPECT_EQ(physical_in_heap_files(), 0_B);
  EXPECT_TRUE(backend_->release(reservation_));
}

TEST_F(LatencyTest, TheOldMappingStaysUntilThen) {
  open_with(kSoon * 100);
  const PhysicalId id = settle(0);
  write(0, std::byte{4});
  const auto gone = submit({{at(0), kPage, {}, {}}});
  EXPECT_EQ(read(0), std::byte{4}) << "nobody has asked for the point yet";
  wait(gone);
  EXPECT_EQ(kernel_mappings(reservation_), 1U);
  destroy({id});
}

TEST_F(LatencyTest, V24_BatchesAreDoneInOrder) {
  open_with(kSoon);
  const std::vector<PhysicalId> ids = create(2, at(0));
  const auto first = submit({{at(0), kPage, ids[0], {}}, {at(1), kPage, ids[1], {}}});
  const CopyOp op{at(0), at(1), kPage};
  const auto copied = backend_->copy({&op, 1}, {&*first, 1});
  ASSERT_TRUE(first && copied);
  const auto moved = submit({{at(1), kPage, {}, {}}, {at(1), kPage, ids[0], {}}});
  const auto nothing = submit({});
  ASSERT_TRUE(moved && nothing);
  EXPECT_LT(first->value, copied->value);
  EXPECT_LT(copied->value, moved->value);
  EXPECT_LT(moved->value, nothing->value);
  wait(nothing);
  EXPECT_TRUE(passed(first) && passed(copied) && passed(moved));
  write(0, std::byte{6});
  EXPECT_EQ(read(1), std::byte{6}) << "aliased, as the last batch said";
}

TEST_F(LatencyTest, ACopyReadsWhatIsThereWhenItsTimeComes) {
  open_with(kSoon * 10);
  settle(0);
  settle(1);
  write(0, std::byte{1});
  write(1, std::byte{2});
  const CopyOp op{at(0), at(1), kPage};
  const auto copied = backend_->copy({&op, 1}, {});
  EXPECT_EQ(read(1), std::byte{2});
  EXPECT_EQ(backend_->set_access(at(1), kPage, Access::read).error().code, ErrorCode::wrong_state);
  wait(copied);
  EXPECT_EQ(read(1), std::byte{1});
  EXPECT_TRUE(backend_->set_access(at(1), kPage, Access::read));
}

TEST_F(LatencyTest, WhatIsWrongIsSaidAtOnce) {
  open_with(kNever);
  const PhysicalId id = create(1)[0];
  ASSERT_TRUE(submit({{at(0), kPage, id, {}}}));
  EXPECT_EQ(refusal({{at(0), kPage, id, {}}}), ErrorCode::wrong_state) << "will be bound by then";
  EXPECT_EQ(refusal({{at(1), kPage, {}, {}}}), ErrorCode::wrong_state);
  EXPECT_EQ(refusal({{at(99), kPage, {}, {}}}), ErrorCode::invalid_argument);
}

TEST_F(LatencyTest, TheMappingBudgetCountsWhatIsOnItsWay) {
  open_with(kNever, {.max_mappings = 4});
  const std::vector<PhysicalId> ids = create(3, at(0));
  ASSERT_TRUE(submit({{at(1), kPage, ids[1], {}}}));
  EXPECT_EQ(refusal({{at(5), kPage, ids[0], {}}}), ErrorCode::out_of_mappings);
  EXPECT_EQ(refusal({{at(2), kPage, ids[2], {}}}), kOk) << "merges with the first";
}

TEST_F(LatencyTest, AnUnansweredPointIsNoPoint) {
  open_with(kNever);
  for (const TimelinePoint& point : {TimelinePoint{TimelineId{}, 1}, TimelinePoint{TimelineId{3}, 0}}) {
    EXPECT_EQ(backend_->completed(point).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(backend_->wait(point, kForever).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(backend_->bind({}, {&point, 1}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(backend_->copy({}, {&point, 1}).error().code, ErrorCode::invalid_argument);
  }
}

}  // namespace
}  // namespace vaspace::test
