// rapidcheck with a fixed seed, so that every run tests the same cases. RC_PARAMS in the environment wins,
// for example RC_PARAMS="seed=7 max_success=10000".
#pragma once

#include <cstdlib>
#include <rapidcheck/gtest.h>

#include "support/require.hpp"

namespace vaspace::test {

inline const bool kSeeded = setenv("RC_PARAMS", "seed=20240229 max_success=300 max_size=200", 0) == 0;

}  // namespace vaspace::test
