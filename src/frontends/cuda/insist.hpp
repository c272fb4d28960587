// A step that cannot be left out: what is refused is asked for again.
#pragma once

namespace vaspace::cuda {

// The last answer.
template <class Step>
[[nodiscard]] auto insist_on(Step&& step) noexcept {
  constexpr int kTries = 8;
  auto done = step();
  for (int tries = 1; !done && tries < kTries; ++tries)
    done = step();
  return done;
}

}  // namespace vaspace::cuda
