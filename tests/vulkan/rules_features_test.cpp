// What the application forgot to enable on its device is named, and nothing of it is used. And host pointers,
// which need an extension.
#include <cstdlib>
#include <functional>

#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {
namespace {

constexpr std::uint32_t kAddressed = VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;

std::optional<Error> error_of(const auto& result) {
  return result ? std::nullopt : std::optional<Error>(result.error());
}

// A use of the library, and the name that Vulkan has for what it needs.
struct Use {
  const char* what;
  const char* feature;
  const char* profile;  // a device that has it
  std::function<std::optional<Error>(vulkan::Heap&, TestDevice&)> ask;
};

std::optional<Error> sparse_image(vulkan::Heap& heap, VkImageCreateFlags flags, bool deep) {
  VkImageCreateInfo info = image_info(64);
  info.flags = VK_IMAGE_CREATE_SPARSE_BINDING_BIT | flags;
  if (deep) {
    info.imageType = VK_IMAGE_TYPE_3D;
    info.extent.depth = 64;
  }
  return error_of(heap.create_image({.info = &info}));
}

std::vector<Use> uses() {
  const auto buffer = [](vulkan::BufferRequest request) {
    return [request](vulkan::Heap& heap, TestDevice&) { return error_of(heap.create_buffer(request)); };
  };
  const auto memory = [](HeapRequest wish) {
    return [wish](vulkan::Heap& heap, TestDevice&) {
      const auto made = heap.allocate({(64_KiB).value, 256, ~0U}, wish);
      if (made) heap.free(*made);
      return error_of(made);
    };
  };
  constexpr std::uint32_t kStorage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
  return {
      {"create_buffer with an address", "bufferDeviceAddress", "discrete_bar256",
       buffer({.size = 4_KiB, .usage = kStorage | kAddressed})},
      {"alloc_buffer with an address", "bufferDeviceAddress", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) {
         return error_of(heap.alloc_buffer(4_KiB, kStorage | kAddressed));
       }},
      {"memory with an address", "bufferDeviceAddress", "discrete_bar256", memory({.device_address = true})},
      {"an import with an address", "bufferDeviceAddress", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) {
         const auto made = heap.import_memory({.size = 64_KiB, .device_address = true}, {});
         return made || made.error().code == ErrorCode::invalid_argument ? std::nullopt : error_of(made);
       }},
      {"a protected buffer", "protectedMemory", "mobile_tiler",
       buffer({.size = 4_KiB,
               .usage = kStorage,
               .flags = VK_BUFFER_CREATE_PROTECTED_BIT,
               .intent = Intent::protected_device})},
      {"a protected sub-buffer", "protectedMemory", "mobile_tiler",
       [](vulkan::Heap& heap, TestDevice&) {
         return error_of(
             heap.alloc_buffer({.size = 4_KiB, .usage = kStorage, .intent = Intent::protected_device}));
       }},
      {"protected memory", "protectedMemory", "mobile_tiler", memory({.intent = Intent::protected_device})},
      {"a protected image", "protectedMemory", "mobile_tiler",
       [](vulkan::Heap& heap, TestDevice&) {
         VkImageCreateInfo info = image_info(64);
         info.flags = VK_IMAGE_CREATE_PROTECTED_BIT;
         return error_of(heap.create_image({.info = &info, .intent = Intent::protected_device}));
       }},
      {"an exportable buffer", "VK_KHR_external_memory_fd", "discrete_bar256",
       buffer({.size = 4_KiB, .usage = kTransfer, .exportable = true})},
      {"exportable memory", "VK_KHR_external_memory_fd", "discrete_bar256", memory({.exportable = true})},
      {"an exportable image", "VK_KHR_external_memory_fd", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) {
         const VkImageCreateInfo info = image_info(64);
         return error_of(heap.create_image({.info = &info, .exportable = true}));
       }},
      {"an import", "VK_KHR_external_memory_fd", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) {
         const auto made = heap.import_memory({.size = 64_KiB}, {});
         return made || made.error().code == ErrorCode::invalid_argument ? std::nullopt : error_of(made);
       }},
      {"a host pointer", "VK_EXT_external_memory_host", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) {
         const auto made = heap.import_host_pointer({.size = 64_KiB});
         return made || made.error().code == ErrorCode::invalid_argument ? std::nullopt : error_of(made);
       }},
      {"a timeline", "timelineSemaphore", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice& gpu) {
         // Any handle: it is not asked where the feature is off.
         const VkSemaphore semaphore = gpu.features.timeline_semaphore ? gpu.timeline_semaphore()
                                                                       : (VkSemaphore)heap.backend().device();
         const auto made = heap.add_timeline(semaphore);
         if (made) {
           EXPECT_TRUE(heap.forget_timeline(*made));
           vkDestroySemaphore(gpu.device, semaphore, nullptr);
         }
         return error_of(made);
       }},
      {"a sparse buffer", "sparseBinding", "discrete_bar256",
       buffer({.size = 64_KiB, .usage = kTransfer, .flags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT})},
      {"a sparse image", "sparseBinding", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) { return sparse_image(heap, 0, false); }},
      {"a buffer with holes", "sparseResidencyBuffer", "discrete_bar256",
       buffer({.size = 64_KiB,
               .usage = kTransfer,
               .flags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT | VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT})},
      {"a buffer with aliases", "sparseResidencyAliased", "discrete_bar256",
       buffer({.size = 64_KiB,
               .usage = kTransfer,
               .flags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT | VK_BUFFER_CREATE_SPARSE_ALIASED_BIT})},
      {"an image with holes", "sparseResidencyImage2D", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) {
         return sparse_image(heap, VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT, false);
       }},
      {"a deep image with holes", "sparseResidencyImage3D", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) {
         return sparse_image(heap, VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT, true);
       }},
      {"an image with aliases", "sparseResidencyAliased", "discrete_bar256",
       [](vulkan::Heap& heap, TestDevice&) {
         return sparse_image(heap, VK_IMAGE_CREATE_SPARSE_ALIASED_BIT, false);
       }},
  };
}

// Features that an extension brings are forgotten with it, too.
const char* extension_of(std::string_view feature) {
  if (feature == "bufferDeviceAddress") return "VK_KHR_buffer_device_address";
  if (feature == "timelineSemaphore") return "VK_KHR_timeline_semaphore";
  return nullptr;
}

TEST_F(RulesTest, ForgottenFeaturesAreNamed) {
  sparse = false;
  for (const Use& use : uses()) {
    std::vector<const char*> ways{use.feature};
    if (extension_of(use.feature) != nullptr) ways.push_back(extension_of(use.feature));
    for (const char* forgotten : ways) {
      open({.profile = use.profile, .validate = false, .without = {forgotten}});
      last_feature.clear();
      const std::uint64_t calls = TestDevice::control().call_count("vkCreateBuffer") +
                                  TestDevice::control().call_count("vkCreateImage") +
                                  TestDevice::control().call_count("vkAllocateMemory");
      EXPECT_EQ(use.ask(*heap, *gpu).value_or(Error{}).code, ErrorCode::not_supported)
          << use.what << " without " << forgotten;
      EXPECT_EQ(last_feature, use.feature) << use.what << " without " << forgotten;
      EXPECT_EQ(TestDevice::control().call_count("vkCreateBuffer") +
                    TestDevice::control().call_count("vkCreateImage") +
                    TestDevice::control().call_count("vkAllocateMemory"),
                calls)
          << use.what << ": the driver was asked";
      EXPECT_EQ(heap->validate(), nullptr);
    }
    open({.profile = use.profile, .validate = false});
    last_feature.clear();
    const std::optional<Error> error = use.ask(*heap, *gpu);
    EXPECT_EQ(last_feature, "") << use.what << ": it is enabled";
    const bool sparse_flag = std::string_view(use.feature).starts_with("sparse");
    EXPECT_EQ(error.has_value(), sparse_flag) << use.what << ": sparse resources are made elsewhere";
  }
}

TEST_F(RulesTest, ForgottenFeaturesOfSparseBuffersAreNamed) {
  for (const char* feature : {"sparseBinding", "timelineSemaphore", "sparseResidencyBuffer"}) {
    open({.profile = "discrete_bar256", .validate = false, .without = {feature}});
    // A queue that can, of a device that may not.
    vulkan::HeapConfig config;
    config.memory.host = host.allocator();
    config.sparse = {.queue = gpu->graphics, .family = gpu->graphics_family};
    heap.emplace(vulkan::Heap::create(*backend, config).value());
    EXPECT_STREQ(heap->missing_sparse_feature(), feature);
    EXPECT_TRUE(heap->alloc_buffer(4_KiB, kVertex)) << "it lies in a block";
    EXPECT_FALSE(heap->sub_buffer_pool(0)->sparse);
  }
  open({.profile = "discrete_bar256"});
  EXPECT_EQ(heap->missing_sparse_feature(), nullptr);
  EXPECT_TRUE(heap->alloc_buffer(4_KiB, kVertex));
  EXPECT_TRUE(heap->sub_buffer_pool(0)->sparse);

  const struct {
    bool vulkan::DeviceFeatures::*off;
    const char* name;
  } kCases[] = {{&vulkan::DeviceFeatures::sparse_binding, "sparseBinding"},
                {&vulkan::DeviceFeatures::timeline_semaphore, "timelineSemaphore"},
                {&vulkan::DeviceFeatures::buffer_device_address, "bufferDeviceAddress"},
                {&vulkan::DeviceFeatures::sparse_residency_buffer, "sparseResidencyBuffer"},
                {&vulkan::DeviceFeatures::sparse_residency_aliased, "sparseResidencyAliased"}};
  vulkan::SparseConfig config = gpu->sparse_config();
  config.usage |= kAddressed;
  config.aliasing = true;
  EXPECT_EQ(vulkan::SparseBackend::missing_feature(config), nullptr);
  for (const auto& each : kCases) {
    vulkan::SparseConfig without = config;
    without.device.features.*each.off = false;
    EXPECT_STREQ(vulkan::SparseBackend::missing_feature(without), each.name);
    EXPECT_EQ(code(vulkan::SparseBackend::create(without)), ErrorCode::not_supported) << each.name;
  }
}

// Memory types that only a feature opens, by the profile alone.
TEST(MissingFeature, OfMemoryTypes) {
  DeviceProfile profile;
  profile.memory_type_count = 4;
  profile.memory_types[0].native_flags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  profile.memory_types[1].native_flags =
      VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT;
  profile.memory_types[1].protected_memory = true;
  profile.memory_types[2].native_flags =
      VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD;
  profile.memory_types[3].native_flags = VK_MEMORY_PROPERTY_RDMA_CAPABLE_BIT_NV;
  const vulkan::DeviceFeatures none;
  EXPECT_EQ(vulkan::missing_feature(profile, ~0U, none), nullptr);
  EXPECT_STREQ(vulkan::missing_feature(profile, 0b10, none), "protectedMemory");
  EXPECT_STREQ(vulkan::missing_feature(profile, 0b100, none), "deviceCoherentMemory");
  EXPECT_EQ(vulkan::missing_feature(profile, 0b101, none), nullptr) << "the first will do";
  EXPECT_EQ(vulkan::missing_feature(profile, 0b1000, none), nullptr) << "no feature that is known here";
  vulkan::DeviceFeatures all;
  all.protected_memory = all.device_coherent_memory = true;
  EXPECT_EQ(vulkan::missing_feature(profile, 0b110, all), nullptr);
}

// What is only a hint is left out where it cannot be given: priorities, and readings of budgets.
TEST_F(RulesTest, HintsAreLeftOutWhereTheyAreNotEnabled) {
  open({.profile = "discrete_bar256", .without = {"memoryPriority", "VK_EXT_memory_budget"}});
  EXPECT_TRUE(heap->create_buffer({.size = 4_KiB, .usage = kTransfer, .priority = 0.9F}));
  EXPECT_TRUE(heap->memory().budget(0));
  open({.profile = "discrete_bar256", .without = {"VK_EXT_memory_priority"}});
  EXPECT_TRUE(heap->create_buffer({.size = 4_KiB, .usage = kTransfer, .priority = 0.1F}));
}

TEST_F(RulesTest, V17_HostPointersThroughTheHeap) {
  for (const char* profile : {"", "discrete_bar256"}) {
    open({.profile = profile});
    const Bytes unit = backend->host_pointer_alignment();
    ASSERT_GT(unit, 0_B);
    const Bytes size = unit * 4;
    auto* const memory = static_cast<unsigned char*>(std::aligned_alloc(unit.value, size.value));
    std::memset(memory, 0x5a, size.value);
    const auto import = [&](void* pointer, Bytes bytes) {
      return heap->import_host_pointer({.pointer = pointer, .size = bytes, .name = "mine"});
    };
    EXPECT_EQ(code(import(nullptr, size)), ErrorCode::invalid_argument);
    EXPECT_EQ(code(import(memory + 1, unit)), ErrorCode::invalid_alignment);
    EXPECT_EQ(code(import(memory + 256, unit)), ErrorCode::invalid_alignment);
    EXPECT_EQ(code(import(memory, unit + 256_B)), ErrorCode::invalid_size);
    EXPECT_EQ(code(import(memory, 0_B)), ErrorCode::invalid_size);
    EXPECT_EQ(code(heap->import_host_pointer({.pointer = memory, .size = size, .memory_type_bits = 0})),
              ErrorCode::not_supported);
    const auto imported = import(memory, size);
    ASSERT_TRUE(imported) << to_string(imported.error().code);
    EXPECT_EQ(heap->memory().find(*imported)->name, "mine");
    EXPECT_EQ(heap->report().memory.memory_objects, 1U);
    EXPECT_EQ(backend->account().memory_objects(), 1U);
    // A buffer in it reads what the host has written.
    VkExternalMemoryBufferCreateInfo external{};
    external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
    external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
    {
      const auto buffer =
          heap->create_buffer({.size = size, .usage = kTransfer, .alias_of = &*imported, .next = &external});
      ASSERT_TRUE(buffer) << profile << to_string(buffer.error().code);
      EXPECT_EQ(gpu->words_of(buffer->buffer(), 64_B)[7], 0x5a5a5a5aU);
    }
    heap->free(*imported);
    EXPECT_EQ(heap->validate(), nullptr);
    heap->trim();
    EXPECT_EQ(backend->account().memory_objects(), 0U);
    std::free(memory);
  }
}

}  // namespace
}  // namespace vaspace::test
