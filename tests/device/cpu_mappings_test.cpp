// Mappings: merged as the kernel merges them, counted as it counts them, and refused before it refuses.
#include <cerrno>
#include <cstdio>
#include <random>
#include <sys/mman.h>

#include "support/backend_cpu.hpp"

namespace vaspace::test {
namespace {

// Sanitizers map memory of their own, so a process that has used up all mappings cannot be played there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

class MappingsTest : public CpuTest {
 protected:
  void expect_mappings(std::size_t expected) {
    EXPECT_EQ(backend_->mappings_held(), expected);
    EXPECT_EQ(kernel_mappings(reservation_), expected);
  }
};

TEST_F(MappingsTest, NeighboursAtHomeMergeInWhateverOrderTheyCome) {
  open({}, 8);
  expect_mappings(1);
  settle(3);
  expect_mappings(3);
  settle(5);
  expect_mappings(5);
  settle(4);
  expect_mappings(3);
  settle(2);
  expect_mappings(3);
  for (const std::uint64_t page : {0U, 7U, 1U, 6U})
    settle(page);
  expect_mappings(1);
  unbind(4);
  expect_mappings(3);
  settle(4);
  expect_mappings(3);  // its home is taken by the page that was unbound
}

TEST_F(MappingsTest, ABatchIsOneMappingAtHomeAndElsewhere) {
  open({}, 16);
  const auto bind_all = [&](std::uint64_t first, const std::vector<PhysicalId>& ids) {
    std::vector<BindOp> ops;
    for (std::uint64_t i = 0; i < ids.size(); ++i)
      ops.push_back({at(first + i), kPage, ids[i], {}});
    wait(submit(ops));
  };
  bind_all(0, create(4, at(0)));
  expect_mappings(2);
  bind_all(8, create(4));  // no hint
  expect_mappings(4);
  bind_all(4, create(4, at(4)));
  expect_mappings(3);
}

TEST_F(MappingsTest, AccessSplitsAndMerges) {
  open({}, 4);
  for (std::uint64_t page = 0; page < 4; ++page)
    settle(page);
  expect_mappings(1);
  ASSERT_TRUE(backend_->set_access(at(1), kPage, Access::read));
  expect_mappings(3);
  ASSERT_TRUE(backend_->set_access(at(2), kPage, Access::read));
  expect_mappings(3);
  ASSERT_TRUE(backend_->set_access(at(0), kPage * 4, Access::read));
  expect_mappings(1);
  ASSERT_TRUE(backend_->set_access(at(3), kPage, Access::none));
  expect_mappings(2);
  unbind(3);
  expect_mappings(2);
}

TEST_F(MappingsTest, TheBooksCountWhatTheKernelCountsAfterAnyBatch) {
  constexpr std::uint64_t kPages = 24;
  open({}, kPages);
  std::mt19937 random(11);
  std::vector<PhysicalId> ids = create(12, at(0));
  for (const PhysicalId id : create(8))
    ids.push_back(id);
  for (const PhysicalId id : create(4, at(16)))
    ids.push_back(id);
  int done = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<BindOp> ops;
    const std::uint64_t first = random() % kPages;
    const std::uint64_t count = 1 + random() % 3;
    const std::uint64_t object = random() % ids.size();
    for (std::uint64_t i = 0; i < count && first + i < kPages; ++i) {
      const bool binds = round % 2 == 0;
      const std::uint64_t wanted = random() % 2 == 0 ? first + i : object + i;  // mostly home, or a run
      ops.push_back({at(first + i), kPage, binds ? ids[wanted % ids.size()] : PhysicalId{}, {}});
    }
    if (round % 16 == 15) {
      const auto access = static_cast<Access>(random() % 3);
      (void)backend_->set_access(at(first), kPage * count, access);
    }
    if (refusal(ops) == kOk) ++done;
    ASSERT_EQ(backend_->mappings_held(), kernel_mappings(reservation_)) << "round " << round;
  }
  EXPECT_GT(done, 500);
}

TEST_F(MappingsTest, TheBudgetIsRefusedBeforeItIsPassedAndRecovers) {
  open({.max_mappings = 5}, 16);
  for (std::uint64_t page = 0; page < 8; ++page)
    settle(page);
  settle(12);
  expect_mappings(4);
  const PhysicalId far = create(1, at(10))[0];
  const auto refused = submit({{at(10), kPage, far, {}}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (Error{ErrorCode::out_of_mappings, 0}));
  EXPECT_EQ(refusal({{at(4), kPage, {}, {}}}), ErrorCode::out_of_mappings) << "the middle of a merged run";
  EXPECT_EQ(refusal({{at(4), kPage * 2, {}, {}}}), ErrorCode::out_of_mappings);
  expect_mappings(4);
  write(4, std::byte{1});  // still bound
  EXPECT_TRUE(backend_->reserve({kPage, {}, {}, 0})) << "one more is allowed";
  EXPECT_EQ(backend_->reserve({kPage, {}, {}, 0}).error().code, ErrorCode::out_of_mappings);
  unbind(7);  // the end of the run takes none
  EXPECT_EQ(refusal({{at(0), kPage, {}, {}}}), ErrorCode::out_of_mappings) << "its begin takes one";
}

TEST_F(MappingsTest, AnUnbindThatWasRefusedWorksOnceThereIsRoom) {
  open({.max_mappings = 5}, 16);
  for (std::uint64_t page = 0; page < 8; ++page)
    settle(page);
  const PhysicalId far = settle(12);
  EXPECT_EQ(refusal({{at(4), kPage, {}, {}}}), ErrorCode::out_of_mappings);
  EXPECT_EQ(refusal({{at(0), kPage * 8, {}, {}}}), kOk) << "the whole run takes none";
  expect_mappings(3);
  for (std::uint64_t page = 0; page < 8; ++page)
    EXPECT_EQ(refusal({{at(page), kPage, {}, {}}}), ErrorCode::wrong_state);
  unbind(12);
  destroy({far});
  expect_mappings(1);
}

TEST_F(MappingsTest, ABatchThatEndsWithinTheBudgetIsNotRefusedForItsMiddle) {
  open({.max_mappings = 3}, 8);
  std::vector<PhysicalId> ids = create(2, at(0));
  const PhysicalId other = create(1)[0];
  wait(submit({{at(0), kPage, ids[0], {}}, {at(1), kPage, ids[1], {}}, {at(2), kPage, other, {}}}));
  expect_mappings(3);
  EXPECT_EQ(refusal({{at(0), kPage, {}, {}}, {at(1), kPage, {}, {}}}), kOk) << "page by page, but one step";
  expect_mappings(3);
}

TEST_F(MappingsTest, R7_ARefusalInTheMiddleOfABatchTakesAllBack) {
  open({.max_mappings = 6}, 16);
  const std::vector<PhysicalId> ids = create(8, at(0));
  wait(submit({{at(1), kPage, ids[1], {}}, {at(2), kPage, ids[2], {}}}));
  write(1, std::byte{1});
  write(2, std::byte{2});
  expect_mappings(3);
  const std::vector<BindOp> batch = {{at(1), kPage, {}, {}},
                                     {at(1), kPage, ids[5], {}},
                                     {at(7), kPage, ids[7], {}},
                                     {at(9), kPage, ids[0], {}}};
  EXPECT_EQ(refusal(batch), ErrorCode::out_of_mappings);
  expect_mappings(3);
  EXPECT_EQ(read(1), std::byte{1});
  EXPECT_EQ(read(2), std::byte{2});
  for (const std::uint64_t index : {0U, 5U, 7U})
    destroy({ids[index]});
  EXPECT_EQ(backend_->destroy_physical({&ids[1], 1}).error().code, ErrorCode::wrong_state);
}

TEST_F(MappingsTest, AccessBeyondTheBudgetIsRefusedAndChangesNothing) {
  open({.max_mappings = 2}, 4);
  for (std::uint64_t page = 0; page < 4; ++page)
    settle(page);
  expect_mappings(1);
  EXPECT_EQ(backend_->set_access(at(1), kPage, Access::none).error().code, ErrorCode::out_of_mappings);
  expect_mappings(1);
  write(1, std::byte{1});
  EXPECT_TRUE(backend_->set_access(at(3), kPage, Access::none));
  expect_mappings(2);
}

TEST_F(MappingsTest, AReservationTakesOneAndGivesItBack) {
  open({}, 4);
  const auto more = backend_->reserve({kPage * 2, {}, {}, 0});
  ASSERT_TRUE(more);
  EXPECT_EQ(backend_->mappings_held(), 2U);
  ASSERT_TRUE(backend_->release(*more));
  EXPECT_EQ(backend_->mappings_held(), 1U);
}

// Mappings that nothing needs, to make room by.
class SpareMappings {
 public:
  explicit SpareMappings(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)  // of two kinds, so that neighbours do not merge
      spares_.push_back(
          mmap(nullptr, 4096, i % 2 == 0 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  void give_back(std::size_t count) {
    for (; count != 0; --count, spares_.pop_back())
      munmap(spares_.back(), 4096);
  }

 private:
  std::vector<void*> spares_;
};

// Runs in a process of its own: binds one page everywhere until the kernel itself has had enough.
void use_up_all_mappings() {
  const auto check = [](bool holds, int line) {
    if (holds) return;
    std::fprintf(stderr, "line %d does not hold\n", line);
    std::_Exit(1);
  };
  const std::array<Bytes, 1> pages{4_KiB};
  cpu::BackendConfig config;
  config.page_sizes = pages;
  config.max_mappings = kUnlimited;
  auto backend = cpu::Backend::create(config).value();
  constexpr std::uint64_t kMany = 4'000'000;
  const Reservation all = backend->reserve({align_up(4_KiB * kMany, Alignment{64_KiB}), {}, {}, 0}).value();
  PhysicalId id;
  check(backend->create_physical({4_KiB, 0, {}}, {&id, 1}).has_value(), __LINE__);
  const auto op_at = [&](std::uint64_t page, PhysicalId what) {
    return BindOp{all.address + 4_KiB * page, 4_KiB, what, {}};
  };
  PhysicalId wide;
  check(backend->create_physical({12_KiB, 0, {}}, {&wide, 1}).has_value(), __LINE__);
  const Address end = all.address + 4_KiB * kMany;
  check(backend->bind(std::array{BindOp{end - 12_KiB, 12_KiB, wide, {}}}, {}).has_value(), __LINE__);
  SpareMappings spares(16);

  constexpr Error kRefused{ErrorCode::out_of_mappings, ENOMEM};
  std::uint64_t page = 0;
  Result<TimelinePoint> point;
  while (point && page < kMany - 2)
    point = backend->bind(std::array{op_at(page++, id)}, {});
  --page;
  check(!point && point.error() == kRefused, __LINE__);
  const std::uint64_t held = backend->mappings_held();

  const Result<void> access = backend->set_access(end - 8_KiB, 4_KiB, Access::read);
  check(!access && access.error() == kRefused, __LINE__);
  check(backend->mappings_held() == held, __LINE__);  // the kernel's are counted once there is room for it

  spares.give_back(1);  // room for the first of two
  const std::array two{op_at(page, id), op_at(page + 1, id)};
  point = backend->bind(two, {});
  check(!point && point.error() == kRefused, __LINE__);
  check(backend->mappings_held() == held && kernel_mappings(all) == held, __LINE__);

  spares.give_back(15);
  check(backend->bind(std::array{op_at(page, {})}, {}).error().code == ErrorCode::wrong_state, __LINE__);
  check(backend->bind(two, {}).has_value(), __LINE__);
  check(backend->bind(std::array{op_at(page, {}), op_at(page + 1, {})}, {}).has_value(), __LINE__);
  std::_Exit(0);
}

TEST_F(MappingsTest, R7_WhatTheKernelRefusesIsOutOfMappingsWithItsErrno) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need mappings of their own";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(use_up_all_mappings(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace vaspace::test
