// Commits in three parts, several at once, and maps of many pages in one. V24, R7.
#include <functional>
#include <gtest/gtest.h>

#include "vaspace/va/shared_va_space.hpp"

#include "model_backend.hpp"
#include "support/faulty_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

constexpr Bytes kPage = ModelBackend::kPage;
constexpr Address kBase = ModelBackend::kBase;

Address at(std::uint64_t page) {
  return kBase + kPage * page;
}
MapRequest memory(std::uint64_t page, std::uint64_t count, std::uint64_t object) {
  return {at(page), kPage * count, PhysicalId{object}, {}, Backing::memory};
}

// Every bind is done at a point of its own, and what it waited for is kept.
class PointsBackend : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Result<TimelinePoint> bind(std::span<const BindOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    waited.assign(waits.begin(), waits.end());
    if (on_bind) on_bind();
    const auto done = next().bind(ops, {});
    if (!done) return done;
    return TimelinePoint{TimelineId{7}, ++last};
  }
  Result<void> wait(TimelinePoint, std::uint64_t) noexcept override { return {}; }

  std::vector<TimelinePoint> waited;
  std::function<void()> on_bind;  // no lock is held then
  std::uint64_t last = 0;
};

class PendingCommits : public testing::Test {
 protected:
  void open(bool parts = true) {
    space_.reset();
    Capabilities can;
    can.partial_unbind = parts;
    can.physical_offset = can.aliasing = true;
    model_ = std::make_unique<ModelBackend>(16, can);
    points_ = std::make_unique<PointsBackend>(*model_);
    faulty_ = std::make_unique<FaultyBackend>(*points_);
    auto made =
        VaSpace::create(*faulty_, {.size = kPage * 16, .rebind_rests = !parts, .host = host_.allocator()});
    ASSERT_TRUE(made);
    space_ = std::move(*made);
  }
  void SetUp() override { open(); }
  void TearDown() override {
    ASSERT_EQ(space_->validate(), nullptr);
    space_.reset();
    EXPECT_EQ(model_->fault(), nullptr);
  }
  [[nodiscard]] std::uint64_t object_at(std::uint64_t page) const {
    const auto found = space_->find(at(page));
    return found ? found->mapping.physical.value : 0;
  }
  static TimelinePoint point(std::uint64_t value) { return {TimelineId{7}, value}; }

  TestHost host_;
  std::unique_ptr<ModelBackend> model_;
  std::unique_ptr<PointsBackend> points_;
  std::unique_ptr<FaultyBackend> faulty_;
  HostObject<VaSpace> space_;
};

TEST_F(PendingCommits, TwoAreOnTheirWayAtOnce) {
  PendingCommit first(host_.allocator()), second(host_.allocator());
  ASSERT_TRUE(space_->begin_map(memory(0, 2, 1), first));
  ASSERT_TRUE(space_->begin_map(memory(2, 3, 2), second)) << "they touch, and that is all";
  space_->carry_out(second);
  EXPECT_EQ(object_at(2), 0U) << "not before its end";
  EXPECT_EQ(*space_->end(second), point(1));
  EXPECT_EQ(object_at(2), 2U);
  EXPECT_EQ(object_at(0), 0U);
  ASSERT_TRUE(space_->map(memory(8, 1, 3))) << "a commit in one part goes on beside it";
  space_->carry_out(first);
  EXPECT_EQ(*space_->end(first), point(3));
  EXPECT_EQ(object_at(0), 1U);
  EXPECT_EQ(space_->mappings(), 3U);
}

TEST_F(PendingCommits, V24_ACommitWaitsForAllThatEndedBeforeIt) {
  PendingCommit first(host_.allocator()), second(host_.allocator());
  ASSERT_TRUE(space_->map(memory(9, 1, 9)));
  ASSERT_TRUE(space_->begin_map(memory(0, 1, 1), first));
  ASSERT_TRUE(space_->begin_map(memory(4, 1, 2), second));
  space_->carry_out(first);
  EXPECT_EQ(points_->waited, (std::vector<TimelinePoint>{point(1)}));
  ASSERT_TRUE(space_->end(first));
  space_->carry_out(second);
  EXPECT_EQ(points_->waited, (std::vector<TimelinePoint>{point(1)})) << "it began before the first ended";
  ASSERT_TRUE(space_->end(second));
  ASSERT_TRUE(space_->unmap(at(0), kPage));
  EXPECT_EQ(points_->waited, (std::vector<TimelinePoint>{point(2), point(3)}))
      << "neither waits for the other";
  ASSERT_TRUE(space_->unmap(at(4), kPage));
  EXPECT_EQ(points_->waited, (std::vector<TimelinePoint>{point(4)}));
}

TEST_F(PendingCommits, TheSameAddressesAreOneCommitsAtATime) {
  PendingCommit first(host_.allocator()), second(host_.allocator());
  ASSERT_TRUE(space_->begin_map(memory(2, 4, 1), first));
  EXPECT_EQ(space_->begin_map(memory(5, 2, 2), second).error().code, ErrorCode::wrong_state);
  EXPECT_EQ(space_->map(memory(0, 3, 2)).error().code, ErrorCode::wrong_state);
  auto plan = space_->plan_map(memory(3, 1, 2));
  ASSERT_TRUE(plan);
  EXPECT_EQ(space_->commit(*plan).error().code, ErrorCode::wrong_state);
  space_->carry_out(first);
  ASSERT_TRUE(space_->end(first));
  EXPECT_EQ(space_->commit(*plan).error().code, ErrorCode::stale_plan);
  EXPECT_EQ(object_at(3), 1U);

  // What is bound anew beside the range belongs to it.
  open(false);
  ASSERT_TRUE(space_->map(memory(0, 4, 1)));
  ASSERT_TRUE(space_->begin_map(memory(3, 1, 2), first));
  EXPECT_EQ(space_->begin_unmap(at(0), kPage, second).error().code, ErrorCode::wrong_state);
  space_->carry_out(first);
  ASSERT_TRUE(space_->end(first));
  EXPECT_EQ(object_at(3), 2U);
}

TEST_F(PendingCommits, R7_OneThatIsRefusedHasChangedNothing) {
  PendingCommit first(host_.allocator()), second(host_.allocator());
  ASSERT_TRUE(space_->begin_map(memory(0, 1, 1), first));
  ASSERT_TRUE(space_->begin_map(memory(4, 1, 2), second));
  faulty_->fail_at(Call::bind, 1, {ErrorCode::driver_error, 5});
  space_->carry_out(first);
  space_->carry_out(second);
  EXPECT_EQ(space_->end(first).error(), (Error{ErrorCode::driver_error, 5}));
  EXPECT_TRUE(space_->end(second));
  EXPECT_EQ(object_at(0), 0U);
  EXPECT_EQ(object_at(4), 2U);
  ASSERT_TRUE(space_->begin_map(memory(0, 1, 1), first)) << "its addresses are free again";
  space_->carry_out(first);
  EXPECT_TRUE(space_->end(first));
  // The host refuses in turn what a commit needs, while another is on its way.
  ASSERT_TRUE(space_->begin_map(memory(6, 1, 3), first));
  for (std::int64_t nth = 1;; ++nth) {
    ASSERT_LT(nth, 20);
    PendingCommit fresh(host_.allocator());
    host_.fail_at(nth);
    const auto begun = space_->begin_map(memory(8, 2, 4), fresh);
    host_.fail_at(0);
    if (begun) {
      space_->carry_out(fresh);
      EXPECT_TRUE(space_->end(fresh));
      break;
    }
    EXPECT_EQ(begun.error().code, ErrorCode::out_of_host_memory);
    EXPECT_EQ(object_at(8), 0U);
  }
  space_->carry_out(first);
  EXPECT_TRUE(space_->end(first));
  EXPECT_EQ(object_at(6), 3U);
}

// Addresses that a commit is about belong to it already, though nothing is mapped there before its end.
TEST_F(PendingCommits, WhatIsAboutToBeMappedIsNotHandedOut) {
  const auto taken = space_->allocate({.size = kPage * 2});
  ASSERT_TRUE(taken && taken->address == at(0));
  PendingCommit pending(host_.allocator());
  ASSERT_TRUE(space_->begin_map(memory(1, 3, 1), pending));
  EXPECT_EQ(space_->free(at(0)).error().code, ErrorCode::wrong_state);
  EXPECT_EQ(space_->allocate({.size = kPage, .at = at(3)}).error().code, ErrorCode::out_of_space);
  EXPECT_EQ(space_->allocate({.size = kPage})->address, at(4));
  EXPECT_EQ(space_->explain({.size = kPage * 16 - kPage * 5})->largest, kPage * 11);
  space_->carry_out(pending);
  ASSERT_TRUE(space_->end(pending));
  EXPECT_EQ(space_->free(at(0)).error().code, ErrorCode::wrong_state);
  ASSERT_TRUE(space_->unmap(at(1), kPage * 3));
  EXPECT_TRUE(space_->free(at(0)));
}

// Commits that were under way together leave as many points to wait for, whoever commits next. What takes
// back one of them has room for that.
TEST(SharedVaSpaceTest, WhatIsTakenBackAfterOverlappingCommitsAsksForNoHostMemory_R7) {
  constexpr std::uint64_t kTogether = 6;
  TestHost host;
  Capabilities can;
  can.partial_unbind = can.physical_offset = can.replace = can.set_access = true;
  ModelBackend model(16, can);
  PointsBackend points(model);
  auto made = VaSpace::create(points, {.size = kPage * 16, .host = host.allocator()});
  ASSERT_TRUE(made);
  SharedVaSpace space(std::move(*made), host.allocator());
  ASSERT_TRUE(space.keep_for_undo(kTogether, 1));
  const auto map = [&](std::uint64_t page, bool back) {
    MapRequest request = memory(page, 1, page + 1);
    if (!back) request.backing = Backing::read_only_memory;
    return (back ? space.map_back(request) : space.map(request)).has_value();
  };
  std::uint64_t next = 0;
  points.on_bind = [&] {
    if (++next < kTogether) {
      EXPECT_TRUE(map(next, false));
    }
  };
  ASSERT_TRUE(map(0, false));
  points.on_bind = nullptr;
  host.fail_forever(true);
  host.fail_at(1);
  for (std::uint64_t page = 0; page < kTogether; ++page)
    EXPECT_TRUE(map(page, true)) << page;
  EXPECT_EQ(points.waited.size(), 1U);
  host.fail_at(0);
  host.fail_forever(false);
  EXPECT_EQ(space->validate(), nullptr);
}

TEST_F(PendingCommits, ManyPagesAreOneCallOfTheDriver) {
  const PhysicalId pages[] = {PhysicalId{1}, PhysicalId{2}, PhysicalId{3}};
  const std::uint64_t calls = faulty_->calls(Call::bind);
  ASSERT_TRUE(space_->map_pages(at(4), pages));
  EXPECT_EQ(faulty_->calls(Call::bind) - calls, 1U);
  for (std::uint64_t i = 0; i < 3; ++i)
    EXPECT_EQ(object_at(4 + i), i + 1);
  EXPECT_EQ(object_at(3) + object_at(7), 0U);
  EXPECT_EQ(space_->map_pages(at(6), pages).error().code, ErrorCode::wrong_state) << "something is there";
  EXPECT_EQ(space_->map_pages(at(14), pages).error().code, ErrorCode::unknown_address);
  EXPECT_EQ(space_->map_pages(at(8), {}).error().code, ErrorCode::invalid_size);
  const PhysicalId holed[] = {PhysicalId{4}, PhysicalId{}};
  EXPECT_EQ(space_->map_pages(at(8), holed).error().code, ErrorCode::invalid_argument);
  const PhysicalId others[] = {PhysicalId{4}, PhysicalId{5}};
  faulty_->fail_at(Call::bind, 1, {ErrorCode::driver_error, 5});
  EXPECT_EQ(space_->map_pages(at(8), others).error().code, ErrorCode::driver_error);
  EXPECT_EQ(space_->mappings(), 3U);
  ASSERT_TRUE(space_->unmap(at(4), kPage * 3)) << "and one that takes them away";
  EXPECT_EQ(faulty_->calls(Call::bind) - calls, 3U);
}

}  // namespace
}  // namespace vaspace::test
