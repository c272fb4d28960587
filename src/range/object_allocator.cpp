#include "vaspace/range/object_allocator.hpp"

#include <algorithm>
#include <bit>

#include "vaspace/base/identity.hpp"

namespace vaspace {

template <class Probe>
struct BasicObjectAllocator<Probe>::AddressView {
  Pool& pool;
  Probe& probe;
  unsigned shift;

  explicit AddressView(const BasicObjectAllocator& a) noexcept
      : pool(a.pool_), probe(a.probe_), shift(64 - a.holes_.offset_bits()) {}
  [[nodiscard]] std::uint64_t path(Index node) const noexcept {
    probe.visit();
    return std::uint64_t{pool[node].offset} << shift;
  }
  [[nodiscard]] Index& child(Index node, unsigned side) const noexcept { return pool[node].child[side]; }
};

template <class Probe>
BasicObjectAllocator<Probe>::BasicObjectAllocator(const ObjectConfig& config, std::uint32_t identity) noexcept
    : span_limit_(align_down(config.window, config.granule)),
      granule_bits_(config.granule.log2()),
      window_bits_(static_cast<unsigned>(std::bit_width((config.window.value >> config.granule.log2()) - 1))),
      alignment_candidates_(config.alignment_candidates),
      address_indexed_(config.index_addresses),
      pool_(config.host, identity),
      holes_(config.host),
      spans_(config.host) {}

template <class Probe>
auto BasicObjectAllocator<Probe>::create(const ObjectConfig& config) noexcept
    -> Result<BasicObjectAllocator> {
  ObjectConfig checked = config;
  if (!checked.granule.valid()) return fail(ErrorCode::invalid_alignment);
  if (checked.window == Bytes{}) checked.window = checked.capacity;
  const std::uint64_t granules = checked.window.value >> checked.granule.log2();
  if (granules == 0 || granules >= kMaxGranules || checked.capacity > checked.window ||
      checked.granule.value > Node::kMaxSlack) {
    return fail(ErrorCode::invalid_configuration);
  }
  BasicObjectAllocator allocator(checked, checked.identity);
  if (!allocator.spans_.reserve(1) || !allocator.holes_.create()) return fail(ErrorCode::out_of_host_memory);
  if (checked.identity == 0) {
    allocator.pool_ = Pool(checked.host, identity_of(allocator.spans_.data()));
  }
  if (checked.capacity != Bytes{}) {
    if (auto span = allocator.add_span(checked.capacity); !span) return fail(span.error());
  }
  return allocator;
}

template <class Probe>
auto BasicObjectAllocator<Probe>::need_of(RangeRequest request) const noexcept -> Result<Need> {
  if (request.size == Bytes{}) return fail(ErrorCode::invalid_size);
  if (!request.alignment.valid()) return fail(ErrorCode::invalid_alignment);
  if (request.size > span_limit_ || Bytes{request.alignment.value} > span_limit_) {
    return fail(ErrorCode::too_large);
  }
  const std::uint64_t size = align_up(request.size, Alignment{granule()}).value >> granule_bits_;
  const std::uint64_t alignment = std::max<std::uint64_t>(request.alignment.value >> granule_bits_, 1);
  return Need{static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(alignment)};
}

template <class Probe>
auto BasicObjectAllocator<Probe>::best_fit(Need need) const noexcept -> Fit {
  if (need.alignment > 1) return best_aligned_fit(need);
  return {holes_.lower_bound(pool_, probe_, need.size), 0};
}

// Holes in the order (size, offset), until one holds the request where its alignment puts it. A hole that is
// larger by alignment - 1 always does.
template <class Probe>
auto BasicObjectAllocator<Probe>::best_aligned_fit(Need need) const noexcept -> Fit {
  std::uint64_t size = need.size;
  std::uint64_t offset = 0;
  for (std::uint32_t looked_at = 0;; ++looked_at) {
    if (alignment_candidates_ != 0 && looked_at == alignment_candidates_) {
      size = std::max(size, std::uint64_t{need.size} + need.alignment - 1);
      offset = 0;
    }
    if (size >= kMaxGranules) return {};
    const Index hole = holes_.lower_bound(pool_, probe_, static_cast<std::uint32_t>(size), offset);
    if (hole == 0) return {};
    const Node& node = pool_[hole];
    const std::uint64_t begin = align_up(std::uint64_t{node.offset}, Alignment{need.alignment});
    if (begin + need.size <= std::uint64_t{node.offset} + node.size) {
      return {hole, static_cast<std::uint32_t>(begin - node.offset)};
    }
    size = node.size;
    offset = std::uint64_t{node.offset} + 1;
  }
}

template <class Probe>
void BasicObjectAllocator<Probe>::add_hole(Index node) noexcept {
  pool_[node].state = Node::kHole;
  ++hole_count_;
  holes_.insert(pool_, probe_, node);
}

template <class Probe>
void BasicObjectAllocator<Probe>::remove_hole(Index node) noexcept {
  --hole_count_;
  holes_.erase(pool_, probe_, node);
}

// Cuts `node`, which is in no tree, behind `size` granules; the new node has the rest. The pool is prepared.
template <class Probe>
auto BasicObjectAllocator<Probe>::split(Index node, std::uint32_t size) noexcept -> Index {
  const Index rest = pool_.acquire();
  Node& left = pool_[node];
  Node& right = pool_[rest];
  right.offset = left.offset + size;
  right.size = left.size - size;
  right.prev = node;
  right.next = left.next;
  if (right.next != 0) pool_[right.next].prev = rest;
  left.size = size;
  left.next = rest;
  return rest;
}

// The next node is in no tree.
template <class Probe>
void BasicObjectAllocator<Probe>::merge_with_next(Index node) noexcept {
  Node& left = pool_[node];
  const Index gone = left.next;
  Node& right = pool_[gone];
  left.size += right.size;
  left.next = right.next;
  if (left.next != 0) pool_[left.next].prev = node;
  right.state = Node::kUnused;
  pool_.release(gone);
}

template <class Probe>
void BasicObjectAllocator<Probe>::make_live(Index node, std::uint32_t slack) noexcept {
  pool_[node].state = slack;
  if (address_indexed_) {
    AddressView view(*this);
    RadixTree<AddressView>::insert(view, address_root_, node);
  }
}

template <class Probe>
void BasicObjectAllocator<Probe>::unindex_live(Index node) noexcept {
  if (!address_indexed_) return;
  AddressView view(*this);
  RadixTree<AddressView>::erase(view, address_root_, node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::allocate(RangeRequest request) noexcept -> Result<Range> {
  const Result<Need> need = need_of(request);
  if (!need) return fail(need.error());
  const Fit fit = best_fit(*need);
  if (fit.hole == 0) return fail(ErrorCode::out_of_space);
  if (!pool_.prepare(2)) return fail(ErrorCode::out_of_host_memory);
  remove_hole(fit.hole);
  Index node = fit.hole;
  if (fit.skip != 0) {
    node = split(fit.hole, fit.skip);
    add_hole(fit.hole);
  }
  if (pool_[node].size != need->size) add_hole(split(node, need->size));
  make_live(node,
            static_cast<std::uint32_t>((std::uint64_t{need->size} << granule_bits_) - request.size.value));
  ++live_;
  used_ += need->size;
  return range_of(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::live_node(RangeId id) const noexcept -> Result<Index> {
  if (!pool_.knows(id.index)) return fail(ErrorCode::unknown_handle);
  const Node& node = pool_[id.index];
  if (node.generation == id.generation && is_live(node)) return id.index;
  // Handed out before: a generation between the first and the present one.
  const std::uint32_t age = node.generation - id.generation;
  const std::uint32_t life = node.generation - pool_.first_generation();
  return fail(age != 0 && age <= life ? ErrorCode::stale_handle : ErrorCode::unknown_handle);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::release(RangeId id) noexcept -> Result<Freed> {
  const Result<Index> found = live_node(id);
  if (!found) return fail(found.error());
  Index node = *found;
  const Range range = range_of(node);
  const Bytes asked = requested_of(node);
  unindex_live(node);
  ++pool_[node].generation;
  --live_;
  used_ -= pool_[node].size;
  if (const Index next = pool_[node].next; is_hole(next)) {
    remove_hole(next);
    merge_with_next(node);
  }
  if (const Index prev = pool_[node].prev; is_hole(prev)) {
    remove_hole(prev);
    merge_with_next(prev);
    node = prev;
  }
  add_hole(node);
  return Freed{range.offset, range.size, asked, pool_[node].prev == 0 && pool_[node].next == 0};
}

template <class Probe>
auto BasicObjectAllocator<Probe>::try_free(RangeId id) noexcept -> Result<void> {
  const Result<Freed> freed = release(id);
  if (!freed) return fail(freed.error());
  return {};
}

template <class Probe>
auto BasicObjectAllocator<Probe>::try_extend(RangeId id, Bytes size) noexcept -> Result<Range> {
  const Result<Index> found = live_node(id);
  if (!found) return fail(found.error());
  const Result<Need> need = need_of({size, {}});
  if (!need)
    return fail(need.error().code == ErrorCode::too_large ? ErrorCode::out_of_space : need.error().code);
  const Index node = *found;
  const std::uint32_t have = pool_[node].size;
  const Bytes handed_out{std::uint64_t{std::max(have, need->size)} << granule_bits_};
  const Bytes asked = std::max(size, requested_of(node));
  if (need->size > have) {
    const Index next = pool_[node].next;
    const std::uint32_t more = need->size - have;
    if (!is_hole(next) || pool_[next].size < more) return fail(ErrorCode::out_of_space);
    remove_hole(next);
    if (pool_[next].size == more) {
      merge_with_next(node);
    } else {
      pool_[next].offset += more;
      pool_[next].size -= more;
      pool_[node].size += more;
      add_hole(next);
    }
    used_ += more;
  }
  pool_[node].state = static_cast<std::uint32_t>((handed_out - asked).value);
  return range_of(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::shrink(RangeId id, Bytes size) noexcept -> Result<Range> {
  const Result<Index> found = live_node(id);
  if (!found) return fail(found.error());
  const Index node = *found;
  const Result<Need> need = need_of({size, {}});
  if (!need || need->size > pool_[node].size) return fail(ErrorCode::invalid_size);
  const std::uint32_t less = pool_[node].size - need->size;
  if (less != 0) {
    if (!pool_.prepare(1)) return fail(ErrorCode::out_of_host_memory);
    const Index next = pool_[node].next;
    const Index rest = split(node, need->size);
    if (is_hole(next)) {
      remove_hole(next);
      merge_with_next(rest);
    }
    add_hole(rest);
    used_ -= less;
  }
  pool_[node].state = static_cast<std::uint32_t>((std::uint64_t{need->size} << granule_bits_) - size.value);
  return range_of(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::find(RangeId id) const noexcept -> Result<Range> {
  const Result<Index> node = live_node(id);
  if (!node) return fail(node.error());
  return range_of(*node);
}

template <class Probe>
Bytes BasicObjectAllocator<Probe>::requested(RangeId id) const noexcept {
  return requested_of(id.index);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::find_at(Offset offset) noexcept -> Result<Range> {
  if (!address_indexed_) build_address_index();
  const std::uint64_t granule_at = offset.value >> granule_bits_;
  if (granule_at >> holes_.offset_bits() != 0) return fail(ErrorCode::unknown_address);
  const AddressView view(*this);
  const Index node = RadixTree<AddressView>::at_or_before(view, address_root_, granule_at << view.shift);
  if (node == 0 || offset >= range_of(node).end()) return fail(ErrorCode::unknown_address);
  if (offset != range_of(node).offset) return fail(ErrorCode::interior_address);
  return range_of(node);
}

template <class Probe>
void BasicObjectAllocator<Probe>::build_address_index() noexcept {
  address_indexed_ = true;
  address_root_ = 0;
  AddressView view(*this);
  for_each_node([&](Index node) {
    if (is_live(pool_[node])) RadixTree<AddressView>::insert(view, address_root_, node);
  });
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
          .free_ranges = hole_count_};
}

// Paths have as many bits as offsets need: with more, trees would be deeper than they have to be.
template <class Probe>
void BasicObjectAllocator<Probe>::widen_offsets(std::uint64_t end) noexcept {
  const auto bits = static_cast<unsigned>(std::bit_width(end - 1));
  if (bits <= holes_.offset_bits()) return;
  holes_.reset(bits);
  for_each_node([&](Index node) {
    if (is_hole(node)) holes_.insert(pool_, probe_, node);
  });
  if (address_indexed_) build_address_index();
}

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
  if (!pool_.prepare(1)) return fail(ErrorCode::out_of_host_memory);
  if (at == spans_.size()) spans_.push_back_reserved(Span{});
  widen_offsets(begin + granules);
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

template <class Probe>
auto BasicObjectAllocator<Probe>::take_span(Offset begin, Bytes requested) noexcept -> Result<Range> {
  const std::uint64_t at = begin.value >> (window_bits_ + granule_bits_);
  if (at >= spans_.size() || spans_[at].head == 0 || range_of(spans_[at].head).offset != begin) {
    return fail(ErrorCode::unknown_address);
  }
  const Index node = spans_[at].head;
  if (!is_hole(node) || pool_[node].next != 0) return fail(ErrorCode::wrong_state);
  const Bytes whole = range_of(node).size;
  if (requested == Bytes{} || requested > whole || (whole - requested).value > Node::kMaxSlack) {
    return fail(ErrorCode::invalid_size);
  }
  remove_hole(node);
  make_live(node, static_cast<std::uint32_t>((whole - requested).value));
  ++live_;
  used_ += pool_[node].size;
  return range_of(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::remove_span(Offset begin) noexcept -> Result<void> {
  const std::uint64_t at = begin.value >> (window_bits_ + granule_bits_);
  if (at >= spans_.size() || spans_[at].head == 0 || range_of(spans_[at].head).offset != begin) {
    return fail(ErrorCode::unknown_address);
  }
  const Index node = spans_[at].head;
  if (!is_hole(node) || pool_[node].next != 0) return fail(ErrorCode::wrong_state);
  remove_hole(node);
  pool_[node].state = Node::kUnused;
  pool_.release(node);
  capacity_ -= spans_[at].granules;
  spans_[at] = {};
  first_gap_ = std::min(first_gap_, static_cast<std::uint32_t>(at));
  return {};
}

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

// Every hole and every live range is found in its tree, and there are not more in there.
template <class Probe>
const char* BasicObjectAllocator<Probe>::validate_trees() const noexcept {
  if (const char* wrong = holes_.validate(pool_, probe_); wrong != nullptr) return wrong;
  std::uint32_t in_order = 0;
  Index hole = holes_.lower_bound(pool_, probe_, 1);
  while (hole != 0) {
    if (!is_hole(hole)) return "the hole index has a node that is no hole";
    if (++in_order > hole_count_) break;
    hole = holes_.lower_bound(pool_, probe_, pool_[hole].size, std::uint64_t{pool_[hole].offset} + 1);
  }
  if (in_order != hole_count_) return "the hole index has not exactly the holes";
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
  std::uint32_t holes = 0;
  for_each_node([&](Index node) {
    const Node& n = pool_[node];
    if (is_live(n)) {
      used += n.size;
      ++live;
    } else {
      ++holes;
    }
  });
  if (capacity != capacity_ || used != used_) return "live + free is not the capacity";
  if (live != live_ || holes != hole_count_ || live + holes != pool_.size()) return "a node is lost";
  return validate_trees();
}

template class BasicObjectAllocator<NoProbe>;
template class BasicObjectAllocator<VisitProbe>;

}  // namespace vaspace
