// A CPU backend, with one reservation and short names for what tests do to it.
#pragma once

#include <cstddef>
#include <gtest/gtest.h>
#include <vector>

#include "vaspace/backends/cpu.hpp"

#include "support/backend_memory.hpp"

namespace vaspace::test {

class CpuTest : public testing::Test {
 protected:
  static constexpr Bytes kPage = 64_KiB;
  static constexpr std::uint64_t kForever = 60'000'000'000;

  void open(cpu::BackendConfig config, std::uint64_t pages = 64) {
    if (config.physical_size == 4_GiB) config.physical_size = 64_MiB;
    auto made = cpu::Backend::create(config);
    ASSERT_TRUE(made) << to_string(made.error().code);
    backend_ = std::move(*made);
    auto reserved = backend_->reserve({kPage * pages, {}, {}, 0});
    ASSERT_TRUE(reserved) << to_string(reserved.error().code);
    reservation_ = *reserved;
  }
  [[nodiscard]] Address at(std::uint64_t page) const { return reservation_.address + kPage * page; }
  [[nodiscard]] static std::byte* pointer(Address address) {
    return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address.value));
  }
  // Volatile: what one address gets may show at another.
  [[nodiscard]] std::byte read(std::uint64_t page) const {
    return *const_cast<const volatile std::byte*>(pointer(at(page)));
  }
  void write(std::uint64_t page, std::byte value) const {
    *const_cast<volatile std::byte*>(pointer(at(page))) = value;
  }
  // Objects of one page each.
  [[nodiscard]] std::vector<PhysicalId> create(std::size_t count, Address near = {}) {
    std::vector<PhysicalId> ids(count);
    const Result<void> created = backend_->create_physical({kPage, 0, near}, ids);
    EXPECT_TRUE(created) << to_string(created.error().code);
    return ids;
  }
  [[nodiscard]] Result<TimelinePoint> submit(const std::vector<BindOp>& ops) {
    return backend_->bind(ops, {});
  }
  // Why a batch is refused, or kOk.
  [[nodiscard]] ErrorCode refusal(const std::vector<BindOp>& ops) {
    const auto point = submit(ops);
    return point ? kOk : point.error().code;
  }
  void bind(std::uint64_t page, PhysicalId id, std::uint64_t pages = 1) {
    wait(submit({{at(page), kPage * pages, id, {}}}));
  }
  void unbind(std::uint64_t page, std::uint64_t pages = 1) {
    wait(submit({{at(page), kPage * pages, {}, {}}}));
  }
  void wait(const Result<TimelinePoint>& point) {
    ASSERT_TRUE(point) << to_string(point.error().code);
    ASSERT_TRUE(backend_->wait(*point, kForever));
  }
  void destroy(const std::vector<PhysicalId>& ids) {
    const Result<void> destroyed = backend_->destroy_physical(ids);
    EXPECT_TRUE(destroyed) << to_string(destroyed.error().code);
  }
  // A page at home in `page`, bound there.
  PhysicalId settle(std::uint64_t page) {
    const PhysicalId id = create(1, at(page))[0];
    bind(page, id);
    return id;
  }

  // No error: a code that no backend answers.
  static constexpr ErrorCode kOk = ErrorCode::malformed;

  HostObject<cpu::Backend> backend_;
  Reservation reservation_;
};

}  // namespace vaspace::test
