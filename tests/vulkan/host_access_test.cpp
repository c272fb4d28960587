// Flush and invalidate, one and many: of buffers, sub-buffers and images, in memory that is not coherent.
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <unistd.h>

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {
namespace {

constexpr VkDeviceSize kAtom = 256;

// What the driver was asked.
struct Asked {
  std::vector<std::vector<VkMappedMemoryRange>> flushes, invalidations;
};

// A device that has next to no coherent memory.
class HostAccess : public HeapTest {
 protected:
  void SetUp() override {
    asked = {};
    own_functions = {{"vkFlushMappedMemoryRanges", reinterpret_cast<PFN_vkVoidFunction>(&flush)},
                     {"vkInvalidateMappedMemoryRanges", reinterpret_cast<PFN_vkVoidFunction>(&invalidate)}};
    std::ofstream(profile()) << R"({
      "base": "tiny", "source": "Chosen: of its coherent memory there is nearly none.",
      "memory": {
        "heaps": [{"size": "48 MiB", "flags": ["device_local"]}, {"size": "64 KiB", "flags": []},
                  {"size": "16 MiB", "flags": []}],
        "types": [{"heap": 0, "flags": ["device_local"]}, {"heap": 1, "flags": ["host_visible", "host_coherent"]},
                  {"heap": 2, "flags": ["host_visible", "host_cached"]}]},
      "limits": {"nonCoherentAtomSize": 256}})";
    open({.profile = profile()});
  }
  void TearDown() override {
    HeapTest::TearDown();
    std::remove(profile().c_str());
  }
  [[nodiscard]] static std::string profile() {
    return testing::TempDir() + "vaspace_atoms_" + std::to_string(::getpid()) + ".json";
  }
  vulkan::Buffer mapped(Bytes size) {
    return heap
        ->create_buffer(
            {.size = size, .usage = kTransfer, .intent = Intent::readback, .mapping = Mapping::required})
        .value();
  }
  vulkan::Buffer range(Bytes size) {
    return heap
        ->alloc_buffer({.size = size,
                        .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                        .intent = Intent::readback,
                        .mapping = Mapping::required})
        .value();
  }
  // V12, V13: whole atoms, and all of the bytes in them.
  static void expect_whole_atoms(const std::vector<VkMappedMemoryRange>& ranges) {
    for (const VkMappedMemoryRange& each : ranges) {
      EXPECT_EQ(each.offset % kAtom, 0U);
      EXPECT_EQ(each.size % kAtom, 0U);
    }
  }
  static bool covers(const std::vector<VkMappedMemoryRange>& ranges, std::uint64_t memory, Bytes begin,
                     Bytes end) {
    for (const VkMappedMemoryRange& each : ranges) {
      if ((std::uint64_t)each.memory == memory && each.offset <= begin.value &&
          each.offset + each.size >= end.value)
        return true;
    }
    return false;
  }

  static inline Asked asked;

 private:
  static VkResult VKAPI_PTR flush(VkDevice device, std::uint32_t count, const VkMappedMemoryRange* ranges) {
    asked.flushes.emplace_back(ranges, ranges + count);
    return vkFlushMappedMemoryRanges(device, count, ranges);
  }
  static VkResult VKAPI_PTR invalidate(VkDevice device, std::uint32_t count,
                                       const VkMappedMemoryRange* ranges) {
    asked.invalidations.emplace_back(ranges, ranges + count);
    return vkInvalidateMappedMemoryRanges(device, count, ranges);
  }
};

TEST_F(HostAccess, V12_V13_ABatchIsOneCallOfManyRanges) {
  vulkan::Buffer far = mapped(3_MiB), alone = mapped(100_KiB);
  vulkan::Buffer first = range(1000_B), second = range(5000_B);
  const VkImageCreateInfo info = [] {
    VkImageCreateInfo made = image_info(64, VK_IMAGE_USAGE_TRANSFER_SRC_BIT);
    made.tiling = VK_IMAGE_TILING_LINEAR;
    made.initialLayout = VK_IMAGE_LAYOUT_PREINITIALIZED;
    return made;
  }();
  auto image =
      heap->create_image({.info = &info, .intent = Intent::readback, .mapping = Mapping::required}).value();
  ASSERT_TRUE(first.is_sub_buffer() && second.is_sub_buffer());
  const std::array<vulkan::HostSpan, 6> spans{{{.buffer = &far, .offset = 10_B, .size = 20_B},
                                               {.buffer = &far, .offset = 2_MiB, .size = 1_B},
                                               {.buffer = &first},
                                               {.buffer = &second, .offset = 4999_B, .size = 1_B},
                                               {.image = &image, .offset = 100_B},
                                               {.buffer = &alone, .size = 0_B}}};
  ASSERT_TRUE(heap->flush(spans));
  ASSERT_EQ(asked.flushes.size(), 1U) << "one call of the driver";
  const std::vector<VkMappedMemoryRange>& ranges = asked.flushes[0];
  EXPECT_GE(ranges.size(), 4U);
  expect_whole_atoms(ranges);
  const HeapAllocation of_far = far.memory(), of_image = image.memory();
  EXPECT_TRUE(covers(ranges, of_far.native, of_far.offset + 10_B, of_far.offset + 30_B));
  EXPECT_TRUE(covers(ranges, of_far.native, of_far.offset + 2_MiB, of_far.offset + 2_MiB + 1_B));
  EXPECT_TRUE(covers(ranges, of_image.native, of_image.offset + 100_B, of_image.offset + of_image.size));
  for (const VkMappedMemoryRange& each : ranges)
    EXPECT_LE(each.size, (64_KiB).value) << "not all of a memory object";
  ASSERT_TRUE(heap->invalidate(spans));
  EXPECT_EQ(asked.invalidations.size(), 1U);
  ASSERT_TRUE(heap->flush(std::span<const vulkan::HostSpan>{}));
  EXPECT_EQ(asked.flushes.size(), 1U) << "nothing to do";
}

TEST_F(HostAccess, V12_NeighboursAreOneRangeAndTheOthersAreMany) {
  std::vector<vulkan::Buffer> all;
  std::vector<vulkan::HostSpan> spans;
  for (std::uint32_t i = 0; i < 70; ++i)
    all.push_back(range(512_B));
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    std::memset(all[i].mapped(), static_cast<int>(i), all[i].size().value);
    spans.push_back({.buffer = &all[i]});
  }
  // Every second one, so that they are no neighbours: more than a call takes.
  std::vector<vulkan::HostSpan> odd, even;
  for (std::size_t i = 0; i < spans.size(); ++i)
    (i % 2 != 0 ? odd : even).push_back(spans[i]);
  ASSERT_TRUE(heap->flush(odd));
  EXPECT_EQ(asked.flushes.size(),
            (odd.size() + vulkan::Backend::kMaxRangesOfACall - 1) / vulkan::Backend::kMaxRangesOfACall);
  ASSERT_TRUE(heap->flush(even));
  std::size_t ranges = 0;
  for (const auto& call : asked.flushes) {
    expect_whole_atoms(call);
    ranges += call.size();
  }
  EXPECT_EQ(ranges, all.size());
  asked = {};
  ASSERT_TRUE(heap->flush(spans));
  EXPECT_EQ(asked.flushes.size(), 1U) << "neighbours are one range";
  EXPECT_LE(asked.flushes[0].size(), 3U);
}

TEST_F(HostAccess, WhatIsNoRangeIsRefusedBeforeTheDriverIsAsked) {
  vulkan::Buffer buffer = mapped(4_KiB), other = range(1000_B);
  auto unseen = heap->create_buffer({.size = 4_KiB, .usage = kTransfer}).value();
  auto image = [&] {
    const VkImageCreateInfo info = image_info(64);
    return heap->create_image({.info = &info}).value();
  }();
  vulkan::Buffer empty;
  const vulkan::HostSpan good{.buffer = &buffer};
  const struct {
    vulkan::HostSpan span;
    ErrorCode code;
  } kWrong[] = {{{.buffer = &other, .offset = 1001_B}, ErrorCode::invalid_argument},
                {{.buffer = &other, .offset = 999_B, .size = 2_B}, ErrorCode::invalid_argument},
                {{.buffer = &buffer, .offset = kMaxBytes, .size = 2_B}, ErrorCode::invalid_argument},
                {{.buffer = &empty}, ErrorCode::invalid_argument},
                {{}, ErrorCode::invalid_argument},
                {{.buffer = &buffer, .image = &image}, ErrorCode::invalid_argument},
                {{.image = &image}, ErrorCode::not_supported},
                {{.buffer = &unseen}, ErrorCode::not_supported}};
  for (const auto& [span, expected] : kWrong) {
    const std::array<vulkan::HostSpan, 2> spans{good, span};
    refusals = 0;
    EXPECT_EQ(code(heap->flush(spans)), expected);
    EXPECT_EQ(last_function, "Heap::flush");
    EXPECT_EQ(code(heap->invalidate(spans)), expected);
    EXPECT_EQ(last_function, "Heap::invalidate");
    EXPECT_EQ(refusals, 2);
  }
  EXPECT_TRUE(asked.flushes.empty() && asked.invalidations.empty());
}

// The handle of a sub-buffer's memory says which type it is of, and the core does not know it.
TEST_F(HostAccess, MemoryOfASubBufferIsOfAType) {
  vulkan::Buffer made = range(1000_B);
  EXPECT_EQ(made.memory().memory_type, 2U);
  const MappedRange whole{made.memory(), 0_B, kMaxBytes};
  EXPECT_EQ(code(heap->memory().flush({&whole, 1})), ErrorCode::unknown_handle) << "nothing is done silently";
}

}  // namespace
}  // namespace vaspace::test
