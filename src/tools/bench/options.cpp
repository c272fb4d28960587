#include "bench/options.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "bench/registry.hpp"
#include "failed.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr std::array<std::string_view, 13> kTables{
    "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "map", "cuda", "metadata", "size_classes", "scale"};

std::vector<std::string> words_of(const std::string& text, char between) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == between) {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

template <class Known>
std::vector<std::string> known_words(const char* option, const std::optional<std::string>& text,
                                     const Known& known) {
  if (!text) return {};
  std::vector<std::string> words = words_of(*text, ',');
  for (const std::string& word : words) {
    if (word.empty() || std::find(known.begin(), known.end(), word) == known.end())
      throw WrongUsage(fmt::format("{}: \"{}\" is none of {}", option, word, fmt::join(known, ", ")));
  }
  return words;
}

std::vector<std::string_view> names_of_subjects() {
  std::vector<std::string_view> names;
  for (const Subject& subject : single_subjects())
    names.emplace_back(subject.name);
  return names;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

bool Options::wants(const std::string& table) const {
  if (only.empty()) return !quick || table != "scale";
  return contains(only, table);
}

bool Options::wants_subject(const std::string& subject) const {
  return subjects.empty() || contains(subjects, subject);
}

Amount amount_of(bool quick) {
  if (quick) {
    return {.rounds = 3,
            .churn_operations = 50'000,
            .frames = 1'000,
            .pairs = 50'000,
            .tail_groups = 1,
            .seeds = 2,
            .placement_operations = 40'000,
            .size_class_rounds = 1,
            .scale_rounds = 2,
            .thorough = false};
  }
  return {.rounds = 15,
          .churn_operations = 1'000'000,
          .frames = 8'000,
          .pairs = 250'000,
          .tail_groups = 3,
          .seeds = 20,
          .placement_operations = 200'000,
          .size_class_rounds = 5,
          .scale_rounds = 5,
          .thorough = true};
}

void declare(CLI::App& command, Arguments& arguments) {
  command.add_flag("--quick", arguments.quick, "Less of everything: within a minute");
  command.add_option("--json", arguments.json, "Write the results to this file");
  command.add_option("--compare", arguments.compare, "Compare two files of results, and measure nothing")
      ->expected(2);
  command.add_option("--only", arguments.only, fmt::format("Some of {}", fmt::join(kTables, ",")));
  command.add_option("--subject", arguments.subject,
                     "Only these subjects, with a comma; limit_lifo is always one");
  command.add_option("--plot", arguments.plot, "Draw the results as SVG files in this folder");
  command.add_option("--from", arguments.from, "With --plot: draw this file of results, and measure nothing");
  command.add_option("--count-instructions", arguments.count,
                     "WORKLOAD/MODE/LIVE/SUBJECT: one pass of it within count_these(), for callgrind");
}

Options understand(const Arguments& arguments) {
  Options options;
  options.quick = arguments.quick;
  if (arguments.json && arguments.json->empty()) throw WrongUsage("--json: an empty name");
  const bool measures = arguments.quick || arguments.json || arguments.only || arguments.subject;
  options.json = arguments.json.value_or("");
  options.only = known_words("--only", arguments.only, kTables);
  options.subjects = known_words("--subject", arguments.subject, names_of_subjects());
  options.plot = arguments.plot.value_or("");
  options.drawn_file = arguments.from.value_or("");
  if (arguments.plot && arguments.plot->empty()) throw WrongUsage("--plot: an empty name");
  const bool compares = !arguments.compare.empty();
  if (arguments.count) options.count = words_of(*arguments.count, '/');
  if (arguments.count && (measures || arguments.plot || compares))
    throw WrongUsage("--count-instructions goes alone");
  if (arguments.from && (!arguments.plot || measures))
    throw WrongUsage("--from goes with --plot, and measures nothing");
  if (!compares) return options;
  if (measures || arguments.plot)
    throw WrongUsage("--compare measures nothing: no other option goes with it");
  options.old_file = arguments.compare[0];
  options.new_file = arguments.compare[1];
  return options;
}

}  // namespace vaspace::tools::bench
