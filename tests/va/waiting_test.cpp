// T2: while one thread stands inside a call of the driver, those that need other pages go on. The gate holds
// that one bind; whatever waited for it would hang this test.
#include <thread>

#include "vaspace/va/electric_fence.hpp"

#include "paged_fixture.hpp"
#include "support/gate_backend.hpp"

namespace vaspace::test {
namespace {

class Waiting : public testing::Test {
 protected:
  void open(PagedSpaceConfig config) {
    cpu::BackendConfig device;
    device.physical_size = 64_MiB;
    auto made = cpu::Backend::create(device);
    ASSERT_TRUE(made);
    backend_ = std::move(*made);
    gate_ = std::make_unique<GateBackend>(*backend_);
    auto space = PagedSpace::create(*gate_, config);
    ASSERT_TRUE(space);
    space_ = std::move(*space);
  }
  // Runs `held` on a thread until it stands at the gate, then `meanwhile` here.
  template <class Held, class Meanwhile>
  void beside(Held&& held, Meanwhile&& meanwhile) {
    gate_->hold_next_bind();
    std::thread other(held);
    gate_->wait_until_held();
    meanwhile();
    EXPECT_TRUE(gate_->held());
    gate_->open();
    other.join();
    EXPECT_EQ(space_->validate(), nullptr);
  }
  [[nodiscard]] Address at(Bytes offset) const { return space_->begin() + offset; }
  [[nodiscard]] Result<void> acquire(Bytes offset, Bytes size = 4_KiB) {
    return space_->acquire(at(offset), size);
  }
  [[nodiscard]] Result<void> release(Bytes offset, Bytes size = 4_KiB) {
    return space_->release(at(offset), size);
  }

  HostObject<cpu::Backend> backend_;
  std::unique_ptr<GateBackend> gate_;
  HostObject<PagedSpace> space_;
};

TEST_F(Waiting, T2_AFirstUseKeepsNobodyWaitingWhoNeedsOtherPages) {
  for (const bool large_first : {true, false}) {
    open({.size = 16_MiB, .large_first = large_first});
    ASSERT_TRUE(acquire(8_MiB));
    Result<void> held;
    beside([&] { held = acquire(0_B); },
           [&] {
             EXPECT_TRUE(acquire(4_MiB)) << "a first use too";
             EXPECT_TRUE(acquire(8_MiB + 4_KiB));
             EXPECT_TRUE(release(4_MiB));
             EXPECT_GT(space_->trim(0_B), 0_B) << "and an unbind";
             EXPECT_EQ(space_->report().live, 8_KiB);
             EXPECT_EQ(space_->behind(at(0_B)).bound, false);
             EXPECT_TRUE(space_->explain(at(12_MiB), 4_KiB));
           });
    EXPECT_TRUE(held);
    EXPECT_TRUE(space_->behind(at(0_B)).bound);
    space_.reset();
  }
}

// Two want the same cells at once: one has them, the other is told.
TEST_F(Waiting, OneOfTwoGetsTheSameCells_R1) {
  open({.size = 16_MiB});
  Result<void> first, second;
  std::thread other;
  beside([&] { first = acquire(0_B); }, [&] { other = std::thread([&] { second = acquire(0_B); }); });
  other.join();
  EXPECT_NE(first.has_value(), second.has_value());
  const Result<void>& refused = first ? second : first;
  EXPECT_EQ(refused.error().code, ErrorCode::wrong_state);
  EXPECT_EQ(space_->report().live, 4_KiB);
}

TEST_F(Waiting, T2_AnUnbindKeepsNobodyWaitingWhoNeedsOtherPages) {
  open({.size = 16_MiB});
  ASSERT_TRUE(acquire(0_B));
  ASSERT_TRUE(release(0_B));
  beside([&] { (void)space_->trim(0_B); }, [&] { EXPECT_TRUE(acquire(4_MiB)); });
  EXPECT_FALSE(space_->behind(at(0_B)).bound);
}

// Pages that share one are taken out of it by two threads at once.
TEST_F(Waiting, T2_UnsharingKeepsNobodyWaitingWhoNeedsOtherPages) {
  open({.size = 4_MiB, .large_page = 64_KiB});
  ASSERT_TRUE(space_->can_mesh());
  for (std::uint64_t page = 0; page < 4; ++page)
    ASSERT_TRUE(acquire(64_KiB * page + (page % 2 == 0 ? 0_B : 32_KiB), 32_KiB));
  while (!space_->compact({}).finished) {
  }
  ASSERT_EQ(space_->behind(at(0_B)).sharers, 2U);
  ASSERT_EQ(space_->behind(at(128_KiB)).sharers, 2U);
  Result<void> held;
  beside([&] { held = acquire(32_KiB); }, [&] { EXPECT_TRUE(acquire(160_KiB)); });
  EXPECT_TRUE(held);
  EXPECT_EQ(space_->behind(at(0_B)).sharers, 1U);
  EXPECT_EQ(space_->behind(at(128_KiB)).sharers, 1U);
}

TEST_F(Waiting, T2_AFenceGoesOnBesideAnAllocationThatWaits) {
  open({.size = 2_MiB});
  auto made = ElectricFence::create(*gate_, {.size = 64_MiB});
  ASSERT_TRUE(made);
  ElectricFence& fence = **made;
  const auto before = fence.allocate({.size = 100_B, .name = "before"});
  ASSERT_TRUE(before);
  Result<Address> held;
  beside([&] { held = fence.allocate({.size = 100_B, .name = "held"}); },
         [&] {
           const auto other = fence.allocate({.size = 100_B, .name = "other"});
           ASSERT_TRUE(other);
           EXPECT_TRUE(fence.free(*other, "here"));
           EXPECT_TRUE(fence.free(*before, "here"));
         });
  EXPECT_TRUE(held);
  EXPECT_TRUE(fence.free(*held, "here"));
}

}  // namespace
}  // namespace vaspace::test
