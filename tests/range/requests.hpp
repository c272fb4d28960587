// What the tests of single allocators say often.
#pragma once

#include <cstdint>
#include <gtest/gtest.h>

#include "vaspace/base/result.hpp"
#include "vaspace/range/range.hpp"

namespace vaspace::test {

inline RangeRequest of(std::uint64_t size, std::uint64_t alignment = 1) {
  return {Bytes{size}, Alignment{alignment}};
}

template <class T>
ErrorCode error_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result.error().code;
}

}  // namespace vaspace::test
