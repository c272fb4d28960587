// Which reservation an address lies in: a page-table-like radix tree over the upper 48 bits of addresses.
//
//   address   [ 12 bits | 12 bits | 12 bits | 12 bits | 16 bits inside ]
//                 v          v         v         v
//               root -->   node -->  node -->  node --> value        a large, aligned range ends higher up,
//               as a
//                            '--> value                              huge page does
//
// Always true: ranges do not overlap; find() looks at no more than kLevels nodes, whatever the number of
// ranges; a node that holds nothing is unused. insert may fail for host memory, and has then changed nothing;
// erase never does. Externally synchronised.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace {

class AddressTracker {
 public:
  static constexpr unsigned kLevels = 4;
  static constexpr unsigned kDigitBits = 12;
  static constexpr Bytes kUnit = 64_KiB;  // ranges begin and end at multiples of this
  static constexpr std::uint32_t kNone = 0;
  static constexpr std::uint32_t kMaxValue = (1U << 31U) - 1;

  explicit AddressTracker(const HostAllocator& host) noexcept : nodes_(host) {}
  AddressTracker(const AddressTracker&) = delete;
  AddressTracker& operator=(const AddressTracker&) = delete;
  ~AddressTracker();

  // `value` is in [1, kMaxValue]; the range is not empty and overlaps none. False: no host memory.
  [[nodiscard]] bool insert(Address begin, Bytes size, std::uint32_t value) noexcept;
  // A range as it was inserted.
  void erase(Address begin, Bytes size) noexcept;
  // The value of the range that contains `address`, or kNone.
  [[nodiscard]] std::uint32_t find(Address address) const noexcept;
  // Nodes that all calls of find looked at.
  [[nodiscard]] std::uint64_t visits() const noexcept { return visits_; }

 private:
  static constexpr std::uint32_t kDigits = 1U << kDigitBits;
  static constexpr std::uint32_t kValue = 1U << 31U;  // an entry with this bit ends the way

  struct Node {
    std::uint32_t used;  // entries that are not 0
    std::uint32_t entries[kDigits];
  };

  [[nodiscard]] std::uint32_t make_node() noexcept;
  void put(Node& node, std::uint32_t digit, std::uint32_t entry) noexcept;
  // Writes `entry` (0 erases) over [begin, end), in units; how far it got.
  std::uint64_t write(std::uint32_t node, unsigned level, std::uint64_t begin, std::uint64_t end,
                      std::uint32_t entry) noexcept;

  HostArray<Node*> nodes_;  // index 0: the root, made by the first insert
  std::uint32_t free_ = 0;  // first unused node, linked by entries[0]
  mutable std::uint64_t visits_ = 0;
};

}  // namespace vaspace
