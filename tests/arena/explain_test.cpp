// Why an allocation fails, on every allocator and device: each piece of advice is followed, and what is not
// advised is tried too. R7.
#include <array>
#include <gtest/gtest.h>
#include <vector>

#include "support/arena_fixture.hpp"

namespace vaspace::test {
namespace {

class Explain : public VaTest {
 protected:
  // Blocks of a size until no more is given, or as many as the device is large; then every second of them is
  // free.
  void leave_holes_of(Bytes size) {
    while (size * live_.size() < stage_->device().physical) {
      const auto allocation = va().allocate({.size = size});
      if (!allocation) break;
      live_.push_back(*allocation);
    }
    ASSERT_GT(live_.size(), 4U);
    for (std::size_t i = 0; i < live_.size(); i += 2)
      va().free(live_[i]);
  }
  void TearDown() override {
    if (!stage_) return;
    for (std::size_t i = 1; i < live_.size(); i += 2)
      va().free(live_[i]);
    VaTest::TearDown();
  }
  // Allocates and takes it back, with what it took from the device.
  [[nodiscard]] static bool serves(Va& va, const AllocationRequest& request) {
    const auto allocation = va.allocate(request);
    if (!allocation) return false;
    va.free(*allocation);
    va.flush();
    return true;
  }
  [[nodiscard]] bool another_serves(const AllocationRequest& request, std::uint32_t memory_type = 0) {
    ArenaConfig config = stage_->config().arena;
    config.memory_type = memory_type;
    config.observer = {};
    const auto another = subject().make(stage_->counting(), config);
    return another && serves(**another, request);
  }
  void follow(const AllocationRequest& request) {
    const Bytes live = va().live(), used = va().used(), reserved = va().reserved(),
                committed = va().committed();
    const auto shortfall = va().explain(request);
    ASSERT_TRUE(shortfall) << to_string(shortfall.error().code);
    EXPECT_EQ(va().live(), live);
    EXPECT_EQ(va().used(), used);
    EXPECT_LE(va().reserved(), reserved);
    EXPECT_LE(va().committed(), committed);
    ASSERT_STREQ(va().validate(), nullptr);
    const auto allocation = va().allocate(request);
    EXPECT_EQ(shortfall->fits, allocation.has_value());
    if (allocation) {
      EXPECT_EQ(shortfall->largest, request.size);
      va().free(*allocation);
      return;
    }
    ++refused_;
    EXPECT_EQ(shortfall->error, allocation.error());
    EXPECT_LT(shortfall->largest, request.size);
    AllocationRequest other = request;
    other.size = shortfall->largest;
    EXPECT_TRUE(other.size == Bytes{} || serves(va(), other));
    other = request;
    other.alignment = {};
    EXPECT_EQ(shortfall->alignment_helps, request.alignment != other.alignment && serves(va(), other));
    EXPECT_EQ(shortfall->another_helps, another_serves(request));
    EXPECT_FALSE(shortfall->other_type_helps);
  }

  std::vector<Allocation> live_;
  int refused_ = 0;
};
INSTANTIATE_TEST_SUITE_P(, Explain,
                         testing::Combine(testing::ValuesIn(kSubjects), testing::ValuesIn(kDevices)),
                         name_of);

TEST_P(Explain, WhatIsAdvisedHelpsAndNothingElseDoes_R7) {
  open_on(device().of_size(24_MiB));
  leave_holes_of(1_MiB);
  for (const Bytes size : {1_MiB, 2_MiB, 9_MiB, 24_MiB, 25_MiB})
    for (const std::uint64_t alignment : {std::uint64_t{1}, (4_MiB).value, (32_MiB).value})
      follow({.size = size, .alignment = Alignment{alignment}});
  EXPECT_GE(refused_, 3);
}

TEST_P(Explain, WhatFitsLeavesNothingTaken) {
  open();
  const Bytes reserved = va().reserved();
  const auto shortfall = va().explain({.size = 5_MiB, .name = "mesh"});
  ASSERT_TRUE(shortfall);
  EXPECT_TRUE(shortfall->fits);
  EXPECT_EQ(shortfall->largest, 5_MiB);
  EXPECT_EQ(shortfall->error, Error{});
  EXPECT_EQ(va().reserved(), reserved);
  EXPECT_EQ(va().committed(), device().commits ? reserved : Bytes{});
}

TEST_P(Explain, WhatNothingWouldServeIsAnError_R8) {
  open_on(device().of_size(8_MiB));
  const auto code = [&](const AllocationRequest& request) {
    const auto shortfall = va().explain(request);
    EXPECT_FALSE(shortfall);
    return shortfall ? ErrorCode{} : shortfall.error().code;
  };
  EXPECT_EQ(code({.size = Bytes{}}), ErrorCode::invalid_size);
  EXPECT_EQ(code({.size = 1_KiB, .alignment = Alignment{3}}), ErrorCode::invalid_alignment);
  const auto whole_axis = va().explain({.size = kMaxBytes});
  ASSERT_TRUE(whole_axis);
  EXPECT_EQ(whole_axis->error.code, ErrorCode::too_large);
  EXPECT_TRUE(serves(va(), {.size = whole_axis->largest}));
}

// R7: whichever request for host memory is refused, the state is as it was.
TEST_P(Explain, EveryHostRequestMayFail_R7) {
  open_on(device().of_size(16_MiB));
  leave_holes_of(1_MiB);
  const AllocationRequest request{.size = 3_MiB, .alignment = Alignment{(4_MiB).value}};
  const std::int64_t before = stage_->host().requests();
  ASSERT_TRUE(va().explain(request));
  const std::int64_t requests = stage_->host().requests() - before;
  const Bytes live = va().live(), used = va().used();
  for (std::int64_t nth = 1; nth <= requests; nth += 1 + requests / 40) {
    stage_->host().fail_at(nth);
    const auto shortfall = va().explain(request);
    stage_->host().fail_at(0);
    if (!shortfall) {
      EXPECT_EQ(shortfall.error().code, ErrorCode::out_of_host_memory);
    }
    EXPECT_EQ(va().live(), live);
    EXPECT_EQ(va().used(), used);
    ASSERT_STREQ(va().validate(), nullptr) << nth;
  }
}

// One reservation is full of holes: addresses are what is lacking, and another allocator has some.
TEST(ExplainTest, AddressesThatRanOutAreAnotherAllocators) {
  const auto device = *AddressBackend::create({.physical_size = 256_MiB, .page_sizes = kPages64});
  auto full = *DefaultAllocator::create(*device, {.reservation = 8_MiB});
  std::vector<AllocationId> ids;
  for (int i = 0; i < 8; ++i)
    ids.push_back(full.allocate({.size = 1_MiB})->id);
  for (std::size_t i = 1; i < ids.size(); i += 2)
    full.free(ids[i]);
  const auto shortfall = full.explain({.size = 2_MiB});
  ASSERT_TRUE(shortfall);
  EXPECT_EQ(shortfall->error.code, ErrorCode::out_of_space);
  EXPECT_EQ(shortfall->in_holes, 4_MiB);
  EXPECT_EQ(shortfall->left, 252_MiB);
  EXPECT_GE(shortfall->largest, 1_MiB - 32_KiB);
  EXPECT_FALSE(shortfall->alignment_helps);
  EXPECT_TRUE(shortfall->another_helps);
  EXPECT_FALSE(shortfall->other_type_helps);
  auto another = *DefaultAllocator::create(*device, {.reservation = 8_MiB});
  const auto there = another.allocate({.size = 2_MiB});
  ASSERT_TRUE(there);
  another.free(there->id);
  // The holes are at odd addresses.
  const auto aligned = full.explain({.size = 1_MiB, .alignment = Alignment{(2_MiB).value}});
  ASSERT_TRUE(aligned);
  EXPECT_FALSE(aligned->fits);
  ASSERT_TRUE(aligned->alignment_helps);
  const auto anywhere = full.allocate({.size = 1_MiB});
  ASSERT_TRUE(anywhere);
  full.free(anywhere->id);
  for (std::size_t i = 0; i < ids.size(); i += 2)
    full.free(ids[i]);
}

// The heap of one memory type is full, and another type has a heap of its own.
TEST(ExplainTest, AnotherMemoryTypeHasRoom) {
  const std::array<MemoryHeap, 2> heaps{{{16_MiB, true}, {32_MiB, false}}};
  const MemoryType first{.heap = 0, .device_local = true, .host_visible = true, .host_coherent = true};
  const MemoryType second{.heap = 1, .device_local = false, .host_visible = true, .host_coherent = true};
  const std::array<MemoryType, 3> types{{first, first, second}};
  const auto device = *cpu::Backend::create({.heaps = heaps, .memory_types = types, .page_sizes = kPages64});
  std::uint64_t served = 0;  // of the requests that are not this allocator's to serve
  const Observer observer{&served, [](void* user, const Event& event) noexcept {
                            if (event.kind == EventKind::allocate && event.size == 8_MiB)
                              ++*static_cast<std::uint64_t*>(user);
                          }};
  auto arena = *ArenaAllocator::create(*device, {.observer = observer});
  const auto most = arena.allocate({.size = 12_MiB});
  ASSERT_TRUE(most);
  const auto shortfall = arena.explain({.size = 8_MiB});
  ASSERT_TRUE(shortfall);
  EXPECT_EQ(shortfall->error.code, ErrorCode::out_of_device_memory);
  EXPECT_EQ(shortfall->left, 4_MiB);
  EXPECT_GE(shortfall->largest, 4_MiB - 128_KiB);
  EXPECT_FALSE(shortfall->another_helps) << "of the same type";
  ASSERT_TRUE(shortfall->other_type_helps);
  EXPECT_EQ(shortfall->other_type, 2U);
  EXPECT_EQ(served, 0U) << "what other allocators are tried is not this one's to tell";
  auto other = *ArenaAllocator::create(*device, {.memory_type = shortfall->other_type});
  const auto there = other.allocate({.size = 8_MiB});
  ASSERT_TRUE(there);
  other.free(there->id);
  arena.free(most->id);
}

}  // namespace
}  // namespace vaspace::test
