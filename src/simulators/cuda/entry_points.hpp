// The driver's functions by name, as cuGetProcAddress gives them.
#pragma once

#include <string_view>

namespace vasim::cuda {

struct Found {
  void* function = nullptr;
  bool known = false;  // there is one of that name, in some version
};

// The newest that `version` (as in 12050) knows.
[[nodiscard]] Found find_entry_point(std::string_view name, int version, bool own_stream);

}  // namespace vasim::cuda
