// vulkan::Heap on lavapipe and on devices that the simulated driver plays, under validation: whatever is
// created and bound is created and bound as the device wants it.
#include <cstring>

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {
namespace {

TEST_F(HeapTest, RetiredResourcesWaitForTheirPoints) {
  open({});
  const TimelineId id = add_timeline();
  auto buffer = heap->create_buffer({.size = 1_MiB, .usage = kTransfer}).value();
  auto range = heap->alloc_buffer(1_MiB, kTransfer).value();
  const VkImageCreateInfo info = image_info(64);
  auto image = heap->create_image({.info = &info}).value();
  EXPECT_TRUE(heap->retire(std::move(buffer), {id, 2}));
  EXPECT_TRUE(heap->retire(std::move(range), {id, 2}));
  EXPECT_TRUE(heap->retire(std::move(image), {id, 3}));
  EXPECT_FALSE(buffer || range || image);
  heap->collect();
  EXPECT_EQ(heap->report().retired, 3U);
  gpu->signal(timeline, 2);
  heap->collect();
  EXPECT_EQ(heap->report().retired, 1U);
  EXPECT_EQ(heap->report().buffers, 0U);
  EXPECT_EQ(heap->report().sub_buffers, 0U);
  EXPECT_EQ(heap->report().images, 1U);
  gpu->signal(timeline, 3);
  heap->collect();
  EXPECT_EQ(heap->report().images, 0U);
  EXPECT_EQ(code(heap->retire(std::move(buffer), {id, 1})), ErrorCode::invalid_argument) << "empty";
  auto kept = heap->create_buffer({.size = 1_KiB, .usage = kTransfer}).value();
  EXPECT_EQ(code(heap->retire(std::move(kept), {TimelineId{12345}, 1})), ErrorCode::invalid_argument);
  EXPECT_TRUE(kept) << "still the caller's";
}

TEST_F(HeapTest, V14_TransientAttachmentsAreLazyWhereThereIsSuchMemory) {
  open({.profile = "mobile_tiler"});
  const VkImageCreateInfo info =
      image_info(256, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT);
  auto image = heap->create_image({.info = &info, .intent = Intent::transient_attachment});
  ASSERT_TRUE(image) << to_string(image.error().code);
  EXPECT_TRUE(backend->profile().memory_types[image->memory().memory_type].lazily_allocated);
  const VkImageCreateInfo plain = image_info(256);
  auto other = heap->create_image({.info = &plain}).value();
  EXPECT_FALSE(backend->profile().memory_types[other.memory().memory_type].lazily_allocated);
}

TEST_F(HeapTest, V15_ProtectedResourcesInProtectedMemory) {
  open({.profile = "mobile_tiler"});
  auto guarded = heap->create_buffer({.size = 4_KiB,
                                      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
                                      .flags = VK_BUFFER_CREATE_PROTECTED_BIT,
                                      .intent = Intent::protected_device});
  ASSERT_TRUE(guarded) << to_string(guarded.error().code);
  auto plain = heap->create_buffer({.size = 4_KiB, .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT}).value();
  EXPECT_TRUE(backend->profile().memory_types[guarded->memory().memory_type].protected_memory);
  EXPECT_FALSE(backend->profile().memory_types[plain.memory().memory_type].protected_memory);
  EXPECT_NE(guarded->memory().native, plain.memory().native);
  guarded->reset();
  plain.reset();
  open({.profile = "mobile_tiler", .without = {"protectedMemory"}});
  EXPECT_EQ(code(heap->create_buffer({.size = 4_KiB,
                                      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
                                      .flags = VK_BUFFER_CREATE_PROTECTED_BIT,
                                      .intent = Intent::protected_device})),
            ErrorCode::not_supported);
  EXPECT_EQ(last_feature, "protectedMemory");
}

TEST_F(HeapTest, V8_LargeImagesThatRequireItAreDedicated) {
  open({.profile = "discrete_rebar"});
  const VkImageCreateInfo info = image_info(8192);  // 256 MiB
  const auto image = heap->create_image({.info = &info, .name = "shadow map"});
  ASSERT_TRUE(image) << to_string(image.error().code);
  EXPECT_EQ(image->memory().offset, 0_B);
  EXPECT_EQ(heap->report().memory.dedicated, 1U);
}

TEST_F(HeapTest, V17_V18_ExportedMemoryIsImportedElsewhere) {
  for (const char* profile : {"discrete_bar256", "mobile_tiler"}) {
    open({.profile = profile});
    auto buffer = heap->create_buffer({.size = 100'000_B, .usage = kTransfer, .exportable = true});
    ASSERT_TRUE(buffer) << profile << to_string(buffer.error().code);
    gpu->run([&](VkCommandBuffer commands) {
      vkCmdFillBuffer(commands, buffer->buffer(), 0, VK_WHOLE_SIZE, 0x77);
    });
    const auto exported = heap->memory().export_request(buffer->memory());
    const auto handle = heap->memory().export_memory(buffer->memory());
    ASSERT_TRUE(exported && handle) << profile;
    EXPECT_GE(handle->fd, 0);
    // An importer of dedicated memory names a resource like the exporter's.
    VkExternalMemoryBufferCreateInfo external{};
    external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
    external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.pNext = &external;
    info.size = 100'000;
    info.usage = kTransfer;
    VkBuffer twin = VK_NULL_HANDLE;
    ASSERT_EQ(vkCreateBuffer(gpu->device, &info, nullptr, &twin), VK_SUCCESS);
    VkMemoryRequirements needs{};
    vkGetBufferMemoryRequirements(gpu->device, twin, &needs);
    ImportRequest request = *exported;
    if (request.resource.type != MemoryTraits::Dedicated::none) request.resource.handle = (std::uint64_t)twin;
    const auto imported = heap->memory().import_memory(request, *handle);
    ASSERT_TRUE(imported) << profile << to_string(imported.error().code);
    ASSERT_TRUE(heap->bind(twin, *imported));
    EXPECT_EQ(gpu->words_of(twin, 16_B)[3], 0x77U);
    vkDestroyBuffer(gpu->device, twin, nullptr);
    heap->free(*imported);
  }
}

TEST_F(HeapTest, V17_HostPointersAreImported) {
  for (const char* profile : {"", "discrete_bar256"}) {
    open({.profile = profile});
    const Bytes unit = backend->host_pointer_alignment();
    ASSERT_GT(unit, 0_B);
    void* const memory = std::aligned_alloc(unit.value, 64 * 1024);
    std::memset(memory, 0x5a, 64 * 1024);
    const auto types = backend->host_pointer_types(memory);
    ASSERT_TRUE(types);
    EXPECT_EQ(code(backend->host_pointer_types(static_cast<char*>(memory) + 1)),
              ErrorCode::invalid_alignment);
    std::uint32_t type = 0;
    while ((*types >> type & 1U) == 0)
      ++type;
    EXPECT_EQ(code(backend->import_host_pointer(memory, {.size = unit + 256_B, .memory_type = type})),
              ErrorCode::invalid_size);
    const auto made = backend->import_host_pointer(memory, {.size = 64_KiB, .memory_type = type});
    ASSERT_TRUE(made) << to_string(made.error().code);
    EXPECT_EQ(*backend->map(made->address, 64_KiB).value(), std::byte{0x5a});
    EXPECT_TRUE(backend->unmap(made->address, 64_KiB));
    EXPECT_TRUE(backend->release(*made));
    std::free(memory);
  }
}

TEST_F(HeapTest, V16_WithinTheBudgetOrNotAtAll) {
  open({.profile = "tiny", .settings = "other=0:46137344;budget=enforce"});
  const auto refused = heap->create_buffer({.size = 16_MiB,
                                            .usage = kTransfer | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
                                            .dedicated = DedicatedWish::none,
                                            .budget = BudgetPolicy::within});
  if (!refused) {
    EXPECT_EQ(refused.error().code, ErrorCode::out_of_device_memory);
  } else {
    EXPECT_NE(backend->profile().memory_types[refused->memory().memory_type].heap, 0U) << "another heap";
  }
  EXPECT_TRUE(heap->create_buffer({.size = 64_KiB, .usage = kTransfer, .budget = BudgetPolicy::within}));
}

TEST_F(HeapTest, AliasedResourcesShareTheirMemory) {
  open({.profile = "discrete_bar256"});
  const VkImageCreateInfo info = [] {
    VkImageCreateInfo made = image_info(256);
    made.flags = VK_IMAGE_CREATE_ALIAS_BIT;
    return made;
  }();
  auto first = heap->create_image({.info = &info, .aliasable = true}).value();
  const HeapAllocation memory = first.memory();
  auto second = heap->create_image({.info = &info, .alias_of = &memory});
  ASSERT_TRUE(second) << to_string(second.error().code);
  EXPECT_EQ(second->memory().native, memory.native);
  EXPECT_EQ(second->memory().offset, memory.offset);
  const VkImageCreateInfo larger = image_info(512);
  EXPECT_EQ(code(heap->create_image({.info = &larger, .alias_of = &memory})), ErrorCode::invalid_argument);
  first.reset();
}

TEST_F(HeapTest, V8_V9_WhatMemoryWasNotMadeForDoesNotLieInIt) {
  small = 0_B;
  open({.profile = "discrete_bar256"});
  auto plain = heap->create_buffer({.size = 64_KiB, .usage = kTransfer, .aliasable = true}).value();
  const HeapAllocation memory = plain.memory();
  vulkan::BufferRequest wanted{.size = 64_KiB, .usage = kTransfer, .alias_of = &memory};
  EXPECT_TRUE(heap->create_buffer(wanted));
  wanted.dedicated = DedicatedWish::required;
  EXPECT_EQ(code(heap->create_buffer(wanted)), ErrorCode::not_supported);
  wanted.dedicated = DedicatedWish::none;
  wanted.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  EXPECT_EQ(code(heap->create_buffer(wanted)), ErrorCode::not_supported);
  auto other = heap->create_buffer({.size = 64_KiB, .usage = kTransfer}).value();
  const HeapAllocation unshared = other.memory();
  wanted.usage = kTransfer;
  wanted.alias_of = &unshared;
  EXPECT_EQ(code(heap->create_buffer(wanted)), ErrorCode::not_supported) << "not aliasable (V1)";
  EXPECT_EQ(heap->report().buffers, 2U);
  EXPECT_NE(gpu->take_messages({"D5"}), "") << "two buffers in one place, as was asked for";
}

TEST_F(HeapTest, NamesReachTheDebugUtils) {
  open({.profile = "discrete_bar256"});
  auto buffer = heap->create_buffer({.size = 256_B, .usage = kTransfer, .name = "mesh/rock"}).value();
  const auto info = heap->memory().find(buffer.memory());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->name, "mesh/rock");
  // Bound twice, which is reported, by the name that was told.
  (void)heap->bind(buffer.buffer(), buffer.memory());
  const std::string told = gpu->take_messages(kBoundTwice);
  EXPECT_NE(told.find("mesh/rock"), std::string::npos) << told;
}

TEST_F(HeapTest, BadRequestsGetOneTypedError) {
  open({.profile = "no_sparse"});
  EXPECT_EQ(code(heap->create_buffer({.size = 0_B, .usage = kTransfer})), ErrorCode::invalid_size);
  EXPECT_EQ(code(heap->create_buffer({.size = 1_KiB})), ErrorCode::invalid_argument);
  EXPECT_EQ(code(heap->create_buffer({.size = 1_KiB, .usage = kTransfer, .alignment = Alignment{3}})),
            ErrorCode::invalid_alignment);
  EXPECT_EQ(code(heap->create_buffer(
                {.size = 1_KiB, .usage = kTransfer, .flags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT})),
            ErrorCode::not_supported);
  EXPECT_EQ(last_feature, "sparseBinding");
  EXPECT_EQ(code(heap->create_image({})), ErrorCode::invalid_argument);
  VkImageCreateInfo planes = image_info(64);
  planes.flags = VK_IMAGE_CREATE_DISJOINT_BIT;
  EXPECT_EQ(code(heap->create_image({.info = &planes})), ErrorCode::not_supported) << "more than one memory";
  EXPECT_EQ(code(heap->alloc_buffer(0_B, kTransfer)), ErrorCode::invalid_size);
  EXPECT_EQ(code(heap->alloc_buffer(16_B, 0)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(heap->alloc_buffer({.size = 16_B, .usage = kTransfer, .alignment = Alignment{3}})),
            ErrorCode::invalid_alignment);
  EXPECT_EQ(heap->report().buffers, 0U);
}

TEST_F(HeapTest, MoreThanTheDeviceHasIsRefusedAndNothingIsLeft) {
  open({.profile = "tiny"});
  const auto made = heap->create_buffer({.size = 60_MiB, .usage = kTransfer});
  ASSERT_FALSE(made);
  EXPECT_EQ(heap->report().buffers, 0U);
  EXPECT_EQ(heap->report().memory.total.live, 0_B);
  EXPECT_FALSE(heap->alloc_buffer(60_MiB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT));
  EXPECT_TRUE(heap->create_buffer({.size = 1_MiB, .usage = kTransfer}));
}

// Creates a bit of everything; what was refused, or nothing.
std::optional<Error> everything(vulkan::Heap& heap) {
  const auto buffer = heap.create_buffer({.size = 1_MiB, .usage = kTransfer, .name = "b"});
  if (!buffer) return buffer.error();
  const VkImageCreateInfo info = image_info(64);
  const auto image = heap.create_image({.info = &info, .movable = true, .name = "i"});
  if (!image) return image.error();
  const auto mapped = heap.create_buffer(
      {.size = 64_KiB, .usage = kTransfer, .intent = Intent::upload, .mapping = Mapping::required});
  if (!mapped) return mapped.error();
  if (const auto flushed = heap.flush(*mapped); !flushed) return flushed.error();
  const auto range = heap.alloc_buffer(100'000_B, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
  if (!range) return range.error();
  return std::nullopt;
}

// Without the layer, which takes refused submits for pending ones.
TEST_F(HeapTest, R7_EveryDriverCallRefusedOnce) {
  open({.profile = "discrete_bar256", .validate = false});
  int refused = 0;
  for (std::uint64_t n = 1; n < 200; ++n) {
    TestDevice::control().clear_failures();
    heap->trim();
    vulkan::HeapConfig config;
    config.memory.host = host.allocator();
    config.sparse = {.queue = gpu->sparse, .family = gpu->sparse_family};
    config.transfer = {.queue = gpu->graphics, .family = gpu->graphics_family};
    auto fresh = vulkan::Heap::create(*backend, config).value();
    const std::uint64_t objects = TestDevice::control().live_objects();
    const std::uint64_t bytes = TestDevice::control().memory_bytes();
    const std::uint64_t before = TestDevice::control().injected_count();
    TestDevice::control().fail_call("*", n, VK_ERROR_OUT_OF_HOST_MEMORY);
    const std::optional<Error> error = everything(fresh);
    const bool injected = TestDevice::control().injected_count() != before;
    TestDevice::control().clear_failures();
    if (error) {
      EXPECT_EQ(*error, (Error{ErrorCode::out_of_host_memory, VK_ERROR_OUT_OF_HOST_MEMORY})) << n;
      EXPECT_TRUE(everything(fresh) == std::nullopt) << "it works when it is tried again, " << n;
    }
    EXPECT_EQ(fresh.report().buffers + fresh.report().images + fresh.report().sub_buffers, 0U) << n;
    fresh.trim();
    EXPECT_EQ(fresh.report().memory.total.live, 0_B) << n;
    fresh = vulkan::Heap::create(*backend, config).value();
    EXPECT_EQ(TestDevice::control().live_objects(), objects) << n;
    EXPECT_EQ(TestDevice::control().memory_bytes(), bytes) << n;
    if (!injected) break;
    ++refused;
  }
  EXPECT_GT(refused, 10);
}

TEST_F(HeapTest, ALostDeviceIsSaidSo) {
  open({.profile = "discrete_bar256", .validate = false});
  lost = true;
  TestDevice::control().fail_call("vkAllocateMemory", 1, VK_ERROR_DEVICE_LOST);
  const auto made = heap->create_buffer({.size = 8_MiB, .usage = kTransfer});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error(), (Error{ErrorCode::device_lost, VK_ERROR_DEVICE_LOST}));
  EXPECT_EQ(last_driver, "vkAllocateMemory");
}

}  // namespace
}  // namespace vaspace::test
