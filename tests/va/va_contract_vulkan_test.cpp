// The contract of the va layer on sparse buffers, on devices that the simulated driver plays. It reports what
// breaks a rule of sparse binding (V19, V23 to V27, V29), and nothing may be.
#include "va/va_contract.hpp"
#include "vulkan/device.hpp"

namespace vaspace::test {
namespace {

struct SparseDevice final : VaDevice {
  std::unique_ptr<TestDevice> gpu;
  HostObject<vulkan::SparseBackend> sparse;
  Reservation seen{};  // a page that what is read is copied to
  PhysicalId page{};

  [[nodiscard]] bool open(const DeviceWish& wish, bool aliasing, const HostAllocator& host) {
    gpu = TestDevice::create(wish);
    if (gpu == nullptr) return false;
    vulkan::SparseConfig config = gpu->sparse_config();
    config.device.host = host;
    config.device.max_memory_objects = 200;  // from 250 on the layer finds them too many
    config.aliasing = aliasing;
    auto made = vulkan::SparseBackend::create(config);
    if (!made) return false;
    sparse = std::move(*made);
    const Bytes size = sparse->profile().page_sizes[0];
    const auto reserved = sparse->reserve({.size = size});
    if (!reserved || !sparse->create_physical({.size = size}, {&page, 1})) return false;
    seen = *reserved;
    const BindOp op{.address = seen.address, .size = size, .physical = page};
    const auto bound = sparse->bind({&op, 1}, {});
    return bound && sparse->wait(*bound, ~std::uint64_t{0});
  }
  ~SparseDevice() override {
    sparse.reset();
    if (gpu != nullptr) {
      EXPECT_EQ(gpu->messages(), "");
    }
  }
  [[nodiscard]] Backend& backend() override { return *sparse; }
  [[nodiscard]] NativeRange where(Address address) { return sparse->locate(address).value(); }
  void fill(Address address, Bytes size, std::uint32_t word) override {
    gpu->run([&](VkCommandBuffer commands) {
      const NativeRange at = where(address);
      vkCmdFillBuffer(commands, (VkBuffer)at.object, at.offset.value, size.value, word);
    });
  }
  [[nodiscard]] std::uint32_t read(Address address) override {
    const CopyOp op{address, seen.address, 4_B};
    const auto copied = sparse->copy({&op, 1}, {});
    EXPECT_TRUE(copied && sparse->wait(*copied, ~std::uint64_t{0}));
    return gpu->words_of((VkBuffer)where(seen.address).object, 4_B)[0];
  }
};

VaCase sparse(std::string name, const DeviceWish& wish, bool aliasing) {
  const auto make = [=](const HostAllocator& host) -> std::unique_ptr<VaDevice> {
    auto device = std::make_unique<SparseDevice>();
    return device->open(wish, aliasing, host) ? std::move(device) : nullptr;
  };
  return {std::move(name), make};
}

// With aliasing the driver takes memory that is bound here, and about to be unbound there, for V27.
INSTANTIATE_TEST_SUITE_P(
    Sparse, VaContract,
    testing::Values(
        sparse("WithoutAliasing", {.profile = "discrete_bar256", .validate = false}, false),
        sparse("Aliasing", {.profile = "discrete_rebar", .settings = "ignore=V27", .validate = false}, true),
        sparse("TinyAndLate", {.profile = "tiny", .settings = "delay_us=0..20", .validate = false}, false)),
    [](const auto& one) { return one.param.name; });
INSTANTIATE_TEST_SUITE_P(
    Sparse, VaOffsetsContract,
    testing::Values(
        sparse("WithoutAliasing", {.profile = "discrete_bar256", .validate = false}, false),
        sparse("Aliasing", {.profile = "discrete_rebar", .settings = "ignore=V27", .validate = false}, true),
        sparse("TinyAndLate", {.profile = "tiny", .settings = "delay_us=0..20", .validate = false}, false)),
    [](const auto& one) { return one.param.name; });

// The profile says of which types pages can be, and nothing else makes them (V6).
TEST(SparsePages, AreOfTheTypesThatTheProfileNames_V6) {
  for (const char* name : {"discrete_bar256", "integrated", "tiny"}) {
    TestHost host;
    SparseDevice device;
    ASSERT_TRUE(device.open({.profile = name, .validate = false}, false, host.allocator()));
    const DeviceProfile& profile = device.backend().profile();
    EXPECT_NE(profile.pageable_types, ~0U);
    for (std::uint32_t type = 0; type < profile.memory_type_count; ++type) {
      const auto pages = PagedSpace::create(device.backend(), {.size = 8_MiB, .memory_type = type});
      ASSERT_EQ(pages.has_value(), profile.pages_of(type)) << name << " " << type;
      PhysicalId id;
      const auto made =
          device.backend().create_physical({.size = profile.page_sizes[0], .memory_type = type}, {&id, 1});
      if (made) {
        EXPECT_TRUE(device.backend().destroy_physical({&id, 1}));
      }
      EXPECT_EQ(made.has_value(), profile.pages_of(type)) << name << " " << type;
    }
  }
}

}  // namespace
}  // namespace vaspace::test
