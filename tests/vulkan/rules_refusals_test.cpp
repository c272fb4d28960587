// R7 on every driver call that this library makes, as the registry has them.
#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "vulkan/refusals_scenes.hpp"

namespace vaspace::test {
namespace {

TEST(RegistryTest, R7_TheResultsAreTheRegistrys) {
  std::ifstream file("/usr/share/vulkan/registry/vk.xml");
  if (!file) GTEST_SKIP() << "the registry is not installed";
  std::stringstream read;
  read << file.rdbuf();
  const std::string registry = read.str();
  for (const Refusable& one : refusable()) {
    const std::size_t name = registry.find("<name>" + std::string(one.function) + "</name>");
    ASSERT_NE(name, std::string::npos) << one.function;
    const std::size_t command = registry.rfind("<command ", name);
    constexpr std::string_view kCodes = "errorcodes=\"";
    const std::size_t begin = registry.find(kCodes, command) + kCodes.size();
    std::stringstream list(registry.substr(begin, registry.find('"', begin) - begin));
    std::set<std::string> said, here;
    for (std::string code; std::getline(list, code, ',');)
      said.insert(code);
    for (const auto& [result, value] : one.results)
      here.insert(result);
    EXPECT_EQ(here, said) << one.function;
  }
}

TEST_F(RefusalsTest, R7_AMappedBuffer) {
  refuse_each("mapped buffer", &scenes::mapped_buffer, 13, 1);
}
TEST_F(RefusalsTest, R7_AMappedBufferAlone) {
  one_call = true;
  refuse_each("mapped alone", &scenes::mapped_alone, 10, 1);
}
TEST_F(RefusalsTest, R7_SeveralBuffersAtOnce) {
  one_call = true;
  refuse_each("several at once", &scenes::several_at_once, 20, 1);
}
TEST_F(RefusalsTest, R7_AMovableBuffer) {
  one_call = true;
  refuse_each("movable buffer", &scenes::movable_buffer, 10, 1);
}
TEST_F(RefusalsTest, R7_ADedicatedImage) {
  one_call = true;
  refuse_each("dedicated image", &scenes::dedicated_image, 10, 1);
}
TEST_F(RefusalsTest, R7_ASubBufferOfASharedBuffer) {
  refuse_each("shared buffer", &scenes::shared_buffers, 10, 1);
}
TEST_F(RefusalsTest, R7_SubBuffersOnSparsePages) {
  refuse_each("sparse pages", &scenes::sparse_pages, 20, 1);
}
TEST_F(RefusalsTest, R7_AHeapFromTheBeginning) {
  ends = true;
  refuse_each("heap", &scenes::heap_of_its_own, 20, 1);
}
TEST_F(RefusalsTest, R7_RetiredResources) {
  refuse_each("retired", &scenes::retired, 10, 1);
}
TEST_F(RefusalsTest, R7_Moves) {
  refuse_each("moves", &scenes::moves, 50, 1);
}
TEST_F(RefusalsTest, R7_V17_ExportAndImport) {
  refuse_each("export", &scenes::exported_and_imported, 10, 1);
}
TEST_F(RefusalsTest, R7_V17_AHostPointer) {
  refuse_each("host pointer", &scenes::host_pointer, 5, 1);
}
TEST_F(RefusalsTest, R7_ASparseBackend) {
  refuse_each(
      "sparse backend", [](RefusalsTest& test) { return scenes::sparse_backend(test, true); }, 30, 1);
}
TEST_F(RefusalsTest, R7_V20_ASparseBackendWithoutResidency) {
  refuse_each(
      "whole buffers", [](RefusalsTest& test) { return scenes::sparse_backend(test, false); }, 30, 1);
}

// Lost after the plan, between two commits, and before the points are looked at.
TEST_F(RefusalsTest, R7_ADeviceThatIsLostInTheMiddleOfADefragmentation) {
  for (int when = 0; when < 4; ++when) {
    open_scene();
    std::vector<vulkan::Buffer> all;
    for (int i = 0; i < 16; ++i)
      all.push_back(heap->create_buffer({.size = 400_KiB, .usage = kTransfer, .movable = true}).value());
    for (std::size_t i = 0; i < all.size(); i += 2)
      all[i].reset();
    if (when == 0) TestDevice::control().lose_devices();
    std::array<vulkan::ResourceMove, 4> planned;
    const auto count = heap->plan_moves({}, planned);
    if (!count) {
      EXPECT_EQ(count.error(), (Error{ErrorCode::device_lost, VK_ERROR_DEVICE_LOST})) << when;
    } else {
      EXPECT_GE(*count, 2U);
      if (when == 1) TestDevice::control().lose_devices();
      for (std::uint32_t i = 0; i < *count; ++i) {
        if (when == 2 && i == 1) TestDevice::control().lose_devices();
        const TimelinePoint never{points, 1000};
        const auto ended = heap->commit_move(planned[i], {&never, 1});
        if (!ended) {
          EXPECT_EQ(ended.error().code, ErrorCode::device_lost);
        }
      }
      if (when == 3) TestDevice::control().lose_devices();
    }
    heap->collect();
    heap->collect();
    EXPECT_EQ(heap->report().retired, 0U) << "everything has passed, " << when;
    EXPECT_EQ(heap->report().memory.moves_open, 0U) << when;
    EXPECT_EQ(heap->report().buffers, 8U) << when;
    EXPECT_EQ(heap->validate(), nullptr);
    if (const auto more = heap->create_buffer({.size = 8_MiB, .usage = kTransfer}); !more) {
      EXPECT_EQ(more.error(), (Error{ErrorCode::device_lost, VK_ERROR_DEVICE_LOST}));
    }
    all.clear();
    lost = true;
    close();
    EXPECT_EQ(TestDevice::control().live_objects(), 0U) << when;
    lost = false;
  }
}

}  // namespace
}  // namespace vaspace::test
