// What requests say and what becomes of it; who is told of what was refused; what an application brought of
// its own beside what the heap brings.
#include <array>

#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {
namespace {

class RequestsTest : public RulesTest {
 protected:
  // What the handler was told of the last refusal, and of how many.
  void expect_told(const char* function, const char* driver, const char* what) {
    EXPECT_EQ(last_function, function) << what;
    EXPECT_EQ(last_driver, driver) << what;
    EXPECT_EQ(refusals, 1) << what;
    refusals = 0;
    last_function = last_driver = last_feature = "";
  }
  static VasimVulkanControl driver() { return TestDevice::control(); }
};

TEST_F(RequestsTest, ARefusalNamesTheFunctionThatRefused) {
  open({.profile = "discrete_bar256", .validate = false});
  const vulkan::BufferRequest seen{.size = 1_MiB,
                                   .usage = kTransfer,
                                   .intent = Intent::upload,
                                   .mapping = Mapping::required,
                                   .dedicated = DedicatedWish::required};
  for (const char* function : {"vkCreateBuffer", "vkAllocateMemory", "vkMapMemory", "vkBindBufferMemory"}) {
    driver().fail_share(function, 1, 1, VK_ERROR_OUT_OF_HOST_MEMORY);
    EXPECT_EQ(heap->create_buffer(seen).error(),
              (Error{ErrorCode::out_of_host_memory, VK_ERROR_OUT_OF_HOST_MEMORY}));
    expect_told("Heap::create_buffer", function, "a buffer");
    driver().clear_failures();
  }
  for (const char* function : {"vkCreateBuffer", "vkAllocateMemory", "vkQueueBindSparse"}) {
    driver().fail_share(function, 1, 1, VK_ERROR_OUT_OF_HOST_MEMORY);
    EXPECT_EQ(code(heap->alloc_buffer(100_KiB, kVertex)), ErrorCode::out_of_host_memory);
    expect_told("Heap::alloc_buffer", function, "a range");
    driver().clear_failures();
  }
  driver().fail_share("vkAllocateMemory", 1, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
  EXPECT_EQ(code(heap->alloc_buffer(100_KiB, kVertex)), ErrorCode::out_of_device_memory);
  expect_told("Heap::alloc_buffer", "vkAllocateMemory", "a range, wherever it was looked for");
  driver().clear_failures();

  EXPECT_EQ(code(heap->create_buffer({.size = 0_B, .usage = kTransfer})), ErrorCode::invalid_size);
  expect_told("Heap::create_buffer", "", "no driver was asked");
}

TEST_F(RequestsTest, EveryRefusalIsTold) {
  small = 0_B;
  open({.profile = "mobile_tiler", .validate = false});
  const TimelineId id = add_timeline();
  auto buffer = heap->create_buffer({.size = 64_KiB, .usage = kTransfer}).value();
  auto seen =
      heap->create_buffer(
              {.size = 64_KiB, .usage = kTransfer, .intent = Intent::readback, .mapping = Mapping::required})
          .value();
  EXPECT_EQ(code(heap->flush(seen, 65_KiB)), ErrorCode::invalid_argument);
  expect_told("Heap::flush", "", "outside");
  driver().fail_share("vkFlushMappedMemoryRanges", 1, 1, VK_ERROR_OUT_OF_HOST_MEMORY);
  driver().fail_share("vkInvalidateMappedMemoryRanges", 1, 1, VK_ERROR_OUT_OF_HOST_MEMORY);
  EXPECT_EQ(code(heap->flush(seen)), ErrorCode::out_of_host_memory);
  expect_told("Heap::flush", "vkFlushMappedMemoryRanges", "refused");
  EXPECT_EQ(code(heap->invalidate(seen)), ErrorCode::out_of_host_memory);
  expect_told("Heap::invalidate", "vkInvalidateMappedMemoryRanges", "refused");
  driver().clear_failures();
  const TimelinePoint foreign{TimelineId{4711}, 1};
  EXPECT_EQ(code(heap->retire(std::move(buffer), foreign)), ErrorCode::invalid_argument);
  expect_told("Heap::retire", "", "a foreign timeline");
  EXPECT_TRUE(buffer) << "it is still the caller's";
  EXPECT_EQ(code(heap->commit_move({}, {})), ErrorCode::unknown_handle);
  expect_told("Heap::commit_move", "", "no such move");
  EXPECT_EQ(code(heap->abandon_move({}, {})), ErrorCode::unknown_handle);
  expect_told("Heap::abandon_move", "", "no such move");
  EXPECT_EQ(code(heap->trim_heap(99)), ErrorCode::invalid_argument);
  expect_told("Heap::trim_heap", "", "no such heap");
  EXPECT_EQ(code(heap->add_timeline(VK_NULL_HANDLE)), ErrorCode::invalid_argument);
  expect_told("Heap::add_timeline", "", "null");
  EXPECT_EQ(code(heap->forget_timeline(TimelineId{4711})), ErrorCode::invalid_argument);
  expect_told("Heap::forget_timeline", "", "no such timeline");
  std::array<vulkan::Buffer, 2> two;
  EXPECT_EQ(code(heap->alloc_buffers({}, two)), ErrorCode::invalid_argument);
  expect_told("Heap::alloc_buffers", "", "of two lengths");
  EXPECT_EQ(code(heap->memory_types(vulkan::BufferRequest{.size = 0_B})), ErrorCode::invalid_size);
  expect_told("Heap::memory_types", "", "nothing");
  (void)id;
}

// A VkResult means the same wherever it comes from.
TEST_F(RequestsTest, OneWordForAResult) {
  open({.profile = "discrete_bar256", .validate = false});
  const auto answers = [&](const char* function, VkResult result) {
    driver().fail_share(function, 1, 1, result);
    Error error{};
    if (std::string_view(function) == "vkCreateBuffer")
      error = heap->create_buffer({.size = 4_KiB, .usage = kTransfer}).error();
    if (std::string_view(function) == "vkAllocateMemory")
      error = heap->create_buffer({.size = 40_MiB, .usage = kTransfer}).error();
    driver().clear_failures();
    return error;
  };
  for (const VkResult result : {VK_ERROR_TOO_MANY_OBJECTS, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_TIMEOUT,
                                VK_ERROR_FEATURE_NOT_PRESENT, VK_ERROR_UNKNOWN})
    EXPECT_EQ(answers("vkCreateBuffer", result), answers("vkAllocateMemory", result)) << result;
  EXPECT_EQ(answers("vkCreateBuffer", VK_ERROR_TOO_MANY_OBJECTS),
            (Error{ErrorCode::out_of_address_space, VK_ERROR_TOO_MANY_OBJECTS}));
}

TEST_F(RequestsTest, TimelinesNeedTheirFeatureAndAreCounted) {
  sparse = false;
  open({.profile = "discrete_bar256", .validate = false, .without = {"timelineSemaphore"}});
  EXPECT_EQ(heap->add_timeline((VkSemaphore)0x1234).error(),
            (Error{ErrorCode::not_supported, VK_ERROR_FEATURE_NOT_PRESENT}));
  EXPECT_EQ(last_feature, "timelineSemaphore");
  expect_told("Heap::add_timeline", "", "a feature that is not enabled");

  open({.profile = "discrete_bar256"});
  std::vector<VkSemaphore> semaphores;
  std::vector<TimelineId> ids;
  for (std::size_t i = 0; i < vulkan::Heap::kMaxTimelines; ++i) {
    semaphores.push_back(gpu->timeline_semaphore());
    ids.push_back(heap->add_timeline(semaphores.back()).value());
  }
  semaphores.push_back(gpu->timeline_semaphore());
  EXPECT_EQ(code(heap->add_timeline(semaphores.back())), ErrorCode::out_of_space);
  expect_told("Heap::add_timeline", "", "one too many");
  ASSERT_TRUE(heap->forget_timeline(ids[3]));
  EXPECT_TRUE(heap->add_timeline(semaphores.back()));
  heap.reset();
  for (const VkSemaphore semaphore : semaphores)
    vkDestroySemaphore(gpu->device, semaphore, nullptr);
}

// ---- what an application brings beside

TEST_F(RequestsTest, OnPressureAndTimelinesOfItsOwnAreAskedToo) {
  struct Own {
    int asked = 0, pressed = 0;
    bool passed = false;
  } own;
  open_with({.profile = "tiny"}, [&](vulkan::HeapConfig& config) {
    config.memory.small = 0_B;
    config.memory.on_pressure = {&own, [](void* user) noexcept { ++static_cast<Own*>(user)->pressed; }};
    config.memory.timelines = {&own, [](void* user, TimelinePoint point) noexcept -> Result<bool> {
                                 Own& self = *static_cast<Own*>(user);
                                 if (point.timeline != TimelineId{900})
                                   return fail(ErrorCode::invalid_argument);
                                 ++self.asked;
                                 return self.passed;
                               }};
  });
  std::vector<vulkan::Buffer> all;
  for (;;) {
    auto made = heap->create_buffer({.size = 8_MiB, .usage = kTransfer});
    if (!made) break;
    all.push_back(std::move(*made));
  }
  EXPECT_GT(own.pressed, 0);
  all.clear();
  heap->trim();
  const auto memory = heap->memory().allocate({.requirements = {.size = 1_MiB}}).value();
  const TimelinePoint point{TimelineId{900}, 7};
  ASSERT_TRUE(heap->memory().retire(memory, {&point, 1}));
  heap->collect();
  EXPECT_GT(own.asked, 0);
  EXPECT_EQ(heap->report().memory.total.live, 1_MiB) << "not passed yet";
  own.passed = true;
  heap->collect();
  EXPECT_EQ(heap->report().memory.total.live, 0_B);
  // The heap's own are asked before.
  auto buffer = heap->create_buffer({.size = 1_MiB, .usage = kTransfer}).value();
  const TimelineId id = add_timeline();
  own.asked = 0;
  ASSERT_TRUE(heap->retire(std::move(buffer), {id, 1}));
  heap->collect();
  EXPECT_EQ(heap->report().retired, 1U);
  gpu->signal(timeline, 1);
  heap->collect();
  EXPECT_EQ(heap->report().retired, 0U);
  EXPECT_EQ(own.asked, 0);
}

// ---- flags

struct SeenFlags {
  VkBufferCreateFlags buffer = 0;
  VkImageCreateFlags image = 0;
  std::string name;
};
SeenFlags seen_flags;

VkResult VKAPI_PTR watch_buffer(VkDevice device, const VkBufferCreateInfo* info,
                                const VkAllocationCallbacks* host, VkBuffer* out) {
  seen_flags.buffer = info->flags;
  return vkCreateBuffer(device, info, host, out);
}
VkResult VKAPI_PTR watch_image(VkDevice device, const VkImageCreateInfo* info,
                               const VkAllocationCallbacks* host, VkImage* out) {
  seen_flags.image = info->flags;
  return vkCreateImage(device, info, host, out);
}
VkResult VKAPI_PTR watch_name(VkDevice, const VkDebugUtilsObjectNameInfoEXT* info) {
  seen_flags.name = info->pObjectName;
  return VK_SUCCESS;
}

TEST_F(RequestsTest, V15_ProtectedIntentMakesProtectedResources) {
  own_functions = {{"vkCreateBuffer", reinterpret_cast<PFN_vkVoidFunction>(&watch_buffer)},
                   {"vkCreateImage", reinterpret_cast<PFN_vkVoidFunction>(&watch_image)}};
  open({.profile = "mobile_tiler"});
  const auto is_protected = [&](const HeapAllocation& memory) {
    return backend->profile().memory_types[memory.memory_type].protected_memory;
  };
  const auto buffer =
      heap->create_buffer({.size = 64_KiB, .usage = kTransfer, .intent = Intent::protected_device});
  ASSERT_TRUE(buffer) << to_string(buffer.error().code);
  EXPECT_NE(seen_flags.buffer & VK_BUFFER_CREATE_PROTECTED_BIT, 0U);
  EXPECT_TRUE(is_protected(buffer->memory()));
  const VkImageCreateInfo info = image_info(64);
  const auto image = heap->create_image({.info = &info, .intent = Intent::protected_device});
  ASSERT_TRUE(image) << to_string(image.error().code);
  EXPECT_NE(seen_flags.image & VK_IMAGE_CREATE_PROTECTED_BIT, 0U);
  EXPECT_TRUE(is_protected(image->memory()));
}

TEST_F(RequestsTest, CaptureReplayIsNotPretended) {
  open({.profile = "discrete_bar256"});
  for (const VkBufferCreateFlags flag : {VK_BUFFER_CREATE_DEVICE_ADDRESS_CAPTURE_REPLAY_BIT,
                                         VK_BUFFER_CREATE_DESCRIPTOR_BUFFER_CAPTURE_REPLAY_BIT_EXT})
    EXPECT_EQ(
        code(heap->create_buffer(
            {.size = 4_KiB, .usage = kTransfer | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT, .flags = flag})),
        ErrorCode::not_supported);
  VkImageCreateInfo info = image_info(64);
  info.flags = VK_IMAGE_CREATE_DESCRIPTOR_BUFFER_CAPTURE_REPLAY_BIT_EXT;
  EXPECT_EQ(code(heap->create_image({.info = &info})), ErrorCode::not_supported);
}

TEST_F(RequestsTest, NamesAreCutBetweenCharacters) {
  own_functions = {{"vkSetDebugUtilsObjectNameEXT", reinterpret_cast<PFN_vkVoidFunction>(&watch_name)}};
  open({.profile = "discrete_bar256"});
  for (std::size_t before = 55; before < 66; ++before) {
    for (const std::string& character :
         {std::string("\xC3\xA4"), std::string("\xE2\x82\xAC"), std::string("\xF0\x9F\xA7\xB1")}) {
      const std::string name = std::string(before, 'n') + character + "tail";
      seen_flags.name.clear();
      const auto made = heap->create_buffer({.size = 256_B, .usage = kTransfer, .name = name});
      ASSERT_TRUE(made);
      const std::string& told = seen_flags.name;
      ASSERT_LE(told.size(), 63U);
      EXPECT_GE(told.size(), std::min<std::size_t>(name.size(), 60));
      EXPECT_EQ(told, name.substr(0, told.size()));
      const bool cut = told.size() > before && told.size() < before + character.size();
      EXPECT_FALSE(cut) << before << " " << character.size();
    }
  }
}

// ---- small ways

TEST_F(RequestsTest, MemoryTypesOfWhatIsNotMadeYet) {
  for (const char* profile : {"discrete_bar256", "mobile_tiler", "integrated"}) {
    open({.profile = profile});
    const vulkan::BufferRequest staging{
        .size = 64_KiB, .usage = kTransfer, .intent = Intent::upload, .mapping = Mapping::required};
    const auto types = heap->memory_types(staging);
    ASSERT_TRUE(types) << profile;
    EXPECT_EQ((*types)[0], heap->create_buffer(staging)->memory().memory_type) << profile;
    const VkImageCreateInfo info = image_info(256);
    const auto of_image = heap->memory_types(vulkan::ImageRequest{.info = &info});
    ASSERT_TRUE(of_image) << profile;
    EXPECT_EQ((*of_image)[0], heap->create_image({.info = &info})->memory().memory_type) << profile;
    EXPECT_EQ(heap->report().buffers + heap->report().images, 0U);
  }
}

TEST_F(RequestsTest, OneHeapOfTheDeviceIsTrimmed) {
  open_with({.profile = "discrete_bar256"}, [](vulkan::HeapConfig& config) {
    config.memory.keep = 64_MiB;
    config.memory.keep_percent = 100;
    config.sub_buffer_retain = 64_MiB;
  });
  (void)heap->create_buffer({.size = 1_MiB, .usage = kTransfer}).value();
  (void)heap->alloc_buffer(1_MiB, kVertex).value();
  (void)heap
      ->create_buffer(
          {.size = 1_MiB, .usage = kTransfer, .intent = Intent::readback, .mapping = Mapping::required})
      .value();
  const auto held = [&](std::uint32_t of) { return heap->report().memory.heaps[of].committed; };
  ASSERT_GT(held(0), 0_B);
  ASSERT_GT(held(1), 0_B);
  EXPECT_EQ(heap->trim_heap(0).value(), 0_B);
  EXPECT_EQ(held(0), 0_B);
  EXPECT_GT(held(1), 0_B) << "the other is left alone";
}

TEST_F(RequestsTest, ManyAreRetiredAtOnce) {
  open({.profile = "discrete_bar256"});
  const TimelineId id = add_timeline();
  const TimelinePoint point{id, 5};
  std::array<vulkan::Buffer, 3> buffers;
  buffers[0] = heap->create_buffer({.size = 4_KiB, .usage = kTransfer}).value();
  buffers[1] = heap->alloc_buffer(4_KiB, kVertex).value();
  EXPECT_EQ(code(heap->retire(buffers, {&point, 1})), ErrorCode::invalid_argument) << "one is empty";
  EXPECT_TRUE(buffers[0] && buffers[1]) << "none is retired";
  buffers[2] = heap->create_buffer({.size = 8_KiB, .usage = kTransfer, .movable = true}).value();
  ASSERT_TRUE(heap->retire(buffers, {&point, 1}));
  EXPECT_FALSE(buffers[0] || buffers[1] || buffers[2]);
  EXPECT_EQ(heap->report().retired, 3U);
  const VkImageCreateInfo info = image_info(64);
  std::array<vulkan::Image, 2> images{heap->create_image({.info = &info}).value(),
                                      heap->create_image({.info = &info}).value()};
  ASSERT_TRUE(heap->retire(images, {&point, 1}));
  EXPECT_EQ(heap->report().retired, 5U);
  gpu->signal(timeline, 5);
  heap->collect();
  EXPECT_EQ(heap->report().retired + heap->report().images + heap->report().buffers, 0U);
}

// ---- what is exported

// A device whose images have to be dedicated to be exported, and whose buffers have not.
VkResult VKAPI_PTR images_alone(VkPhysicalDevice device, const VkPhysicalDeviceImageFormatInfo2* info,
                                VkImageFormatProperties2* out) {
  const VkResult result = vkGetPhysicalDeviceImageFormatProperties2(device, info, out);
  for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr; next = next->pNext) {
    if (next->sType != VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES) continue;
    VkExternalMemoryFeatureFlags& features = reinterpret_cast<VkExternalImageFormatProperties*>(next)
                                                 ->externalMemoryProperties.externalMemoryFeatures;
    features |= VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT;
    if (info->tiling == VK_IMAGE_TILING_LINEAR) features = 0;
  }
  return result;
}

enum class DedicatedTo { nothing, image, buffer };
DedicatedTo last_dedicated{};

VkResult VKAPI_PTR watch_memory(VkDevice device, const VkMemoryAllocateInfo* info,
                                const VkAllocationCallbacks* host, VkDeviceMemory* out) {
  last_dedicated = DedicatedTo::nothing;
  for (auto* next = static_cast<const VkBaseInStructure*>(info->pNext); next != nullptr; next = next->pNext) {
    if (next->sType != VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO) continue;
    const auto& to = *reinterpret_cast<const VkMemoryDedicatedAllocateInfo*>(next);
    last_dedicated = to.image != VK_NULL_HANDLE ? DedicatedTo::image : DedicatedTo::buffer;
  }
  return vkAllocateMemory(device, info, host, out);
}

TEST_F(RequestsTest, V18_ImagesAreAskedForThemselves) {
  VkImageCreateInfo info = image_info(64);
  own_functions = {
      {"vkGetPhysicalDeviceImageFormatProperties2", reinterpret_cast<PFN_vkVoidFunction>(&images_alone)},
      {"vkAllocateMemory", reinterpret_cast<PFN_vkVoidFunction>(&watch_memory)}};
  open({.profile = "discrete_bar256"});
  EXPECT_FALSE(backend->export_needs_dedicated());
  {
    const auto image = heap->create_image({.info = &info, .exportable = true, .aliasable = true});
    ASSERT_TRUE(image) << to_string(image.error().code);
    EXPECT_EQ(last_dedicated, DedicatedTo::image);
    const auto buffer =
        heap->create_buffer({.size = 64_KiB, .usage = kTransfer, .exportable = true, .aliasable = true});
    ASSERT_TRUE(buffer);
    EXPECT_EQ(last_dedicated, DedicatedTo::nothing);
  }
  info.tiling = VK_IMAGE_TILING_LINEAR;
  refusals = 0;
  EXPECT_EQ(code(heap->create_image({.info = &info, .exportable = true})), ErrorCode::not_supported)
      << "an image that cannot be exported";
  EXPECT_EQ(refusals, 1);
  info.tiling = VK_IMAGE_TILING_OPTIMAL;
  own_functions.resize(0);
  open({.profile = "discrete_bar256"});
  EXPECT_TRUE(heap->create_image({.info = &info, .exportable = true}));
}

}  // namespace
}  // namespace vaspace::test
