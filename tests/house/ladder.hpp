// Arrows point down only: which layer may include which.
//
//   capi tools samples umbrella    anything public
//   trace -> heap -> arena -> va -> device -> range -> base    each sees those after it
//   frontends/X                    as heap, with heap itself, backends/X and X's API
//   backends/X                     base, device and X's API
//   simulators/X                   X's API, and nothing of this library
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vaspace::house {

// What is wrong with the includes of the file at `path` (from the source folder), a line each:
// "src/range/a.cpp:3: range must not include vaspace/va/page_table.hpp". Empty where nothing is.
[[nodiscard]] std::vector<std::string> check_includes(std::string_view path, std::string_view text);

}  // namespace vaspace::house
