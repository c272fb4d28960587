// V10 to V18: what the host sees, whose memory it is, and how much of it.
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include "rules.hpp"

namespace vasim::test {
namespace {

constexpr VkMemoryPropertyFlags kCached =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

// A type whose host copy only flushes and invalidations synchronise, or ~0u.
std::uint32_t incoherent(const Program& p) {
  return p.type(kCached, ~0U, VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT);
}

VkMappedMemoryRange range(VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size) {
  return {VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE, nullptr, memory, offset, size};
}

void flush(const Program& p, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size) {
  const VkMappedMemoryRange one = range(memory, offset, size);
  check(vkFlushMappedMemoryRanges(p.device, 1, &one), "flush");
}

void invalidate(const Program& p, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size) {
  const VkMappedMemoryRange one = range(memory, offset, size);
  check(vkInvalidateMappedMemoryRanges(p.device, 1, &one), "invalidate");
}

TEST_F(Rules, V10_Kept) {
  Program& p = kept();
  const VkDeviceMemory memory = p.allocate(8192, p.type(kHost));
  unsigned char* bytes = p.map(memory);
  std::memset(bytes, 7, 8192);
  vkUnmapMemory(p.device, memory);
  bytes = p.map(memory, 4096, 4096);
  EXPECT_EQ(bytes[0], 7);
  vkUnmapMemory(p.device, memory);
}

TEST_F(Rules, V10_Broken) {
  Program& p = broken("V10");
  const VkDeviceMemory memory = p.allocate(8192, p.type(kHost));
  p.map(memory, 0, 4096);
  void* again = nullptr;
  EXPECT_NE(vkMapMemory(p.device, memory, 4096, 4096, 0, &again), VK_SUCCESS);
}

// A write through a pointer that is not mapped any more is a protection fault.
TEST_F(Rules, V10_UnmappedWriteFaults) {
  if (on_other_driver()) GTEST_SKIP() << "another driver may leave it mapped";
  Program& p = begin({});
  const VkDeviceMemory memory = p.allocate(8192, p.type(kHost));
  unsigned char* const bytes = p.map(memory);
  bytes[0] = 1;
  vkUnmapMemory(p.device, memory);
  EXPECT_EXIT(
      bytes[0] = 2, [](int status) { return status != 0; }, "");
  p.free(memory);
  // Nor does it meet the memory that comes next.
  EXPECT_NE(p.map(p.allocate(8192, p.type(kHost))), bytes);
  EXPECT_EXIT(
      bytes[0] = 3, [](int status) { return status != 0; }, "");
}

TEST_F(Rules, V11_Kept) {
  Program& p = kept();
  const VkDeviceMemory memory = p.allocate(64, p.type(VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT));
  p.map(memory);
  vkUnmapMemory(p.device, memory);
}

TEST_F(Rules, V11_Broken) {
  Program& p = broken("V11");
  const VkDeviceMemory memory =
      p.allocate(64, p.type(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, ~0U, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT));
  void* bytes = nullptr;
  EXPECT_NE(vkMapMemory(p.device, memory, 0, 64, 0, &bytes), VK_SUCCESS);
}

TEST_F(Rules, V12_Kept) {
  Program& p = kept("mobile_tiler");
  VASIM_NEEDS(incoherent(p) != ~0U);
  const VkDeviceSize atom = p.properties.limits.nonCoherentAtomSize, size = 3 * atom + 4;
  const VkBuffer buffer = p.buffer(size);
  const VkDeviceMemory memory = p.allocate(p.requirements(buffer).size + 4, incoherent(p));
  check(vkBindBufferMemory(p.device, buffer, memory, 0), "bind");
  unsigned char* const bytes = p.map(memory);
  std::memset(bytes, 0x11, size);
  // What was not flushed the device has not.
  EXPECT_EQ(p.contents(buffer, size), std::vector<unsigned char>(size, 0));
  flush(p, memory, 0, atom);
  flush(p, memory, atom, VK_WHOLE_SIZE);  // to the end of the object, which no atom meets
  EXPECT_EQ(p.contents(buffer, size), std::vector<unsigned char>(size, 0x11));
  p.fill(buffer, 0, size / 4 * 4, 0x22222222);
  // What was not invalidated the host has not.
  EXPECT_EQ(bytes[0], 0x11);
  invalidate(p, memory, 0, VK_WHOLE_SIZE);
  EXPECT_EQ(bytes[0], 0x22);
  vkUnmapMemory(p.device, memory);
}

class FlushRange : public Rules, public testing::WithParamInterface<std::pair<VkDeviceSize, VkDeviceSize>> {};

TEST_P(FlushRange, V12_Broken) {
  Program& p = broken("V12", "mobile_tiler");
  const VkDeviceMemory memory = p.allocate(8192, incoherent(p));
  p.map(memory, 0, 4096);
  flush(p, memory, GetParam().first, GetParam().second);
}
INSTANTIATE_TEST_SUITE_P(Ranges, FlushRange,
                         testing::Values(std::pair{1, 64}, std::pair{0, 65}, std::pair{4096, 64},
                                         std::pair{4032, 128}));

TEST_F(Rules, V12_BrokenUnmapped) {
  Program& p = broken("V12", "mobile_tiler");
  flush(p, p.allocate(4096, incoherent(p)), 0, 64);
}

// Two buffers: the device writes one, the host the other.
void write_both(Program& p, VkDeviceSize distance) {
  const VkDeviceSize atom = p.properties.limits.nonCoherentAtomSize;
  const VkBuffer of_host = p.buffer(16), of_device = p.buffer(16);
  const VkDeviceMemory memory = p.allocate(4096, incoherent(p));
  check(vkBindBufferMemory(p.device, of_host, memory, 0), "bind");
  check(vkBindBufferMemory(p.device, of_device, memory, distance), "bind");
  unsigned char* const bytes = p.map(memory);
  p.fill(of_device, 0, 16, 0x55555555);
  bytes[0] = 1;
  flush(p, memory, 0, atom);
  vkUnmapMemory(p.device, memory);
  if (distance >= atom) {
    EXPECT_EQ(p.contents(of_device, 16), std::vector<unsigned char>(16, 0x55));
  }
}

TEST_F(Rules, V13_Kept) {
  Program& p = kept("mobile_tiler");
  VASIM_NEEDS(incoherent(p) != ~0U);
  write_both(p, p.properties.limits.nonCoherentAtomSize);
}

// A flush writes back what the host wrote, and nothing else of its range.
TEST_F(Rules, V13_KeptByAFlushOfAll) {
  Program& p = kept("mobile_tiler");
  VASIM_NEEDS(incoherent(p) != ~0U);
  const VkBuffer buffer = p.buffer(4096);
  const VkDeviceMemory memory = p.allocate(4096, incoherent(p));
  check(vkBindBufferMemory(p.device, buffer, memory, 0), "bind");
  unsigned char* const bytes = p.map(memory);
  p.fill(buffer, 0, 2048, 0x55555555);
  bytes[4095] = 1;
  flush(p, memory, 0, VK_WHOLE_SIZE);
  vkUnmapMemory(p.device, memory);
  const std::vector<unsigned char> seen = p.contents(buffer, 4096);
  EXPECT_EQ(seen[0], 0x55);
  EXPECT_EQ(seen[4095], 1);
}

TEST_F(Rules, V13_BrokenBesideWhatWasInvalidated) {
  Program& p = broken("V13", "mobile_tiler");
  const VkBuffer buffer = p.buffer(4096);
  const VkDeviceMemory memory = p.allocate(4096, incoherent(p));
  check(vkBindBufferMemory(p.device, buffer, memory, 0), "bind");
  unsigned char* const bytes = p.map(memory);
  p.fill(buffer, 0, 4096, 0x55555555);
  invalidate(p, memory, 1024, 1024);
  bytes[1024] = bytes[4095] = 1;
  flush(p, memory, 1024, 1024);  // what was invalidated may be written
  EXPECT_EQ(control().report_count(), 0U);
  flush(p, memory, 4032, 64);
}

TEST_F(Rules, V13_Broken) {
  // Alignments of buffers are smaller than the atom here.
  Program& p = broken("V13", "granularity_64k");
  write_both(p, 16);
}

ImageSpec attachment(VkImageUsageFlags more) {
  ImageSpec spec;
  spec.usage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | more;
  return spec;
}

TEST_F(Rules, V14_Kept) {
  Program& p = kept("mobile_tiler");
  const std::uint32_t lazy = p.type(VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT, ~0U, 0);
  VASIM_NEEDS(lazy != ~0U);
  const VkImage image = p.image(attachment(VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT));
  const VkMemoryRequirements needs = p.requirements(image);
  ASSERT_NE(needs.memoryTypeBits & (1U << lazy), 0U);
  const VkDeviceSize used = p.budget().heapUsage[0];
  const VkDeviceMemory memory = p.allocate(needs.size, lazy);
  check(vkBindImageMemory(p.device, image, memory, 0), "bind");
  VkDeviceSize committed = 1;
  vkGetDeviceMemoryCommitment(p.device, memory, &committed);
  EXPECT_EQ(committed, 0U);
  EXPECT_EQ(p.budget().heapUsage[0], used);
}

TEST_F(Rules, V14_Broken) {
  Program& p = broken("V14", "mobile_tiler");
  const VkImage image = p.image(attachment(0));
  const std::uint32_t lazy = p.type(VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT, ~0U, 0);
  check(vkBindImageMemory(p.device, image, p.allocate(p.requirements(image).size, lazy), 0), "bind");
}

std::uint32_t protected_type(const Program& p) {
  return p.type(VK_MEMORY_PROPERTY_PROTECTED_BIT, ~0U, 0);
}

TEST_F(Rules, V15_Kept) {
  Program& p = kept("mobile_tiler");
  VASIM_NEEDS(p.protected_memory);
  const VkBuffer buffer = p.buffer(4096, kTransfer, VK_BUFFER_CREATE_PROTECTED_BIT);
  const VkMemoryRequirements needs = p.requirements(buffer);
  check(vkBindBufferMemory(p.device, buffer, p.allocate(needs.size, p.type(0, needs.memoryTypeBits, 0)), 0),
        "bind");
}

TEST_F(Rules, V15_BrokenWithoutTheFeature) {
  Options options;
  options.profile = "mobile_tiler";
  options.features = false;
  expected_ = {"V15"};
  Program& p = begin(options);
  p.allocate(4096, protected_type(p));
}

TEST_F(Rules, V15_BrokenByAMixture) {
  Program& p = broken("V15", "mobile_tiler");
  const VkBuffer buffer = p.buffer(4096);
  check(vkBindBufferMemory(p.device, buffer, p.allocate(4096, protected_type(p)), 0), "bind");
}

TEST_F(Rules, V16_Kept) {
  Program& p = kept("absurd_budget", "budget=enforce");
  VASIM_NEEDS(p.has(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME));
  const std::uint32_t heap = p.memory.memoryTypes[0].heapIndex;
  const VkPhysicalDeviceMemoryBudgetPropertiesEXT before = p.budget();
  // What the driver says may be above the heap: it is clamped before it is used.
  const VkDeviceSize budget = std::min(before.heapBudget[heap], p.memory.memoryHeaps[heap].size);
  if (!on_other_driver()) {
    EXPECT_GT(before.heapBudget[heap], budget);
  }
  const VkDeviceMemory memory = p.allocate(VkDeviceSize{1} << 20U, 0);
  if (!on_other_driver()) {
    EXPECT_EQ(p.budget().heapUsage[heap], before.heapUsage[heap] + (VkDeviceSize{1} << 20U));
  }
  p.free(memory);
  if (!on_other_driver()) {
    EXPECT_EQ(p.budget().heapUsage[heap], before.heapUsage[heap]);
  }
}

TEST_F(Rules, V16_Broken) {
  // Another process holds 40 of the 48 MiB: there is room for 8, and a budget of less.
  Program& p = broken("V16", "tiny", "budget=enforce;other=0:40M");
  p.allocate(VkDeviceSize{8} << 20U, p.type(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT));
}

VkExportMemoryAllocateInfo exporting(const void* next = nullptr) {
  return {VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, next, VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
}

int exported(const Program& p, VkDeviceMemory memory) {
  const VkMemoryGetFdInfoKHR info{VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR, nullptr, memory,
                                  VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
  int descriptor = -1;
  check(p.function<PFN_vkGetMemoryFdKHR>("vkGetMemoryFdKHR")(p.device, &info, &descriptor),
        "vkGetMemoryFdKHR");
  return descriptor;
}

VkImportMemoryFdInfoKHR importing(int descriptor) {
  return {VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR, nullptr, VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
          descriptor};
}

TEST_F(Rules, V17_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.has(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME));
  const VkExportMemoryAllocateInfo info = exporting();
  const std::uint32_t type = p.type(kHost);
  const VkDeviceMemory memory = p.allocate(65536, type, &info);
  unsigned char* const here = p.map(memory);
  const VkImportMemoryFdInfoKHR import = importing(exported(p, memory));
  const VkDeviceMemory copy = p.allocate(65536, type, &import);
  unsigned char* const there = p.map(copy);
  here[100] = 42;
  EXPECT_EQ(there[100], 42);
  vkUnmapMemory(p.device, memory);
  vkUnmapMemory(p.device, copy);
}

TEST_F(Rules, V17_BrokenByTheSize) {
  Program& p = broken("V17");
  const VkExportMemoryAllocateInfo info = exporting();
  const std::uint32_t type = p.type(kHost);
  const int descriptor = exported(p, p.allocate(65536, type, &info));
  const VkImportMemoryFdInfoKHR import = importing(descriptor);
  VkDeviceMemory copy = VK_NULL_HANDLE;
  EXPECT_EQ(p.try_allocate(32768, type, copy, &import), VK_ERROR_INVALID_EXTERNAL_HANDLE);
  close(descriptor);  // it was not taken over
}

VkImportMemoryHostPointerInfoEXT importing(void* pages) {
  return {VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT, nullptr,
          VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, pages};
}

TEST_F(Rules, V17_KeptByAPointer) {
  Program& p = kept();
  VASIM_NEEDS(p.has(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME));
  const std::unique_ptr<void, decltype(&std::free)> pages(std::aligned_alloc(4096, 8192), &std::free);
  VkMemoryHostPointerPropertiesEXT can{VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT, nullptr, 0};
  check(p.function<PFN_vkGetMemoryHostPointerPropertiesEXT>("vkGetMemoryHostPointerPropertiesEXT")(
            p.device, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, pages.get(), &can),
        "vkGetMemoryHostPointerProperties");
  const VkExternalMemoryBufferCreateInfo external{VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
                                                  nullptr,
                                                  VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT};
  const VkBuffer buffer = p.buffer(8192, kTransfer, 0, &external);
  const VkImportMemoryHostPointerInfoEXT import = importing(pages.get());
  const VkDeviceMemory memory = p.allocate(8192, p.type(0, can.memoryTypeBits), &import);
  check(vkBindBufferMemory(p.device, buffer, memory, 0), "bind");
  p.fill(buffer, 0, 8192, 0x33333333);
  EXPECT_EQ(static_cast<unsigned char*>(pages.get())[8191], 0x33);
  p.destroy(buffer);
  p.free(memory);
}

TEST_F(Rules, V17_BrokenByAPointer) {
  Program& p = broken("V17");
  const std::unique_ptr<void, decltype(&std::free)> pages(std::aligned_alloc(4096, 8192), &std::free);
  const VkImportMemoryHostPointerInfoEXT import = importing(static_cast<unsigned char*>(pages.get()) + 64);
  VkDeviceMemory memory = VK_NULL_HANDLE;
  EXPECT_EQ(p.try_allocate(4096, p.type(kHost), memory, &import), VK_ERROR_INVALID_EXTERNAL_HANDLE);
}

TEST_F(Rules, V18_Kept) {
  Program& p = kept("mobile_tiler");
  VASIM_NEEDS(p.has(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME));
  const VkExternalMemoryBufferCreateInfo external{VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
                                                  nullptr, VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
  const VkBuffer buffer = p.buffer(65536, kTransfer, 0, &external);
  const VkMemoryDedicatedAllocateInfo dedicated{VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO, nullptr,
                                                VK_NULL_HANDLE, buffer};
  const VkExportMemoryAllocateInfo info = exporting(&dedicated);
  close(exported(p, p.back(buffer, kHost, &info)));
}

TEST_F(Rules, V18_Broken) {
  Program& p = broken("V18", "mobile_tiler");
  const VkExportMemoryAllocateInfo info = exporting();
  p.allocate(65536, p.type(kHost), &info);
}

TEST_F(Rules, V18_BrokenByAnExportOfWhatIsNot) {
  Program& p = broken("V18");
  const VkMemoryGetFdInfoKHR info{VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR, nullptr,
                                  p.allocate(4096, p.type(kHost)),
                                  VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
  int descriptor = -1;
  EXPECT_NE(p.function<PFN_vkGetMemoryFdKHR>("vkGetMemoryFdKHR")(p.device, &info, &descriptor), VK_SUCCESS);
}

}  // namespace
}  // namespace vasim::test
