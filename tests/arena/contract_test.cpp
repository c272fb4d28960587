// One contract suite for every VA allocator on every device; the driver compares everything after each
// operation.
#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <random>

#include "support/arena_fixture.hpp"
#include "support/arena_ops.hpp"
#include "support/arena_scale.hpp"

namespace vaspace::test {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

using VaContract = VaTest;
INSTANTIATE_TEST_SUITE_P(, VaContract,
                         testing::Combine(testing::ValuesIn(kSubjects), testing::ValuesIn(kDevices)),
                         name_of);

TEST_P(VaContract, R1_R2_R3_R6_R7_HoldsAfterEveryOperation) {
  // Where there is memory, its pages cost more than all the rest.
  const std::uint64_t seeds = device().memory ? 1 : 4;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    std::mt19937_64 random(seed);
    open();
    for (int i = 0; i < scaled(device().memory ? 600 : 1500); ++i)
      ASSERT_EQ(apply(random_op(random, device().memory ? 20 : 23)), "")
          << "seed " << seed << ", operation " << i;
    ASSERT_EQ(driver_->check_contents(), "");
    ASSERT_EQ(driver_->free_all([&](std::size_t n) { return random() % n; }), "");
  }
}

// R5: in three orders; then nothing is committed, and of an arena allocator nothing is reserved.
TEST_P(VaContract, R5_FreeingAllInAnyOrderGivesEverythingBack) {
  for (int order = 0; order < 3; ++order) {
    open_on(device().of_size(64_MiB));
    std::mt19937_64 random(7);
    for (int i = 0; i < scaled(150) + 20; ++i)
      ASSERT_EQ(apply({VaOpKind::allocate, log_uniform(random, 18), random() % 10}), "");
    const auto pick = [&](std::size_t n) -> std::size_t {
      return order == 0 ? 0 : order == 1 ? n - 1 : random() % n;
    };
    ASSERT_EQ(driver_->free_all(pick), "");
    const AllocatorReport report = va().report();
    EXPECT_EQ(report.total.used, Bytes{});
    if (!device().commits || subject().arena) {
      EXPECT_EQ(report.total.committed, Bytes{});
    }
    if (subject().arena) {
      EXPECT_EQ(report.total.reserved, Bytes{});
    }
    // The whole device is one allocation's again.
    const auto whole = va().allocate({64_MiB, {}, {}, 0});
    ASSERT_TRUE(whole) << to_string(whole.error().code);
    va().free(*whole);
  }
}

// R1: every power up to 64 MiB, for sizes of every class.
TEST_P(VaContract, R1_EveryAlignmentIsKept) {
  open();
  for (unsigned bits = 0; bits <= 26; ++bits) {
    for (const Bytes size : {1_B, 500_B, 3_KiB, 64_KiB, 1_MiB}) {
      const std::size_t before = driver_->live().size();
      ASSERT_EQ(apply({VaOpKind::allocate, size.value, bits}), "");
      ASSERT_EQ(driver_->live().size(), before + 1)
          << "2^" << bits << ", " << size.value << ": " << to_string(driver_->last_error().code);
      // A single reservation has no more than four places for the largest.
      if (driver_->live().size() == 3) {
        ASSERT_EQ(apply({VaOpKind::free, 0, 0}), "");
      }
    }
  }
}

// R8: no wrap-around at the edges of 64 bits.
TEST_P(VaContract, R8_EdgesGiveTypedErrors) {
  open();
  ASSERT_EQ(allocate(5_KiB), "");
  const std::uint64_t sizes[] = {0,
                                 1,
                                 kMax,
                                 kMax - 1,
                                 kMax - 4095,
                                 1ULL << 63,
                                 (1ULL << 63) + 1,
                                 (1ULL << 48),
                                 1ULL << 40,
                                 device().physical.value + 1};
  const std::uint64_t alignments[] = {0,          1,          3,          6,    4096,
                                      1ULL << 40, 1ULL << 62, 1ULL << 63, kMax, (1ULL << 63) + 1};
  for (const std::uint64_t size : sizes) {
    for (const std::uint64_t alignment : alignments) {
      const AllocationRequest request{Bytes{size}, Alignment{alignment}, {}, 0};
      const bool servable = size == 1 && std::has_single_bit(alignment);
      const bool can = va().can_allocate(request);
      const auto allocation = va().allocate(request);
      ASSERT_EQ(va().validate(), nullptr);
      ASSERT_TRUE(servable || !allocation) << size << ", " << alignment;
      EXPECT_TRUE(servable || !can) << size << ", " << alignment;
      if (allocation) {
        EXPECT_TRUE(is_aligned(allocation->address, request.alignment));
        va().free(*allocation);
        continue;
      }
      const ErrorCode code = allocation.error().code;
      if (size == 0) {
        EXPECT_EQ(code, ErrorCode::invalid_size);
      } else if (!std::has_single_bit(alignment)) {
        EXPECT_EQ(code, ErrorCode::invalid_alignment);
      } else if (size > device().physical.value) {
        EXPECT_EQ(code, ErrorCode::too_large) << size << ", " << alignment;
      } else {
        EXPECT_TRUE(code == ErrorCode::too_large || code == ErrorCode::out_of_address_space ||
                    code == ErrorCode::out_of_space || code == ErrorCode::out_of_device_memory)
            << size << ", " << alignment << ": " << to_string(code);
      }
    }
  }
  EXPECT_EQ(driver_->check_contents(), "");
  EXPECT_EQ(va().live(), 5_KiB);
}

// R1, R8: alignments beyond any reservation's of the standard table.
TEST_P(VaContract, R1_R8_AlignmentsAboveAGibibyteAreKeptOrRefused) {
  open();
  for (unsigned bits = 27; bits < 48; ++bits) {
    const auto allocation = va().allocate({100_KiB, Alignment{std::uint64_t{1} << bits}, "far", bits});
    ASSERT_EQ(va().validate(), nullptr);
    if (!allocation) {
      const bool may = !subject().arena || device().memory || bits > 45;
      EXPECT_TRUE(may) << "2^" << bits << ": " << to_string(allocation.error().code);
      continue;
    }
    EXPECT_TRUE(is_aligned(allocation->address, Alignment{std::uint64_t{1} << bits}));
    EXPECT_EQ(va().find(allocation->address)->name, "far");
    va().free(allocation->address);
  }
}

// R9: the same calls give the same addresses, on every run and under either lock policy.
TEST_P(VaContract, R9_TheSameCallsGiveTheSameAddresses) {
  if (!device().same_address) return;  // the OS chooses its reservations
  const auto addresses_of = [&](const Subject& which) {
    Stage stage(which, device());
    EXPECT_TRUE(stage.open());
    VaDriver driver(stage);
    std::mt19937_64 random(9);
    std::vector<std::uint64_t> addresses;
    for (int i = 0; i < 600; ++i) {
      EXPECT_EQ(driver.apply(random_op(random, 23)), "");
      for (const auto& [address, live] : driver.live())
        addresses.push_back(address);
    }
    driver.free_all([](std::size_t) { return 0; });
    return addresses;
  };
  const auto first = addresses_of(subject());
  EXPECT_EQ(addresses_of(subject()), first);
  for (const Subject& other : kSubjects) {
    if (other.arena == subject().arena && other.threaded != subject().threaded) {
      EXPECT_EQ(addresses_of(other), first);
    }
  }
}

// Filled to the first refusal: typed, nothing changes, and what is freed can be had again.
TEST_P(VaContract, R3_R7_AFullDeviceRefusesAndRecovers) {
  open_on(device().of_size(64_MiB));
  std::mt19937_64 random(3);
  // Addresses without memory of any kind do not run out.
  const bool endless = subject().arena && device().page == Bytes{} && !device().commits;
  for (int i = 0; i < 300 && driver_->refusals() == 0; ++i)
    ASSERT_EQ(apply({VaOpKind::allocate, (1 + random() % 8) * (256_KiB).value, random() % 12}), "");
  ASSERT_EQ(driver_->refusals() == 0, endless);
  if (!endless) {
    const ErrorCode code = driver_->last_error().code;
    EXPECT_TRUE(code == ErrorCode::out_of_device_memory || code == ErrorCode::out_of_space)
        << to_string(code);
  }
  ASSERT_EQ(driver_->check_contents(), "");
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(apply({VaOpKind::free, random(), random()}), "");
    ASSERT_EQ(apply({VaOpKind::allocate, (100_KiB).value, 0}), "");
  }
  ASSERT_EQ(driver_->free_all([&](std::size_t n) { return random() % n; }), "");
}

}  // namespace
}  // namespace vaspace::test
