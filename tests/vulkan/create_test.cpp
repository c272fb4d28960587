// How a backend comes to be, and every way in which it does not.
#include <cerrno>

#include "vulkan/fake_backend.hpp"

namespace vaspace::test {
namespace {

using CreateTest = FakeBackend;

TEST_F(CreateTest, NullHandlesAreAnInvalidConfiguration) {
  auto config = driver.config();
  config.physical_device = nullptr;
  EXPECT_EQ(code(vulkan::Backend::create(config)), ErrorCode::invalid_configuration);
  config = driver.config();
  config.device = nullptr;
  EXPECT_EQ(code(vulkan::Backend::create(config)), ErrorCode::invalid_configuration);
  config = driver.config();
  config.instance = nullptr;
  EXPECT_EQ(code(vulkan::Backend::create(config)), ErrorCode::invalid_configuration);
}

TEST_F(CreateTest, AMissingLoaderIsOneClearError) {
  auto config = driver.config();
  config.get_instance_proc_addr = nullptr;
  for (const char* name : {"libvulkan-that-is-not-there.so.1", static_cast<const char*>(nullptr)}) {
    config.loader = name;
    const auto made = vulkan::Backend::create(config);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error(), (Error{ErrorCode::io_error, ENOENT}));
  }
}

TEST_F(CreateTest, ALibraryThatIsNoLoaderIsRefused) {
  auto config = driver.config();
  config.get_instance_proc_addr = nullptr;
  config.loader = "libm.so.6";
  EXPECT_EQ(code(vulkan::Backend::create(config)), ErrorCode::driver_error);
}

TEST_F(CreateTest, EveryMissingFunctionIsADriverError) {
  for (const char* name :
       {"vkGetDeviceProcAddr", "vkGetPhysicalDeviceProperties", "vkGetPhysicalDeviceProperties2",
        "vkGetPhysicalDeviceMemoryProperties2", "vkEnumerateDeviceExtensionProperties", "vkAllocateMemory",
        "vkFreeMemory", "vkMapMemory", "vkUnmapMemory", "vkFlushMappedMemoryRanges",
        "vkInvalidateMappedMemoryRanges"}) {
    driver.missing = name;
    EXPECT_EQ(code(vulkan::Backend::create(driver.config())), ErrorCode::driver_error) << name;
  }
  driver.missing = "vkQueueBindSparse";
  EXPECT_TRUE(vulkan::Backend::create(driver.config())) << "nobody asked for it";
}

TEST_F(CreateTest, FunctionsOfTheApplicationsOwnComeFirst) {
  static int frees = 0;
  frees = 0;
  const auto count_free =
      +[](VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks* callbacks) {
        ++frees;
        FakeDriver::function<PFN_vkFreeMemory>(device, "vkFreeMemory")(device, memory, callbacks);
      };
  const vulkan::NamedFunction own[] = {{"vkFreeMemory", reinterpret_cast<PFN_vkVoidFunction>(count_free)}};
  auto config = driver.config();
  config.functions = own;
  create(config);
  ASSERT_TRUE(backend->release(reserve(4_KiB).value()));
  EXPECT_EQ(frees, 1);
  EXPECT_EQ(driver.free_calls, 1);
}

TEST_F(CreateTest, WithAllFunctionsNamedNothingIsAsked) {
  const std::vector<vulkan::NamedFunction> all = driver.all_functions();
  auto config = driver.config();
  config.get_instance_proc_addr = nullptr;
  config.loader = "libvulkan-that-is-not-there.so.1";
  config.functions = all;
  create(config);
  EXPECT_TRUE(reserve(4_KiB));
}

TEST_F(CreateTest, FeaturesAreReadOffTheDevicesCreation) {
  VkPhysicalDeviceMemoryPriorityFeaturesEXT priority{};
  priority.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT;
  priority.memoryPriority = VK_TRUE;
  VkPhysicalDeviceVulkan12Features vulkan12{};
  vulkan12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
  vulkan12.pNext = &priority;
  vulkan12.timelineSemaphore = VK_TRUE;
  VkPhysicalDeviceFeatures2 core{};
  core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  core.pNext = &vulkan12;
  core.features.sparseBinding = core.features.sparseResidencyBuffer = VK_TRUE;
  VkDeviceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.pNext = &core;
  const vulkan::DeviceFeatures features = vulkan::features_of(info);
  EXPECT_TRUE(features.memory_priority && features.timeline_semaphore);
  EXPECT_TRUE(features.sparse_binding && features.sparse_residency_buffer);
  EXPECT_FALSE(features.buffer_device_address || features.protected_memory ||
               features.sparse_residency_aliased);
  VkPhysicalDeviceFeatures old{};
  old.sparseResidencyAliased = VK_TRUE;
  VkDeviceCreateInfo plain{};
  plain.pEnabledFeatures = &old;
  EXPECT_TRUE(vulkan::features_of(plain).sparse_residency_aliased);
  EXPECT_FALSE(vulkan::features_of(VkDeviceCreateInfo{}).sparse_binding);
}

TEST_F(CreateTest, Vulkan10IsNotSupported) {
  driver.api_version = VK_API_VERSION_1_0;
  EXPECT_EQ(code(vulkan::Backend::create(driver.config())), ErrorCode::not_supported);
}

TEST_F(CreateTest, ARefusedListOfExtensionsIsHandedOn) {
  driver.enumerate_result = VK_ERROR_OUT_OF_HOST_MEMORY;
  const auto made = vulkan::Backend::create(driver.config());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error(), (Error{ErrorCode::out_of_host_memory, VK_ERROR_OUT_OF_HOST_MEMORY}));
}

TEST_F(CreateTest, ADevicesOwnLookupIsPreferred) {
  driver.missing = "vkGetDeviceProcAddr";  // the instance has none, the configuration brings one
  auto config = driver.config();
  FakeDriver other;
  config.get_device_proc_addr = reinterpret_cast<PFN_vkGetDeviceProcAddr>(
      other.config().get_instance_proc_addr(other.config().instance, "vkGetDeviceProcAddr"));
  create(config);
  EXPECT_TRUE(reserve(4_KiB));
}

}  // namespace
}  // namespace vaspace::test
