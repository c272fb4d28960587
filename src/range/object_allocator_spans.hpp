// Part of object_allocator.cpp: spans.
#pragma once

#include <algorithm>
#include <bit>

#include "vaspace/range/object_allocator.hpp"

namespace vaspace {

template <class Probe>
auto BasicObjectAllocator<Probe>::add_span(Bytes capacity) noexcept -> Result<Offset> {
  const std::uint64_t granules = capacity.value >> granule_bits_;
  if (granules == 0) return fail(ErrorCode::invalid_size);
  if (granules << granule_bits_ > span_limit_.value) return fail(ErrorCode::too_large);
  std::uint32_t at = first_gap_;
  while (at < spans_.size() && spans_[at].head != 0)
    ++at;
  const std::uint64_t begin = std::uint64_t{at} << window_bits_;
  if (begin + granules >= kMaxGranules) return fail(ErrorCode::too_large);
  if (at == spans_.size() && !spans_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  // The first span brings the bins: an arena that nobody uses has none.
  if (!holes_.create() || !pool_.prepare(1)) return fail(ErrorCode::out_of_host_memory);
  if (at == spans_.size()) spans_.push_back_reserved(Span{});
  if (const auto bits = static_cast<unsigned>(std::bit_width(begin + granules - 1)); bits > address_bits_) {
    address_bits_ = bits;
    if (address_indexed_) build_address_index();
  }
  const Index node = pool_.acquire();
  Node& hole = pool_[node];
  hole.offset = static_cast<std::uint32_t>(begin);
  hole.size = static_cast<std::uint32_t>(granules);
  hole.prev = hole.next = 0;
  spans_[at] = {node, hole.size};
  first_gap_ = at + 1;
  capacity_ += granules;
  add_hole(node);
  return range_of(node).offset;
}

// The first node of the span that begins at `begin`, or 0.
template <class Probe>
auto BasicObjectAllocator<Probe>::span_head(Offset begin) const noexcept -> Index {
  const std::uint64_t at = begin.value >> (window_bits_ + granule_bits_);
  if (at >= spans_.size()) return 0;
  const Index head = spans_[at].head;
  return head != 0 && range_of(head).offset == begin ? head : 0;
}

template <class Probe>
auto BasicObjectAllocator<Probe>::take_span(Offset begin, Bytes requested) noexcept -> Result<Range> {
  const Index node = span_head(begin);
  if (node == 0) return fail(ErrorCode::unknown_address);
  if (!span_empty(begin)) return fail(ErrorCode::wrong_state);
  const Bytes whole = range_of(node).size;
  if (requested == Bytes{} || requested > whole || (whole - requested).value > Node::kMaxSlack) {
    return fail(ErrorCode::invalid_size);
  }
  remove_hole(node);
  make_live(node, pool_[node].size, static_cast<std::uint32_t>((whole - requested).value));
  return range_of(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::remove_span(Offset begin) noexcept -> Result<void> {
  const Index node = span_head(begin);
  if (node == 0) return fail(ErrorCode::unknown_address);
  if (!span_empty(begin)) return fail(ErrorCode::wrong_state);
  const auto at = static_cast<std::uint32_t>(begin.value >> (window_bits_ + granule_bits_));
  remove_hole(node);
  drop(node);
  capacity_ -= spans_[at].granules;
  spans_[at] = {};
  first_gap_ = std::min(first_gap_, at);
  return {};
}

}  // namespace vaspace
