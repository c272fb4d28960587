// What the steps of a call share, here and in the layers above.
#pragma once

#include <cstdint>
#include <cuda.h>

#include "vaspace/base/result.hpp"

namespace vaspace::cuda {

inline constexpr std::uint64_t kForever = ~std::uint64_t{0};  // of Backend::wait()

[[nodiscard]] inline bool is_done(CUresult result) noexcept {
  return result == CUDA_SUCCESS;
}
template <class T>
[[nodiscard]] bool is_done(const Result<T>& result) noexcept {
  return result.has_value();
}

// A step that cannot be left out: what is refused is asked for again. The last answer.
template <class Step>
[[nodiscard]] auto insist(Step&& step) noexcept {
  constexpr int kTries = 8;
  auto answer = step();
  for (int tries = 1; !is_done(answer) && tries < kTries; ++tries)
    answer = step();
  return answer;
}

}  // namespace vaspace::cuda
