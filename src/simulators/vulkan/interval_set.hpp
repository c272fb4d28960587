// A set of bytes as disjoint ranges that do not touch.
#pragma once

#include <cstdint>
#include <map>

namespace vasim {

class IntervalSet {
 public:
  void add(std::uint64_t begin, std::uint64_t end);
  void remove(std::uint64_t begin, std::uint64_t end);
  // How many bytes of the range are in the set.
  [[nodiscard]] std::uint64_t covered(std::uint64_t begin, std::uint64_t end) const;

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // begin -> end
};

}  // namespace vasim
