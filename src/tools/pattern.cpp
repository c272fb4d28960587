#include "pattern.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace vaspace::tools {

namespace {

constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ULL;  // odd, so that 2^64 positions have as many words
constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::size_t kChunkWords = 512;

std::uint64_t word_at(std::uint64_t seed, std::size_t word) noexcept {
  return seed + kStep * word;
}

// Differs in no bit where the words are right. Without a branch, so that it becomes vector code.
std::uint64_t differences(const std::byte* at, std::size_t words, std::uint64_t first) noexcept {
  std::uint64_t different = 0;
  for (std::size_t i = 0; i < words; ++i) {
    std::uint64_t found = 0;
    std::memcpy(&found, at + i * kWord, kWord);
    different |= found ^ (first + kStep * i);
  }
  return different;
}

std::optional<std::size_t> first_difference(std::span<const std::byte> memory, std::uint64_t first) noexcept {
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const std::uint64_t word = word_at(first, i / kWord);
    std::array<std::byte, kWord> expected{};
    std::memcpy(expected.data(), &word, kWord);
    if (memory[i] != expected[i % kWord]) return i;
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t pattern_seed(std::uint64_t number) noexcept {
  std::uint64_t x = number * kStep + 0x632be59bd9b4e019ULL;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

void fill_pattern(std::span<std::byte> memory, std::uint64_t seed) noexcept {
  const std::size_t words = memory.size() / kWord;
  std::byte* at = memory.data();
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t word = word_at(seed, i);
    std::memcpy(at + i * kWord, &word, kWord);
  }
  const std::uint64_t last = word_at(seed, words);
  if (memory.size() % kWord != 0) std::memcpy(at + words * kWord, &last, memory.size() % kWord);
}

std::optional<std::size_t> find_damage(std::span<const std::byte> memory, std::uint64_t seed) noexcept {
  const std::size_t words = memory.size() / kWord;
  for (std::size_t word = 0; word < words; word += kChunkWords) {
    const std::size_t count = std::min(kChunkWords, words - word);
    const std::uint64_t first = word_at(seed, word);
    if (differences(memory.data() + word * kWord, count, first) == 0) continue;
    const auto within = first_difference(memory.subspan(word * kWord, count * kWord), first);
    return word * kWord + within.value_or(0);
  }
  const auto tail = first_difference(memory.subspan(words * kWord), word_at(seed, words));
  if (!tail) return std::nullopt;
  return words * kWord + *tail;
}

}  // namespace vaspace::tools
