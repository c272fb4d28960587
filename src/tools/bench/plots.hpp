// Results as drawings.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace vaspace::tools::bench {

struct Plot {
  std::string file;  // its name
  std::string svg;
};

// Of a "vaspace.bench/1", what it has rows for: W8's time over what is live; the ratios to the limit of W1 to
// W5; time and metadata over what is live, and over reservations, of `scale`. Rows without the fields are
// left out.
[[nodiscard]] std::vector<Plot> plots_of(const nlohmann::json& results);

// Makes the folder where there is none. Throws Failed.
void prepare_folder(const std::string& folder);
// The paths that it wrote. Throws Failed.
std::vector<std::string> write_plots(const std::string& folder, const std::vector<Plot>& plots);

}  // namespace vaspace::tools::bench
