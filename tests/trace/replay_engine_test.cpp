// The replay itself, through an allocator so simple that every figure can be told beforehand.
#include "replay_engine.hpp"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"
#include "vaspace/backends/cpu.hpp"
#include "vaspace/device/address_backend.hpp"
#include "vaspace/trace/recorder.hpp"

#include "files.hpp"
#include "stand_in_allocator.hpp"
#include "traces.hpp"

namespace vaspace::tools {
namespace {

using test::StandInAllocator;
using test::StandInConfig;

constexpr std::array<Bytes, 1> kPage{64_KiB};

HostObject<AddressBackend> address_backend() {
  AddressBackendConfig config;
  config.physical_size = 64_MiB;
  config.page_sizes = kPage;
  return std::move(*AddressBackend::create(config));
}

HostObject<cpu::Backend> cpu_backend() {
  cpu::BackendConfig config;
  config.physical_size = 64_MiB;
  config.page_sizes = kPage;
  return std::move(*cpu::Backend::create(config));
}

ReplayResult replay(const trace::Trace& trace, Backend& backend, const StandInConfig& config = {},
                    Verifier* verifier = nullptr, const ReplaySettings& settings = {}) {
  Result<StandInAllocator> allocator = StandInAllocator::create(backend, config);
  EXPECT_TRUE(allocator);
  return Replay<StandInAllocator>(*allocator, trace, settings, verifier).run();
}

// Two pages' worth, one after the other, then one freed.
const std::string kThreeRows =
    "1,0,alloc,1,65536,1,buffer,1,\n"
    "2,0,frame,1,0,0,present,0,\n"
    "3,0,alloc,2,1000,1,buffer,1,\n"
    "4,0,free,1,65536,1,buffer,1,\n";

TEST(Replay, EveryFigureOfASmallTrace) {
  const auto backend = address_backend();
  const ReplayResult r = replay(test::trace_of(kThreeRows), *backend);
  EXPECT_EQ(r.operations, 3U);
  EXPECT_EQ(r.failed, 0U);
  EXPECT_EQ(r.peak_live, 66536_B);
  EXPECT_EQ(r.peak_committed, 128_KiB);
  EXPECT_EQ(r.peak_reserved, 64_MiB);
  EXPECT_DOUBLE_EQ(r.mean_live, (65536.0 + 66536.0 + 1000.0) / 3);
  EXPECT_DOUBLE_EQ(r.mean_committed, (65536.0 + 131072.0 + 65536.0) / 3) << "sampled after collect()";
  EXPECT_EQ(r.end_live, 1000_B);
  EXPECT_EQ(r.end_committed, 64_KiB);
  EXPECT_EQ(r.internal_waste, 32_B) << "16 of each of two allocations at the peak";
}

TEST(Replay, WasteIsThatOfTheFirstMomentAtThePeak) {
  const auto backend = address_backend();
  const ReplayResult r = replay(test::trace_of("1,0,alloc,1,100,1,buffer,1,\n"
                                               "2,0,free,1,100,1,buffer,1,\n"
                                               "3,0,alloc,2,50,1,buffer,1,\n"
                                               "4,0,alloc,3,50,1,buffer,1,\n"),
                                *backend);
  EXPECT_EQ(r.peak_live, 100_B);
  EXPECT_EQ(r.internal_waste, 16_B);
}

TEST(Replay, TheEndIsSampledAfterAFlush) {
  const auto backend = address_backend();
  StandInConfig config;
  config.collects = false;
  const ReplayResult r = replay(test::trace_of(kThreeRows), *backend, config);
  EXPECT_DOUBLE_EQ(r.mean_committed, (65536.0 + 131072.0 + 131072.0) / 3);
  EXPECT_EQ(r.end_committed, 64_KiB);
}

TEST(Replay, EveryTimeIsTakenOnce) {
  const auto backend = address_backend();
  const ReplayResult r = replay(test::trace_of(kThreeRows), *backend);
  for (const Spread& spread : {r.allocate_ns, r.free_ns, r.collect_ns}) {
    EXPECT_LE(static_cast<double>(spread.min), spread.median);
    EXPECT_LE(spread.median, static_cast<double>(spread.p99));
    EXPECT_LE(spread.p99, spread.max);
    EXPECT_LE(spread.mean, static_cast<double>(spread.max));
  }
}

TEST(Replay, EverythingIsFreedAtItsEnd) {
  const auto backend = address_backend();
  Result<StandInAllocator> allocator = StandInAllocator::create(*backend, {});
  const trace::Trace trace = test::trace_of(kThreeRows);
  (void)Replay<StandInAllocator>(*allocator, trace, {}, nullptr).run();
  EXPECT_EQ(allocator->report().total.live_allocations, 0U);
  EXPECT_EQ(allocator->report().total.committed, 0_B);
}

TEST(Replay, AnEmptyTrace) {
  const auto backend = address_backend();
  const ReplayResult r = replay(test::trace_of(""), *backend);
  EXPECT_EQ(r.operations, 0U);
  EXPECT_EQ(r.mean_live, 0.0);
  EXPECT_EQ(r.peak_reserved, 64_MiB);
}

TEST(Replay, ARefusedAllocationCountsAndItsFreeIsSkipped) {
  const auto backend = address_backend();
  const trace::Trace trace = test::trace_of(
      "1,0,alloc,1,100000000,1,buffer,1,\n"
      "2,0,alloc,2,1000,1,buffer,1,\n"
      "3,0,free,1,100000000,1,buffer,1,\n"
      "4,0,free,2,1000,1,buffer,1,\n");
  OverlapVerifier verifier;
  const ReplayResult r = replay(trace, *backend, {}, &verifier);
  EXPECT_EQ(r.operations, 4U);
  EXPECT_EQ(r.failed, 1U);
  EXPECT_EQ(r.verify_errors, 0U);
  EXPECT_EQ(r.peak_live, 1000_B);
  EXPECT_EQ(r.end_live, 0_B);
  EXPECT_THAT(r.first_failure, ::testing::HasSubstr("out_of_space"));
}

TEST(Replay, AlignmentsAreRaisedByKind) {
  const auto backend = address_backend();
  const trace::Trace trace = test::trace_of(
      "1,0,alloc,1,1,16,buffer,1,\n"
      "1,0,alloc,2,1,1024,buffer,1,\n"
      "1,0,alloc,3,1,16,image_optimal,1,\n"
      "1,0,alloc,4,1,16,image_linear,1,\n"
      "1,0,alloc,5,1,0,memory,1,\n");
  std::vector<std::uint64_t> offsets;
  StandInConfig config;
  std::uint64_t base = 0;
  config.after_allocate = [&](std::uint64_t, const Allocation& a) {
    if (offsets.empty()) base = a.address.value;
    offsets.push_back(a.address.value - base);
  };
  ReplaySettings settings;
  settings.align_buffers = Alignment{256};
  settings.align_images = Alignment{4096};
  OverlapVerifier verifier;
  const ReplayResult r = replay(trace, *backend, config, &verifier, settings);
  EXPECT_EQ(r.verify_errors, 0U) << r.first_verify_error;
  // First fit: 4 and 5 go into the hole behind 1.
  EXPECT_THAT(offsets, ::testing::ElementsAre(0, 1024, 4096, 16, 1));
}

TEST(Replay, TheCurveFollowsTheOperations) {
  const auto backend = address_backend();
  const ReplayResult r = replay(test::trace_of(kThreeRows), *backend);
  EXPECT_EQ(r.curve.live[0], 64_KiB);
  EXPECT_EQ(r.curve.live[20], 64_KiB);
  EXPECT_EQ(r.curve.live[30], 66536_B);
  EXPECT_EQ(r.curve.live[63], 1000_B);
  EXPECT_EQ(r.curve.committed[63], 64_KiB);
}

TEST(Replay, ARealPatternOnRealMemoryIsClean) {
  const auto backend = cpu_backend();
  PatternVerifier verifier;
  const ReplayResult r = replay(test::trace_of(test::busy_rows(3000, 3)), *backend, {}, &verifier);
  EXPECT_EQ(r.failed, 0U);
  EXPECT_EQ(r.verify_errors, 0U) << r.first_verify_error;
}

TEST(Replay, OneCorruptByteInTheMiddleIsReported) {
  const auto backend = cpu_backend();
  StandInConfig config;
  Allocation victim;
  config.after_allocate = [&](std::uint64_t count, const Allocation& allocation) {
    if (count == 100) victim = allocation;
    // Later, when the victim is filled: one bit of one byte.
    if (count == 101)
      reinterpret_cast<std::byte*>(victim.address.value)[victim.size.value / 2] ^= std::byte{4};
  };
  PatternVerifier verifier;
  const ReplayResult r = replay(test::trace_of(test::busy_rows(3000, 1)), *backend, config, &verifier);
  EXPECT_EQ(r.verify_errors, 1U);
  EXPECT_THAT(r.first_verify_error, ::testing::HasSubstr("byte " + std::to_string(victim.size.value / 2) +
                                                         " of " + std::to_string(victim.size.value)));
}

// The same, end to end, through the library's own allocators.
template <class A>
class Corrupting : public A {
 public:
  explicit Corrupting(A&& allocator) : A(std::move(allocator)) {}
  Result<Allocation> allocate(const AllocationRequest& request) {
    // The one before has been filled by now.
    if (allocated_ == 100)
      reinterpret_cast<std::byte*>(last_.address.value)[last_.size.value / 2] ^= std::byte{1};
    Result<Allocation> allocation = A::allocate(request);
    ++allocated_;
    if (allocation) last_ = *allocation;
    return allocation;
  }

 private:
  Allocation last_;
  int allocated_ = 0;
};

template <class A, class Config>
ReplayResult replay_corrupted(unsigned threads) {
  const auto backend = cpu_backend();
  Result<A> made = A::create(*backend, Config{});
  Corrupting<A> allocator(std::move(*made));
  ReplaySettings settings;
  settings.threads = threads;
  PatternVerifier verifier;
  return Replay<Corrupting<A>>(allocator, test::trace_of(test::busy_rows(3000, 1)), settings, &verifier)
      .run();
}

TEST(Replay, OneCorruptByteIsReportedThroughEveryAllocator) {
  EXPECT_EQ((replay_corrupted<ArenaAllocator, ArenaConfig>(1).verify_errors), 1U);
  EXPECT_EQ((replay_corrupted<DefaultAllocator, DefaultConfig>(1).verify_errors), 1U);
  EXPECT_EQ((replay_corrupted<ThreadSafeArenaAllocator, ArenaConfig>(1).verify_errors), 1U);
  EXPECT_EQ((replay_corrupted<ThreadSafeDefaultAllocator, DefaultConfig>(1).verify_errors), 1U);
}

class ReplayTogether : public ::testing::TestWithParam<unsigned> {};

INSTANTIATE_TEST_SUITE_P(, ReplayTogether, ::testing::Values(2, 3, 4, 7),
                         ::testing::PrintToStringParamName());

TEST_P(ReplayTogether, EveryOperationIsDoneAndNothingOverlaps) {
  const auto backend = cpu_backend();
  const trace::Trace trace = test::trace_of(test::busy_rows(3000, 4));
  PatternVerifier verifier;
  ReplaySettings settings;
  settings.threads = GetParam();
  const ReplayResult r = replay(trace, *backend, {}, &verifier, settings);
  EXPECT_EQ(r.operations, trace.operation_count);
  EXPECT_EQ(r.failed, 0U) << r.first_failure;
  EXPECT_EQ(r.verify_errors, 0U) << r.first_verify_error;
  EXPECT_LE(r.peak_live, 2 * trace.peak_live);
  const auto alone = cpu_backend();
  EXPECT_EQ(r.end_live, replay(trace, *alone).end_live);
}

TEST(ReplayTogetherTest, AnAllocThatFailsForOneWorkerIsSkippedByTheOther) {
  const auto backend = address_backend();
  const trace::Trace trace = test::trace_of(
      "1,0,alloc,1,100000000,1,buffer,1,\n"
      "3,1,free,1,100000000,1,buffer,1,\n"
      "3,1,alloc,2,1,1,buffer,1,\n");
  ReplaySettings settings;
  settings.threads = 2;
  const ReplayResult r = replay(trace, *backend, {}, nullptr, settings);
  EXPECT_EQ(r.failed, 1U);
  EXPECT_EQ(r.operations, 3U);
  EXPECT_EQ(r.end_live, 1_B);
}

class Throwing final : public Verifier {
  void on_begin(std::uint32_t number, const Allocation&) override {
    if (number == 50) throw std::runtime_error("thrown");
  }
  void on_end(std::uint32_t, const Allocation&) override {}
};

TEST(ReplayTogetherTest, AnExceptionOfAWorkerEndsTheReplay) {
  const auto backend = address_backend();
  const trace::Trace trace = test::trace_of(test::busy_rows(2000, 4));
  Throwing verifier;
  ReplaySettings settings;
  settings.threads = 3;
  EXPECT_THROW((void)replay(trace, *backend, {}, &verifier, settings), std::runtime_error);
}

// What a Recorder hears of one replay is a trace that replays to the same figures.
TEST(Replay, ARecordedReplayReplaysTheSame) {
  const test::Folder folder;
  const std::string path = folder.path("again.csv.gz");
  const auto backend = address_backend();
  const trace::Trace trace = test::trace_of(test::busy_rows(2000, 1));
  trace::Expected<trace::Recorder> recorder = trace::Recorder::create(path.c_str());
  StandInConfig config;
  config.observer = recorder->observer();
  const ReplayResult first = replay(trace, *backend, config);
  ASSERT_TRUE(recorder->close());
  const auto recorded = trace::load(path.c_str());
  ASSERT_TRUE(recorded) << recorded.error().reason();
  const ReplayResult second = replay(*recorded, *backend);
  EXPECT_EQ(second.peak_live, first.peak_live);
  EXPECT_EQ(recorded->allocation_count, trace.allocation_count);
}

TEST(Replay, WhatAnArenaAllocatorDoesIsRecorded) {
  const test::Folder folder;
  const std::string path = folder.path("arena.csv");
  const auto backend = address_backend();
  const trace::Trace trace = test::trace_of(test::busy_rows(2000, 1));
  trace::Expected<trace::Recorder> recorder = trace::Recorder::create(path.c_str());
  ArenaConfig config;
  config.observer = recorder->observer();
  Result<ArenaAllocator> allocator = ArenaAllocator::create(*backend, config);
  const ReplayResult first = Replay<ArenaAllocator>(*allocator, trace, {}, nullptr).run();
  ASSERT_TRUE(recorder->close());
  const auto recorded = trace::load(path.c_str());
  ASSERT_TRUE(recorded) << recorded.error().line << ": " << recorded.error().reason();
  EXPECT_EQ(recorded->allocation_count, trace.allocation_count);
  EXPECT_EQ(recorded->peak_live, first.peak_live);
}

TEST(Deal, OneWorkerGetsAllButFrames) {
  const trace::Trace trace = test::trace_of(kThreeRows);
  const auto dealt = deal(trace, 1);
  ASSERT_EQ(dealt.size(), 1U);
  ASSERT_EQ(dealt[0].size(), 3U);
  EXPECT_EQ(dealt[0][1].row, 2U);
  EXPECT_EQ(dealt[0][1].operation, 1U);
}

TEST(Deal, ByThreadWhereThereAreEnoughElseByAllocation) {
  const trace::Trace trace = test::trace_of(
      "1,70,alloc,1,1,1,buffer,1,\n"
      "1,90,alloc,2,1,1,buffer,1,\n"
      "1,70,free,2,1,1,buffer,1,\n"
      "1,90,free,1,1,1,buffer,1,\n");
  EXPECT_EQ(thread_count(trace), 2U);
  const auto by_thread = deal(trace, 2);
  EXPECT_EQ(by_thread[0][0].row, 0U);
  EXPECT_EQ(by_thread[0][1].row, 2U);
  EXPECT_EQ(by_thread[1][0].row, 1U);
  const auto by_allocation = deal(trace, 3);
  EXPECT_EQ(by_allocation[0][0].row, 0U);
  EXPECT_EQ(by_allocation[0][1].row, 3U);
  EXPECT_EQ(by_allocation[1][1].row, 2U);
  EXPECT_TRUE(by_allocation[2].empty());
}

TEST(Pace, TheFirstOpenRowAlwaysGoes) {
  Pace pace(2, 100_B);
  pace.reach(1, 5);
  EXPECT_TRUE(pace.try_admit(0, 1000_B));
  EXPECT_EQ(pace.admitted(), 1000_B);
  pace.give_back(1000_B);
  EXPECT_EQ(pace.admitted(), 0_B);
}

TEST(Pace, AheadOnlyWhereItFitsUnderThePeak) {
  Pace pace(2, 100_B);
  pace.reach(1, 5);
  EXPECT_TRUE(pace.try_admit(5, 60_B));
  EXPECT_FALSE(pace.try_admit(5, 41_B));
  EXPECT_EQ(pace.admitted(), 60_B);
  EXPECT_TRUE(pace.try_admit(5, 40_B));
}

TEST(Pace, AheadOnlyByTheLead) {
  Pace pace(3, 100_B);
  pace.reach(0, 10);
  pace.reach(1, Pace::kDone);
  pace.reach(2, 10 + Pace::kLead);
  EXPECT_TRUE(pace.try_admit(10 + Pace::kLead, 1_B));
  pace.reach(2, 11 + Pace::kLead);
  EXPECT_FALSE(pace.try_admit(11 + Pace::kLead, 1_B));
  pace.reach(0, 11);
  EXPECT_TRUE(pace.try_admit(11 + Pace::kLead, 1_B));
}

TEST(Pace, WhoWaitsGoesWhenTheOthersAreThere) {
  Pace pace(2, 100_B);
  pace.reach(1, Pace::kLead + 1);
  bool admitted = false;
  {
    std::jthread ahead([&] { admitted = pace.admit(Pace::kLead + 1, 1_B); });
    pace.reach(0, Pace::kDone);
  }
  EXPECT_TRUE(admitted);
}

TEST(Pace, WhoWaitsStopsWhenTheReplayIsAbandoned) {
  Pace pace(2, 100_B);
  pace.reach(1, Pace::kLead + 1);
  bool admitted = true;
  {
    std::jthread ahead([&] { admitted = pace.admit(Pace::kLead + 1, 1_B); });
    pace.abandon();
  }
  EXPECT_FALSE(admitted);
}

}  // namespace
}  // namespace vaspace::tools
