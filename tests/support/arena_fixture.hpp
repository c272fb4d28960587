// A test per allocator and device.
#pragma once

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <tuple>

#include "support/arena_driver.hpp"

namespace vaspace::test {

using VaCase = std::tuple<Subject, Device>;

inline std::string name_of(const testing::TestParamInfo<VaCase>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param).name;
}

inline std::string name_of_subject(const testing::TestParamInfo<Subject>& info) {
  return info.param.name;
}

class VaTest : public testing::TestWithParam<VaCase> {
 protected:
  [[nodiscard]] static const Subject& subject() { return std::get<0>(GetParam()); }
  [[nodiscard]] static const Device& device() { return std::get<1>(GetParam()); }

  void open(StageConfig config = {}) { open_on(device(), config); }
  void open_on(const Device& on, StageConfig config = {}) {
    driver_.reset();
    stage_.emplace(subject(), on, config);
    const Result<void> opened = stage_->open();
    ASSERT_TRUE(opened) << to_string(opened.error().code);
    driver_.emplace(*stage_);
  }
  void TearDown() override {
    if (!stage_) return;
    stage_->close();
    EXPECT_EQ(stage_->left(), "");
  }

  [[nodiscard]] Va& va() { return stage_->va(); }
  [[nodiscard]] std::string apply(const VaOp& op) { return driver_->apply(op); }
  [[nodiscard]] std::string allocate(Bytes size, Alignment alignment = {}) {
    return driver_->apply({VaOpKind::allocate, size.value, alignment.log2()});
  }

  std::optional<Stage> stage_;
  std::optional<VaDriver> driver_;
};

}  // namespace vaspace::test
