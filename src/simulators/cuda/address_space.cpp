#include "address_space.hpp"

#include <algorithm>

#include "reports.hpp"

namespace vasim::cuda {
namespace {

constexpr std::size_t kFreedKept = 256;

// The last entry that begins at or before an address, or end().
template <class Map>
auto at_or_before(Map& map, std::uint64_t address) {
  auto at = map.upper_bound(address);
  return at == map.begin() ? map.end() : std::prev(at);
}

bool overlap(Range a, Range b) {
  return a.begin < b.begin + b.size && b.begin < a.begin + a.size;
}

std::string missing_access(const Region& region, int device) {
  const std::string whom = "device " + std::to_string(device);
  if (!region.accessed) return whom + " has no access: cuMemSetAccess was not called since the map";
  return whom + " has no access, others have";
}

void append(const Region& region, std::uint64_t from, std::uint64_t size, std::vector<Segment>& segments) {
  if (region.on_host()) {
    segments.push_back({reinterpret_cast<char*>(from), size});
    return;
  }
  std::uint64_t skip = from - region.begin;
  for (const Extent& extent : region.physical->extents()) {
    if (size == 0) return;
    if (skip >= extent.size) {
      skip -= extent.size;
      continue;
    }
    const std::uint64_t part = std::min(extent.size - skip, size);
    segments.push_back({region.physical->file().view() + extent.offset + skip, part});
    size -= part;
    skip = 0;
  }
}

}  // namespace

Reservation* AddressSpace::reservation_at(std::uint64_t address) {
  const auto at = at_or_before(reservations_, address);
  return at != reservations_.end() && address - at->first < at->second.range.size() ? &at->second : nullptr;
}

Region* AddressSpace::region_at(std::uint64_t address) {
  const auto at = at_or_before(regions_, address);
  return at != regions_.end() && address - at->first < at->second.size ? &at->second : nullptr;
}

Reservation* AddressSpace::reservation_around(std::uint64_t begin, std::uint64_t size) {
  Reservation* const found = reservation_at(begin);
  if (found == nullptr || size > found->range.size() - (begin - found->range.begin())) return nullptr;
  return found;
}

std::vector<Region*> AddressSpace::regions_in(std::uint64_t begin, std::uint64_t size) {
  std::vector<Region*> found;
  auto at = at_or_before(regions_, begin);
  if (at == regions_.end()) at = regions_.begin();
  for (; at != regions_.end() && (at->first < begin || at->first - begin < size); ++at)
    if (overlap({at->first, at->second.size}, {begin, size})) found.push_back(&at->second);
  return found;
}

void AddressSpace::add(Reservation reservation) {
  const std::uint64_t begin = reservation.range.begin();
  const std::uint64_t size = reservation.range.size();
  reservations_.emplace(begin, std::move(reservation));
  reserved_ += size;
  forget_freed(begin, size);
}

Region& AddressSpace::add(Region region) {
  const Range range{region.begin, region.size};
  Region& added = regions_.emplace(range.begin, std::move(region)).first->second;
  forget_freed(range.begin, range.size);
  return added;
}

void AddressSpace::remove_reservation(std::uint64_t begin) {
  const auto at = reservations_.find(begin);
  remember_freed(begin, at->second.range.size());
  reserved_ -= at->second.range.size();
  reservations_.erase(at);
}

void AddressSpace::remove_region(std::uint64_t begin) {
  const auto at = regions_.find(begin);
  // An unmapped range is still reserved, and host memory may be used by its owner: neither is a freed
  // address.
  if (at->second.kind != RegionKind::mapping && !at->second.on_host()) remember_freed(begin, at->second.size);
  regions_.erase(at);
}

bool AddressSpace::was_freed(std::uint64_t address) const {
  return std::any_of(freed_.begin(), freed_.end(),
                     [&](const Range& range) { return address - range.begin < range.size; });
}

void AddressSpace::remember_freed(std::uint64_t begin, std::uint64_t size) {
  if (freed_.size() == kFreedKept) freed_.pop_front();
  freed_.push_back({begin, size});
}

void AddressSpace::forget_freed(std::uint64_t begin, std::uint64_t size) {
  std::erase_if(freed_, [&](const Range& range) { return overlap(range, {begin, size}); });
}

bool AddressSpace::resolve(Range range, int device, bool writes, std::vector<Segment>& segments,
                           std::vector<std::shared_ptr<Physical>>& pins, Fault& fault) {
  while (range.size != 0) {
    const Region* const region = region_at(range.begin);
    if (region == nullptr) {
      const bool reserved = reservation_at(range.begin) != nullptr;
      fault = {range.begin, reserved ? "C9" : "freed-range",
               reserved ? "nothing is mapped there" : "no memory has this address"};
      return false;
    }
    const std::uint32_t allowed = writes ? region->writable : region->readable;
    if ((allowed >> static_cast<unsigned>(device) & 1U) == 0) {
      fault = {range.begin, region->accessed ? "C7" : "C5", missing_access(*region, device)};
      return false;
    }
    const std::uint64_t part = std::min(range.size, region->end() - range.begin);
    append(*region, range.begin, part, segments);
    if (region->physical != nullptr) pins.push_back(region->physical);
    range.begin += part;
    range.size -= part;
  }
  return true;
}

std::string region_text(const Region& region) {
  constexpr const char* kNames[] = {"mapping ", "allocation ", "pooled allocation ", "host allocation ",
                                    "registered host memory "};
  return kNames[static_cast<int>(region.kind)] + range_text(region.begin, region.size);
}

}  // namespace vasim::cuda
