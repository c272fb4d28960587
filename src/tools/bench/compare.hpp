// Two files of results, row by row: a change told from noise.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace vaspace::tools::bench {

// Least and greatest of a figure over the rounds of one run.
struct Extent {
  double min = 0;
  double max = 0;
};

enum class Move : std::uint8_t { none, down, up };
// `none` where the two overlap: one run could have been the other.
[[nodiscard]] Move move_of(Extent from, Extent to);

// A line per row that both have, then those that one has alone, then a summary. Throws Failed, naming the
// file, for what is no "vaspace.bench/1".
[[nodiscard]] std::string compare(const std::string& old_name, const nlohmann::json& old_results,
                                  const std::string& new_name, const nlohmann::json& new_results);

}  // namespace vaspace::tools::bench
