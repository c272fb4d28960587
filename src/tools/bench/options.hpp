// What the command line of `vaspace bench` asks for, and how much work that is.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vaspace::tools::bench {

// The options as the words of the command line.
struct Arguments {
  bool quick = false;
  std::optional<std::string> json, only, subject, count, plot, from;
  std::vector<std::string> compare;
};

struct Options {
  bool quick = false;
  std::string json;                   // empty: none
  std::vector<std::string> only;      // workloads and tables; empty: all
  std::vector<std::string> subjects;  // empty: all; limit_lifo is always among them
  std::string old_file, new_file;     // to compare; empty: measure
  std::string plot;                   // a folder to draw into; empty: none
  std::string drawn_file;             // results to draw; empty: those that are measured
  std::vector<std::string> count;     // workload, mode, live, subject to count the instructions of

  // Unless it is named, not `scale` of a quick run.
  [[nodiscard]] bool wants(const std::string& table) const;
  [[nodiscard]] bool wants_subject(const std::string& subject) const;
};

// How much of everything.
struct Amount {
  unsigned rounds;
  std::uint32_t churn_operations;  // W4
  std::uint32_t frames;            // W5
  std::uint32_t pairs;             // W8, W6_cross, per pass
  unsigned tail_groups;            // of three passes, W5's single operations
  unsigned seeds;                  // W7
  std::uint32_t placement_operations;
  unsigned size_class_rounds;
  unsigned scale_rounds;
  bool thorough;  // gigabytes of committed pages, and the oracle with a million live
};
[[nodiscard]] Amount amount_of(bool quick);

// `arguments` must outlive the parsing.
void declare(CLI::App& command, Arguments& arguments);
// Throws WrongUsage.
[[nodiscard]] Options understand(const Arguments& arguments);

}  // namespace vaspace::tools::bench
