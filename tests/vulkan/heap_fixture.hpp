// A vulkan::Heap on a device of these tests. At the end nothing may be left: no message, no object, no host
// memory.
#pragma once

#include <optional>

#include "vaspace/frontends/vulkan.hpp"

#include "support/host.hpp"
#include "vulkan/device.hpp"

namespace vaspace::test {

inline constexpr std::uint32_t kTransfer =
    VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
inline constexpr std::uint64_t kForever = ~std::uint64_t{0};
// What the layer and the simulated driver say of a resource that is bound a second time.
inline const std::set<std::string> kBoundTwice{"VUID-vkBindBufferMemory-buffer-07459",
                                               "VUID-vkBindImageMemory-image-07460", "D5"};

inline VkImageCreateInfo image_info(std::uint32_t side,
                                    VkImageUsageFlags usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT |
                                                              VK_IMAGE_USAGE_TRANSFER_DST_BIT) {
  VkImageCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
  info.imageType = VK_IMAGE_TYPE_2D;
  info.format = VK_FORMAT_R8G8B8A8_UNORM;
  info.extent = {side, side, 1};
  info.mipLevels = info.arrayLayers = 1;
  info.samples = VK_SAMPLE_COUNT_1_BIT;
  info.usage = usage;
  return info;
}

class HeapTest : public testing::Test {
 protected:
  void open(const DeviceWish& wish) {
    close();
    gpu = TestDevice::create(wish);
    if (gpu == nullptr) GTEST_SKIP() << "no such driver";
    vulkan::BackendConfig config = gpu->config();
    config.host = host.allocator();
    config.functions = own_functions;
    backend = vulkan::Backend::create(config).value();
    vulkan::HeapConfig heap_config;
    heap_config.memory.host = host.allocator();
    heap_config.sparse = {.queue = sparse ? gpu->sparse : VK_NULL_HANDLE, .family = gpu->sparse_family};
    heap_config.transfer = {.queue = gpu->graphics, .family = gpu->graphics_family};
    heap_config.families = gpu->families;
    heap_config.on_refusal = {this, [](void* user, const vulkan::Refusal& refusal) noexcept {
                                HeapTest& test = *static_cast<HeapTest*>(user);
                                ++test.refusals;
                                test.last_function = refusal.function;
                                test.last_feature = refusal.feature;
                                test.last_driver = refusal.driver;
                              }};
    heap_config.memory.small = small;
    heap_config.memory.keep = 0_B;
    heap_config.memory.keep_percent = 0;
    heap_config.memory.on_misuse = on_misuse;
    heap_config.memory.on_leak = on_leak;
    heap_config.memory.first_block = heap_config.memory.largest_block = block;
    heap.emplace(vulkan::Heap::create(*backend, heap_config).value());
  }
  void close() {
    heap.reset();
    backend.reset();
    EXPECT_EQ(host.bytes(), 0);
    if (gpu == nullptr) return;
    if (timeline != VK_NULL_HANDLE) vkDestroySemaphore(gpu->device, timeline, nullptr);
    timeline = VK_NULL_HANDLE;
    EXPECT_EQ(gpu->messages(), "");
    const bool simulated = gpu->simulated();
    gpu.reset();
    if (simulated && !lost) {
      EXPECT_EQ(TestDevice::control().live_objects(), 0U);
    }
  }
  void TearDown() override { close(); }

  TimelineId add_timeline() {
    timeline = gpu->timeline_semaphore();
    return heap->add_timeline(timeline).value();
  }
  static ErrorCode code(const auto& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode{} : result.error().code;
  }

  TestHost host;
  bool sparse = true;
  Bytes small = 64_KiB, block{};
  bool lost = false;
  std::vector<vulkan::NamedFunction> own_functions;  // in place of the driver's
  MisuseHandler on_misuse{};
  HeapLeakHandler on_leak{};
  int refusals = 0;  // told
  std::string last_function, last_feature, last_driver;
  std::unique_ptr<TestDevice> gpu;
  HostObject<vulkan::Backend> backend;
  std::optional<vulkan::Heap> heap;
  VkSemaphore timeline = VK_NULL_HANDLE;
};

}  // namespace vaspace::test
