// Which function stands behind a name, and who may ask for it.
#pragma once

#include <string_view>
#include <vulkan/vulkan_core.h>

#include "calls.hpp"

namespace vasim {

enum class Scope { Global, Instance, Physical, Device };

struct Command {
  std::string_view name;
  PFN_vkVoidFunction function;
  Scope scope;
  std::string_view extension;  // empty: core
  Call call;
};

// The command of that name, or null.
const Command* find_command(std::string_view name);

}  // namespace vasim
