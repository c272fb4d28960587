// An interval map against a value per point.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "vaspace/range/interval_map.hpp"

#include "support/require.hpp"

namespace vaspace::test {

// A piece of an object: it continues where the next piece of the same object follows.
struct Piece {
  std::uint32_t object = 0;
  std::uint64_t offset = 0;

  friend bool operator==(const Piece&, const Piece&) noexcept = default;
};
struct PieceTraits {
  static Piece advance(const Piece& piece, std::uint64_t n) noexcept {
    return {piece.object, piece.offset + n};
  }
  static bool continues(const Piece& left, std::uint64_t length, const Piece& right) noexcept {
    return right == advance(left, length);
  }
};

using SmallMap = IntervalMap<Piece, PieceTraits, 64>;  // 4 to a node: deep trees from few entries
using LargeMap = IntervalMap<Piece, PieceTraits>;

template <class Map>
std::vector<typename Map::Entry> entries_of(const Map& map) {
  std::vector<typename Map::Entry> entries;
  for (const auto& entry : map)
    entries.push_back(entry);
  return entries;
}

// The naive one: a value per point.
using PieceUnits = std::vector<std::optional<Piece>>;

struct PieceOp {
  std::uint64_t begin, end;
  std::optional<Piece> value;  // none: erase
};

inline void perform(PieceUnits& units, const PieceOp& op) {
  for (std::uint64_t i = op.begin; i < op.end; ++i) {
    units[i].reset();
    if (op.value) units[i] = PieceTraits::advance(*op.value, i - op.begin);
  }
}

template <class Map>
Result<void> perform(Map& map, const PieceOp& op) {
  return op.value ? map.assign(op.begin, op.end, *op.value) : map.erase(op.begin, op.end);
}

template <class Map>
void expect_same(const Map& map, const PieceUnits& units) {
  const char* wrong = map.validate();
  require(wrong == nullptr, wrong == nullptr ? "" : wrong);
  std::vector<typename Map::Entry> want;
  for (std::uint64_t i = 0; i < units.size(); ++i) {
    if (!units[i]) continue;
    const bool continues = !want.empty() && want.back().end == i &&
                           *units[i] == PieceTraits::advance(want.back().value, i - want.back().begin);
    if (continues) {
      want.back().end = i + 1;
    } else {
      want.push_back({i, i + 1, *units[i]});
    }
  }
  require(entries_of(map) == want, "the same intervals");
  require(map.size() == want.size() && map.empty() == want.empty(), "size");
}

template <class Map>
void expect_same_lookups(const Map& map, const PieceUnits& units) {
  const auto entries = entries_of(map);
  std::size_t next = 0;
  for (std::uint64_t i = 0; i <= units.size(); ++i) {
    while (next < entries.size() && entries[next].end <= i)
      ++next;
    const auto bound = map.lower_bound(i);
    require(next == entries.size() ? bound == map.end() : *bound == entries[next], "lower_bound");
    const Piece* want = i < units.size() && units[i] ? &*units[i] : nullptr;
    const auto value = map.at(i);
    require(value.has_value() == (want != nullptr) && (!value || *value == *want), "at");
    const auto found = map.find(i);
    require(found.has_value() == (want != nullptr) && (!found || *found == entries[next]), "find");
  }
}

// Runs of random operations that cluster, so that they cut, cover, touch and continue each other.
inline PieceOp random_op(std::mt19937_64& random, std::uint64_t units) {
  const std::uint64_t begin = random() % units;
  const std::uint64_t longest = random() % 8 == 0 ? units : 12;
  const std::uint64_t end = std::min(units, begin + 1 + random() % longest);
  switch (random() % 4) {
    case 0:
      return {begin, end, std::nullopt};
    case 1:
      return {begin, end, Piece{1, begin}};  // all of these continue each other
    default:
      return {begin, end, Piece{static_cast<std::uint32_t>(random() % 3), random() % 4}};
  }
}

}  // namespace vaspace::test
