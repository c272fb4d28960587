// Every rule of the semantics has a test that names it: in the name of a test (`_R7`), or in a comment of a
// file that has tests. Another group of rules (V, C) is a line more in kRules.
#include <cstdio>
#include <gtest/gtest.h>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "house/source.hpp"

namespace vaspace::house {
namespace {

struct Group {
  char letter;
  int first, last;
};
constexpr Group kRules[] = {{'R', 1, 10}, {'T', 1, 3}, {'V', 1, 31}, {'C', 1, 18}};

std::vector<std::string> all_rules() {
  std::vector<std::string> rules;
  for (const Group& group : kRules)
    for (int number = group.first; number <= group.last; ++number)
      rules.push_back(group.letter + std::to_string(number));
  return rules;
}

// The names of the tests in a file, a line each; none where it has no test. A fuzz target is a test without a
// name.
std::string names_of_tests(const std::string& code) {
  static const std::regex test(
      "\\b(TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\\s*\\(([^()]*)"
      "|\\bLLVMFuzzerTestOneInput\\b");
  std::string names;
  for (auto it = std::sregex_iterator(code.begin(), code.end(), test); it != std::sregex_iterator(); ++it)
    names += (*it)[2].str() + "\n";
  return names;
}

// How often each rule is named. An underscore parts words, so that a name can end in _R1_R2.
std::map<std::string, int> rules_named(const std::string& text) {
  const Split split = split_comments(text);
  const std::string names = names_of_tests(split.code);
  std::map<std::string, int> named;
  if (names.empty()) return named;
  static const std::regex word("[A-Za-z0-9]+");
  const std::string all = names + split.comments;
  for (auto it = std::sregex_iterator(all.begin(), all.end(), word); it != std::sregex_iterator(); ++it)
    ++named[it->str()];
  return named;
}

TEST(Rules, AreReadFromNamesAndComments) {
  EXPECT_EQ(rules_named("TEST(A, Does_R1_R2) {}")["R1"], 1);
  EXPECT_EQ(rules_named("TEST(A, Does_R1_R2) {}")["R2"], 1);
  EXPECT_EQ(rules_named("RC_GTEST_PROP(A,\n Does_R3, ()) {}")["R3"], 1);
  EXPECT_EQ(rules_named("TYPED_TEST(A, R4_Does) {}\n// R7: and R8.\n")["R7"], 1);
  EXPECT_EQ(rules_named("// R5\nextern \"C\" int LLVMFuzzerTestOneInput();")["R5"], 1);
}

TEST(Rules, AreNotReadFromElsewhere) {
  EXPECT_EQ(rules_named("TEST(A, Does_R10) {}")["R1"], 0);
  EXPECT_EQ(rules_named("TEST(A, DoesR1) { int R1; use(\"R1\"); }")["R1"], 0);
  EXPECT_EQ(rules_named("// R1 in a header that tests nothing")["R1"], 0);
}

TEST(Rules, EachHasATest) {
  std::map<std::string, std::vector<std::string>> files_of;
  std::map<std::string, int> named;
  for (const SourceFile& file : read_sources({"tests"})) {
    if (file.path.rfind("tests/house/", 0) == 0) continue;  // it speaks of rules, and tests none
    // What a simulator enforces, the library has still to keep.
    const bool simulators = file.path.rfind("tests/simulators/", 0) == 0;
    for (const auto& [rule, times] : rules_named(file.text)) {
      if (simulators && (rule[0] == 'V' || rule[0] == 'C')) continue;
      named[rule] += times;
      files_of[rule].push_back(file.path);
    }
  }
  std::printf("rule  named  files  first\n");
  for (const std::string& rule : all_rules()) {
    const auto& files = files_of[rule];
    std::printf("%-4s  %5d  %5zu  %s\n", rule.c_str(), named[rule], files.size(),
                files.empty() ? "none" : files.front().c_str());
    EXPECT_FALSE(files.empty()) << rule << " is named by no test";
  }
}

}  // namespace
}  // namespace vaspace::house
