// Address ranges that must not overlap: what checks allocations where there is no memory to write to.
//
// Always true: no two ranges kept share an address.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "vaspace/base/units.hpp"

namespace vaspace::tools {

class IntervalSet {
 public:
  // Keeps [begin, begin + size), unless it overlaps one that is kept or wraps: then that one's begin (its own
  // where it wraps). O(log n). size > 0.
  [[nodiscard]] std::optional<Address> insert(Address begin, Bytes size);
  // Whether exactly this range was kept; it is no longer. O(log n).
  [[nodiscard]] bool remove(Address begin, Bytes size);
  [[nodiscard]] std::size_t size() const noexcept { return ends_.size(); }

 private:
  std::map<Address, Address> ends_;  // by begin
};

}  // namespace vaspace::tools
