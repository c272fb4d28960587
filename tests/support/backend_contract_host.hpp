// The backend contract, third part: timelines, copies, access, maps, host memory. See backend_contract.hpp.
#pragma once

#include "support/backend_fixture.hpp"

namespace vaspace::test {

TEST_P(BackendContract, APointThatIsNoneHasPassed) {
  EXPECT_TRUE(backend().completed({}).value_or(false));
  EXPECT_EQ(code(backend().wait({}, 0)), "ok");
}

TEST_P(BackendContract, V24_PointsPassInOrderAndAreWaitedFor) {
  if (!can().bind) return expect_binds_denied();
  const Reservation reservation = reserve(unit());
  const PhysicalId id = create(page())[0];
  const BindOp put{reservation.address, page(), id, {}};
  const BindOp take{reservation.address, page(), {}, {}};
  const Result<TimelinePoint> first = backend().bind({&put, 1}, {});
  ASSERT_TRUE(first);
  const Result<TimelinePoint> second = backend().bind({&take, 1}, {&*first, 1});
  ASSERT_TRUE(second);
  if (!can().completes_later) {
    EXPECT_TRUE(backend().completed(*second).value());
  }
  EXPECT_EQ(code(backend().wait(*second, kForever)), "ok");
  EXPECT_TRUE(backend().completed(*first).value());
  EXPECT_TRUE(backend().completed(*second).value());
  EXPECT_EQ(code(destroy(id)), "ok");
}

TEST_P(BackendContract, CopiesWhatIsThere) {
  const std::optional<Reservation> from = committed_unit();
  if (!from) {
    EXPECT_EQ(code(copy(Address{1}, Address{2}, Bytes{1})), "not_supported");
    return;
  }
  const std::optional<Reservation> to = committed_unit();
  const Bytes half{unit().value / 2};
  if (!can().copy) {
    EXPECT_EQ(code(copy(from->address, to->address, half)), "not_supported");
    return;
  }
  std::byte* source = host_pointer(from->address, unit());
  std::byte* target = host_pointer(to->address, unit());
  for (std::uint64_t i = 0; source != nullptr && i < unit().value; ++i)
    source[i] = static_cast<std::byte>(i * 7);
  if (target != nullptr) std::memset(target, 0xee, unit().value);
  EXPECT_EQ(code(copy(from->address + Bytes{3}, to->address + Bytes{5}, half)), "ok");
  if (source == nullptr || target == nullptr) return;
  EXPECT_EQ(std::memcmp(source + 3, target + 5, half.value), 0);
  EXPECT_EQ(target[4], std::byte{0xee});
  EXPECT_EQ(target[half.value + 5], std::byte{0xee});
}

TEST_P(BackendContract, BadCopiesGetOneTypedError) {
  const std::optional<Reservation> from = committed_unit();
  if (!can().copy || !from) {
    EXPECT_EQ(code(copy(Address{1}, Address{2}, Bytes{1})), "not_supported");
    return;
  }
  const Reservation to = reserve(unit());
  const Address at = from->address;
  EXPECT_EQ(code(copy(at, to.address, Bytes{})), "invalid_argument");
  EXPECT_EQ(code(copy(at, at + Bytes{1}, Bytes{2})), "invalid_argument") << "overlap";
  EXPECT_EQ(code(copy(at + Bytes{1}, at, Bytes{2})), "invalid_argument") << "overlap";
  EXPECT_EQ(code(copy(at, to.address + Bytes{1}, unit())), "invalid_argument");
  EXPECT_EQ(code(copy(at, to.address, kMaxBytes)), "invalid_argument");
  EXPECT_EQ(code(copy(Address{16}, at, Bytes{1})), "invalid_argument");
  EXPECT_EQ(code(copy(at, Address{~0ULL}, Bytes{1})), "invalid_argument");
  if (!can().bind) return;
  EXPECT_EQ(code(copy(at, to.address, Bytes{1})), "wrong_state");
  EXPECT_EQ(code(copy(to.address, at, Bytes{1})), "wrong_state");
}

TEST_P(BackendContract, C6_AccessIsSetOnWhatIsBoundThroughout) {
  const std::optional<Reservation> reservation = committed_unit();
  if (!can().set_access) {
    const Address at = reservation ? reservation->address : Address{1};
    EXPECT_EQ(code(backend().set_access(at, unit(), Access::read)), "not_supported");
    return;
  }
  const Address at = reservation->address;
  for (const Access access : {Access::read, Access::none, Access::read_write})
    EXPECT_EQ(code(backend().set_access(at, unit(), access)), "ok");
  EXPECT_EQ(code(backend().set_access(at, Bytes{}, Access::read)), "invalid_argument");
  EXPECT_EQ(code(backend().set_access(at, unit() * 2, Access::read)), "invalid_argument");
  EXPECT_EQ(code(backend().set_access(Address{}, page(), Access::read)), "invalid_argument");
  const Reservation empty = reserve(unit());
  EXPECT_EQ(code(backend().set_access(empty.address, page(), Access::read)), "wrong_state");
  EXPECT_EQ(code(unbind(at, unit())), "ok") << "one mapping still";
}

TEST_P(BackendContract, V10_MapsNestByCount) {
  const std::optional<Reservation> reservation = committed_unit();
  if (!reservation || !can().map) {
    const Address at = reservation ? reservation->address : Address{1};
    for (const Result<void>& denied : {backend().unmap(at, unit()), backend().flush(at, unit())})
      EXPECT_EQ(code(denied), "not_supported");
    EXPECT_EQ(code(backend().map(at, unit())), "not_supported");
    EXPECT_EQ(code(backend().invalidate(at, unit())), "not_supported");
    return;
  }
  if (!host_sees_it()) {
    EXPECT_EQ(code(backend().map(reservation->address, unit())), "not_supported") << "V11";
    return;
  }
  const Address at = reservation->address;
  EXPECT_EQ(code(backend().unmap(at, unit())), "wrong_state");
  EXPECT_EQ(code(backend().flush(at, unit())), "wrong_state");
  EXPECT_EQ(code(backend().invalidate(at, unit())), "wrong_state");
  const Result<std::byte*> whole = backend().map(at, unit());
  const Result<std::byte*> part = backend().map(at + Bytes{64}, Bytes{1});
  ASSERT_TRUE(whole && part);
  EXPECT_EQ(*part, *whole + 64);
  **part = std::byte{42};
  EXPECT_EQ(code(backend().unmap(at, unit())), "ok");
  EXPECT_EQ(code(backend().flush(at + Bytes{63}, Bytes{3})), "ok") << "V12: widened, and still mapped once";
  EXPECT_EQ(code(backend().invalidate(at + Bytes{63}, Bytes{3})), "ok");
  EXPECT_EQ(**part, std::byte{42});
  EXPECT_EQ(code(backend().release(*reservation)), "wrong_state");
  EXPECT_EQ(code(backend().unmap(at + Bytes{64}, Bytes{1})), "ok");
  EXPECT_EQ(code(backend().unmap(at + Bytes{64}, Bytes{1})), "wrong_state");
}

TEST_P(BackendContract, BadMapsGetOneTypedError) {
  const std::optional<Reservation> reservation = committed_unit();
  if (!reservation || !host_sees_it()) {
    EXPECT_NE(code(backend().map(Address{16}, Bytes{1})), "ok");
    return;
  }
  const Address at = reservation->address;
  EXPECT_EQ(code(backend().map(at, Bytes{})), "invalid_size");
  EXPECT_EQ(code(backend().map(at, unit() + Bytes{1})), "invalid_argument");
  EXPECT_EQ(code(backend().map(at, kMaxBytes)), "invalid_argument");
  EXPECT_EQ(code(backend().map(Address{16}, Bytes{1})), "unknown_address");
  EXPECT_EQ(code(backend().flush(Address{16}, Bytes{1})), "unknown_address");
  EXPECT_EQ(code(backend().unmap(at, unit() + Bytes{1})), "invalid_argument");
  if (!can().bind) return;
  const Reservation empty = reserve(unit());
  EXPECT_EQ(code(backend().map(empty.address, page())), "wrong_state");
}

// Where the profile denies it, whatever the arguments are.
TEST_P(BackendContract, ExternalMemoryIsDeniedOrAsksForWhatThereIs) {
  // Without binds it is reservations that are shared.
  const bool shares = can().external_memory && can().bind;
  EXPECT_EQ(code(backend().export_physical(PhysicalId{1})), shares ? "unknown_handle" : "not_supported");
  EXPECT_EQ(code(backend().import_physical({unit(), 0, {}}, ExternalHandle{})),
            shares ? "invalid_argument" : "not_supported");
}

TEST_P(BackendContract, R7_CreationFailsCleanlyAtEveryHostRequest) {
  if (!GetParam().own_host_memory) GTEST_SKIP() << "its host memory is not ours to refuse";
  backend_.reset();
  for (std::int64_t n = 1;; ++n) {
    host_.fail_at(n);
    const Result<BackendPtr> made = GetParam().make(host_.allocator());
    host_.fail_at(0);
    if (made) {
      EXPECT_GT(n, 1);
      break;
    }
    ASSERT_EQ(code(made), "out_of_host_memory") << "request " << n;
    ASSERT_EQ(host_.bytes(), 0) << "request " << n;
  }
}

// Runs every call that may need host memory; the n-th request fails. That call changes nothing, and works
// when it is tried again.
TEST_P(BackendContract, R7_FailureAtEveryHostRequestLeavesTheStateAsItWas) {
  if (!GetParam().own_host_memory) GTEST_SKIP() << "its host memory is not ours to refuse";
  for (std::int64_t n = 1;; ++n) {
    backend_.reset();
    open();
    host_.fail_at(n);
    std::int64_t refused = 0;
    const auto attempt = [&](const char* what, const auto& call) {
      const Bytes before = used();
      auto result = call();
      if (result) return result;
      ++refused;
      EXPECT_EQ(code(result), "out_of_host_memory") << what << " at request " << n;
      EXPECT_EQ(used(), before) << what << " at request " << n;
      result = call();
      EXPECT_EQ(code(result), "ok") << what << " again, after request " << n;
      return result;
    };
    std::vector<Reservation> reservations;
    for (int i = 0; i < 5; ++i) {
      const auto reserved = attempt("reserve", [&] { return try_reserve(unit()); });
      ASSERT_TRUE(reserved);
      reservations.push_back(*reserved);
    }
    EXPECT_EQ(code(backend().release(reservations[1])), "ok");
    EXPECT_EQ(code(backend().release(reservations[3])), "ok");
    if (can().bind) {
      const Address at = reservations[2].address;
      const auto created = attempt("create", [&] { return try_create(page(), 4); });
      ASSERT_TRUE(created);
      const std::vector<PhysicalId>& ids = *created;
      const auto wide = attempt("create", [&] { return try_create(unit(), 1, at); });
      ASSERT_TRUE(wide);
      const std::vector<BindOp> put = {{at, unit(), (*wide)[0], {}},
                                       {reservations[0].address, page(), ids[0], {}},
                                       {reservations[4].address, page(), ids[1], {}}};
      EXPECT_TRUE(attempt("bind", [&] { return bind(put); }));
      const std::vector<BindOp> move = {{reservations[4].address, page(), {}, {}},
                                        {reservations[4].address, page(), ids[2], {}},
                                        {reservations[0].address, page(), {}, {}},
                                        {at, unit(), {}, {}},
                                        {at, page(), ids[3], {}}};
      EXPECT_TRUE(attempt("move", [&] { return bind(move); }));
      if (can().set_access) {
        EXPECT_TRUE(attempt("access", [&] { return backend().set_access(at, page(), Access::read); }));
      }
      EXPECT_EQ(code(backend().destroy_physical(std::vector{ids[0], ids[1], (*wide)[0]})), "ok");
      EXPECT_EQ(code(destroy(ids[3])), "wrong_state");
      EXPECT_EQ(used(), page() * 2);
    }
    host_.fail_at(0);
    if (refused == 0) break;
    EXPECT_EQ(refused, 1);
  }
}

}  // namespace vaspace::test
