// The backend on a real driver, lavapipe, with the Khronos validation layer listening: not one message.
#include <cstring>
#include <gtest/gtest.h>

#include "support/host.hpp"
#include "vulkan/device.hpp"

namespace vaspace::test {
namespace {

class DriverTest : public testing::Test {
 protected:
  void SetUp() override {
    gpu = TestDevice::create();
    if (gpu == nullptr) GTEST_SKIP() << "no such driver";
    create(gpu->config());
  }
  void TearDown() override {
    if (gpu == nullptr) return;
    for (const VkBuffer buffer : buffers)
      vkDestroyBuffer(gpu->device, buffer, nullptr);
    backend.reset();
    EXPECT_EQ(gpu->messages(), "");
    EXPECT_EQ(host.bytes(), 0);
  }

  void create(vulkan::BackendConfig config) {
    config.host = host.allocator();
    auto made = vulkan::Backend::create(config);
    ASSERT_TRUE(made) << to_string(made.error().code) << " " << made.error().native;
    backend = std::move(*made);
  }
  VkBuffer buffer(VkDeviceSize size, VkBufferUsageFlags usage) {
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size;
    info.usage = usage;
    buffers.push_back(VK_NULL_HANDLE);
    EXPECT_EQ(vkCreateBuffer(gpu->device, &info, nullptr, &buffers.back()), VK_SUCCESS);
    return buffers.back();
  }
  VkMemoryRequirements requirements(VkBuffer of) const {
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(gpu->device, of, &needs);
    return needs;
  }
  // A type that the buffer may lie in and that the host sees (V6).
  std::uint32_t visible_type(std::uint32_t bits) const {
    for (std::uint32_t type = 0; type < backend->profile().memory_type_count; ++type) {
      if ((bits >> type & 1U) != 0 && backend->profile().memory_types[type].host_visible) return type;
    }
    ADD_FAILURE() << "no host-visible memory type";
    return 0;
  }
  VkResult bind(VkBuffer to, Address address) {
    const NativeRange at = backend->locate(address).value();
    return vkBindBufferMemory(gpu->device, to, (VkDeviceMemory)at.object, at.offset.value);
  }

  TestHost host;
  std::unique_ptr<TestDevice> gpu;
  HostObject<vulkan::Backend> backend;
  std::vector<VkBuffer> buffers;
};

TEST_F(DriverTest, TheLayerListens) {
  if (!gpu->validated()) GTEST_SKIP() << "VK_LAYER_KHRONOS_validation is not installed";
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;  // of size 0: a mistake that any driver survives
  VkBuffer wrong = VK_NULL_HANDLE;
  if (vkCreateBuffer(gpu->device, &info, nullptr, &wrong) == VK_SUCCESS) buffers.push_back(wrong);
  EXPECT_NE(gpu->take_messages({"VUID-VkBufferCreateInfo-size-00912"}), "");
}

TEST_F(DriverTest, TheProfileIsTheDrivers) {
  VkPhysicalDeviceProperties properties;
  vkGetPhysicalDeviceProperties(gpu->physical, &properties);
  const DeviceProfile& profile = backend->profile();
  EXPECT_EQ(std::string(profile.name.data()), std::string(properties.deviceName).substr(0, 63));
  EXPECT_GE(profile.heap_count, 1U);
  EXPECT_GE(profile.memory_type_count, 1U);
  EXPECT_LE(profile.capabilities.max_reservation_size, 1_TiB);
  EXPECT_LE(backend->budget(0)->budget, profile.heaps[0].size);
}

TEST_F(DriverTest, V6_V7_ThreeBuffersInOneBlock) {
  const VkDeviceSize sizes[] = {1000, 70000, 4096};
  Bytes end{};
  std::vector<Bytes> offsets;
  std::uint32_t bits = ~0U;
  for (const VkDeviceSize size : sizes) {
    const VkMemoryRequirements needs =
        requirements(buffer(size, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT));
    offsets.push_back(align_up(end, Alignment{needs.alignment}));
    end = offsets.back() + Bytes{needs.size};
    bits &= needs.memoryTypeBits;
  }
  const Reservation block =
      backend->reserve({.size = align_up(end, Alignment{64_KiB}), .memory_type = visible_type(bits)}).value();
  for (std::size_t i = 0; i < buffers.size(); ++i)
    EXPECT_EQ(bind(buffers[i], block.address + offsets[i]), VK_SUCCESS);
}

TEST_F(DriverTest, V9_BuffersWithDeviceAddresses) {
  auto config = gpu->config();
  config.features.buffer_device_address = true;
  create(config);
  const VkBuffer addressed =
      buffer(4096, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT);
  const VkMemoryRequirements needs = requirements(addressed);
  const Reservation block = backend
                                ->reserve({.size = 64_KiB,
                                           .memory_type = visible_type(needs.memoryTypeBits),
                                           .traits = {.device_address = true}})
                                .value();
  EXPECT_EQ(bind(addressed, block.address), VK_SUCCESS);
  VkBufferDeviceAddressInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
  info.buffer = addressed;
  EXPECT_NE(vkGetBufferDeviceAddress(gpu->device, &info), 0U);
}

TEST_F(DriverTest, V10_V12_MappedMemoryKeepsWhatIsWritten) {
  const Reservation block = backend->reserve({.size = 1_MiB, .memory_type = visible_type(~0U)}).value();
  std::byte* const whole = backend->map(block.address, 1_MiB).value();
  std::byte* const part = backend->map(block.address + 1000_B, 5_B).value();
  ASSERT_EQ(part, whole + 1000);
  std::memcpy(part, "abcd", 5);
  EXPECT_TRUE(backend->flush(block.address + 1000_B, 5_B));
  EXPECT_TRUE(backend->unmap(block.address, 1_MiB));
  EXPECT_TRUE(backend->unmap(block.address + 1000_B, 5_B));
  std::byte* const again = backend->map(block.address + 1000_B, 5_B).value();
  EXPECT_TRUE(backend->invalidate(block.address + 1000_B, 5_B));
  EXPECT_EQ(std::memcmp(again, "abcd", 5), 0);
  EXPECT_TRUE(backend->unmap(block.address + 1000_B, 5_B));
  EXPECT_TRUE(backend->release(block));
}

TEST_F(DriverTest, ManyBlocksComeAndGo) {
  std::vector<Reservation> blocks;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 50; ++i)
      blocks.push_back(backend->reserve({.size = 256_KiB, .memory_type = 0}).value());
    for (std::size_t i = 0; i < blocks.size(); i += 2)
      ASSERT_TRUE(backend->release(blocks[i]));
    for (std::size_t i = 1; i < blocks.size(); i += 2)
      ASSERT_TRUE(backend->release(blocks[i]));
    blocks.clear();
  }
  EXPECT_EQ(backend->budget(0)->usage, 0_B);
}

TEST_F(DriverTest, V5_MoreThanTheHeapIsRefusedWithoutTheDriver) {
  const DeviceProfile& profile = backend->profile();
  const Bytes heap = profile.heaps[profile.memory_types[0].heap].size;
  const auto made = backend->reserve({.size = align_up(heap, Alignment{1_MiB}) + 1_MiB});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().native, 0);
}

TEST_F(DriverTest, WithoutFunctionsTheLoaderIsOpened) {
  auto config = gpu->config();
  config.get_instance_proc_addr = nullptr;
  create(config);
  EXPECT_TRUE(backend->reserve({.size = 256_KiB}));
  config.instance = VK_NULL_HANDLE;  // the loader exports what is needed
  create(config);
  EXPECT_TRUE(backend->reserve({.size = 256_KiB}));
}

}  // namespace
}  // namespace vaspace::test
