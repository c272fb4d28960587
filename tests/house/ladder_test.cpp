#include "house/ladder.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "house/source.hpp"

namespace vaspace::house {
namespace {

std::string including(const std::string& header) {
  return "#pragma once\n#include " + header + "\n";
}

struct Arrow {
  const char* from;
  const char* header;
};

TEST(Ladder, SeesWhatIsForbidden) {
  for (const auto& [from, header] : std::vector<Arrow>{
           {"include/vaspace/base/units.hpp", "\"vaspace/range/range.hpp\""},
           {"include/vaspace/range/range.hpp", "\"vaspace/device/backend.hpp\""},
           {"src/range/slab_allocator.cpp", "<vaspace/va/page_table.hpp>"},
           {"src/device/a.cpp", "\"vaspace/va/page_table.hpp\""},
           {"src/device/a.cpp", "\"vaspace/backends/cpu.hpp\""},
           {"src/va/a.cpp", "\"vaspace/arena/allocation.hpp\""},
           {"src/arena/a.cpp", "\"vaspace/heap/heap.hpp\""},
           {"src/arena/a.cpp", "\"vaspace/backends/cpu.hpp\""},
           {"src/arena/a.cpp", "\"vaspace/vaspace.hpp\""},
           {"src/heap/a.cpp", "\"vaspace/frontends/vulkan.hpp\""},
           {"src/heap/a.cpp", "\"vaspace/trace/trace.hpp\""},
           {"src/trace/a.cpp", "\"vaspace/backends/vulkan.hpp\""},
           {"src/trace/a.cpp", "\"vaspace/vaspace.h\""},
           {"include/vaspace/frontends/vulkan/heap.hpp", "\"vaspace/backends/cuda.hpp\""},
           {"include/vaspace/frontends/vulkan/heap.hpp", "\"vaspace/trace/trace.hpp\""},
           {"src/backends/cpu/backend.cpp", "\"vaspace/range/range.hpp\""},
           {"src/backends/cpu/backend.cpp", "\"vaspace/backends/vulkan.hpp\""},
           {"src/backends/vulkan/backend.cpp", "\"vaspace/arena/allocation.hpp\""},
           {"src/backends/vulkan/backend.cpp", "<cuda.h>"},
           {"src/backends/cpu/backend.cpp", "<vulkan/vulkan.h>"},
           {"include/vaspace/device/profile.hpp", "<volk.h>"},
           {"src/tools/main.cpp", "<vulkan/vulkan_core.h>"},
           {"include/vaspace/vaspace.hpp", "<cuda_runtime.h>"},
           {"src/heap/a.cpp", "\"vulkan/vulkan.h\""},
           {"src/simulators/cuda/driver.cpp", "\"vaspace/base/units.hpp\""},
           {"src/tools/main.cpp", "\"vaspace/simulators/cuda.hpp\""},
           {"src/range/a.cpp", "\"../va/private.hpp\""},
           {"src/range/a.cpp", "\"vaspace/drawer/all.hpp\""},
           {"src/va/a.cpp", "\"vaspace/tools/draw.hpp\""},
           {"src/drawer/a.cpp", "\"vaspace/base/units.hpp\""},
       }) {
    const auto wrong = check_includes(from, including(header));
    ASSERT_EQ(wrong.size(), 1U) << from << " including " << header;
    EXPECT_EQ(wrong[0].rfind(std::string(from) + ":2: ", 0), 0U) << wrong[0];
  }
}

TEST(Ladder, AllowsWhatPointsDown) {
  for (const auto& [from, header] : std::vector<Arrow>{
           {"include/vaspace/base/misuse.hpp", "\"vaspace/base/result.hpp\""},
           {"include/vaspace/device/backend.hpp", "\"vaspace/range/range.hpp\""},
           {"src/va/a.cpp", "\"vaspace/device/backend.hpp\""},
           {"src/arena/a.cpp", "\"vaspace/va/page_table.hpp\""},
           {"src/trace/a.cpp", "\"vaspace/heap/heap.hpp\""},
           {"src/backends/vulkan/backend.cpp", "\"vaspace/device/backend.hpp\""},
           {"src/backends/vulkan/backend.cpp", "\"vaspace/backends/vulkan.hpp\""},
           {"src/backends/vulkan/backend.cpp", "\"driver.hpp\""},
           {"include/vaspace/backends/vulkan.hpp", "<volk.h>"},
           {"include/vaspace/frontends/vulkan/heap.hpp", "<vulkan/vulkan.h>"},
           {"include/vaspace/frontends/vulkan/heap.hpp", "\"vaspace/backends/vulkan.hpp\""},
           {"include/vaspace/frontends/cuda/stream_allocator.hpp", "\"vaspace/heap/heap.hpp\""},
           {"src/simulators/vulkan/icd.cpp", "<vulkan/vk_icd.h>"},
           {"src/simulators/cuda/driver.cpp", "<cuda.h>"},
           {"src/tools/main.cpp", "\"vaspace/backends/vulkan.hpp\""},
           {"src/capi/capi.cpp", "\"vaspace/vaspace.h\""},
           {"include/vaspace/vaspace.hpp", "\"vaspace/frontends/cuda.hpp\""},
           {"samples/01_suballocate.cpp", "<vulkan/vulkan.h>"},
           {"samples/01_suballocate.cpp", "\"vaspace/vaspace.hpp\""},
           {"src/base/result.cpp", "<vector>"},
       }) {
    EXPECT_EQ(check_includes(from, including(header)), std::vector<std::string>{}) << from << " " << header;
  }
}

TEST(Ladder, ReadsDirectivesAndNothingElse) {
  const char* const from = "src/base/a.cpp";
  EXPECT_TRUE(check_includes(from, "// #include \"vaspace/va/page_table.hpp\"\n").empty());
  EXPECT_TRUE(check_includes(from, "/*\n#include \"vaspace/va/page_table.hpp\"\n*/\n").empty());
  EXPECT_EQ(check_includes(from, "  #  include\t<vaspace/va/page_table.hpp>  // why\n").size(), 1U);
  EXPECT_EQ(check_includes(from, "#include \"vaspace/va/a.hpp\"\n#include <vulkan/vulkan.h>").size(), 2U);
  EXPECT_EQ(check_includes("docs/a.cpp", "").size(), 1U) << "belongs to no layer";
}

TEST(Ladder, NoArrowOfThisProjectPointsUp) {
  const auto files = read_sources({"include", "src", "samples"});
  EXPECT_GT(files.size(), 20U) << "the sources were not found";
  for (const SourceFile& file : files)
    for (const std::string& wrong : check_includes(file.path, file.text))
      ADD_FAILURE() << wrong;
}

}  // namespace
}  // namespace vaspace::house
