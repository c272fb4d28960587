// The range layer stands on structures of its own: no tree or hash table of the standard library, no virtual
// call.
#include <gtest/gtest.h>
#include <regex>
#include <string>
#include <vector>

#include "house/source.hpp"

namespace vaspace::house {
namespace {

std::vector<std::string> find_toys(const SourceFile& file) {
  static const std::regex toy(
      "\\bstd\\s*::\\s*(?:pmr\\s*::\\s*)?((?:multi)?(?:map|set)|unordered_\\w+|list|forward_list)\\b"
      "|#[ \\t]*include[ \\t]*<(map|set|unordered_map|unordered_set|list|forward_list)>"
      "|\\bvirtual\\b");
  const std::string code = split_comments(file.text).code;
  std::vector<std::string> found;
  for (auto it = std::sregex_iterator(code.begin(), code.end(), toy); it != std::sregex_iterator(); ++it) {
    const auto line = line_of(code, static_cast<std::size_t>(it->position()));
    found.push_back(file.path + ":" + std::to_string(line) + ": " + it->str());
  }
  return found;
}

TEST(Toys, AreSeen) {
  for (const char* const line :
       {"std::map<int, int> m;", "std::set<int> s;", "std :: multimap<int, int> m;", "std::multiset<int> s;",
        "std::unordered_map<int, int> m;", "std::unordered_multiset<int> s;", "std::pmr::map<int, int> m;",
        "#include <map>", "#include <unordered_set>", "virtual void f();", "std::list<int> l;"}) {
    const auto found = find_toys({"src/range/a.cpp", std::string("// a\n") + line + "\n"});
    ASSERT_EQ(found.size(), 1U) << line;
    EXPECT_EQ(found[0].rfind("src/range/a.cpp:2: ", 0), 0U) << found[0];
  }
}

TEST(Toys, WordsAboutThemAreNone) {
  for (const char* const line :
       {"// no virtual call, no std::map", "/* std::set */", "const char* s = \"std::map virtual\";",
        "bitmap.set(3);", "HierarchicalBitmap map;", "std::size_t set = 0;", "IntervalMap<int> map;",
        "#include \"vaspace/range/interval_map.hpp\"", "int virtual_size;"}) {
    EXPECT_EQ(find_toys({"src/range/a.cpp", line}), std::vector<std::string>{}) << line;
  }
}

TEST(Toys, TheRangeLayerHasNone) {
  const auto files = read_sources({"src/range", "include/vaspace/range"});
  EXPECT_GT(files.size(), 10U) << "the sources were not found";
  for (const SourceFile& file : files)
    for (const std::string& found : find_toys(file))
      ADD_FAILURE() << found;
}

}  // namespace
}  // namespace vaspace::house
