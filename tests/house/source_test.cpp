#include "house/source.hpp"

#include <gtest/gtest.h>
#include <string>

namespace vaspace::house {
namespace {

TEST(Source, CommentsAndQuotesAreTakenApart) {
  const std::string text = "int a;  // b\nx(\"// c\", '\"');  /* d\ne */ int f = 1'000;  // g\n";
  const Split split = split_comments(text);
  EXPECT_EQ(split.code, "int a;      \nx(\"    \", ' ');      \n     int f = 1'000;      \n");
  EXPECT_EQ(split.comments, "        // b\n                 /* d\ne */                 // g\n");
  EXPECT_EQ(split_comments("R\"(a // b)\" // c").code, "R         \"     ");
  EXPECT_EQ(split_comments("\"a\\\"b\" // c").code, "\"    \"     ");
  EXPECT_EQ(split_comments("/* open").comments, "/* open");
}

TEST(Source, LinesAreCountedFromOne) {
  EXPECT_EQ(line_of("a\nb", 0), 1U);
  EXPECT_EQ(line_of("a\nb", 2), 2U);
}

TEST(Source, ThisFileIsFound) {
  bool found = false;
  for (const SourceFile& file : read_sources({"tests/house", "no such folder"}))
    found = found || (file.path == "tests/house/source_test.cpp" &&
                      file.text.find("ThisFileIsFound") != std::string::npos);
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace vaspace::house
