// Part of object_allocator.cpp: validate().
#pragma once

#include "vaspace/range/object_allocator.hpp"

#include "object_allocator_addresses.hpp"

namespace vaspace {

template <class Probe>
const char* BasicObjectAllocator<Probe>::validate_span(const Span& span, std::uint32_t at) const noexcept {
  std::uint64_t expected = std::uint64_t{at} << window_bits_;
  const std::uint64_t end = expected + span.granules;
  Index before = 0;
  for (Index node = span.head; node != 0; before = node, node = pool_[node].next) {
    const Node& n = pool_[node];
    if (n.offset != expected || n.size == 0) return "nodes do not tile their span";
    if (n.prev != before) return "the address list's two directions disagree";
    if (n.state == Node::kUnused) return "an unused node is in the address list";
    if (is_hole(node) && is_hole(before)) return "two neighbours are both free";
    expected += n.size;
  }
  return expected == end ? nullptr : "nodes do not tile their span";
}

// Every hole is in the index, and nothing else is.
template <class Probe>
const char* BasicObjectAllocator<Probe>::validate_holes() const noexcept {
  if (const char* wrong = holes_.validate(pool_, probe_); wrong != nullptr) return wrong;
  std::uint32_t in_order = 0;
  Index hole = holes_.lower_bound(pool_, probe_, 1, 0);
  while (hole != 0) {
    if (!is_hole(hole)) return "the hole index has a node that is no hole";
    if (++in_order > holes()) break;
    hole = holes_.lower_bound(pool_, probe_, pool_[hole].size, std::uint64_t{pool_[hole].offset} + 1);
  }
  return in_order == holes() ? nullptr : "the hole index has not exactly the holes";
}

template <class Probe>
const char* BasicObjectAllocator<Probe>::validate_addresses() const noexcept {
  if (!address_indexed_) return nullptr;
  const AddressView view(*this);
  if (const char* wrong = RadixTree<AddressView>::validate(view, address_root_); wrong != nullptr)
    return wrong;
  const char* wrong = nullptr;
  for_each_node([&](Index node) {
    if (!is_live(pool_[node])) return;
    if (RadixTree<AddressView>::lower_bound(view, address_root_, view.path(node)) != node) {
      wrong = "a live range is not in the address index";
    }
  });
  return wrong;
}

template <class Probe>
const char* BasicObjectAllocator<Probe>::validate() const noexcept {
  std::uint64_t capacity = 0;
  for (std::uint32_t at = 0; at < spans_.size(); ++at) {
    if (spans_[at].head == 0) continue;
    if (const char* wrong = validate_span(spans_[at], at); wrong != nullptr) return wrong;
    capacity += spans_[at].granules;
  }
  std::uint64_t used = 0;
  std::uint32_t live = 0;
  std::uint32_t free = 0;
  for_each_node([&](Index node) {
    const Node& n = pool_[node];
    if (is_live(n)) {
      used += n.size;
      ++live;
    } else {
      ++free;
    }
  });
  if (capacity != capacity_ || used != used_) return "live + free is not the capacity";
  if (live != live_ || live + free != pool_.size()) return "a node is lost";
  if (const char* wrong = validate_holes(); wrong != nullptr) return wrong;
  return validate_addresses();
}

}  // namespace vaspace
