#include "vaspace/trace/row.hpp"

#include <array>

namespace vaspace::trace {

namespace {

constexpr std::array<std::string_view, 3> kOps{"alloc", "free", "frame"};
constexpr std::array<std::string_view, 6> kKinds{"buffer", "image_linear", "image_optimal",
                                                 "memory", "present",      "submit"};

template <class Enum, std::size_t N>
std::optional<Enum> named(const std::array<std::string_view, N>& words, std::string_view word) noexcept {
  for (std::size_t i = 0; i < N; ++i) {
    if (words[i] == word) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Op op) noexcept {
  return kOps[static_cast<std::size_t>(op)];
}
std::string_view to_string(Kind kind) noexcept {
  return kKinds[static_cast<std::size_t>(kind)];
}
std::optional<Op> op_named(std::string_view word) noexcept {
  return named<Op>(kOps, word);
}
std::optional<Kind> kind_named(std::string_view word) noexcept {
  return named<Kind>(kKinds, word);
}

}  // namespace vaspace::trace
