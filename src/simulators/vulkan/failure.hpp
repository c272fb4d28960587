// Which calls fail on demand: the nth of a function, or a share of all, and what the "other process" holds.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <random>
#include <string_view>

#include "calls.hpp"
#include "settings.hpp"

namespace vasim {

class Failures {
 public:
  // Forgets all plans and counts and takes those of the settings; false where one names no function.
  bool configure(const Settings& settings);
  bool add(const FailureRule& rule, std::uint64_t seed);
  void clear();

  // Counts a call, and says with what it is to fail; VK_SUCCESS otherwise. "*" means commands of a device
  // alone: loaders are known to crash where an enumeration fails.
  enum class Failing { Never, ByName, ByNameOrAny };
  VkResult begin(Call call, Failing failing);

  [[nodiscard]] std::uint64_t calls(Call call) const { return counts_[static_cast<std::size_t>(call)]; }
  [[nodiscard]] std::uint64_t injected() const { return injected_; }

 private:
  struct Plan {
    bool any = false;
    Call call{};
    std::uint64_t left = 0;  // calls until it fails; 0: by probability
    double probability = 0;
    std::mt19937_64 random;
    VkResult result = VK_SUCCESS;
  };

  static bool strikes(Plan& plan);

  std::mutex mutex_;
  std::list<Plan> plans_;
  std::atomic<bool> planned_{false};  // the common case looks at no lock
  std::atomic<std::uint64_t> injected_{0};
  std::atomic<std::uint64_t> counts_[kCallCount] = {};
};

}  // namespace vasim
