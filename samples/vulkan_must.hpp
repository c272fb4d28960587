// A sample ends at the first thing that goes wrong, with a word about what it was.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "vaspace/base/result.hpp"

[[noreturn]] inline void give_up(const vaspace::Error& error, const char* what) {
  throw std::runtime_error(std::string(what) + ": " + to_string(error.code) + " " +
                           std::to_string(error.native));
}

template <class T>
T must(vaspace::Result<T> result, const char* what) {
  if (!result) give_up(result.error(), what);
  return std::move(*result);
}

inline void must(const vaspace::Result<void>& result, const char* what) {
  if (!result) give_up(result.error(), what);
}
