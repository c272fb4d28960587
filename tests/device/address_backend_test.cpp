// What the address-only backend promises beyond the contract.
#include "vaspace/device/address_backend.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "support/host.hpp"

namespace vaspace::test {
namespace {

constexpr std::array<Bytes, 2> kPageSizes{64_KiB, 2_MiB};

HostObject<AddressBackend> make(const AddressBackendConfig& config) {
  auto made = AddressBackend::create(config);
  EXPECT_TRUE(made) << to_string(made.error().code);
  return std::move(*made);
}

Reservation reserve(Backend& backend, Bytes size, Alignment alignment = {}, Address hint = {}) {
  const auto reserved = backend.reserve({size, alignment, hint, 0});
  EXPECT_TRUE(reserved) << to_string(reserved.error().code);
  return reserved.value_or(Reservation{});
}

TEST(AddressBackend, R9_AddressesAreTheLowestThatFit) {
  const auto backend = make({.base = Address{1U << 20U}});
  const auto at = [&](const Reservation& reservation) { return (reservation.address - Address{1U << 20U}); };
  const Reservation a = reserve(*backend, 64_KiB);
  const Reservation b = reserve(*backend, 128_KiB);
  const Reservation c = reserve(*backend, 64_KiB);
  EXPECT_EQ(at(a), 0_B);
  EXPECT_EQ(at(b), 64_KiB);
  EXPECT_EQ(at(c), 192_KiB);
  ASSERT_TRUE(backend->release(b));
  EXPECT_EQ(at(reserve(*backend, 192_KiB)), 256_KiB) << "the hole is too small";
  EXPECT_EQ(at(reserve(*backend, 64_KiB, Alignment{128_KiB})), 128_KiB) << "behind the hole's first half";
  EXPECT_EQ(at(reserve(*backend, 64_KiB)), 64_KiB);
  ASSERT_TRUE(backend->release(a));
  EXPECT_EQ(at(reserve(*backend, 64_KiB)), 0_B);
  EXPECT_EQ(at(reserve(*backend, 1_TiB, Alignment{1_TiB})), 1_TiB - 1_MiB);
}

TEST(AddressBackend, C18_AFreeHintIsTaken) {
  const auto backend = make({});
  const Reservation a = reserve(*backend, 64_KiB);
  const Address far = a.address + 1_GiB;
  EXPECT_EQ(reserve(*backend, 64_KiB, {}, far).address, far);
  EXPECT_EQ(reserve(*backend, 64_KiB, {}, far).address, a.end()) << "taken by now";
}

TEST(AddressBackend, TheGranularityIsTheLargerOf64KiBAndTheSmallestPage) {
  const std::array<Bytes, 1> small{4_KiB};
  const std::array<Bytes, 1> large{2_MiB};
  EXPECT_EQ(make({})->profile().reservation_granularity, 64_KiB);
  EXPECT_EQ(make({.page_sizes = small})->profile().reservation_granularity, 64_KiB);
  EXPECT_EQ(make({.page_sizes = kPageSizes})->profile().reservation_granularity, 64_KiB);
  EXPECT_EQ(make({.page_sizes = large})->profile().reservation_granularity, 2_MiB);
}

TEST(AddressBackend, BadConfigurationsAreRefused) {
  const std::array<Bytes, 2> falling{2_MiB, 64_KiB};
  const std::array<Bytes, 2> equal{64_KiB, 64_KiB};
  const std::array<Bytes, 1> odd{96_KiB};
  const std::array<Bytes, 5> many{64_KiB, 128_KiB, 256_KiB, 512_KiB, 1_MiB};
  const std::array<Bytes, 1> large{2_MiB};
  const std::vector<AddressBackendConfig> bad = {
      {.physical_size = Bytes{}},
      {.address_space = Bytes{}},
      {.address_space = kMaxBytes},
      {.base = Address{}},
      {.base = Address{1}},
      {.base = Address{1U << 16U}, .page_sizes = large},
      {.page_sizes = falling},
      {.page_sizes = equal},
      {.page_sizes = odd},
      {.page_sizes = many},
      {.page_sizes = kPageSizes, .reserve_commits = true},
  };
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const auto made = AddressBackend::create(bad[i]);
    ASSERT_FALSE(made) << i;
    EXPECT_EQ(made.error().code, ErrorCode::invalid_configuration) << i;
  }
}

TEST(AddressBackend, AddressSpaceEnds) {
  const auto backend = make({.address_space = 256_KiB});
  const Reservation all = reserve(*backend, 256_KiB);
  EXPECT_EQ(backend->reserve({64_KiB, {}, {}, 0}).error().code, ErrorCode::out_of_address_space);
  ASSERT_TRUE(backend->release(all));
  EXPECT_EQ(backend->reserve({320_KiB, {}, {}, 0}).error().code, ErrorCode::out_of_address_space);
  EXPECT_EQ(reserve(*backend, 256_KiB).address, all.address);
}

TEST(AddressBackend, AnUnansweredPointIsNoPoint) {
  const auto backend = make({.page_sizes = kPageSizes});
  const TimelinePoint later{TimelineId{}, 1};
  const TimelinePoint foreign{TimelineId{1}, 0};
  for (const TimelinePoint& point : {later, foreign}) {
    EXPECT_EQ(backend->completed(point).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(backend->wait(point, 0).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(backend->bind({}, {&point, 1}).error().code, ErrorCode::invalid_argument);
  }
}

TEST(AddressBackend, HugeReservationsCostNothingUpFront) {
  TestHost host;
  const auto backend = make({.physical_size = 1_TiB, .page_sizes = kPageSizes, .host = host.allocator()});
  const std::int64_t before = host.bytes();
  const Reservation all = reserve(*backend, 128_TiB);
  EXPECT_LT(host.bytes() - before, 4096);
  PhysicalId id;
  ASSERT_TRUE(backend->create_physical({64_KiB, 0, {}}, {&id, 1}));
  const BindOp op{all.end() - 64_KiB, 64_KiB, id, {}};
  ASSERT_TRUE(backend->bind({&op, 1}, {}));
  EXPECT_LT(host.bytes() - before, 4096);
}

TEST(AddressBackend, AHundredThousandReservationsAndTheirHoles) {
  constexpr std::size_t kCount = 100'000;
  const auto backend = make({});
  std::vector<Reservation> held;
  for (std::size_t i = 0; i < kCount; ++i)
    held.push_back(reserve(*backend, 64_KiB * (1 + i % 3)));
  std::mt19937 random(7);
  for (std::size_t i = held.size() - 1; i != 0; --i)
    std::swap(held[i], held[random() % (i + 1)]);
  for (std::size_t i = 0; i < kCount; i += 2)
    ASSERT_TRUE(backend->release(held[i]));
  for (std::size_t i = 0; i < kCount; i += 2)
    held[i] = reserve(*backend, held[i].size);
  for (const Reservation& reservation : held)
    ASSERT_TRUE(backend->release(reservation));
  EXPECT_EQ(reserve(*backend, 64_KiB).address, Address{1ULL << 40U});
}

}  // namespace
}  // namespace vaspace::test
