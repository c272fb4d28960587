// A check that a model makes of what it models.
#pragma once

#include <stdexcept>
#include <string>

namespace vaspace::test {

// For what is called from a property and from a plain test alike: it throws, so that rapidcheck can shrink (a
// failed ASSERT_ would stay set) and GoogleTest reports it too.
inline void require(bool holds, const std::string& what = {}, int line = __builtin_LINE()) {
  if (!holds) throw std::logic_error("line " + std::to_string(line) + ": does not hold " + what);
}

}  // namespace vaspace::test
