// rapidcheck with a fixed seed, so that every run tests the same cases. RC_PARAMS in the environment wins,
// for example RC_PARAMS="seed=7 max_success=10000".
#pragma once

#include <cstdlib>
#include <rapidcheck/gtest.h>
#include <stdexcept>
#include <string>

namespace vaspace::test {

inline const bool kSeeded = setenv("RC_PARAMS", "seed=20240229 max_success=300 max_size=200", 0) == 0;

// For what is called from a property and from a plain test alike: it throws, so that rapidcheck can shrink (a
// failed ASSERT_ would stay set) and GoogleTest reports it too.
inline void require(bool holds, const std::string& what = {}, int line = __builtin_LINE()) {
  if (!holds) throw std::logic_error("line " + std::to_string(line) + ": does not hold " + what);
}

}  // namespace vaspace::test
