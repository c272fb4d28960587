// The backend contract, second part: physical objects and binds. See backend_contract.hpp.
#pragma once

#include <set>

#include "support/backend_fixture.hpp"

namespace vaspace::test {

// What follows is of backends that bind; of others, that they do not.
#define VASPACE_NEEDS_BIND \
  if (!can().bind) return expect_binds_denied()

TEST_P(BackendContract, PhysicalObjectsAreCountedExactly) {
  VASPACE_NEEDS_BIND;
  const std::vector<PhysicalId> ids = create(page(), 3);
  EXPECT_EQ(used(), page() * 3);
  const std::set<std::uint64_t> distinct{ids[0].value, ids[1].value, ids[2].value, 0};
  EXPECT_EQ(distinct.size(), 4U);
  for (const Bytes size : profile().pages()) {
    const PhysicalId id = create(size)[0];
    EXPECT_EQ(used(), page() * 3 + size);
    EXPECT_EQ(code(destroy(id)), "ok");
  }
  EXPECT_EQ(code(try_create(page(), 0)), "ok");
  EXPECT_EQ(code(backend().destroy_physical(ids)), "ok");
  EXPECT_EQ(used(), Bytes{});
}

TEST_P(BackendContract, R8_C3_BadPhysicalRequestsGetOneTypedError) {
  VASPACE_NEEDS_BIND;
  EXPECT_EQ(code(try_create(Bytes{}, 1)), "invalid_size");
  EXPECT_EQ(code(try_create(page() + Bytes{1}, 1)), "invalid_size");
  EXPECT_EQ(code(try_create(kMaxBytes, 1)), "invalid_size");
  EXPECT_EQ(code(try_create(align_down(kMaxBytes, Alignment{page()}), 3)), "out_of_device_memory");
  PhysicalId id{77};
  EXPECT_EQ(code(backend().create_physical({page(), profile().memory_type_count, {}}, {&id, 1})),
            "invalid_argument");
  EXPECT_EQ(id, PhysicalId{77});
  EXPECT_EQ(used(), Bytes{});
}

TEST_P(BackendContract, ATakenOrForeignPlaceToBeNearIsOnlyAHint) {
  VASPACE_NEEDS_BIND;
  const Reservation reservation = reserve_pages(4);
  std::vector<PhysicalId> ids;
  const Address begin = reservation.address;
  for (const Address near : {begin, begin, begin + page(), begin + Bytes{1}, Address{1}, Address{~0ULL}}) {
    for (const PhysicalId id : create(page(), 2, near))
      ids.push_back(id);
  }
  for (const PhysicalId id : ids) {
    EXPECT_EQ(code(bind(begin, page(), id)), "ok");
    EXPECT_EQ(code(unbind(begin, page())), "ok");
  }
  EXPECT_EQ(code(backend().destroy_physical(ids)), "ok");
  EXPECT_EQ(used(), Bytes{});
}

TEST_P(BackendContract, R7_AllPhysicalObjectsOfARequestOrNone) {
  VASPACE_NEEDS_BIND;
  if (!GetParam().exhaustible) GTEST_SKIP() << "the heap is not the test's to fill";
  const std::uint64_t pages = heap_size() / page();
  const std::vector<PhysicalId> most = create(page(), pages - 1);
  std::vector<PhysicalId> out(2, PhysicalId{77});
  EXPECT_EQ(code(backend().create_physical({page(), GetParam().memory_type, {}}, out)),
            "out_of_device_memory");
  EXPECT_EQ(out, std::vector<PhysicalId>(2, PhysicalId{77}));
  EXPECT_EQ(used(), page() * (pages - 1));
  const PhysicalId last = create(page())[0];
  EXPECT_EQ(code(try_create(page(), 1)), "out_of_device_memory");
  EXPECT_EQ(code(destroy(last)), "ok");
  EXPECT_EQ(code(backend().destroy_physical(most)), "ok");
  EXPECT_EQ(used(), Bytes{});
}

TEST_P(BackendContract, C12_WrongIdsAreDetectedAndNothingIsDestroyed) {
  VASPACE_NEEDS_BIND;
  const std::vector<PhysicalId> ids = create(page(), 2);
  for (const std::uint64_t wrong : {0ULL, 1ULL << 63U, ~0ULL})
    EXPECT_EQ(code(destroy(PhysicalId{wrong})), "unknown_handle");
  EXPECT_EQ(code(backend().destroy_physical(std::vector{ids[0], PhysicalId{}, ids[1]})), "unknown_handle");
  EXPECT_EQ(code(backend().destroy_physical(std::vector{ids[0], ids[1], ids[0]})), "unknown_handle");
  EXPECT_EQ(used(), page() * 2);
  EXPECT_EQ(code(destroy(ids[0])), "ok");
  EXPECT_EQ(code(destroy(ids[0])), "unknown_handle");
  const PhysicalId reused = create(page())[0];  // may have the same slot
  EXPECT_NE(reused, ids[0]);
  EXPECT_EQ(code(destroy(ids[0])), "unknown_handle");
  const Reservation reservation = reserve_pages(1);
  EXPECT_EQ(code(bind(reservation.address, page(), ids[0])), "unknown_handle");
  EXPECT_EQ(code(bind(reservation.address, page(), PhysicalId{~0ULL})), "unknown_handle");
  EXPECT_EQ(code(backend().destroy_physical(std::vector{reused, ids[1]})), "ok");
}

TEST_P(BackendContract, BindingTwiceAndUnbindingNothingIsWrongState) {
  VASPACE_NEEDS_BIND;
  const Reservation reservation = reserve_pages(3);
  const Address at = reservation.address;
  const std::vector<PhysicalId> ids = create(page(), 2, at);
  const PhysicalId wide = create(page() * 3)[0];
  EXPECT_EQ(code(unbind(at, page())), "wrong_state");
  EXPECT_EQ(code(bind(at + page(), page(), ids[0])), "ok");
  EXPECT_EQ(code(bind(at + page(), page(), ids[1])), "wrong_state");
  EXPECT_EQ(code(bind(at, page() * 3, wide)), "wrong_state");
  EXPECT_EQ(code(unbind(at, page() * 2)), "wrong_state");
  EXPECT_EQ(code(unbind(at + page(), page() * 2)), "wrong_state");
  EXPECT_EQ(code(destroy(ids[0])), "wrong_state");
  EXPECT_EQ(code(backend().destroy_physical(std::vector{ids[1], ids[0]})), "wrong_state");
  EXPECT_EQ(code(backend().release(reservation)), "wrong_state");
  EXPECT_EQ(code(bind(at, page(), ids[1])), "ok") << "ids[1] was destroyed";
  EXPECT_EQ(code(unbind(at, page() * 2)), "ok") << "whole neighbours";
  EXPECT_EQ(code(unbind(at, page())), "wrong_state");
  EXPECT_EQ(code(backend().destroy_physical(std::vector{ids[0], ids[1], wide})), "ok");
  EXPECT_EQ(code(backend().release(reservation)), "ok");
}

TEST_P(BackendContract, C9_AddressesAndPagesAreUsedAgain) {
  VASPACE_NEEDS_BIND;
  const Reservation reservation = reserve_pages(4);
  const PhysicalId id = create(page(), 1, reservation.address)[0];
  for (std::uint64_t i = 0; i < 8; ++i) {
    const Address at = reservation.address + page() * (i % 4);
    EXPECT_EQ(code(bind(at, page(), id)), "ok");
    EXPECT_EQ(code(unbind(at, page())), "ok");
  }
  EXPECT_EQ(used(), page());
}

TEST_P(BackendContract, R8_V19_C4_BadBindsGetOneTypedErrorAndChangeNothing) {
  VASPACE_NEEDS_BIND;
  const Reservation reservation = reserve_pages(4);
  const Address at = reservation.address;
  const PhysicalId id = create(page() * 2)[0];
  const Bytes byte{1};
  const Bytes most = align_down(kMaxBytes, Alignment{page()});
  const std::vector<BindOp> bad = {
      {at, Bytes{}, id, {}},        // nothing
      {at + byte, page(), id, {}},  // misaligned
      {at, page() + byte, id, {}},
      {at, page(), id, byte},
      {reservation.end(), page(), id, {}},  // behind the reservation
      {reservation.end() - page(), page() * 2, id, {}},
      {Address{}, page(), id, {}},
      {at, most, id, {}},  // at the 64-bit edge
      {Address{most.value}, page() * 2, id, {}},
      {at, page(), id, most},
      {at, page() * 3, id, {}},  // larger than the object
      {at, page() * 2, id, page()},
  };
  for (const BindOp& op : bad)
    EXPECT_EQ(code(bind({op})), "invalid_argument") << op.address.value - at.value << ' ' << op.size.value;
  for (BindOp op : bad) {
    op.physical = {};
    EXPECT_NE(code(bind({op})), "ok");
  }
  EXPECT_EQ(code(bind(at, page() * 2, id)), "ok");
}

TEST_P(BackendContract, R7_AllOpsOfABatchOrNone) {
  VASPACE_NEEDS_BIND;
  const Reservation reservation = reserve_pages(8);
  const Address at = reservation.address;
  const std::vector<PhysicalId> ids = create(page(), 3, at);
  EXPECT_EQ(code(bind(at, page(), ids[0])), "ok");
  const std::vector<BindOp> batch = {
      {at + page(), page(), ids[1], {}},     {at, page(), {}, {}},
      {at + page() * 2, page(), ids[0], {}}, {at + page() * 3, page(), ids[2], {}},
      {at + page() * 2, page(), ids[2], {}},  // taken by the third
  };
  EXPECT_EQ(code(bind(batch)), "wrong_state");
  EXPECT_EQ(code(destroy(ids[0])), "wrong_state") << "still bound where it was";
  EXPECT_EQ(code(destroy(ids[2])), "ok") << "not bound";
  EXPECT_EQ(code(unbind(at + page(), page())), "wrong_state");
  EXPECT_EQ(code(bind({batch[0], batch[1], batch[2]})), "ok") << "without what is wrong it works";
  EXPECT_EQ(code(unbind(at + page(), page() * 2)), "ok");
  EXPECT_EQ(code(backend().destroy_physical(std::vector{ids[0], ids[1]})), "ok");
}

TEST_P(BackendContract, AnEmptyBatchIsDone) {
  VASPACE_NEEDS_BIND;
  EXPECT_EQ(code(bind(std::vector<BindOp>{})), "ok");
}

TEST_P(BackendContract, C8_PartsAreUnboundWhereTheProfileAllowsIt) {
  VASPACE_NEEDS_BIND;
  const Reservation reservation = reserve_pages(4);
  const Address at = reservation.address;
  const PhysicalId wide = create(page() * 4, 1, at)[0];
  ASSERT_EQ(code(bind(at, page() * 4, wide)), "ok");
  if (!can().partial_unbind) {
    EXPECT_EQ(code(unbind(at, page())), "not_supported");
    EXPECT_EQ(code(unbind(at + page(), page() * 2)), "not_supported");
    EXPECT_EQ(code(unbind(at + page() * 3, page())), "not_supported");
    EXPECT_EQ(code(unbind(at, page() * 4)), "ok") << "nothing had changed";
    return;
  }
  EXPECT_EQ(code(unbind(at + page(), page() * 2)), "ok");
  EXPECT_EQ(code(unbind(at, page() * 2)), "wrong_state");
  EXPECT_EQ(code(destroy(wide)), "wrong_state");
  EXPECT_EQ(code(unbind(at, page())), "ok");
  EXPECT_EQ(code(unbind(at + page() * 3, page())), "ok");
  EXPECT_EQ(code(destroy(wide)), "ok");
}

TEST_P(BackendContract, C4_ObjectsAreBoundAtAnOffsetWhereTheProfileAllowsIt) {
  VASPACE_NEEDS_BIND;
  const Reservation reservation = reserve_pages(2);
  const PhysicalId wide = create(page() * 2)[0];
  const Result<void> bound = bind(reservation.address, page(), wide, page());
  EXPECT_EQ(code(bound), can().physical_offset ? "ok" : "not_supported");
  EXPECT_EQ(code(destroy(wide)), can().physical_offset ? "wrong_state" : "ok");
}

TEST_P(BackendContract, V29_OnePageAtTwoAddressesWhereTheProfileAllowsIt) {
  VASPACE_NEEDS_BIND;
  const Reservation reservation = reserve_pages(2);
  const Address at = reservation.address;
  const PhysicalId id = create(page())[0];
  ASSERT_EQ(code(bind(at, page(), id)), "ok");
  const Result<void> twice = bind(at + page(), page(), id);
  EXPECT_EQ(code(twice), can().aliasing ? "ok" : "not_supported");
  EXPECT_EQ(code(unbind(at, page())), "ok");
  EXPECT_EQ(code(destroy(id)), can().aliasing ? "wrong_state" : "ok");
  if (!can().aliasing) return;
  EXPECT_EQ(used(), page()) << "each page counted once";
  EXPECT_EQ(code(unbind(at + page(), page())), "ok");
  EXPECT_EQ(code(destroy(id)), "ok");
}

#undef VASPACE_NEEDS_BIND

}  // namespace vaspace::test
