// A backend on a fake driver: what most of these tests begin with.
#pragma once

#include <gtest/gtest.h>

#include "support/host.hpp"
#include "vulkan/fake_driver.hpp"

namespace vaspace::test {

class FakeBackend : public testing::Test {
 protected:
  // A test that breaks a rule of the driver fails, whatever else it checks.
  void TearDown() override {
    backend.reset();
    EXPECT_EQ(driver.violations, std::vector<std::string>{});
    EXPECT_EQ(driver.objects.size(), 0U) << "memory objects that were never freed";
    EXPECT_EQ(host.bytes(), 0);
  }

  void create() { create(driver.config()); }
  void create(vulkan::BackendConfig config) {
    config.host = host.allocator();
    auto made = vulkan::Backend::create(config);
    ASSERT_TRUE(made) << to_string(made.error().code);
    backend = std::move(*made);
  }
  Result<Reservation> reserve(Bytes size, std::uint32_t type = FakeDriver::kCoherent) {
    return backend->reserve({.size = size, .memory_type = type});
  }
  static ErrorCode code(const auto& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode{} : result.error().code;
  }
  // The driver's object behind an address.
  FakeDriver::Object& object_at(Address address) {
    return driver.objects.at(backend->locate(address).value().object);
  }

  TestHost host;
  FakeDriver driver;
  HostObject<vulkan::Backend> backend;
};

}  // namespace vaspace::test
