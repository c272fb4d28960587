// What is told of sub-buffers and sparse pools, batches, and that the way of most sub-buffers takes no lock.
#include <nlohmann/json.hpp>

#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {
namespace {

using Json = nlohmann::json;

std::string text_of(const vulkan::Heap& heap, bool detailed) {
  std::string text;
  const auto written = heap.write_json({&text,
                                        [](void* user, std::string_view piece) noexcept {
                                          static_cast<std::string*>(user)->append(piece);
                                          return true;
                                        }},
                                       detailed);
  EXPECT_TRUE(written);
  return text;
}

TEST_F(RulesTest, JsonReachesSubBuffersAndSparsePools) {
  open({.profile = "discrete_bar256"});
  const std::string odd = "mesh/\"rock\"\n";
  std::vector<vulkan::Buffer> all;
  all.push_back(heap->alloc_buffer({.size = 100'000_B, .usage = kVertex, .name = odd}).value());
  all.push_back(heap->alloc_buffer({.size = 300_B,
                                    .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
                                    .intent = Intent::dynamic,
                                    .mapping = Mapping::required,
                                    .name = "camera"})
                    .value());
  const auto buffer = heap->create_buffer({.size = 5_KiB, .usage = kTransfer, .name = "own"}).value();

  const Json brief = Json::parse(text_of(*heap, false));
  EXPECT_EQ(brief.at("schema"), "vaspace-vulkan-heap-1");
  EXPECT_EQ(brief.at("buffers"), 1);
  EXPECT_EQ(brief.at("sub_buffers"), 2);
  EXPECT_EQ(brief.at("sub_buffer_live"), 100'300);
  EXPECT_EQ(brief.count("sub_buffer_list"), 0U);
  EXPECT_EQ(brief.at("memory").at("schema"), "vaspace-heap-1");
  ASSERT_EQ(brief.at("sub_buffer_pools").size(), 2U);
  const Json& mesh = brief.at("sub_buffer_pools").at(0);
  EXPECT_EQ(mesh.at("sparse"), true);
  EXPECT_NE(mesh.at("usage").get<std::uint32_t>() & kVertex, 0U);
  EXPECT_EQ(mesh.at("live"), 100'000);
  EXPECT_GE(mesh.at("committed").get<std::uint64_t>(), mesh.at("used").get<std::uint64_t>());
  EXPECT_GE(mesh.at("held").get<std::uint64_t>(), mesh.at("committed").get<std::uint64_t>());
  EXPECT_GE(mesh.at("reserved").get<std::uint64_t>(), mesh.at("committed").get<std::uint64_t>());
  const Json& uniform = brief.at("sub_buffer_pools").at(1);
  EXPECT_EQ(uniform.at("sparse"), false);
  EXPECT_EQ(uniform.at("intent"), "dynamic");
  EXPECT_EQ(uniform.at("mapping"), "required");
  const Json& total = brief.at("memory").at("total");
  EXPECT_EQ(total.at("guests"), mesh.at("held")) << "pages are in the totals";
  EXPECT_EQ(total.at("committed"), heap->report().memory.total.committed.value);

  const Json full = Json::parse(text_of(*heap, true));
  ASSERT_EQ(full.at("sub_buffer_list").size(), 2U);
  const Json& first = full.at("sub_buffer_list").at(0);
  EXPECT_EQ(first.at("name"), odd);
  EXPECT_EQ(first.at("pool"), 0);
  EXPECT_EQ(first.at("buffer"), (std::uint64_t)all[0].buffer());
  EXPECT_EQ(first.at("offset"), all[0].offset().value);
  EXPECT_EQ(first.at("size"), 100'000);
  EXPECT_EQ(first.at("mapped"), false);
  EXPECT_EQ(full.at("sub_buffer_list").at(1).at("mapped"), true);
  bool own = false;
  for (const Json& each : full.at("memory").at("allocations"))
    own = own || each.at("name") == "own";
  EXPECT_TRUE(own);
  // A sink that gives up is told as that.
  int pieces = 0;
  const auto broken = heap->write_json(
      {&pieces, [](void* user, std::string_view) noexcept { return ++*static_cast<int*>(user) < 2; }}, true);
  EXPECT_EQ(code(broken), ErrorCode::io_error);
  EXPECT_EQ(code(heap->sub_buffer_pool(2)), ErrorCode::invalid_argument);
}

std::uint64_t driver_calls() {
  std::uint64_t sum = 0;
  for (const char* function :
       {"vkAllocateMemory", "vkFreeMemory", "vkCreateBuffer", "vkDestroyBuffer", "vkBindBufferMemory",
        "vkMapMemory", "vkQueueBindSparse", "vkWaitSemaphoresKHR", "vkGetSemaphoreCounterValueKHR",
        "vkGetPhysicalDeviceMemoryProperties2"})
    sum += TestDevice::control().call_count(function);
  return sum;
}

TEST_F(RulesTest, SteadyStateTakesNoLockAndMakesNoDriverCall) {
  for (const bool on_pages : {true, false}) {
    sparse = on_pages;
    open({.profile = "discrete_bar256", .validate = false});
    // Sizes whose classes have earned windows of their own; the thread's magazines fill.
    std::vector<vulkan::Buffer> kept;
    for (const Bytes size : {300_B, 1000_B, 2000_B}) {
      for (int i = 0; i < 3000; ++i)
        kept.push_back(heap->alloc_buffer(size, kVertex).value());
    }
    const auto round = [&] {
      for (const Bytes size : {300_B, 1000_B, 2000_B})
        EXPECT_TRUE(heap->alloc_buffer(size, kVertex));
    };
    for (int i = 0; i < 200; ++i)
      round();
    const auto locks = [&] { return heap->sub_buffer_pool(0)->lock_acquisitions; };
    EXPECT_EQ(heap->sub_buffer_pool(0)->sparse, on_pages);
    const std::uint64_t first = locks();
    const std::uint64_t second = locks();  // a report takes some itself
    const std::uint64_t calls = driver_calls();
    for (int i = 0; i < 1000; ++i)
      round();
    EXPECT_EQ(locks() - second, second - first) << on_pages;
    EXPECT_EQ(driver_calls(), calls);
    (void)heap->alloc_buffer({.size = 300_B, .usage = kVertex, .name = "counted"});
    EXPECT_GT(locks() - second, 2 * (second - first)) << "the count can fail: what has a name takes the lock";
  }
}

// What the report says of the driver's calls is what the driver has seen.
TEST_F(RulesTest, CallsForSubBuffersAreCounted) {
  for (const bool in_sparse : {true, false}) {
    sparse = in_sparse;
    open({.profile = "discrete_bar256", .validate = false});
    const auto calls = [](const char* function) { return TestDevice::control().call_count(function); };
    const std::uint64_t first[] = {calls("vkAllocateMemory"), calls("vkFreeMemory"), calls("vkCreateBuffer")};
    std::vector<vulkan::Buffer> all;
    std::uint64_t own = 0;
    for (std::uint64_t i = 0; i < 60; ++i) {
      all.push_back(
          heap->alloc_buffer(Bytes{1000 + i * 40'000},
                             i % 3 == 0 ? std::uint32_t{VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT} : kVertex)
              .value());
      if (i % 5 != 0) continue;
      all.push_back(heap->create_buffer({.size = 300_KiB, .usage = kTransfer}).value());
      ++own;
    }
    all.erase(all.begin(), all.begin() + 40);
    heap->collect();
    heap->trim();
    const vulkan::HeapReport report = heap->report();
    EXPECT_EQ(report.memory.device_reserves + report.memory.guest_reserves,
              calls("vkAllocateMemory") - first[0]);
    EXPECT_EQ(report.memory.device_releases + report.sparse_releases, calls("vkFreeMemory") - first[1]);
    EXPECT_EQ(report.shared_buffers_created + own, calls("vkCreateBuffer") - first[2]);
    EXPECT_EQ(report.memory.guest_reserves != 0, in_sparse);
    EXPECT_GT(report.shared_buffers_created, 0U);
  }
}

TEST_F(RulesTest, R7_ABatchIsAllOrNone) {
  open({.profile = "discrete_bar256", .validate = false});
  std::vector<vulkan::BufferRequest> requests(9, {.size = 100_KiB, .usage = kTransfer});
  std::vector<vulkan::Buffer> out(9);
  const VkImageCreateInfo info = image_info(64);
  const std::vector<vulkan::ImageRequest> wanted(5, {.info = &info});
  std::vector<vulkan::Image> images(5);
  ASSERT_TRUE(heap->create_buffers(requests, out));
  ASSERT_TRUE(heap->create_images(wanted, images));
  EXPECT_EQ(heap->report().buffers, 9U);
  EXPECT_EQ(heap->report().images, 5U);
  out = std::vector<vulkan::Buffer>(9);
  images = std::vector<vulkan::Image>(5);
  EXPECT_EQ(heap->report().buffers + heap->report().images, 0U);
  ASSERT_TRUE(heap->alloc_buffers(requests, out));
  EXPECT_EQ(heap->report().sub_buffers, 9U);
  out = std::vector<vulkan::Buffer>(9);

  requests[7].usage = 0;
  EXPECT_EQ(code(heap->create_buffers(requests, out)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(heap->alloc_buffers(requests, out)), ErrorCode::invalid_argument);
  TestDevice::control().fail_call("vkCreateImage", 4, VK_ERROR_OUT_OF_DEVICE_MEMORY);
  EXPECT_EQ(heap->create_images(wanted, images).error(),
            (Error{ErrorCode::out_of_device_memory, VK_ERROR_OUT_OF_DEVICE_MEMORY}));
  for (const vulkan::Buffer& each : out)
    EXPECT_FALSE(each);
  for (const vulkan::Image& each : images)
    EXPECT_FALSE(each);
  const vulkan::HeapReport report = heap->report();
  EXPECT_EQ(report.buffers + report.images + report.sub_buffers, 0U);
  EXPECT_EQ(code(heap->create_buffers(std::span(requests).first(2), out)), ErrorCode::invalid_argument);
  EXPECT_EQ(heap->validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
