// What a page table knows of a page, and the pages that one thread has in hand.
//
// A page is
//     unbound --begin_bind--> binding --end_bind--> bound --detach--> unbinding --end_unbind--> unbound
// and in `binding` and `unbinding` it is in the hands of one thread, outside the owner's lock. Whoever needs
// it meanwhile waits; nobody else does (T2, DESIGN decision 8).
//
// Always true: an entry that equals PageEntry{} says what is true of every page that nobody has touched.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "vaspace/device/backend.hpp"

namespace vaspace {

struct PageEntry {
  static constexpr std::uint32_t kNoPage = ~std::uint32_t{0};
  static constexpr std::uint32_t kMostTouched = (1U << 28U) - 1;

  enum State : std::uint32_t { kUnbound, kBinding, kBound, kUnbinding };

  PhysicalId physical{};
  std::uint32_t next = kNoPage;  // in the queue of empty pages
  std::uint32_t touched : 28 = 0;
  std::uint32_t state : 2 = kUnbound;
  std::uint32_t queued : 1 = 0;
  std::uint32_t bind_failed : 1 = 0;  // since it was last bound, for those who waited

  friend bool operator==(const PageEntry&, const PageEntry&) noexcept = default;
};

// Pages in one thread's hands. Small enough for a stack, large enough that a driver call is worth it.
struct PageBatch {
  static constexpr std::uint32_t kCapacity = 64;

  std::uint32_t count = 0;
  std::array<std::uint32_t, kCapacity> pages{};
  std::array<Address, kCapacity> addresses{};
  std::array<PhysicalId, kCapacity> physical{};

  [[nodiscard]] bool empty() const noexcept { return count == 0; }
  [[nodiscard]] std::span<PhysicalId> physicals() noexcept { return {physical.data(), count}; }
};

}  // namespace vaspace
