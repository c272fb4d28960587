// The reservations that a backend has given out: found by handle, or by an address inside.
//
// Always true: reservations do not overlap; a handle names one reservation for ever (a slot and its
// generation), so that releasing twice and releasing what never was are told apart from releasing.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"
#include "vaspace/device/interval_treap.hpp"

namespace vaspace {

struct ReservationRecord {
  Address address{};
  Bytes size{};
  std::uint64_t last_use = 0;  // the timeline value at which all that was asked for in it is done
  std::uint64_t maps = 0;      // map() calls without their unmap()
  std::uint32_t memory_type = 0;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  std::uint32_t next_free = 0;
  bool live = false;

  [[nodiscard]] Address end() const noexcept { return address + size; }
};

// Externally synchronised. Pointers to records are valid until the next add(). O(log n) per call.
class ReservationTable {
 public:
  explicit ReservationTable(const HostAllocator& host) noexcept : records_(host), by_address_(host) {}

  // Room for one more. False: no host memory.
  [[nodiscard]] bool reserve_one() noexcept;
  // The caller has reserved the room.
  Reservation add(Address address, Bytes size, std::uint32_t memory_type) noexcept;
  void remove(const ReservationRecord& record) noexcept;

  // Exactly this one, as it was given out (C17), or null.
  [[nodiscard]] ReservationRecord* find(const Reservation& reservation) noexcept;
  // The one that holds all of [address, address + size), or null.
  [[nodiscard]] ReservationRecord* holding(Address address, Bytes size) noexcept;
  [[nodiscard]] std::size_t count() const noexcept { return by_address_.size(); }
  // Live and dead ones.
  [[nodiscard]] std::span<const ReservationRecord> records() const noexcept { return records_.span(); }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  HostArray<ReservationRecord> records_;
  IntervalTreap<std::uint32_t> by_address_;
  std::uint32_t free_ = kNone;
};

}  // namespace vaspace
