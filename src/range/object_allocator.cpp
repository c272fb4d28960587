#include "vaspace/range/object_allocator.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

#include "vaspace/base/identity.hpp"

namespace vaspace {

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
  if (!allocator.spans_.reserve(1)) return fail(ErrorCode::out_of_host_memory);
  if (checked.identity == 0) {
    allocator.pool_ = Pool(checked.host, identity_of(allocator.spans_.data()));
  }
  if (checked.capacity != Bytes{}) {
    if (auto span = allocator.add_span(checked.capacity); !span) return fail(span.error());
  }
  return allocator;
}

// The way of nearly every allocation: a small size, and a hole of a small size for it. Written out in one
// place, because each step's result is the next step's address, and a call between them costs as much as a
// step.
template <class Probe>
auto BasicObjectAllocator<Probe>::allocate(RangeRequest request) noexcept -> Result<Range> {
  if (!is_plain(request)) [[unlikely]]
    return allocate_otherwise(request);
  const std::uint32_t size = granules_for(request.size);
  const std::uint32_t whole = holes_.exact_size_from(size);
  if (!Holes::is_exact(whole)) return allocate_from_large(size, request.size);
  if (!prepare(1)) [[unlikely]]
    return fail(ErrorCode::out_of_host_memory);
  const Index node = holes_.take_lowest(pool_, probe_, whole);
  if (whole != size) leave_rest(node, size);
  make_live(node, size, slack_of(size, request.size));
  return range_of(node, size);
}

// From a hole of a size that shares its bin with others.
template <class Probe>
auto BasicObjectAllocator<Probe>::allocate_from_large(std::uint32_t size, Bytes asked) noexcept
    -> Result<Range> {
  const Index node = holes_.best_fit(pool_, probe_, size);
  if (node == 0) return fail(ErrorCode::out_of_space);
  if (!prepare(1)) [[unlikely]]
    return fail(ErrorCode::out_of_host_memory);
  take_front(node, size);
  make_live(node, size, slack_of(size, asked));
  return range_of(node, size);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::need_of(RangeRequest request) const noexcept -> Result<Need> {
  if (request.size == Bytes{}) return fail(ErrorCode::invalid_size);
  if (!request.alignment.valid()) return fail(ErrorCode::invalid_alignment);
  if (request.size > span_limit_ || Bytes{request.alignment.value} > span_limit_) {
    return fail(ErrorCode::too_large);
  }
  const std::uint64_t alignment = std::max<std::uint64_t>(request.alignment.value >> granule_bits_, 1);
  return Need{granules_for(request.size), static_cast<std::uint32_t>(alignment)};
}

template <class Probe>
auto BasicObjectAllocator<Probe>::allocate_otherwise(RangeRequest request) noexcept -> Result<Range> {
  const Result<Need> need = need_of(request);
  if (!need) return fail(need.error());
  const Fit fit = best_fit(*need);
  if (fit.hole == 0) return fail(ErrorCode::out_of_space);
  if (!prepare(2)) return fail(ErrorCode::out_of_host_memory);
  Index node = fit.hole;
  if (fit.skip == 0) {
    take_front(node, need->size);
  } else {
    node = take_aligned(fit, need->size);
  }
  make_live(node, need->size, slack_of(need->size, request.size));
  return range_of(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::best_fit(Need need) const noexcept -> Fit {
  if (need.alignment > 1) return best_aligned_fit(need);
  return {holes_.best_fit(pool_, probe_, need.size), 0};
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

// Asks for all that an allocation may need. False: no host memory, nothing changed.
template <class Probe>
bool BasicObjectAllocator<Probe>::ask_host(std::uint32_t nodes) noexcept {
  if (holes_.wants_memory()) holes_.prepare(pool_);
  return pool_.prepare(nodes);
}

// Makes `hole` a range of `size` granules that is no hole, with what is left behind it as a hole of its own.
template <class Probe>
void BasicObjectAllocator<Probe>::take_front(Index hole, std::uint32_t size) noexcept {
  const std::uint32_t whole = pool_[hole].size;
  if (whole != size && holes_.could_replace(pool_, probe_, hole, whole - size)) {
    const Index rest = split(hole, size);
    pool_[rest].state = Node::kHole;
    holes_.replace(pool_, probe_, whole, rest);
    return;
  }
  remove_hole(hole);
  if (whole != size) leave_rest(hole, size);
}

// Cuts `node`, which was a hole and is in no tree, behind `size` granules, and makes the rest the hole.
template <class Probe>
void BasicObjectAllocator<Probe>::leave_rest(Index node, std::uint32_t size) noexcept {
  const Index rest = split(node, size);
  pool_[rest].state = Node::kHole;
  holes_.insert(pool_, probe_, rest);
}

// The same with `fit.skip` granules left before it.
template <class Probe>
auto BasicObjectAllocator<Probe>::take_aligned(Fit fit, std::uint32_t size) noexcept -> Index {
  remove_hole(fit.hole);
  const Index node = split(fit.hole, fit.skip);
  add_hole(fit.hole);
  if (pool_[node].size != size) add_hole(split(node, size));
  return node;
}

template <class Probe>
inline void BasicObjectAllocator<Probe>::make_live(Index node, std::uint32_t size,
                                                   std::uint32_t slack) noexcept {
  pool_[node].state = slack;
  ++live_;
  used_ += size;
  if (address_indexed_) [[unlikely]]
    index_live(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::release(RangeId id) noexcept -> Result<Freed> {
  if (!names_live(id)) [[unlikely]]
    return fail(why_not_live(id));
  const Range range = range_of(id.index);
  const Bytes asked = requested_of(id.index);
  const Node& hole = pool_[give_back(id.index)];
  return Freed{range.offset, range.size, asked, (hole.prev | hole.next) == 0};
}

template <class Probe>
auto BasicObjectAllocator<Probe>::try_free(RangeId id) noexcept -> Result<void> {
  if (!names_live(id)) [[unlikely]]
    return refuse(id);
  give_back(id.index);
  return {};
}

template <class Probe>
bool BasicObjectAllocator<Probe>::give(std::uint32_t index) noexcept {
  assert(pool_.knows(index) && is_live(pool_[index]));
  const Node& hole = pool_[give_back(index)];
  return (hole.prev | hole.next) == 0;
}

// A function of its own, so that try_free's other end returns constants.
template <class Probe>
auto BasicObjectAllocator<Probe>::refuse(RangeId id) const noexcept -> Result<void> {
  return fail(why_not_live(id));
}

// The hole that the range has become.
template <class Probe>
inline auto BasicObjectAllocator<Probe>::give_back(Index node) noexcept -> Index {
  if (address_indexed_) [[unlikely]]
    unindex_live(node);
  Node& given = pool_[node];
  ++given.generation;
  given.state = Node::kHole;
  --live_;
  used_ -= given.size;
  if (is_hole(given.next) || is_hole(given.prev)) node = absorb_neighbours(node);
  holes_.insert(pool_, probe_, node);
  return node;
}

// Merges `node` with the holes beside it; what they have become, which is in no tree.
template <class Probe>
auto BasicObjectAllocator<Probe>::absorb_neighbours(Index node) noexcept -> Index {
  if (const Index next = pool_[node].next; is_hole(next)) {
    remove_hole(next);
    merge_with_next(node);
  }
  if (const Index prev = pool_[node].prev; is_hole(prev)) {
    remove_hole(prev);
    merge_with_next(prev);
    node = prev;
  }
  return node;
}

template <class Probe>
Error BasicObjectAllocator<Probe>::why_not_live(RangeId id) const noexcept {
  if (!pool_.knows(id.index)) return {ErrorCode::unknown_handle};
  // Handed out before: a generation between the first and the present one.
  const std::uint32_t age = pool_[id.index].generation - id.generation;
  const std::uint32_t life = pool_[id.index].generation - pool_.first_generation();
  return {age != 0 && age <= life ? ErrorCode::stale_handle : ErrorCode::unknown_handle};
}

// Cuts `node`, which is in no tree, behind `size` granules; the new node has the rest. The pool is
// prepared.
template <class Probe>
auto BasicObjectAllocator<Probe>::split(Index node, std::uint32_t size) noexcept -> Index {
  const Index rest = pool_.acquire();
  Node& left = pool_[node];
  Node& right = pool_[rest];
  right.offset = left.offset + size;
  right.size = left.size - size;
  right.prev = node;
  right.next = left.next;
  pool_[right.next].prev = rest;
  left.size = size;
  left.next = rest;
  return rest;
}

// The next node is in no tree.
template <class Probe>
void BasicObjectAllocator<Probe>::merge_with_next(Index node) noexcept {
  Node& left = pool_[node];
  const Index gone = left.next;
  left.size += pool_[gone].size;
  left.next = pool_[gone].next;
  pool_[left.next].prev = node;
  drop(gone);
}

template <class Probe>
void BasicObjectAllocator<Probe>::add_hole(Index node) noexcept {
  pool_[node].state = Node::kHole;
  holes_.insert(pool_, probe_, node);
}

template <class Probe>
void BasicObjectAllocator<Probe>::remove_hole(Index node) noexcept {
  holes_.erase(pool_, probe_, node);
}

template <class Probe>
void BasicObjectAllocator<Probe>::drop(Index node) noexcept {
  pool_[node].state = Node::kUnused;
  pool_.release(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::try_extend(RangeId id, Bytes size) noexcept -> Result<Range> {
  if (!names_live(id)) return fail(why_not_live(id));
  const Result<Need> need = need_of({size, {}});
  if (!need)
    return fail(need.error().code == ErrorCode::too_large ? ErrorCode::out_of_space : need.error().code);
  const Index node = id.index;
  const std::uint32_t have = pool_[node].size;
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
  pool_[node].state = slack_of(std::max(have, need->size), asked);
  return range_of(node);
}

template <class Probe>
auto BasicObjectAllocator<Probe>::shrink(RangeId id, Bytes size) noexcept -> Result<Range> {
  if (!names_live(id)) return fail(why_not_live(id));
  const Index node = id.index;
  const Result<Need> need = need_of({size, {}});
  if (!need || need->size > pool_[node].size) return fail(ErrorCode::invalid_size);
  const std::uint32_t less = pool_[node].size - need->size;
  if (less != 0) {
    if (!prepare(1)) return fail(ErrorCode::out_of_host_memory);
    const Index next = pool_[node].next;
    const bool merges = is_hole(next);
    if (merges) remove_hole(next);
    const Index rest = split(node, need->size);
    if (merges) merge_with_next(rest);
    add_hole(rest);
    used_ -= less;
  }
  pool_[node].state = slack_of(need->size, size);
  return range_of(node);
}

}  // namespace vaspace

#include "object_allocator_addresses.hpp"
#include "object_allocator_check.hpp"
#include "object_allocator_spans.hpp"

namespace vaspace {

template class BasicObjectAllocator<NoProbe>;
template class BasicObjectAllocator<VisitProbe>;

}  // namespace vaspace
