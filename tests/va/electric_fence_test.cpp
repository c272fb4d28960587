// The fence finds what it is there to find, at once and by name; addresses come back late or never. R6, R7.
#include "vaspace/va/electric_fence.hpp"

#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

#include "vaspace/backends/cpu.hpp"
#include "vaspace/backends/cpu_faults.hpp"

#include "support/faulty_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

constexpr Bytes kPage = 64_KiB;

class ElectricFenceTest : public testing::Test {
 protected:
  void open(ElectricFenceConfig config, cpu::BackendConfig device = {}) {
    fence_.reset();
    device.physical_size = 64_MiB;
    auto made = cpu::Backend::create(device);
    ASSERT_TRUE(made);
    backend_ = std::move(*made);
    faulty_ = std::make_unique<FaultyBackend>(*backend_);
    if (config.size.value == 0) config.size = kPage * 64;
    auto fence = ElectricFence::create(*faulty_, config);
    ASSERT_TRUE(fence);
    fence_ = std::move(*fence);
  }
  void TearDown() override {
    fence_.reset();
    EXPECT_EQ(backend_->measured_physical()->value, 0U);
  }
  [[nodiscard]] Address allocate(Bytes size, std::string_view name = {}) {
    const Result<Address> made = fence_->allocate({.size = size, .name = name});
    EXPECT_TRUE(made) << to_string(made.error().code);
    return made ? *made : Address{};
  }
  static volatile char* pointer(Address address) {
    return reinterpret_cast<volatile char*>(static_cast<std::uintptr_t>(address.value));
  }
  void write_reported(Address address) {
    const cpu::FaultNamer namer{fence_.get(), [](void* user, Address at, std::span<char> text) noexcept {
                                  return static_cast<ElectricFence*>(user)->describe(at, text);
                                }};
    const auto reporter = cpu::FaultReporter::install(namer);
    *pointer(address) = 2;
  }
  [[nodiscard]] std::string said(Address address) const {
    std::array<char, 256> text{};
    const std::size_t length = fence_->describe(address, text);
    return {text.data(), length};
  }
  static ErrorCode code(const Result<void>& result) { return result ? kDone : result.error().code; }
  static constexpr ErrorCode kDone = ErrorCode::malformed;

  TestHost host_;  // outlives what the test opens
  HostObject<cpu::Backend> backend_;
  std::unique_ptr<FaultyBackend> faulty_;
  HostObject<ElectricFence> fence_;
};
using ElectricFenceDeathTest = ElectricFenceTest;

TEST_F(ElectricFenceDeathTest, AUseAfterFreeFaultsAtOnceAndIsNamed) {
  open({.quarantine = 16_MiB});
  const Address rock = allocate(100_B, "mesh/rock");
  *pointer(rock) = 1;
  ASSERT_TRUE(fence_->free(rock, "renderer.cpp:42"));
  EXPECT_DEATH(write_reported(rock + 8_B),
               "use after free: byte 8 of allocation 1 'mesh/rock' of 100 bytes, freed at renderer.cpp:42");
}

TEST_F(ElectricFenceDeathTest, AWritePastTheEndFaultsAtOnceAndIsNamed) {
  open({});
  const Address rock = allocate(96_B, "mesh/rock");
  *pointer(rock + 95_B) = 1;
  EXPECT_DEATH(write_reported(rock + 96_B), "0 bytes past the end of allocation 1 'mesh/rock' of 96 bytes");
}

TEST_F(ElectricFenceTest, EachReuseGetsANewAddressUntilTheQuarantineIsOver) {
  open({.size = kPage * 64, .quarantine = kPage * 20});
  std::vector<Address> seen;
  for (int i = 0; i < 31; ++i) {
    const Address address = allocate(kPage);
    for (const Address before : seen)
      ASSERT_NE(before, address);
    seen.push_back(address);
    ASSERT_TRUE(fence_->free(address));
    ASSERT_LE(fence_->quarantined(), kPage * 22);
  }
  EXPECT_EQ(backend_->measured_physical()->value, 0U);
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(fence_->free(allocate(kPage))) << "round and round";
}

TEST_F(ElectricFenceTest, TheQuarantineIsNeverCutShort) {
  open({.size = kPage * 8, .quarantine = 1_GiB});
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(fence_->free(allocate(kPage)));
  EXPECT_EQ(fence_->allocate({.size = kPage}).error().code, ErrorCode::out_of_space);
  EXPECT_EQ(fence_->quarantined(), kPage * 8);
}

TEST_F(ElectricFenceTest, WhatIsRetiredStaysUntilTheDeviceHasPassed_V27) {
  open({.quarantine = 16_MiB}, {.bind_latency_ns = 20'000'000});
  const Address a = allocate(kPage);
  *pointer(a) = 7;
  const Address b = allocate(kPage);
  // A point that passes when the next bind does.
  const Result<TimelinePoint> later = backend_->copy({}, {});
  ASSERT_TRUE(later);
  PhysicalId id;
  ASSERT_TRUE(backend_->create_physical({kPage, 0, {}}, {&id, 1}));
  const Result<Reservation> beside = backend_->reserve({kPage, {}, {}, 0});
  ASSERT_TRUE(beside);
  const BindOp op{.address = beside->address, .size = kPage, .physical = id};
  const Result<TimelinePoint> use = backend_->bind({&op, 1}, {});
  ASSERT_TRUE(use);
  ASSERT_TRUE(fence_->retire(a, {&*use, 1}, "frame 7"));
  EXPECT_EQ(code(fence_->free(a)), ErrorCode::stale_handle);
  if (!*backend_->completed(*use)) {
    EXPECT_EQ(fence_->collect(), 1U);
    EXPECT_EQ(*pointer(a), 7) << "the device may still read it";
  }
  ASSERT_TRUE(backend_->wait(*use, 1'000'000'000));
  EXPECT_EQ(fence_->collect(), 0U);
  EXPECT_EQ(said(a), "use after free: byte 0 of allocation 1 of 65536 bytes, freed at frame 7");
  ASSERT_TRUE(fence_->free(b));
  const BindOp undo{.address = beside->address, .size = kPage};
  const Result<TimelinePoint> undone = backend_->bind({&undo, 1}, {});
  ASSERT_TRUE(undone && backend_->wait(*undone, 1'000'000'000));
  ASSERT_TRUE(backend_->destroy_physical({&id, 1}) && backend_->release(*beside));
}

// Without a word about it, what was freed stays unmapped while a quarter of the addresses is freed after it:
// also where all others are in use, so that going round alone would bring it back at once.
TEST_F(ElectricFenceTest, ThereIsAQuarantineByDefault) {
  open({.size = kPage * 64});
  std::vector<Address> all;
  for (int i = 0; i < 32; ++i)
    all.push_back(allocate(kPage));
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(fence_->free(all[static_cast<std::size_t>(i)]));
    EXPECT_EQ(fence_->allocate({.size = kPage}).error().code, ErrorCode::out_of_space) << i;
    EXPECT_EQ(fence_->quarantined(), kPage * 2 * (static_cast<std::uint64_t>(i) + 1));
  }
  ASSERT_TRUE(fence_->free(all[8]));
  EXPECT_EQ(fence_->quarantined(), kPage * 16);
  EXPECT_EQ(allocate(kPage), all[0]) << "the first that was freed";
}

// Answers what it is told about one timeline.
class Timelines final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  static constexpr TimelinePoint kUse{TimelineId{5}, 9};
  Result<bool> answer = false;
  Result<bool> completed(TimelinePoint point) noexcept override {
    return point.timeline == kUse.timeline ? answer : next().completed(point);
  }
};

// What no timeline ever answered would keep a range bound for ever.
TEST_F(ElectricFenceTest, UsesThatNobodyAnsweredAreRefused) {
  open({});
  const Address a = allocate(kPage);
  const TimelinePoint never[] = {{TimelineId{}, 1'000'000}, {TimelineId{77}, 1}};
  for (const TimelinePoint& use : never)
    EXPECT_EQ(code(fence_->retire(a, {&use, 1})), ErrorCode::invalid_argument);
  EXPECT_EQ(fence_->live(), 1U);
  const TimelinePoint many[5]{};
  EXPECT_EQ(code(fence_->retire(a, many)), ErrorCode::invalid_argument);
  ASSERT_TRUE(fence_->free(a)) << "it is live still";
}

TEST_F(ElectricFenceTest, ALostDeviceAndAForgottenTimelineUseNothingAnyMore_V27) {
  open({});
  for (const ErrorCode end : {ErrorCode::device_lost, ErrorCode::invalid_argument, ErrorCode::driver_error}) {
    Timelines device(*backend_);
    fence_ = ElectricFence::create(device, {.size = kPage * 64}).value();
    const Address a = allocate(kPage);
    ASSERT_TRUE(fence_->retire(a, {&Timelines::kUse, 1}));
    EXPECT_EQ(fence_->collect(), 1U);
    device.answer = fail(end);
    const bool over = end != ErrorCode::driver_error;
    EXPECT_EQ(fence_->collect(), over ? 0U : 1U) << to_string(end);
    EXPECT_EQ(*backend_->measured_physical(), over ? 0_B : kPage);
    device.answer = true;
    EXPECT_EQ(fence_->collect(), 0U);
    fence_.reset();
  }
}

// Memory that the driver will not take back keeps no addresses, and is tried again.
TEST_F(ElectricFenceTest, MemoryThatIsNotTakenBackDoesNotBlockTheQuarantine_R7) {
  open({.size = kPage * 16, .quarantine = kPage * 4});
  const Address first = allocate(kPage);
  faulty_->fail_at(Call::destroy_physical, 1, {ErrorCode::driver_error, 3});
  ASSERT_TRUE(fence_->free(first));
  faulty_->stop_failing();
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(fence_->free(allocate(kPage))) << i;
  EXPECT_LE(fence_->quarantined(), kPage * 6);
  EXPECT_EQ(*backend_->measured_physical(), kPage);
  EXPECT_EQ(fence_->collect(), 0U);
  EXPECT_EQ(*backend_->measured_physical(), Bytes{});
}

// Calls back while the driver works.
class Slow final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  std::function<void()> meanwhile;
  Result<void> create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept override {
    if (meanwhile) meanwhile();
    return next().create_physical(request, out);
  }
  Result<TimelinePoint> bind(std::span<const BindOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    if (meanwhile) meanwhile();
    return next().bind(ops, waits);
  }
};

TEST_F(ElectricFenceTest, WhatFaultsIsNamedWhileAnotherThreadIsInTheDriver) {
  open({});
  Slow slow(*backend_);
  auto made = ElectricFence::create(slow, {.size = kPage * 64});
  ASSERT_TRUE(made);
  const Address rock = *(*made)->allocate({.size = 100_B, .name = "mesh/rock"});
  ASSERT_TRUE((*made)->free(rock, "here"));
  int named = 0;
  slow.meanwhile = [&] {
    std::thread([&] {
      std::array<char, 256> text{};
      if ((*made)->describe(rock, text) != 0) ++named;
    }).join();
  };
  const Result<Address> other = (*made)->allocate({.size = 100_B});
  ASSERT_TRUE(other);
  ASSERT_TRUE((*made)->free(*other));
  slow.meanwhile = nullptr;
  EXPECT_EQ(named, 3) << "creation, bind, unbind";
}

TEST_F(ElectricFenceTest, AllocatingAndFreeingGoOnInSeveralThreads) {
  open({.size = kPage * 256, .quarantine = kPage * 16});
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const Address mine = allocate(100_B);
        *pointer(mine) = 1;
        EXPECT_TRUE(i % 3 == 0 ? fence_->retire(mine, {}) : fence_->free(mine));
        if (i % 7 == 0) (void)fence_->collect();
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(fence_->collect(), 0U);
  EXPECT_EQ(fence_->live(), 0U);
}

TEST_F(ElectricFenceTest, R6_WrongFreesAreTold) {
  open({.quarantine = 16_MiB});
  const Address a = allocate(100_B, "a");
  EXPECT_EQ(code(fence_->free(a + 1_B)), ErrorCode::interior_address);
  EXPECT_EQ(code(fence_->free(Address{64})), ErrorCode::unknown_address);
  EXPECT_EQ(code(fence_->free(a)), kDone);
  EXPECT_EQ(code(fence_->free(a)), ErrorCode::stale_handle);
  EXPECT_EQ(fence_->live(), 0U);
  const auto finding = fence_->describe(a + 3_B);
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->kind, FenceFinding::Kind::freed);
  EXPECT_STREQ(finding->name.data(), "a");
}

TEST_F(ElectricFenceTest, R8_BadRequestsGetTypedErrors) {
  open({});
  const auto code_of = [&](const FencedRequest& request) { return fence_->allocate(request).error().code; };
  EXPECT_EQ(code_of({}), ErrorCode::invalid_size);
  EXPECT_EQ(code_of({.size = kMaxBytes}), ErrorCode::invalid_size);
  EXPECT_EQ(code_of({.size = kPage * 64}), ErrorCode::too_large);
  EXPECT_EQ(code_of({.size = 1_B, .alignment = Alignment{std::uint64_t{3}}}), ErrorCode::invalid_alignment);
  EXPECT_EQ(code_of({.size = 1_B, .alignment = Alignment{kPage * 2}}), ErrorCode::invalid_alignment);
}

TEST_F(ElectricFenceTest, WhatIsRefusedLeavesNothingBehind_R7) {
  TestHost& host = host_;
  for (const bool of_host : {true, false}) {
    for (std::int64_t nth = 1; nth < 40; ++nth) {
      open({.host = host.allocator()});
      if (of_host) {
        host.fail_at(nth);
      } else {
        faulty_->fail_any_at(nth, {ErrorCode::driver_error, 3});
      }
      const Result<Address> made = fence_->allocate({.size = kPage});
      host.fail_at(0);
      faulty_->stop_failing();
      if (made) break;
      EXPECT_EQ(backend_->measured_physical()->value, 0U) << nth;
      EXPECT_EQ(fence_->live(), 0U);
      EXPECT_TRUE(fence_->allocate({.size = kPage * 62}));
    }
  }
  open({});
  const Address a = allocate(kPage);
  faulty_->fail_at(Call::bind, 1, {ErrorCode::out_of_mappings, 12}, true);
  EXPECT_EQ(code(fence_->free(a, "here")), ErrorCode::out_of_mappings);
  EXPECT_EQ(fence_->collect(), 1U);
  faulty_->stop_failing();
  EXPECT_EQ(fence_->collect(), 0U);
  EXPECT_EQ(backend_->measured_physical()->value, 0U);
}

}  // namespace
}  // namespace vaspace::test
