// What the environment variable VASIM_VULKAN says, as values: "key=value" joined by semicolons.
//
// A word that is not understood is an error that names it: a misspelt failure that never happens would make a
// test pass for nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <vulkan/vulkan_core.h>

namespace vasim {

// The nth call of a function fails, or each does with a probability.
struct FailureRule {
  std::string function;  // "vkAllocateMemory", or "*"
  std::uint64_t nth = 0;
  double probability = 0;
  VkResult result = VK_ERROR_UNKNOWN;
};

// "Another process" takes bytes of a heap from the nth vkAllocateMemory on, or some time after the start.
struct OtherUsage {
  std::uint32_t heap = 0;
  std::uint64_t bytes = 0;
  std::uint64_t at_allocation = 0;
  std::uint64_t after_ms = 0;
};

struct Settings {
  std::vector<std::string> profiles;  // names, paths of JSON files, or "all"
  std::uint64_t delay_us_low = 0, delay_us_high = 0;
  std::uint64_t seed = 1;
  std::vector<FailureRule> failures;
  std::vector<OtherUsage> other_usage;
  std::vector<std::string> ignored_rules;
  std::string log;  // a file that reports are appended to; standard error where empty
  bool abort_on_report = false;
  bool quiet = false;           // reports are counted only
  bool enforce_budget = false;  // V16: an allocation above the budget is reported
};

// The settings, or nothing and `error` says which word is wrong.
std::optional<Settings> parse_settings(std::string_view text, std::string& error);

// "VK_ERROR_OUT_OF_DEVICE_MEMORY" -> its value.
std::optional<VkResult> result_of(std::string_view name);

}  // namespace vasim
