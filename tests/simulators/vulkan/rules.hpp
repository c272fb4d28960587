// The frame of every rule's two programs: one that keeps it, under the validation layer, also on another
// driver; and one that breaks only it, which the simulated driver reports.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>

#include "driver_control.hpp"
#include "program.hpp"

namespace vasim::test {

// The layers are not built with a thread sanitizer, and what they do with threads of their own would be
// reported.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VASIM_NO_LAYERS
#endif
#elif defined(__SANITIZE_THREAD__)
#define VASIM_NO_LAYERS
#endif
#ifdef VASIM_NO_LAYERS
inline constexpr bool kLayers = false;
#else
inline constexpr bool kLayers = true;
#endif

class Rules : public testing::Test {
 protected:
  // A program that breaks nothing.
  Program& kept(const std::string& profile = "discrete_bar256", const std::string& settings = "") {
    Options options;
    options.profile = profile;
    options.settings = settings;
    options.validate = kLayers;
    return begin(options);
  }
  // A program that breaks this rule and no other.
  Program& broken(const std::string& rule, const std::string& profile = "discrete_bar256",
                  const std::string& settings = "") {
    expected_ = {rule};
    Options options;
    options.profile = profile;
    options.settings = settings;
    return begin(options);
  }
  Program& begin(const Options& options) {
    messages_ = validation_messages();
    program_ = std::make_unique<Program>(options);
    return *program_;
  }
  void TearDown() override {
    if (program_ == nullptr) return;
    program_.reset();
    EXPECT_EQ(validation_messages(), messages_);
    if (on_other_driver()) return;
    EXPECT_EQ(broken_rules(), expected_) << all_reports();
    EXPECT_EQ(control().live_objects(), 0U);
    EXPECT_EQ(control().memory_bytes(), 0U);
  }

  std::set<std::string> expected_;
  std::unique_ptr<Program> program_;

 private:
  int messages_ = 0;
};

// Ends a test where the driver under it has not what it needs. The simulated driver always has.
#define VASIM_NEEDS(what)                                     \
  do {                                                        \
    if (!(what)) {                                            \
      if (!on_other_driver()) FAIL() << "missing: " << #what; \
      GTEST_SKIP() << "this driver has not: " << #what;       \
    }                                                         \
  } while (false)

}  // namespace vasim::test
