// The backend contract on sparse buffers, on devices that the simulated driver plays, under validation. Rules
// that the driver enforces (V19, V20, V23 to V27, V29 to V31) are reported by it, and nothing may be.
#include "support/backend_contract.hpp"
#include "vulkan/device.hpp"

namespace vaspace::test {
namespace {

struct OnSparse {
  std::unique_ptr<TestDevice> gpu;
  HostObject<vulkan::SparseBackend> backend;

  ~OnSparse() {
    backend.reset();
    if (gpu != nullptr) {
      EXPECT_EQ(gpu->messages(), "");
    }
  }
};

BackendCase sparse(std::string name, const DeviceWish& wish, bool aliasing = false) {
  const auto make = [wish, aliasing](const HostAllocator& host) -> Result<BackendPtr> {
    const auto holder = std::make_shared<OnSparse>();
    holder->gpu = TestDevice::create(wish);
    if (holder->gpu == nullptr) return fail(ErrorCode::not_supported);
    vulkan::SparseConfig config = holder->gpu->sparse_config();
    config.device.host = host;
    config.device.max_memory_objects = 200;  // from 250 on the layer finds them too many
    config.aliasing = aliasing;
    auto made = vulkan::SparseBackend::create(config);
    if (!made) return fail(made.error());
    holder->backend = std::move(*made);
    return BackendPtr(holder, holder->backend.get());
  };
  return {.name = std::move(name), .make = make};
}

// With aliasing the driver takes memory that is bound here, and about to be unbound there, for V27.
INSTANTIATE_TEST_SUITE_P(
    Sparse, BackendContract,
    testing::Values(sparse("Tiny", {.profile = "tiny", .validate = false}),
                    sparse("TinyLate", {.profile = "tiny", .settings = "delay_us=0..50", .validate = false}),
                    sparse("QueueOfItsOwn", {.profile = "discrete_rebar", .settings = "ignore=V27"}, true),
                    sparse("WithoutResidency",
                           {.profile = "discrete_bar256", .without = {"sparseResidencyBuffer"}})),
    name_of);

}  // namespace
}  // namespace vaspace::test
