// The backend contract, on lavapipe under validation and on a driver that plays other devices.
#include "support/backend_contract.hpp"
#include "vulkan/device.hpp"
#include "vulkan/fake_driver.hpp"

namespace vaspace::test {
namespace {

struct OnLavapipe {
  std::unique_ptr<TestDevice> gpu;
  HostObject<vulkan::Backend> backend;

  ~OnLavapipe() {
    backend.reset();
    if (gpu != nullptr) {
      EXPECT_EQ(gpu->messages(), "");
    }
  }
};

struct OnFake {
  FakeDriver driver;
  HostObject<vulkan::Backend> backend;

  ~OnFake() {
    backend.reset();
    EXPECT_EQ(driver.violations, std::vector<std::string>{});
    EXPECT_TRUE(driver.objects.empty());
  }
};

// The driver lives as long as the backend that is handed out.
template <class Holder>
Result<BackendPtr> hold(const std::shared_ptr<Holder>& holder, vulkan::BackendConfig config,
                        const HostAllocator& host) {
  config.host = host;
  auto made = vulkan::Backend::create(config);
  if (!made) return fail(made.error());
  holder->backend = std::move(*made);
  return BackendPtr(holder, holder->backend.get());
}

BackendCase lavapipe() {
  const auto make = [](const HostAllocator& host) -> Result<BackendPtr> {
    const auto holder = std::make_shared<OnLavapipe>();
    holder->gpu = TestDevice::create();
    if (holder->gpu == nullptr) return fail(ErrorCode::not_supported);
    return hold(holder, holder->gpu->config(), host);
  };
  return {.name = "Lavapipe", .make = make, .may_be_missing = true, .exhaustible = false};
}

BackendCase fake(std::string name, std::uint32_t type, void (*play)(FakeDriver&)) {
  const auto make = [play](const HostAllocator& host) {
    const auto holder = std::make_shared<OnFake>();
    holder->driver.counts_usage = true;
    play(holder->driver);
    return hold(holder, holder->driver.config(), host);
  };
  return {.name = std::move(name), .make = make, .memory_type = type};
}

INSTANTIATE_TEST_SUITE_P(
    Vulkan, BackendContract,
    testing::Values(lavapipe(), fake("DeviceLocal", FakeDriver::kDeviceLocal, [](FakeDriver&) {}),
                    fake("Coherent", FakeDriver::kCoherent, [](FakeDriver&) {}),
                    fake("NonCoherent", FakeDriver::kCached,
                         [](FakeDriver& driver) { driver.limits.nonCoherentAtomSize = 256; }),
                    fake("WithoutBudgets", FakeDriver::kCached,
                         [](FakeDriver& driver) { driver.has_budget = false; }),
                    fake("Limited", FakeDriver::kCoherent,
                         [](FakeDriver& driver) {
                           driver.limits.maxMemoryAllocationCount = 100;
                           driver.max_allocation_size = VkDeviceSize{4} << 20U;
                         })),
    name_of);

}  // namespace
}  // namespace vaspace::test
