// What the contract suite of backends stands on: a case to be named, and a fixture that knows how to ask for
// the least of everything.
#pragma once

#include <cstring>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "vaspace/base/host_object.hpp"
#include "vaspace/device/backend.hpp"

#include "support/host.hpp"

namespace vaspace::test {

using BackendPtr = std::shared_ptr<Backend>;

// For a create() that answers its own type.
template <class T>
[[nodiscard]] Result<BackendPtr> shared_backend(Result<HostObject<T>> created) {
  if (!created) return fail(created.error());
  return BackendPtr(std::move(*created));
}

struct BackendCase {
  std::string name;  // letters and digits
  // A fresh backend whose metadata comes from `host`.
  std::function<Result<BackendPtr>(const HostAllocator& host)> make;
  bool may_be_missing = false;    // no such driver here: skipped rather than failed
  bool exhaustible = true;        // its heap may be filled to the brim by a test (make it small)
  bool exact_usage = true;        // budgets are computed, not estimated by a driver
  bool own_host_memory = true;    // nothing but its HostAllocator holds its metadata
  std::uint32_t memory_type = 0;  // of what the tests reserve and create
};

// The name alone: a test's name must not change from run to run.
inline void PrintTo(const BackendCase& a_case, std::ostream* out) {
  *out << a_case.name;
}

inline std::string name_of(const testing::TestParamInfo<BackendCase>& info) {
  return info.param.name;
}

// "ok", or the name of the error.
template <class T>
[[nodiscard]] std::string code(const Result<T>& result) {
  return result ? "ok" : to_string(result.error().code);
}

class BackendContract : public testing::TestWithParam<BackendCase> {
 protected:
  static constexpr std::uint64_t kForever = 60'000'000'000;

  void SetUp() override { open(); }
  void TearDown() override {
    backend_.reset();
    if (GetParam().own_host_memory) {
      EXPECT_EQ(host_.bytes(), 0) << "the backend kept host memory";
    }
  }
  void open() {
    Result<BackendPtr> made = GetParam().make(host_.allocator());
    if (!made && GetParam().may_be_missing) GTEST_SKIP() << to_string(made.error().code);
    ASSERT_TRUE(made) << to_string(made.error().code);
    backend_ = std::move(*made);
    base_usage_ = usage();
  }

  [[nodiscard]] Backend& backend() { return *backend_; }
  [[nodiscard]] const DeviceProfile& profile() { return backend_->profile(); }
  [[nodiscard]] const Capabilities& can() { return profile().capabilities; }
  // The least that can be reserved.
  [[nodiscard]] Bytes unit() { return profile().reservation_granularity; }
  [[nodiscard]] Bytes page() { return profile().page_sizes[0]; }
  [[nodiscard]] Bytes heap_size() { return profile().heaps[heap()].size; }
  [[nodiscard]] std::uint32_t heap() { return profile().memory_types[GetParam().memory_type].heap; }
  [[nodiscard]] Bytes usage() {
    const Result<Budget> budget = backend().budget(heap());
    return budget ? budget->usage : Bytes{};
  }
  // Since the backend was made.
  [[nodiscard]] Bytes used() { return usage() - base_usage_; }
  void expect_used(Bytes expected) {
    if (GetParam().exact_usage) {
      EXPECT_EQ(used(), expected);
    }
  }

  [[nodiscard]] Result<Reservation> try_reserve(Bytes size, Alignment alignment = {}, Address hint = {}) {
    return backend().reserve({size, alignment, hint, GetParam().memory_type});
  }
  [[nodiscard]] Reservation reserve(Bytes size, Alignment alignment = {}, Address hint = {}) {
    const Result<Reservation> reserved = try_reserve(size, alignment, hint);
    EXPECT_TRUE(reserved) << code(reserved);
    return reserved.value_or(Reservation{});
  }
  // Room for `pages` of the smallest size.
  [[nodiscard]] Reservation reserve_pages(std::uint64_t pages) {
    return reserve(align_up(page() * pages, Alignment{unit()}));
  }
  [[nodiscard]] Result<std::vector<PhysicalId>> try_create(Bytes size, std::size_t count, Address near = {}) {
    std::vector<PhysicalId> ids(count);
    const Result<void> created = backend().create_physical({size, GetParam().memory_type, near}, ids);
    if (!created) return fail(created.error());
    return ids;
  }
  [[nodiscard]] std::vector<PhysicalId> create(Bytes size, std::size_t count = 1, Address near = {}) {
    Result<std::vector<PhysicalId>> ids = try_create(size, count, near);
    EXPECT_TRUE(ids) << code(ids);
    return ids.value_or(std::vector<PhysicalId>(count));
  }
  [[nodiscard]] Result<void> destroy(PhysicalId id) { return backend().destroy_physical({&id, 1}); }
  // Submits and waits.
  [[nodiscard]] Result<void> bind(const std::vector<BindOp>& ops) {
    const Result<TimelinePoint> point = backend().bind(ops, {});
    if (!point) return fail(point.error());
    return backend().wait(*point, kForever);
  }
  [[nodiscard]] Result<void> bind(Address address, Bytes size, PhysicalId id, Bytes offset = {}) {
    return bind({{address, size, id, offset}});
  }
  [[nodiscard]] Result<void> unbind(Address address, Bytes size) { return bind({{address, size, {}, {}}}); }
  [[nodiscard]] Result<void> copy(Address from, Address to, Bytes size) {
    const CopyOp op{from, to, size};
    const Result<TimelinePoint> point = backend().copy({&op, 1}, {});
    if (!point) return fail(point.error());
    return backend().wait(*point, kForever);
  }

  // A host pointer to what is committed there, or null where the host sees none of it.
  [[nodiscard]] std::byte* host_pointer(Address address, Bytes size) {
    if (can().host_addressable)
      return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address.value));
    const Result<std::byte*> mapped = backend().map(address, size);
    return mapped ? *mapped : nullptr;
  }
  // A reservation of one unit with memory behind all of it, where the backend can give one.
  [[nodiscard]] std::optional<Reservation> committed_unit() {
    if (!can().bind && !can().reserve_commits) return std::nullopt;
    const Reservation reservation = reserve(unit());
    if (!can().bind) return reservation;
    const PhysicalId id = create(unit(), 1, reservation.address)[0];
    EXPECT_EQ(code(bind(reservation.address, unit(), id)), "ok");
    return reservation;
  }
  // What a backend without pages answers to whatever concerns them, and that it changes nothing.
  void expect_binds_denied() {
    const Reservation reservation = reserve(unit());
    const Bytes before = used();
    PhysicalId id{77};
    EXPECT_EQ(code(backend().create_physical({unit(), GetParam().memory_type, {}}, {&id, 1})),
              "not_supported");
    EXPECT_EQ(id, PhysicalId{77});
    EXPECT_EQ(code(destroy(id)), "not_supported");
    EXPECT_EQ(code(bind(reservation.address, unit(), id)), "not_supported");
    EXPECT_EQ(code(unbind(reservation.address, unit())), "not_supported");
    EXPECT_EQ(code(backend().set_access(reservation.address, unit(), Access::read)), "not_supported");
    expect_used(before);
    EXPECT_EQ(code(backend().release(reservation)), "ok");
  }
  [[nodiscard]] bool host_sees_it() {
    return can().map && profile().memory_types[GetParam().memory_type].host_visible;
  }

  TestHost host_;
  BackendPtr backend_;
  Bytes base_usage_{};
};

}  // namespace vaspace::test
