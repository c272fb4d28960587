// What lies at which device address.
//
//   |---------------- reservation ----------------|      |- allocation -|      |- pinned host memory -|
//   |== mapping ==|== mapping ==|.................|
//
// Reservations never overlap, regions (mappings, allocations, pinned host memory) neither; a mapping lies in
// one reservation. Not synchronised.
#pragma once

#include <cstdint>
#include <cuda.h>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clock.hpp"
#include "device_memory.hpp"

namespace vasim::cuda {

enum class RegionKind { mapping, device, pooled, host, registered };

// The last work of one stream that touches a region.
struct Use {
  std::uint64_t number = 0;
  const char* work = "";
};

struct Region {
  RegionKind kind = RegionKind::device;
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
  std::shared_ptr<Physical> physical;  // none for host memory
  std::uint64_t handle = 0;            // of a mapping
  AddressRange range;                  // of an allocation: addresses of its own
  int device = 0;
  std::uint64_t context = 0;   // that owns it; 0 for mappings and pooled memory
  std::uint32_t readable = 0;  // a bit per device
  std::uint32_t writable = 0;
  bool accessed = false;  // access was granted at some time since the map
  unsigned host_flags = 0;
  std::shared_ptr<void> host_memory;  // of a host allocation
  std::uint64_t pool = 0;
  Point born;          // pooled: usable from here on in stream order
  bool freed = false;  // pooled: a free is on its way
  std::uint64_t buffer_id = 0;
  std::map<std::uint64_t, Use> uses;  // by stream

  [[nodiscard]] std::uint64_t end() const { return begin + size; }
  [[nodiscard]] bool on_host() const { return kind == RegionKind::host || kind == RegionKind::registered; }
};

struct Reservation {
  AddressRange range;
};

struct Range {
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
};

// A piece of memory as the simulator sees it.
struct Segment {
  char* data = nullptr;
  std::uint64_t size = 0;
};

// Why a device address could not be used.
struct Fault {
  std::uint64_t address = 0;
  const char* rule = "";
  std::string reason;
};

class AddressSpace {
 public:
  [[nodiscard]] Reservation* reservation_at(std::uint64_t address);
  [[nodiscard]] Region* region_at(std::uint64_t address);
  // Null unless the whole range lies in one reservation.
  [[nodiscard]] Reservation* reservation_around(std::uint64_t begin, std::uint64_t size);
  [[nodiscard]] bool known(std::uint64_t address) {
    return region_at(address) != nullptr || reservation_at(address) != nullptr;
  }
  // Whole or in part in the range, lowest address first.
  [[nodiscard]] std::vector<Region*> regions_in(std::uint64_t begin, std::uint64_t size);

  void add(Reservation reservation);
  Region& add(Region region);
  void remove_reservation(std::uint64_t begin);
  void remove_region(std::uint64_t begin);

  // The range was freed lately, and nothing was put there since.
  [[nodiscard]] bool was_freed(std::uint64_t address) const;

  // What a device reaches at an address. Appends to `segments` and keeps the memory alive through `pins`.
  [[nodiscard]] bool resolve(Range range, int device, bool writes, std::vector<Segment>& segments,
                             std::vector<std::shared_ptr<Physical>>& pins, Fault& fault);

  [[nodiscard]] std::map<std::uint64_t, Reservation>& reservations() { return reservations_; }
  [[nodiscard]] std::map<std::uint64_t, Region>& regions() { return regions_; }
  [[nodiscard]] std::uint64_t reserved() const { return reserved_; }

 private:
  void remember_freed(std::uint64_t begin, std::uint64_t size);
  void forget_freed(std::uint64_t begin, std::uint64_t size);

  std::map<std::uint64_t, Reservation> reservations_;
  std::map<std::uint64_t, Region> regions_;
  std::deque<Range> freed_;
  std::uint64_t reserved_ = 0;
};

// "mapping 0x7f00 + 0x100"
[[nodiscard]] std::string region_text(const Region& region);

}  // namespace vasim::cuda
