// What lies in an allocation, and on which pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>

#include "vaspace/arena/allocation.hpp"

namespace vaspace::test {

// Every byte of the first and last 4 KiB, and eight bytes of every 4 KiB between.
template <class Visit>
void visit_pattern(const Allocation& allocation, Visit&& visit) {
  constexpr std::uint64_t kEdge = 4096;
  auto* memory = reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(allocation.address.value));
  std::uint64_t state = allocation.address.value * 0x9e3779b97f4a7c15ULL ^ allocation.id.bits();
  const std::uint64_t size = allocation.size.value;
  for (std::uint64_t at = 0; at < size;) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::uint64_t length = size - at < 8 ? size - at : 8;
    visit(memory + at, state, static_cast<std::size_t>(length));
    const bool edge = at < kEdge || size - at <= 2 * kEdge;
    at += edge ? 8 : kEdge;
  }
}

inline void write_pattern(const Allocation& allocation) {
  visit_pattern(allocation, [](std::byte* at, std::uint64_t word, std::size_t length) {
    std::memcpy(at, &word, length);
  });
}

[[nodiscard]] inline bool holds_pattern(const Allocation& allocation) {
  bool same = true;
  visit_pattern(allocation, [&](const std::byte* at, std::uint64_t word, std::size_t length) {
    same = same && std::memcmp(at, &word, length) == 0;
  });
  return same;
}

// Pages of a size that live ranges touch, each counted once.
class TouchedPages {
 public:
  explicit TouchedPages(Bytes page) : page_(page) {}

  void add(Address begin, Bytes size) {
    each(begin, size, [&](std::uint64_t page) { ++touched_[page]; });
  }
  void remove(Address begin, Bytes size) {
    each(begin, size, [&](std::uint64_t page) {
      const auto at = touched_.find(page);
      if (--at->second == 0) touched_.erase(at);
    });
  }
  [[nodiscard]] Bytes bytes() const { return page_ * touched_.size(); }

 private:
  template <class Visit>
  void each(Address begin, Bytes size, Visit&& visit) const {
    if (page_ == Bytes{}) return;
    const std::uint64_t last = (begin.value + size.value - 1) / page_.value;
    for (std::uint64_t page = begin.value / page_.value; page <= last; ++page)
      visit(page);
  }

  Bytes page_;
  std::map<std::uint64_t, std::uint32_t> touched_;
};

}  // namespace vaspace::test
