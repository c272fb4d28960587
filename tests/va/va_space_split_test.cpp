// How a map or unmap splits and merges what it meets, drawn: one row per case and kind of driver. C8.
#include <cstdio>
#include <gtest/gtest.h>

#include "map_drawing.hpp"
#include "model_backend.hpp"

namespace vaspace::test {
namespace {

constexpr Bytes kPage = ModelBackend::kPage;
constexpr std::uint64_t kPages = 8;

// Pages [begin, end) get `what`: an object's letter from its page `offset`, '=', '~', or '.' for an unmap.
struct Change {
  char what;
  std::uint64_t begin, end;
  std::uint64_t offset = 0;
};

MapRequest request_of(const Change& change) {
  MapRequest request;
  request.address = ModelBackend::kBase + kPage * change.begin;
  request.size = kPage * (change.end - change.begin);
  request.backing = change.what == '='   ? Backing::null
                    : change.what == '~' ? Backing::sparse
                    : change.what == 'a' ? Backing::read_only_memory
                                         : Backing::memory;
  if (request.backing == Backing::null || request.backing == Backing::sparse) return request;
  request.physical = PhysicalId{static_cast<std::uint64_t>(change.what & 31)};  // 'A' and 'a' are 1
  request.offset = kPage * change.offset;
  return request;
}

struct Case {
  const char* name;
  std::vector<Change> before;
  Change change;
  const char* after;
  // Ops that the three kinds of driver are asked for: unbinds, binds.
  std::pair<unsigned, unsigned> parts, replacing, pages, rests;
};

// A map over nothing, over all, over an end, into the middle; the same with what continues it on either side.
const Case kCases[] = {
    {"into nothing", {}, {'A', 2, 6}, "|. .|A A A A|. .|", {0, 1}, {0, 1}, {0, 4}, {0, 1}},
    {"exactly over", {{'A', 2, 6}}, {'B', 2, 6}, "|. .|B B B B|. .|", {1, 1}, {0, 1}, {1, 4}, {1, 1}},
    {"over all and more", {{'A', 3, 5}}, {'B', 2, 6}, "|. .|B B B B|. .|", {1, 1}, {0, 1}, {1, 4}, {1, 1}},
    {"over a left end", {{'A', 3, 8}}, {'B', 1, 5}, "|.|B B B B|A A A|", {1, 1}, {0, 1}, {1, 4}, {1, 2}},
    {"over a right end", {{'A', 0, 5}}, {'B', 3, 7}, "|A A A|B B B B|.|", {1, 1}, {0, 1}, {1, 4}, {1, 2}},
    {"into the middle", {{'A', 0, 8}}, {'B', 3, 5}, "|A A A|B B|A A A|", {1, 1}, {0, 1}, {1, 2}, {1, 3}},
    {"over two ends",
     {{'A', 0, 4}, {'C', 4, 8}},
     {'B', 2, 6},
     "|A A|B B B B|C C|",
     {1, 1},
     {0, 1},
     {1, 4},
     {1, 3}},
    {"over a hole between",
     {{'A', 0, 3}, {'C', 5, 8}},
     {'B', 2, 6},
     "|A A|B B B B|C C|",
     {2, 1},
     {0, 1},
     {2, 4},
     {2, 3}},
    {"what is there already",
     {{'A', 0, 8}},
     {'A', 2, 6, 2},
     "|A A A A A A A A|",
     {0, 0},
     {0, 0},
     {0, 0},
     {0, 0}},
    {"the same at another offset",
     {{'A', 0, 8}},
     {'A', 2, 6, 3},
     "|A A|A A A A|A A|",
     {1, 1},
     {0, 1},
     {1, 4},
     {1, 3}},
    {"around what is there already",
     {{'A', 3, 5, 3}},
     {'A', 0, 8},
     "|A A A A A A A A|",
     {0, 2},
     {0, 2},
     {0, 6},
     {0, 2}},
    {"joins the left one",
     {{'A', 0, 3}},
     {'A', 3, 6, 3},
     "|A A A A A A|. .|",
     {0, 1},
     {0, 1},
     {0, 3},
     {0, 1}},
    {"joins the right one",
     {{'A', 5, 8, 5}},
     {'A', 2, 5, 2},
     "|. .|A A A A A A|",
     {0, 1},
     {0, 1},
     {0, 3},
     {0, 1}},
    {"joins both",
     {{'A', 0, 3}, {'A', 5, 8, 5}},
     {'A', 3, 5, 3},
     "|A A A A A A A A|",
     {0, 1},
     {0, 1},
     {0, 2},
     {0, 1}},
    {"joins neither",
     {{'A', 0, 3}, {'A', 5, 8, 5}},
     {'A', 3, 5, 4},
     "|A A A|A A|A A A|",
     {0, 1},
     {0, 1},
     {0, 2},
     {0, 1}},
    {"unmaps all", {{'A', 2, 6}}, {'.', 2, 6}, "|. . . . . . . .|", {1, 0}, {1, 0}, {1, 0}, {1, 0}},
    {"unmaps a left end", {{'A', 2, 6}}, {'.', 2, 4}, "|. . . .|A A|. .|", {1, 0}, {1, 0}, {1, 0}, {1, 1}},
    {"unmaps a right end", {{'A', 2, 6}}, {'.', 4, 6}, "|. .|A A|. . . .|", {1, 0}, {1, 0}, {1, 0}, {1, 1}},
    {"unmaps the middle", {{'A', 1, 7}}, {'.', 3, 5}, "|.|A A|. .|A A|.|", {1, 0}, {1, 0}, {1, 0}, {1, 2}},
    {"unmaps two",
     {{'A', 0, 4}, {'B', 4, 8}},
     {'.', 2, 6},
     "|A A|. . . .|B B|",
     {1, 0},
     {1, 0},
     {1, 0},
     {1, 2}},
    {"null over memory", {{'A', 0, 8}}, {'=', 3, 5}, "|A A A|= =|A A A|", {1, 1}, {0, 1}, {1, 2}, {1, 3}},
    {"null joins null", {{'=', 0, 3}}, {'=', 3, 6}, "|= = = = = =|. .|", {0, 1}, {0, 1}, {0, 3}, {0, 1}},
    {"sparse over memory", {{'A', 0, 8}}, {'~', 3, 5}, "|A A A|~ ~|A A A|", {1, 0}, {1, 0}, {1, 0}, {1, 2}},
    {"memory into sparse", {{'~', 0, 8}}, {'A', 3, 5}, "|~ ~ ~|A A|~ ~ ~|", {0, 1}, {0, 1}, {0, 2}, {0, 1}},
    {"read-only over the same",
     {{'A', 0, 8}},
     {'a', 3, 5, 3},
     "|A A A|a a|A A A|",
     {1, 1},
     {0, 1},
     {1, 2},
     {1, 3}},
};

struct Driver {
  const char* name;
  bool partial_unbind, replace, rebind_rests;
  std::pair<unsigned, unsigned> Case::*ops;
};
constexpr Driver kDrivers[] = {
    {"parts", true, false, false, &Case::parts},
    {"parts, replacing", true, true, false, &Case::replacing},
    {"pages", false, false, false, &Case::pages},
    {"whole, rests anew", false, false, true, &Case::rests},
};

Capabilities capabilities(const Driver& driver) {
  Capabilities can;
  can.partial_unbind = driver.partial_unbind;
  can.replace = driver.replace;
  can.physical_offset = can.aliasing = can.null_binds = can.set_access = true;
  return can;
}

Result<BindPlan> plan(const VaSpace& space, const Change& change) {
  const MapRequest request = request_of(change);
  return change.what == '.' ? space.plan_unmap(request.address, request.size) : space.plan_map(request);
}

TEST(VaSpaceSplits, EachCaseIsDrawnAndCostsWhatItMust_C8) {
  for (const Case& c : kCases) {
    std::printf("%s\n", c.name);
    bool first = true;
    for (const Driver& driver : kDrivers) {
      ModelBackend backend(kPages, capabilities(driver));
      VaSpaceConfig config;
      config.size = kPage * kPages;
      config.rebind_rests = driver.rebind_rests;
      auto space = VaSpace::create(backend, config);
      ASSERT_TRUE(space);
      for (const Change& change : c.before)
        ASSERT_TRUE((*space)->map(request_of(change)));
      const std::string before = draw(**space);
      auto made = plan(**space, c.change);
      ASSERT_TRUE(made) << c.name;
      EXPECT_EQ(draw(**space), before) << "a plan touches nothing";
      ASSERT_TRUE((*space)->commit(*made)) << c.name;
      const auto [unbinds, binds] = c.*driver.ops;
      EXPECT_EQ(made->unbinds().size(), unbinds) << c.name << ", " << driver.name;
      EXPECT_EQ(made->binds().size(), binds) << c.name << ", " << driver.name;
      EXPECT_EQ(draw(**space), c.after) << c.name << ", " << driver.name;
      if (first) std::printf("  %-18s %s\n", "before", before.c_str());
      first = false;
      if (!made->unbinds().empty())
        std::printf("  %-18s %s\n", driver.name, draw(**space, made->unbinds()).c_str());
      if (!made->binds().empty())
        std::printf("  %-18s %s%s\n", driver.name, draw(**space, made->binds()).c_str(),
                    made->rebinds_rests() ? "   rests anew" : "");
      EXPECT_EQ(backend.fault(), nullptr);
    }
    std::printf("  %-18s %s\n", "after", c.after);
  }
}

TEST(VaSpaceSplits, RestsAreNamed) {
  ModelBackend backend(kPages, capabilities(kDrivers[0]));
  auto space = VaSpace::create(backend, {.size = kPage * kPages});
  ASSERT_TRUE(space);
  ASSERT_TRUE((*space)->map(request_of({'A', 0, 8, 1})));
  auto made = plan(**space, {'B', 3, 5});
  ASSERT_TRUE(made);
  const Address begin = ModelBackend::kBase;
  ASSERT_TRUE(made->left_rest() && made->right_rest());
  EXPECT_EQ(*made->left_rest(), (MappedRange{begin, kPage * 3, {PhysicalId{1}, kPage, Backing::memory}}));
  EXPECT_EQ(*made->right_rest(),
            (MappedRange{begin + kPage * 5, kPage * 3, {PhysicalId{1}, kPage * 6, Backing::memory}}));
  auto whole = plan(**space, {'.', 0, 8});
  ASSERT_TRUE(whole);
  EXPECT_FALSE(whole->left_rest() || whole->right_rest());
}

}  // namespace
}  // namespace vaspace::test
