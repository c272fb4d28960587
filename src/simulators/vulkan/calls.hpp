// Every command of the driver as a number, for counts and failures, and its implementation's declaration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vulkan/vulkan_core.h>

namespace vasim {

enum class Call : std::uint16_t {
#define FUNCTION(name, scope, extension) name,
#define ALIAS(name, function, scope, extension)
#define OPAQUE(type) Create##type, Destroy##type,
#define ABSENT(name) name,
#include "functions.def"
  kEnd
};
constexpr std::size_t kCallCount = static_cast<std::size_t>(Call::kEnd);

// "vkAllocateMemory", or an alias of it.
std::optional<Call> call_named(std::string_view name);
const char* name_of(Call call);

namespace api {
#define FUNCTION(name, scope, extension) std::remove_pointer_t<PFN_vk##name> name;
#include "functions.def"
}  // namespace api

}  // namespace vasim
