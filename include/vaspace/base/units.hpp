// Units that cannot be mixed up.
//
// Always true:
//  - Bytes is a length; Offset and Address are points. point + length = point, point - point = length;
//    point + point and a point of one kind with a point of the other do not compile.
//  - Arithmetic here is plain 64-bit arithmetic and may wrap; whoever takes a number from a caller checks it
//    first with the checked_* functions (R8).
#pragma once

#include <bit>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>

namespace vaspace {

// A length in bytes.
struct Bytes {
  std::uint64_t value = 0;

  constexpr Bytes() noexcept = default;
  constexpr explicit Bytes(std::uint64_t bytes) noexcept : value(bytes) {}

  friend constexpr auto operator<=>(Bytes, Bytes) noexcept = default;
  friend constexpr Bytes operator+(Bytes a, Bytes b) noexcept { return Bytes{a.value + b.value}; }
  friend constexpr Bytes operator-(Bytes a, Bytes b) noexcept { return Bytes{a.value - b.value}; }
  friend constexpr Bytes operator*(Bytes a, std::uint64_t times) noexcept { return Bytes{a.value * times}; }
  friend constexpr Bytes operator*(std::uint64_t times, Bytes a) noexcept { return a * times; }
  friend constexpr std::uint64_t operator/(Bytes a, Bytes b) noexcept { return a.value / b.value; }
  constexpr Bytes& operator+=(Bytes b) noexcept { return *this = *this + b; }
  constexpr Bytes& operator-=(Bytes b) noexcept { return *this = *this - b; }
};

// A point on an axis that Tag names.
template <class Tag>
struct Point {
  std::uint64_t value = 0;

  constexpr Point() noexcept = default;
  constexpr explicit Point(std::uint64_t at) noexcept : value(at) {}

  friend constexpr auto operator<=>(Point, Point) noexcept = default;
  friend constexpr Point operator+(Point p, Bytes n) noexcept { return Point{p.value + n.value}; }
  friend constexpr Point operator-(Point p, Bytes n) noexcept { return Point{p.value - n.value}; }
  friend constexpr Bytes operator-(Point a, Point b) noexcept { return Bytes{a.value - b.value}; }
  constexpr Point& operator+=(Bytes n) noexcept { return *this = *this + n; }
};

// A place inside one block, counted from its begin.
using Offset = Point<struct OffsetTag>;
// A place in a backend's address space: a pointer (CPU), a CUdeviceptr (CUDA), an address in a sparse buffer,
// or a synthetic one (plain Vulkan: memory object's slot * 2^40 + offset).
using Address = Point<struct AddressTag>;

// A power of two, in bytes. It is built from whatever a caller brings; who takes one asks valid() and answers
// ErrorCode::invalid_alignment (R8). 0 is not an alignment.
struct Alignment {
  std::uint64_t value = 1;

  constexpr Alignment() noexcept = default;
  constexpr explicit Alignment(std::uint64_t bytes) noexcept : value(bytes) {}
  constexpr explicit Alignment(Bytes bytes) noexcept : value(bytes.value) {}

  // Not has_single_bit: without a popcount instruction to compile for, that is a function call.
  [[nodiscard]] constexpr bool valid() const noexcept { return value != 0 && (value & (value - 1)) == 0; }
  [[nodiscard]] constexpr unsigned log2() const noexcept {
    return static_cast<unsigned>(std::countr_zero(value));
  }
  friend constexpr auto operator<=>(Alignment, Alignment) noexcept = default;
};

inline namespace literals {
constexpr Bytes operator""_B(unsigned long long n) noexcept {
  return Bytes{n};
}
constexpr Bytes operator""_KiB(unsigned long long n) noexcept {
  return Bytes{n << 10U};
}
constexpr Bytes operator""_MiB(unsigned long long n) noexcept {
  return Bytes{n << 20U};
}
constexpr Bytes operator""_GiB(unsigned long long n) noexcept {
  return Bytes{n << 30U};
}
constexpr Bytes operator""_TiB(unsigned long long n) noexcept {
  return Bytes{n << 40U};
}
}  // namespace literals

inline constexpr Bytes kMaxBytes{std::numeric_limits<std::uint64_t>::max()};

// `alignment` must be valid. Wraps at the 64-bit edge: see checked_align_up.
constexpr std::uint64_t align_up(std::uint64_t value, Alignment alignment) noexcept {
  return (value + alignment.value - 1) & ~(alignment.value - 1);
}
constexpr Bytes align_up(Bytes n, Alignment alignment) noexcept {
  return Bytes{align_up(n.value, alignment)};
}
template <class Tag>
constexpr Point<Tag> align_up(Point<Tag> p, Alignment alignment) noexcept {
  return Point<Tag>{align_up(p.value, alignment)};
}
constexpr std::uint64_t align_down(std::uint64_t value, Alignment alignment) noexcept {
  return value & ~(alignment.value - 1);
}
constexpr Bytes align_down(Bytes n, Alignment alignment) noexcept {
  return Bytes{align_down(n.value, alignment)};
}
template <class Tag>
constexpr Point<Tag> align_down(Point<Tag> p, Alignment alignment) noexcept {
  return Point<Tag>{align_down(p.value, alignment)};
}
constexpr bool is_aligned(std::uint64_t value, Alignment alignment) noexcept {
  return (value & (alignment.value - 1)) == 0;
}
constexpr bool is_aligned(Bytes n, Alignment alignment) noexcept {
  return is_aligned(n.value, alignment);
}
template <class Tag>
constexpr bool is_aligned(Point<Tag> p, Alignment alignment) noexcept {
  return is_aligned(p.value, alignment);
}

// The sum, or nothing where it would pass 2^64 - 1.
constexpr std::optional<Bytes> checked_add(Bytes a, Bytes b) noexcept {
  if (a.value > kMaxBytes.value - b.value) return std::nullopt;
  return a + b;
}
constexpr std::optional<Bytes> checked_align_up(Bytes n, Alignment alignment) noexcept {
  if (n.value > kMaxBytes.value - (alignment.value - 1)) return std::nullopt;
  return align_up(n, alignment);
}

}  // namespace vaspace
