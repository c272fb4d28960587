// The system calls that this backend makes, and nothing of its books.
//
// Always true: a call answers 0 or the errno that refused it; interrupted calls are tried again.
#pragma once

#include <cstdint>

#include "vaspace/device/backend.hpp"

namespace vaspace::cpu {

// Inaccessible, uncommitted addresses, from `hint` if they are free there. Errors: out_of_address_space.
[[nodiscard]] Result<Address> reserve_addresses(Bytes size, Alignment alignment, Address hint) noexcept;
[[nodiscard]] int release_addresses(Address address, Bytes size) noexcept;

// Where the kernel has no mapping left, it refuses a replacement even if that would need fewer. Who insists
// has the old mapping removed first, and takes the risk that the new one is refused then, or that another
// thread is given the addresses in between (which is noticed: EEXIST).
enum class Insist : bool { no, yes };

// All replace whatever is mapped there, in one step: another thread sees the old or the new.
[[nodiscard]] int map_file(Address address, Bytes size, int file, std::uint64_t offset, Access access,
                           Insist insist = Insist::no) noexcept;
[[nodiscard]] int map_nothing(Address address, Bytes size, Insist insist = Insist::no) noexcept;
// Reads give zeros, out of one page that the kernel has for everybody.
[[nodiscard]] int map_zeros(Address address, Bytes size, Insist insist = Insist::no) noexcept;
[[nodiscard]] int protect(Address address, Bytes size, Access access) noexcept;

// What a refused mapping is called.
[[nodiscard]] Error mapping_error(int refusal) noexcept;

[[nodiscard]] Bytes host_page() noexcept;
// vm.max_map_count, or its default where it cannot be read.
[[nodiscard]] std::uint64_t host_max_mappings() noexcept;
[[nodiscard]] std::uint64_t now_ns() noexcept;
void sleep_until_ns(std::uint64_t moment) noexcept;

[[nodiscard]] inline std::byte* pointer(Address address) noexcept {
  // Addresses are numbers above this backend. NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address.value));
}

}  // namespace vaspace::cpu
