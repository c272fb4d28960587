// The driver's own rules, D1 to D9: what every Vulkan program must respect.
#include "rules.hpp"

namespace vasim::test {
namespace {

class Own : public Rules {
 protected:
  void SetUp() override {
    if (on_other_driver()) GTEST_SKIP() << "only the simulated driver reports";
  }
};

TEST_F(Rules, D0_TheLayerListens) {
  if (!kLayers) GTEST_SKIP() << "built with a thread sanitizer";
  // A frame that heard nothing would find every program correct.
  Options options;
  options.validate = true;
  const int before = validation_messages();
  {
    Program p(options);
    VkDeviceMemory memory = VK_NULL_HANDLE;
    p.try_allocate(4096, p.memory.memoryTypeCount, memory);
  }
  EXPECT_GT(validation_messages(), before);
}

TEST_F(Own, D1_UnknownHandle) {
  Program& p = broken("D1");
  const VkBuffer buffer = p.buffer(64);
  p.destroy(buffer);
  EXPECT_EQ(p.requirements(buffer).size, 0U);
}

TEST_F(Own, D1_HandleOfAnotherType) {
  Program& p = broken("D1");
  p.requirements((VkBuffer)p.image({}));
}

TEST_F(Own, D1_NoHandleComesTwice) {
  Program& p = begin({});
  const VkBuffer first = p.buffer(64);
  p.destroy(first);
  EXPECT_NE(p.buffer(64), first);
}

TEST_F(Own, D2_BufferDestroyedInUse) {
  Program& p = broken("D2");
  const VkBuffer buffer = p.buffer(64);
  p.back(buffer);
  p.submit({{},
            {},
            {p.record([&](VkCommandBuffer c) { vkCmdFillBuffer(c, buffer, 0, 64, 1); })},
            VK_NULL_HANDLE,
            true});
  p.destroy(buffer);
}

TEST_F(Own, D2_MemoryFreedInUse) {
  Program& p = broken("D2");
  const VkBuffer buffer = p.buffer(64);
  const VkDeviceMemory memory = p.back(buffer);
  p.submit({{},
            {},
            {p.record([&](VkCommandBuffer c) { vkCmdFillBuffer(c, buffer, 0, 64, 1); })},
            VK_NULL_HANDLE,
            true});
  p.free(memory);
}

TEST_F(Own, D2_MemoryFreedAfterAFence) {
  Program& p = begin({});
  const VkBuffer buffer = p.buffer(64);
  const VkDeviceMemory memory = p.back(buffer);
  const VkFence fence = p.fence();
  p.submit(
      {{}, {}, {p.record([&](VkCommandBuffer c) { vkCmdFillBuffer(c, buffer, 0, 64, 1); })}, fence, true});
  p.wait(fence);
  p.free(memory);
}

TEST_F(Own, D2_FenceResetInUse) {
  Program& p = broken("D2", "discrete_bar256");
  control().hold_queues(1);
  const VkFence fence = p.fence();
  p.submit({{}, {}, {}, fence, true});
  check(vkResetFences(p.device, 1, &fence), "reset");
  control().hold_queues(0);
}

TEST_F(Own, D3_LeftBehind) {
  Program& p = broken("D3");
  VkDeviceMemory memory = VK_NULL_HANDLE;
  check(p.try_allocate(4096, 0, memory), "allocate");
}

TEST_F(Own, D4_SubmittedUnended) {
  Program& p = broken("D4");
  const VkCommandBuffer commands = p.record([](VkCommandBuffer) {});
  const VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, nullptr, 0, nullptr};
  check(vkBeginCommandBuffer(commands, &begin), "begin");
  p.submit({{}, {}, {commands}, VK_NULL_HANDLE, true});
}

TEST_F(Own, D4_SubmittedWhilePending) {
  Program& p = broken("D4");
  const VkCommandBuffer commands = p.record([](VkCommandBuffer) {});
  p.submit({{}, {}, {commands}, VK_NULL_HANDLE, true});
  p.submit({{}, {}, {commands}, VK_NULL_HANDLE, true});
}

TEST_F(Own, D5_Overlap) {
  Program& p = broken("D5");
  const VkBuffer a = p.buffer(4096), b = p.buffer(4096);
  const VkDeviceMemory memory = p.allocate(8192, p.type(kHost));
  check(vkBindBufferMemory(p.device, a, memory, 0), "bind");
  check(vkBindBufferMemory(p.device, b, memory, 2048), "bind");
}

TEST_F(Own, D5_BoundTwice) {
  Program& p = broken("D5");
  const VkBuffer buffer = p.buffer(4096);
  const VkDeviceMemory memory = p.back(buffer);
  EXPECT_NE(vkBindBufferMemory(p.device, buffer, memory, 0), VK_SUCCESS);
}

// What was destroyed is in nobody's way, and aliases may overlap.
TEST_F(Own, D5_Kept) {
  Program& p = begin({});
  const VkBuffer a = p.buffer(4096), b = p.buffer(4096);
  const VkDeviceMemory memory = p.back(a);
  p.destroy(a);
  check(vkBindBufferMemory(p.device, b, memory, 0), "bind");
  ImageSpec spec;
  spec.flags = VK_IMAGE_CREATE_ALIAS_BIT;
  const VkImage one = p.image(spec), other = p.image(spec);
  check(vkBindImageMemory(p.device, other, p.back(one), 0), "bind");
}

TEST_F(Own, D6_OutOfRange) {
  Program& p = broken("D6");
  const VkBuffer buffer = p.buffer(64);
  p.back(buffer);
  p.fill(buffer, 32, 64, 1);
}

TEST_F(Own, D6_WithoutUsage) {
  Program& p = broken("D6");
  const VkBuffer buffer = p.buffer(64, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
  p.back(buffer);
  p.fill(buffer, 0, 64, 1);
}

TEST_F(Own, D7_NothingBound) {
  Program& p = broken("D7");
  p.fill(p.buffer(64), 0, 64, 1);
}

TEST_F(Own, D7_MemoryWasFreed) {
  Program& p = broken("D7");
  const VkBuffer buffer = p.buffer(64);
  p.free(p.back(buffer));
  p.fill(buffer, 0, 64, 1);
}

TEST_F(Own, D8_FeatureNotEnabled) {
  Options options;
  options.features = false;
  expected_ = {"D8"};
  Program& p = begin(options);
  p.buffer(65536, kTransfer, VK_BUFFER_CREATE_SPARSE_BINDING_BIT);
}

TEST_F(Own, D9_NotCarriedOut) {
  Program& p = broken("D9");
  p.run([](VkCommandBuffer commands) { vkCmdDispatch(commands, 1, 1, 1); });
  EXPECT_NE(vkCreateGraphicsPipelines(p.device, VK_NULL_HANDLE, 0, nullptr, nullptr, nullptr), VK_SUCCESS);
}

// Names that a program gives are in the reports, and reports in the file that it names.
TEST_F(Own, ReportsNameTheObject) {
  const std::string log = testing::TempDir() + "vasim_report.log";
  std::remove(log.c_str());
  Program& p = broken("D5", "discrete_bar256", "quiet=0;log=" + log);
  const VkBuffer buffer = p.buffer(64);
  const VkDebugUtilsObjectNameInfoEXT name{VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT, nullptr,
                                           VK_OBJECT_TYPE_BUFFER, (std::uint64_t)buffer, "mesh/rock"};
  p.function<PFN_vkSetDebugUtilsObjectNameEXT>("vkSetDebugUtilsObjectNameEXT")(p.device, &name);
  vkBindBufferMemory(p.device, buffer, p.back(buffer), 0);
  std::FILE* const file = std::fopen(log.c_str(), "r");
  ASSERT_NE(file, nullptr);
  char line[512] = {};
  EXPECT_NE(std::fgets(line, sizeof(line), file), nullptr);
  std::fclose(file);
  EXPECT_EQ(std::string(line).find("vasim: D5: VkBuffer 0x"), 0U) << line;
  EXPECT_NE(std::string(line).find("'mesh/rock'"), std::string::npos) << line;
}

TEST_F(Own, ReportsAbortOnRequest) {
  EXPECT_DEATH(
      {
        Options options;
        options.settings = "abort=1;quiet=0";
        Program p(options);
        p.requirements((VkBuffer)1);
      },
      "vasim: D1: VkBuffer 0x1");
}

TEST_F(Own, RulesCanBeIgnored) {
  Options options;
  options.settings = "ignore=D1,D7";
  Program& p = begin(options);
  p.requirements((VkBuffer)1);
}

}  // namespace
}  // namespace vasim::test
