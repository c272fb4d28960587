// A sparse backend on a device of these tests. At the end nothing may be left: no message, no object, no host
// memory.
#pragma once

#include "support/host.hpp"
#include "vulkan/device.hpp"

namespace vaspace::test {

inline constexpr std::uint64_t kForever = ~std::uint64_t{0};

class SparseTest : public testing::Test {
 protected:
  void open(const DeviceWish& wish) {
    gpu.reset();  // the driver reads its settings while no instance lives
    gpu = TestDevice::create(wish);
    ASSERT_NE(gpu, nullptr);
    config = gpu->sparse_config();
    config.device.host = host.allocator();
  }
  void create() {
    auto made = vulkan::SparseBackend::create(config);
    ASSERT_TRUE(made) << to_string(made.error().code);
    backend = std::move(*made);
  }
  void open_and_create(const char* profile) {
    open({.profile = profile});
    create();
  }
  void TearDown() override {
    backend.reset();
    EXPECT_EQ(host.bytes(), 0);
    if (gpu == nullptr) return;
    EXPECT_EQ(gpu->messages(), "");
    const bool lost = gpu_lost;
    gpu.reset();
    if (!lost) {
      EXPECT_EQ(TestDevice::control().live_objects(), 0U);
    }
  }

  Bytes page() { return backend->profile().page_sizes[0]; }
  Reservation reserve(Bytes size) { return backend->reserve({.size = size}).value(); }
  std::vector<PhysicalId> pages(std::size_t count, std::uint32_t type = 0) {
    std::vector<PhysicalId> ids(count);
    EXPECT_TRUE(backend->create_physical({.size = page(), .memory_type = type}, ids));
    return ids;
  }
  Result<TimelinePoint> bind(const std::vector<BindOp>& ops, const std::vector<TimelinePoint>& waits = {}) {
    return backend->bind(ops, waits);
  }
  void bind_now(const std::vector<BindOp>& ops) {
    const auto point = bind(ops);
    ASSERT_TRUE(point) << to_string(point.error().code);
    ASSERT_TRUE(backend->wait(*point, kForever));
  }
  static BindOp put(Address at, PhysicalId id, Bytes size, Bytes offset = {}) {
    return {at, size, id, offset};
  }
  static BindOp take(Address at, Bytes size) { return {at, size, {}, {}}; }
  static ErrorCode code(const auto& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode{} : result.error().code;
  }
  // What is handed out of the heap that pages() come from.
  Bytes usage() { return backend->budget(backend->profile().memory_types[0].heap)->usage; }
  VkBuffer buffer_at(Address address) { return (VkBuffer)backend->locate(address).value().object; }

  TestHost host;
  std::unique_ptr<TestDevice> gpu;
  vulkan::SparseConfig config;
  HostObject<vulkan::SparseBackend> backend;
  bool gpu_lost = false;
};

}  // namespace vaspace::test
