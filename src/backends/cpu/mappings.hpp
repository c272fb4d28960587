// How many mappings the kernel keeps for what the books say.
//
//   addresses   |....|PPPP|QQ|....|RRRR|    P and Q lie side by side in one file: one mapping
//   mappings    |-1--|---2---|-3--|-4--|
//
// Always true: a reservation costs one mapping, and one more for each point inside it where the kernel cannot
// merge the sides: it merges holes with holes, null with null, and bindings of one file with neighbouring
// offsets and equal access.
#pragma once

#include <cstdint>

#include "vaspace/device/binding_table.hpp"

namespace vaspace::cpu {

// Points in [from, to] inside `reservation` where two mappings meet. O(k log n) for k bindings there.
[[nodiscard]] std::uint64_t meeting_points(const BindingTree& tree, const ReservationRecord& reservation,
                                           Address from, Address to) noexcept;

}  // namespace vaspace::cpu
