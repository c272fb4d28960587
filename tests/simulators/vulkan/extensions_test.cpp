// What the extensions add, every profile's memory, and several threads at once.
#include <atomic>
#include <filesystem>
#include <thread>

#include "rules.hpp"

namespace vasim::test {
namespace {

class Extensions : public Rules {};

TEST_F(Extensions, RequirementsAreKnownBeforeTheObject_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.has(VK_KHR_MAINTENANCE_4_EXTENSION_NAME));
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = 12345;
  info.usage = kTransfer;
  const VkDeviceBufferMemoryRequirements asked{VK_STRUCTURE_TYPE_DEVICE_BUFFER_MEMORY_REQUIREMENTS, nullptr,
                                               &info};
  VkMemoryRequirements2 needs{VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2, nullptr, {}};
  p.function<PFN_vkGetDeviceBufferMemoryRequirementsKHR>("vkGetDeviceBufferMemoryRequirementsKHR")(
      p.device, &asked, &needs);
  const VkMemoryRequirements made = p.requirements(p.buffer(12345));
  EXPECT_EQ(needs.memoryRequirements.size, made.size);
  EXPECT_EQ(needs.memoryRequirements.alignment, made.alignment);
  EXPECT_EQ(needs.memoryRequirements.memoryTypeBits, made.memoryTypeBits);
}

TEST_F(Extensions, Submit2CarriesValues_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.has(VK_KHR_SYNCHRONIZATION_2_EXTENSION_NAME) && p.timeline);
  const VkBuffer buffer = p.buffer(64);
  p.back(buffer);
  const VkSemaphore line = p.semaphore(true);
  const VkCommandBufferSubmitInfo commands{
      VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO, nullptr,
      p.record([&](VkCommandBuffer c) { vkCmdFillBuffer(c, buffer, 0, 64, 0x66666666); }), 0};
  const VkSemaphoreSubmitInfo signal{VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO, nullptr, line, 3,
                                     VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,    0};
  VkSubmitInfo2 submit{};
  submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2;
  submit.commandBufferInfoCount = submit.signalSemaphoreInfoCount = 1;
  submit.pCommandBufferInfos = &commands;
  submit.pSignalSemaphoreInfos = &signal;
  check(p.function<PFN_vkQueueSubmit2KHR>("vkQueueSubmit2KHR")(p.queue, 1, &submit, VK_NULL_HANDLE),
        "submit");
  p.wait({line, 3});
  EXPECT_EQ(p.contents(buffer, 64), std::vector<unsigned char>(64, 0x66));
}

TEST_F(Extensions, PrioritiesCanChange_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.has(VK_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_EXTENSION_NAME));
  const VkMemoryPriorityAllocateInfoEXT high{VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT, nullptr,
                                             0.9F};
  const VkDeviceMemory memory = p.allocate(4096, p.type(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT), &high);
  p.function<PFN_vkSetDeviceMemoryPriorityEXT>("vkSetDeviceMemoryPriorityEXT")(p.device, memory, 0.1F);
}

struct Heard {
  int allocated = 0, freed = 0, refused = 0, imported = 0;
};

void VKAPI_PTR hear(const VkDeviceMemoryReportCallbackDataEXT* data, void* heard) {
  auto& count = *static_cast<Heard*>(heard);
  switch (data->type) {
    case VK_DEVICE_MEMORY_REPORT_EVENT_TYPE_ALLOCATE_EXT:
      ++count.allocated;
      break;
    case VK_DEVICE_MEMORY_REPORT_EVENT_TYPE_FREE_EXT:
      ++count.freed;
      break;
    case VK_DEVICE_MEMORY_REPORT_EVENT_TYPE_ALLOCATION_FAILED_EXT:
      ++count.refused;
      break;
    default:
      ++count.imported;
      break;
  }
}

TEST_F(Extensions, MemoryIsReported_Kept) {
  Heard heard;
  Options options;
  options.profile = "tiny";
  options.validate = kLayers;
  options.memory_listener = &hear;
  options.memory_listener_data = &heard;
  Program& p = begin(options);
  VASIM_NEEDS(p.has(VK_EXT_DEVICE_MEMORY_REPORT_EXTENSION_NAME));
  const std::uint32_t local = p.type(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
  p.free(p.allocate(VkDeviceSize{4} << 20U, local));
  p.allocate(VkDeviceSize{32} << 20U, local);
  VkDeviceMemory memory = VK_NULL_HANDLE;
  EXPECT_NE(p.try_allocate(VkDeviceSize{32} << 20U, local, memory), VK_SUCCESS);
  EXPECT_EQ(heard.allocated, 2);
  EXPECT_EQ(heard.freed, 1);
  EXPECT_EQ(heard.refused, 1);
  TearDown();  // what is freed at the end is heard of as well
  EXPECT_EQ(heard.freed, 2);
}

// Memory of every type of every profile can be allocated, and the host sees what it may.
TEST_F(Extensions, EveryProfilesMemory_Kept) {
  std::vector<std::string> profiles = {"discrete_bar256"};
  if (!on_other_driver()) {
    profiles.clear();
    for (const auto& entry : std::filesystem::directory_iterator(VASIM_VULKAN_PROFILES_FOLDER))
      if (entry.path().filename().string().front() != '_') profiles.push_back(entry.path().stem().string());
    ASSERT_GE(profiles.size(), 9U);
  }
  for (const std::string& profile : profiles) {
    SCOPED_TRACE(profile);
    Program& p = kept(profile);
    for (std::uint32_t type = 0; type < p.memory.memoryTypeCount; ++type) {
      const VkMemoryPropertyFlags flags = p.memory.memoryTypes[type].propertyFlags;
      const VkDeviceMemory memory = p.allocate(10000, type);
      if ((flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0) continue;
      unsigned char* const bytes = p.map(memory);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes) % p.properties.limits.minMemoryMapAlignment, 0U);
      bytes[0] = bytes[9999] = 1;
      vkUnmapMemory(p.device, memory);
    }
    TearDown();
  }
}

// Threads allocate, bind and free; one submits, the others wait.
TEST_F(Extensions, ThreadsShareADevice_Kept) {
  Program& p = kept("discrete_bar256", "delay_us=0..50");
  VASIM_NEEDS(p.timeline);
  const VkBuffer buffer = p.buffer(4096);
  p.back(buffer);
  const VkSemaphore line = p.semaphore(true);
  std::vector<VkCommandBuffer> commands;
  for (int i = 0; i < 20; ++i)
    commands.push_back(p.record([&](VkCommandBuffer c) {
      barrier(c);
      vkCmdFillBuffer(c, buffer, 0, 4096, 5);
    }));
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        VkBufferCreateInfo info{};
        info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
        info.size = 4096;
        info.usage = kTransfer;
        VkBuffer mine = VK_NULL_HANDLE;
        VkDeviceMemory memory = VK_NULL_HANDLE;
        if (vkCreateBuffer(p.device, &info, nullptr, &mine) != VK_SUCCESS) ++failed;
        if (p.try_allocate(4096, p.type(kHost), memory) != VK_SUCCESS) ++failed;
        if (vkBindBufferMemory(p.device, mine, memory, 0) != VK_SUCCESS) ++failed;
        p.map(memory)[t] = 1;
        vkUnmapMemory(p.device, memory);
        vkDestroyBuffer(p.device, mine, nullptr);
        vkFreeMemory(p.device, memory, nullptr);
      }
      p.wait({line, 20});
    });
  for (std::uint64_t i = 0; i < commands.size(); ++i)
    p.submit({{}, {{line, i + 1}}, {commands[i]}, VK_NULL_HANDLE, true});
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace vasim::test
