// Streams of operations for the VA allocators: the same from the same seed.
#pragma once

#include <random>

#include "support/arena_driver.hpp"

namespace vaspace::test {

// From 1 byte to 2^max_bits, each power of two as likely as the others.
[[nodiscard]] inline std::uint64_t log_uniform(std::mt19937_64& random, unsigned max_bits) {
  const std::uint64_t power = std::uint64_t{1} << (random() % (max_bits + 1));
  return power + random() % power;
}

[[nodiscard]] inline VaOp random_op(std::mt19937_64& random, unsigned max_bits) {
  const std::uint64_t roll = random() % 32;
  if (roll < 13) return {VaOpKind::allocate, log_uniform(random, max_bits), random() % 9};
  if (roll < 14) return {VaOpKind::allocate, log_uniform(random, max_bits), random() % 24};
  if (roll < 16) return {VaOpKind::allocate_named, log_uniform(random, max_bits), random() % 1000};
  if (roll < 25) return {VaOpKind::free, random(), random()};
  switch (roll) {
    case 25:
      return {VaOpKind::free_stale, random(), 0};
    case 26:
      return {VaOpKind::free_unknown, random() % 5000, random() % 100000};
    case 27:
      return {VaOpKind::free_interior, random(), random()};
    case 28:
      return {VaOpKind::flush};
    case 29:
      return {VaOpKind::find, random(), 0};
    default:
      return {VaOpKind::collect};
  }
}

}  // namespace vaspace::test
