// Part of object_allocator.cpp: looking ranges up.
#pragma once

#include "vaspace/range/object_allocator.hpp"

namespace vaspace {

// Live ranges as the radix tree sees them: by address.
template <class Probe>
struct BasicObjectAllocator<Probe>::AddressView {
  Pool& pool;
  Probe& probe;
  unsigned shift;

  explicit AddressView(const BasicObjectAllocator& a) noexcept
      : pool(a.pool_), probe(a.probe_), shift(64 - a.address_bits_) {}
  void visit() const noexcept { probe.visit(); }
  [[nodiscard]] std::uint64_t path(Index node) const noexcept {
    probe.visit();
    return std::uint64_t{pool[node].offset} << shift;
  }
  [[nodiscard]] RadixChildren& children(Index node) const noexcept { return pool[node].children; }
};

template <class Probe>
void BasicObjectAllocator<Probe>::index_live(Index node) noexcept {
  const AddressView view(*this);
  RadixTree<AddressView>::insert(view, address_root_, node, view.path(node));
}

template <class Probe>
void BasicObjectAllocator<Probe>::unindex_live(Index node) noexcept {
  const AddressView view(*this);
  RadixTree<AddressView>::erase(view, address_root_, node, view.path(node));
}

template <class Probe>
void BasicObjectAllocator<Probe>::build_address_index() noexcept {
  address_indexed_ = true;
  address_root_ = 0;
  for_each_node([&](Index node) {
    if (is_live(pool_[node])) index_live(node);
  });
}

template <class Probe>
auto BasicObjectAllocator<Probe>::find_around(Offset offset) noexcept -> Result<Range> {
  if (!address_indexed_) build_address_index();
  const std::uint64_t granule_at = offset.value >> granule_bits_;
  if (granule_at >> address_bits_ != 0) return fail(ErrorCode::unknown_address);
  const AddressView view(*this);
  const Index node = RadixTree<AddressView>::at_or_before(view, address_root_, granule_at << view.shift);
  if (node == 0 || offset >= range_of(node).end()) return fail(ErrorCode::unknown_address);
  return range_of(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::find_at(Offset offset) noexcept -> Result<Range> {
  const Result<Range> around = find_around(offset);
  if (around && offset != around->offset) return fail(ErrorCode::interior_address);
  return around;
}

template <class Probe>
auto BasicObjectAllocator<Probe>::find(RangeId id) const noexcept -> Result<Range> {
  if (!names_live(id)) return fail(why_not_live(id));
  return range_of(id.index);
}

template <class Probe>
Bytes BasicObjectAllocator<Probe>::requested(RangeId id) const noexcept {
  return requested_of(id.index);
}

template <class Probe>
bool BasicObjectAllocator<Probe>::can_allocate(RangeRequest request) const noexcept {
  const Result<Need> need = need_of(request);
  return need.has_value() && best_fit(*need).hole != 0;
}

template <class Probe>
Bytes BasicObjectAllocator<Probe>::largest_free() const noexcept {
  const Index hole = holes_.greatest(pool_, probe_);
  return hole == 0 ? Bytes{} : range_of(hole).size;
}

template <class Probe>
RangeReport BasicObjectAllocator<Probe>::report() const noexcept {
  return {.capacity = Bytes{capacity_ << granule_bits_},
          .used = Bytes{used_ << granule_bits_},
          .largest_free = largest_free(),
          .live = live_,
          .free_ranges = holes()};
}

}  // namespace vaspace
