// The backend contract, first part: profiles, budgets, reservations. See backend_contract.hpp.
#pragma once

#include <algorithm>

#include "support/backend_fixture.hpp"

namespace vaspace::test {

TEST_P(BackendContract, ProfileHoldsWhatItsHeaderSays) {
  const DeviceProfile& p = profile();
  EXPECT_EQ(p.name.back(), '\0');
  EXPECT_GT(std::strlen(p.name.data()), 0U);
  ASSERT_GE(p.heap_count, 1U);
  ASSERT_LE(p.heap_count, kMaxHeaps);
  ASSERT_GE(p.memory_type_count, 1U);
  ASSERT_LE(p.memory_type_count, kMaxMemoryTypes);
  for (std::uint32_t type = 0; type < p.memory_type_count; ++type)
    EXPECT_LT(p.memory_types[type].heap, p.heap_count);
  EXPECT_TRUE(Alignment{p.reservation_granularity}.valid());
  EXPECT_FALSE(can().bind && can().reserve_commits);
  EXPECT_EQ(can().bind, p.page_size_count != 0);
  Bytes last{};
  for (const Bytes size : p.pages()) {
    EXPECT_TRUE(Alignment{size}.valid());
    EXPECT_GT(size, last);
    last = size;
  }
  if (can().bind) {
    EXPECT_TRUE(is_aligned(p.reservation_granularity, Alignment{p.page_sizes[0]}));
  }
}

TEST_P(BackendContract, V16_BudgetsStayWithinTheirHeaps) {
  for (std::uint32_t heap = 0; heap < profile().heap_count; ++heap) {
    const Result<Budget> budget = backend().budget(heap);
    ASSERT_TRUE(budget);
    EXPECT_EQ(budget->size, profile().heaps[heap].size);
    EXPECT_LE(budget->budget, budget->size);
  }
  EXPECT_EQ(code(backend().budget(profile().heap_count)), "invalid_argument");
  EXPECT_EQ(code(backend().budget(~0U)), "invalid_argument");
}

TEST_P(BackendContract, R1_ReservationsAreAlignedAndNeverOverlap) {
  std::vector<Reservation> all;
  for (const std::uint64_t units : {1U, 3U, 2U, 1U}) {
    for (const std::uint64_t factor : {1U, 4U}) {
      const Alignment alignment{unit() * factor};
      all.push_back(reserve(unit() * units, alignment));
      EXPECT_TRUE(is_aligned(all.back().address, alignment));
      EXPECT_NE(all.back().address, Address{});
      EXPECT_EQ(all.back().size, unit() * units);
    }
  }
  const auto below = [](const Reservation& a, const Reservation& b) { return a.address < b.address; };
  std::sort(all.begin(), all.end(), below);
  for (std::size_t i = 1; i < all.size(); ++i)
    EXPECT_LE(all[i - 1].end(), all[i].address);
  for (const Reservation& reservation : all)
    EXPECT_EQ(code(backend().release(reservation)), "ok");
  expect_used(Bytes{});
}

TEST_P(BackendContract, R8_BadReservationsGetOneTypedErrorAndChangeNothing) {
  EXPECT_EQ(code(try_reserve(Bytes{})), "invalid_size");
  if (unit() > Bytes{1}) {
    EXPECT_EQ(code(try_reserve(unit() + Bytes{1})), "invalid_size");
    EXPECT_EQ(code(try_reserve(kMaxBytes)), "invalid_size");
  }
  for (const std::uint64_t alignment : {0ULL, 3ULL, ~0ULL})
    EXPECT_EQ(code(try_reserve(unit(), Alignment{alignment})), "invalid_alignment");
  const Bytes huge = align_down(kMaxBytes, Alignment{unit()});
  for (const Result<Reservation>& refused : {try_reserve(huge), try_reserve(huge, Alignment{1ULL << 63U}),
                                             try_reserve(unit(), Alignment{1ULL << 63U})})
    EXPECT_THAT(code(refused), testing::AnyOf("out_of_address_space", "out_of_device_memory"));
  if (can().reserve_commits) {
    EXPECT_EQ(code(backend().reserve({unit(), {}, {}, profile().memory_type_count})), "invalid_argument");
  }
  expect_used(Bytes{});
  EXPECT_EQ(code(backend().release(reserve(unit()))), "ok");
}

TEST_P(BackendContract, C17_OnlyWhatWasReservedIsReleasedAndOnlyOnce) {
  const Reservation whole = reserve(unit() * 2);
  Reservation wrong = whole;
  wrong.size = unit();
  EXPECT_EQ(code(backend().release(wrong)), "invalid_argument");
  wrong = whole;
  wrong.address = whole.address + unit();
  EXPECT_EQ(code(backend().release(wrong)), "invalid_argument");
  for (const std::uint64_t handle : {std::uint64_t{0}, ~whole.handle, whole.handle + 1, ~std::uint64_t{0}}) {
    wrong = whole;
    wrong.handle = handle;
    EXPECT_EQ(code(backend().release(wrong)), "invalid_argument") << handle;
  }
  EXPECT_EQ(code(backend().release(Reservation{})), "invalid_argument");
  EXPECT_EQ(code(backend().release(whole)), "ok");
  EXPECT_EQ(code(backend().release(whole)), "invalid_argument");
  const Reservation next = reserve(unit() * 2);  // may have the same address: not the same reservation
  EXPECT_EQ(code(backend().release(whole)), "invalid_argument");
  EXPECT_EQ(code(backend().release(next)), "ok");
}

TEST_P(BackendContract, C1_C18_AHintIsOnlyAHint) {
  const Reservation first = reserve(unit());
  const Reservation second = reserve(unit(), {}, first.end());
  const Reservation third = reserve(unit(), {}, first.address);  // taken
  const Reservation fourth = reserve(unit(), {}, Address{12345});
  const Reservation fifth = reserve(unit(), {}, Address{~0ULL});
  for (const Reservation& reservation : {first, second, third, fourth, fifth}) {
    EXPECT_TRUE(is_aligned(reservation.address, Alignment{unit()}));
    EXPECT_EQ(code(backend().release(reservation)), "ok");
  }
}

TEST_P(BackendContract, V4_V5_LimitsOnReservationsAreKept) {
  constexpr std::uint64_t kWorthReaching = 4096;
  const bool reachable = can().max_reservations <= kWorthReaching;
  const std::uint64_t count = reachable ? can().max_reservations : 64;
  std::vector<Reservation> all;
  for (std::uint64_t i = 0; i < count; ++i)
    all.push_back(reserve(unit()));
  if (reachable) {
    EXPECT_EQ(code(try_reserve(unit())), "out_of_address_space");
  }
  EXPECT_EQ(code(backend().release(all.back())), "ok");
  all.back() = reserve(unit());
  if (can().max_reservation_size < kMaxBytes) {
    EXPECT_NE(code(try_reserve(align_up(can().max_reservation_size + Bytes{1}, Alignment{unit()}))), "ok");
  }
  for (const Reservation& reservation : all)
    EXPECT_EQ(code(backend().release(reservation)), "ok");
}

TEST_P(BackendContract, ReservingCommitsWhereTheProfileSaysSoAndOnlyThere) {
  const Reservation reservation = reserve(unit() * 2);
  const Bytes expected = can().reserve_commits ? unit() * 2 : Bytes{};
  expect_used(expected);
  EXPECT_EQ(code(backend().release(reservation)), "ok");
  expect_used(Bytes{});
}

TEST_P(BackendContract, R7_AReservationTooManyLeavesAllAsItWas) {
  if (!GetParam().exhaustible) GTEST_SKIP() << "the heap is not the test's to fill";
  const Bytes all = align_down(heap_size(), Alignment{unit()});
  if (!can().reserve_commits) {
    if (can().max_reservation_size < all * 2) return;
    EXPECT_EQ(code(backend().release(reserve(all * 2))), "ok") << "addresses are not memory";
    return;
  }
  if (can().max_reservation_size < all * 2) {
    EXPECT_EQ(code(try_reserve(all * 2)), "out_of_address_space");
    return;
  }
  EXPECT_EQ(code(try_reserve(all + unit())), "out_of_device_memory");
  const Reservation first = reserve(unit());
  EXPECT_EQ(code(try_reserve(all)), "out_of_device_memory");
  EXPECT_EQ(used(), unit());
  EXPECT_EQ(code(backend().release(first)), "ok");
  EXPECT_EQ(code(backend().release(reserve(all))), "ok");
}

TEST_P(BackendContract, ManyReservationsComeAndGo) {
  const std::uint64_t count = std::min<std::uint64_t>({can().max_reservations, 64, heap_size() / unit()});
  std::vector<Reservation> held;
  for (std::uint64_t round = 0; round < 4; ++round) {
    while (held.size() < count)
      held.push_back(reserve(unit()));
    for (std::size_t i = 0; i < held.size(); ++i) {
      EXPECT_EQ(code(backend().release(held[i])), "ok");
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  for (const Reservation& reservation : held)
    EXPECT_EQ(code(backend().release(reservation)), "ok");
  expect_used(Bytes{});
}

TEST_P(BackendContract, MeasuredPhysicalFollowsWhatIsHeld) {
  if (!can().measures_physical) {
    EXPECT_EQ(code(backend().measured_physical()), "not_supported");
    return;
  }
  const Bytes before = backend().measured_physical().value();
  const std::optional<Reservation> reservation = committed_unit();
  ASSERT_TRUE(reservation);
  EXPECT_EQ(backend().measured_physical().value(), before + unit());
  if (can().bind) return;
  EXPECT_EQ(code(backend().release(*reservation)), "ok");
  EXPECT_EQ(backend().measured_physical().value(), before);
}

TEST_P(BackendContract, SyntheticAddressesAreLocatedAndRealOnesAreNot) {
  const Reservation reservation = reserve(unit() * 2);
  const Result<NativeRange> begin = backend().locate(reservation.address);
  if (!begin) {
    EXPECT_EQ(code(begin), "not_supported");
  } else {
    const Result<NativeRange> inside = backend().locate(reservation.address + unit());
    ASSERT_TRUE(inside);
    EXPECT_EQ(inside->object, begin->object);
    EXPECT_EQ(inside->offset, begin->offset + unit());
  }
  EXPECT_EQ(code(backend().release(reservation)), "ok");
  if (begin) {
    EXPECT_EQ(code(backend().locate(reservation.address)), "unknown_address");
  }
}

}  // namespace vaspace::test
