// What a request takes of a stream's arena: whole granules, and of a slab all that a slot has. Requests that
// take the same are served by each other's blocks.
//
// Always true: a size rounds to itself or more, to what rounds to itself; all sizes of one slab round to the
// same. 0, and what is rounded beyond the largest number, come out as 0.
#pragma once

#include <array>
#include <span>

#include "vaspace/arena/size_class.hpp"

namespace vaspace::cuda {

class SlotSizes {
 public:
  static constexpr Alignment kGranule{256};

  SlotSizes() noexcept {
    for (std::size_t granules = 0; granules < slots_.size(); ++granules)
      slots_[granules] = static_cast<std::uint16_t>(granules);
  }
  // `classes` has been validated.
  explicit SlotSizes(std::span<const SizeClass> classes) noexcept : SlotSizes() {
    Bytes below{};
    for (const SizeClass& one : classes) {
      const std::uint64_t slot = one.max_size.value / kGranule.value;
      if (one.strategy == Strategy::slab)
        for (std::uint64_t granules = below.value / kGranule.value + 1; granules < slot; ++granules)
          slots_[granules] = static_cast<std::uint16_t>(slot);
      below = one.max_size;
    }
  }

  [[nodiscard]] Bytes round(Bytes asked) const noexcept {
    const std::uint64_t granules = (asked.value + kGranule.value - 1) / kGranule.value;
    return Bytes{(granules < slots_.size() ? slots_[granules] : granules) * kGranule.value};
  }

 private:
  static constexpr std::size_t kMostGranules = 256;  // of a slab's slot: 64 KiB

  std::array<std::uint16_t, kMostGranules + 1> slots_{};  // in granules, by granules
};

}  // namespace vaspace::cuda
