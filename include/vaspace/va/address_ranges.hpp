// Which addresses of a space are handed out, and where the next range goes.
//
// Always true: ranges handed out lie in the space, are page-aligned and do not overlap; what is not handed
// out coalesces; giving back neither fails nor asks for host memory.
#pragma once

#include <cstdint>
#include <optional>

#include "vaspace/base/result.hpp"
#include "vaspace/device/free_space.hpp"
#include "vaspace/range/interval_map.hpp"

namespace vaspace {

struct AddressRequest {
  Bytes size{};                 // rounded up to pages
  Alignment alignment{};        // raised to the page
  std::optional<Address> at{};  // exactly there, or not at all
  // No multiple of this lies inside the range: a power of two, or 0 for whatever.
  Bytes boundary{};
};

struct AddressRange {
  Address address{};
  Bytes size{};

  [[nodiscard]] constexpr Address end() const noexcept { return address + size; }
  friend constexpr bool operator==(const AddressRange&, const AddressRange&) noexcept = default;
};

// Externally synchronised. Lowest address first. O(log n) where neither alignment nor boundary bites; else it
// may look at every hole of the size, a few times.
class AddressRanges {
 public:
  explicit AddressRanges(const HostAllocator& host) noexcept : holes_(host), taken_(host) {}

  // Once, before all else. False: no host memory.
  [[nodiscard]] bool open(AddressRange space, Bytes page) noexcept;

  // `occupied(address, size)`: the first address behind what is in the way there though nobody took it, or
  // nothing. Errors: invalid_size, invalid_alignment (of the alignment or the boundary), invalid_argument
  // (`at` breaks what else is asked), unknown_address (`at` leaves the space), too_large (for the space or
  // between two boundaries), out_of_space, out_of_host_memory.
  template <class Occupied>
  [[nodiscard]] Result<AddressRange> take(const AddressRequest& request, Occupied&& occupied) noexcept {
    Result<Wanted> wanted = check(request);
    if (!wanted) return fail(wanted.error());
    if (!holes_.reserve(1) || !taken_.prepare(1)) return fail(ErrorCode::out_of_host_memory);
    if (request.at) {
      if (occupied(*request.at, wanted->size)) return fail(ErrorCode::out_of_space);
      return take_at(*request.at, wanted->size);
    }
    for (std::uint64_t from = space_.address.value;;) {
      const std::optional<std::uint64_t> begin = lowest(*wanted, from);
      if (!begin) return fail(ErrorCode::out_of_space);
      const std::optional<Address> behind = occupied(Address{*begin}, wanted->size);
      if (!behind) return take_at(Address{*begin}, wanted->size);
      from = behind->value;
    }
  }
  // The range that begins exactly there goes back. Errors: unknown_address, interior_address.
  [[nodiscard]] Result<AddressRange> give(Address address) noexcept;
  // The one that holds the address. Errors: unknown_address.
  [[nodiscard]] Result<AddressRange> find(Address address) const noexcept;
  // The first that has some of the range. O(log n).
  [[nodiscard]] std::optional<AddressRange> first_in(AddressRange range) const noexcept;

  [[nodiscard]] std::size_t count() const noexcept { return taken_.size(); }
  [[nodiscard]] Bytes taken_bytes() const noexcept { return bytes_; }
  [[nodiscard]] const char* validate() const noexcept;

 private:
  struct Wanted {
    Bytes size{};
    Alignment alignment{};
    Bytes boundary{};
  };

  [[nodiscard]] Result<Wanted> check(const AddressRequest& request) const noexcept;
  [[nodiscard]] Result<AddressRange> take_at(Address address, Bytes size) noexcept;
  [[nodiscard]] std::optional<std::uint64_t> lowest(const Wanted& wanted, std::uint64_t from) noexcept;

  AddressRange space_{};
  Bytes page_{1};
  FreeSpace holes_;
  IntervalMap<std::uint64_t> taken_;  // the value is the range's begin, so that neighbours stay two
  Bytes bytes_{};
};

}  // namespace vaspace
