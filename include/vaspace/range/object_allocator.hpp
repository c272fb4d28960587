// Ranges of any size and alignment: best fit by a radix tree ordered by size, coalescing by an
// address-ordered list.
//
//   span 0   |--a--|==hole==|--b--|--c--|====hole====|      nodes in address order, linked both ways; no link
//   span 1   |======================hole=============|      crosses a span's border
//
//   radix order by size:  (2, 6) < (4, 18) < (17, 32) ...   best fit: the first whose size is enough
//
// Always true: nodes tile their span: live ranges never overlap and never leave it (R1); live + free =
// capacity, and two neighbours are never both free (R2); a request that some hole can hold succeeds (R3), and
// takes the smallest such hole, at the lowest offset among equals, and of it the lowest part that is aligned
// (R4); a node's generation changes when its range is freed (R6).
//
// The unit is the granule: offsets, sizes and alignments are rounded up to it. allocate, release, try_extend
// and shrink visit at most a constant times key bits nodes for alignments up to the granule. Above that, the
// holes between size and size + alignment are looked at in order, in the worst case all of them; a caller may
// cap that (ObjectConfig::alignment_candidates), and only then R3 is relaxed. Externally synchronised.
#pragma once

#include <bit>
#include <cstdint>

#include "vaspace/range/hole_index.hpp"
#include "vaspace/range/node_pool.hpp"
#include "vaspace/range/probe.hpp"
#include "vaspace/range/range.hpp"
#include "vaspace/range/slab_allocator.hpp"

namespace vaspace {

struct ObjectConfig {
  // How much it begins with: the span at offset 0. 0: nothing, until add_span. A rest below a granule is left
  // out.
  Bytes capacity{};
  // The largest span; spans begin at multiples of this, rounded up to a power of two. 0: as `capacity`.
  Bytes window{};
  Alignment granule{256};
  // How many holes an allocation with an alignment above the granule may look at before it takes one that
  // holds it wherever it begins. 0: all.
  std::uint32_t alignment_candidates = 0;
  // Keep the index that find_at needs from the beginning, in place of building it when find_at is first
  // called.
  bool index_addresses = false;
  std::uint32_t identity = 0;  // 0: by the address of its host memory
  HostAllocator host = default_host_allocator();
};

// Two to a cache line, and none across two.
struct alignas(32) ObjectNode {
  std::uint32_t offset;  // in granules
  std::uint32_t size;    // in granules
  std::uint32_t generation;
  std::uint32_t state;  // a live range's slack: bytes handed out above what was asked for; or as below
  std::uint32_t next;   // in address order; 0 at a span's end
  std::uint32_t prev;
  RadixChildren children;  // in a tree of holes, or of live ranges by address

  static constexpr std::uint32_t kHole = ~std::uint32_t{0};
  static constexpr std::uint32_t kUnused = kHole - 1;
  static constexpr std::uint32_t kMaxSlack = kUnused - 1;
};
static_assert(sizeof(ObjectNode) == 32);

template <class Probe>
class BasicObjectAllocator {
 public:
  // Spans end below 2^32 granules.
  static constexpr std::uint64_t kMaxGranules = std::uint64_t{1} << 32U;

  // Errors: invalid_alignment (granule), invalid_configuration (a window below one granule or above
  // kMaxGranules, a capacity above the window), out_of_host_memory.
  [[nodiscard]] static Result<BasicObjectAllocator> create(const ObjectConfig& config) noexcept;

  BasicObjectAllocator(BasicObjectAllocator&&) noexcept = default;
  BasicObjectAllocator& operator=(BasicObjectAllocator&&) noexcept = default;
  BasicObjectAllocator(const BasicObjectAllocator&) = delete;
  BasicObjectAllocator& operator=(const BasicObjectAllocator&) = delete;
  ~BasicObjectAllocator() = default;

  // Errors: invalid_size, invalid_alignment, too_large (size or alignment above the largest span),
  // out_of_space, out_of_host_memory.
  [[nodiscard]] Result<Range> allocate(RangeRequest request) noexcept;
  // Neither fails for a live handle nor touches the host allocator. Errors: unknown_handle, stale_handle;
  // nothing has changed then.
  [[nodiscard]] Result<Freed> release(RangeId id) noexcept;
  [[nodiscard]] Result<void> try_free(RangeId id) noexcept;
  // The same for who keeps no more than the index of a live range, and knows that it is one: no other may be
  // given. Whether its span is empty now.
  [[nodiscard]] bool give(std::uint32_t index) noexcept;

  // Makes the range at least `size` long by taking from the hole behind it, or says out_of_space and changes
  // nothing. The range keeps its offset and id. Errors: as release; invalid_size; out_of_space.
  [[nodiscard]] Result<Range> try_extend(RangeId id, Bytes size) noexcept;
  // Gives back what lies beyond `size`. Errors: as release; invalid_size (0, or above the present size);
  // out_of_host_memory.
  [[nodiscard]] Result<Range> shrink(RangeId id, Bytes size) noexcept;

  // Errors as release.
  [[nodiscard]] Result<Range> find(RangeId id) const noexcept;
  // The live range that begins at `offset`. Errors: interior_address, unknown_address. O(key bits); the first
  // call builds an index over all live ranges, in place, and from then on every operation keeps it.
  [[nodiscard]] Result<Range> find_at(Offset offset) noexcept;
  // The live range that `offset` lies in. Errors: unknown_address. Cost: as find_at.
  [[nodiscard]] Result<Range> find_around(Offset offset) noexcept;
  // What was asked for, of a live range.
  [[nodiscard]] Bytes requested(RangeId id) const noexcept;

  [[nodiscard]] bool can_allocate(RangeRequest request) const noexcept;
  [[nodiscard]] Bytes largest_free() const noexcept;
  [[nodiscard]] RangeReport report() const noexcept;
  [[nodiscard]] const char* validate() const noexcept;

  // Another span of `capacity`, at the lowest window that is not in use; its begin. Errors: invalid_size
  // (below a granule), too_large (above the largest span; no window left below kMaxGranules),
  // out_of_host_memory. Up to 32 times in a life, when offsets need another bit, all holes are put in order
  // anew.
  [[nodiscard]] Result<Offset> add_span(Bytes capacity) noexcept;
  // All of the empty span that begins at `begin`, for a request of `requested` bytes. Errors: unknown_address
  // (no span begins there), wrong_state (something lives in it), invalid_size (0, above the span, or below it
  // by 2^32 and more).
  [[nodiscard]] Result<Range> take_span(Offset begin, Bytes requested) noexcept;
  // Errors: unknown_address (no span begins there), wrong_state (something lives in it).
  [[nodiscard]] Result<void> remove_span(Offset begin) noexcept;

  // `begin` is a span's.
  [[nodiscard]] bool span_empty(Offset begin) const noexcept {
    const Index head = spans_[begin.value >> (window_bits_ + granule_bits_)].head;
    return is_hole(head) && pool_[head].next == 0;
  }

  [[nodiscard]] Bytes granule() const noexcept { return Bytes{std::uint64_t{1} << granule_bits_}; }
  [[nodiscard]] Bytes window() const noexcept {
    return Bytes{std::uint64_t{1} << (window_bits_ + granule_bits_)};
  }
  [[nodiscard]] std::uint32_t live() const noexcept { return live_; }
  [[nodiscard]] const Probe& probe() const noexcept { return probe_; }
  // Node visits of one look-up in the hole index are at most this (R4's cost).
  [[nodiscard]] unsigned key_bits() const noexcept { return holes_.key_bits(); }

  // Calls visit(Range, Bytes requested) for every live range, in address order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for_each_node([&](std::uint32_t node) {
      if (is_live(pool_[node])) visit(range_of(node), requested_of(node));
    });
  }
  // Calls visit(Offset, Bytes) for every hole, in address order.
  template <class Visit>
  void for_each_hole(Visit&& visit) const {
    for_each_node([&](std::uint32_t node) {
      if (pool_[node].state == ObjectNode::kHole) visit(range_of(node).offset, range_of(node).size);
    });
  }

 private:
  using Node = ObjectNode;
  using Pool = NodePool<Node>;
  using Holes = HoleIndex<Pool, Probe>;
  using Index = std::uint32_t;

  struct Span {
    Index head = 0;  // its first node, which stays its first; 0: not in use
    std::uint32_t granules = 0;
  };
  // Where in which hole a request goes.
  struct Fit {
    Index hole = 0;
    std::uint32_t skip = 0;  // granules before it, for its alignment
  };
  // A request in granules.
  struct Need {
    std::uint32_t size = 0;
    std::uint32_t alignment = 1;
  };
  // Live ranges as the radix tree sees them: by address.
  struct AddressView;

  BasicObjectAllocator(const ObjectConfig& config, std::uint32_t identity) noexcept;

  [[nodiscard]] static bool is_live(const Node& node) noexcept { return node.state <= Node::kMaxSlack; }
  // Index 0 is live for ever, so that a span's ends need no question of their own.
  [[nodiscard]] bool is_hole(Index node) const noexcept { return pool_[node].state == Node::kHole; }
  [[nodiscard]] std::uint32_t holes() const noexcept { return pool_.size() - live_; }
  [[nodiscard]] Range range_of(Index node) const noexcept {
    const Node& n = pool_[node];
    return {Offset{std::uint64_t{n.offset} << granule_bits_}, Bytes{std::uint64_t{n.size} << granule_bits_},
            id_of(node, n.generation)};
  }
  // The same, of a node of which so much is known already.
  [[nodiscard]] Range range_of(Index node, std::uint32_t size) const noexcept {
    const Node& n = pool_[node];
    return {Offset{std::uint64_t{n.offset} << granule_bits_}, Bytes{std::uint64_t{size} << granule_bits_},
            id_of(node, n.generation)};
  }
  [[nodiscard]] Bytes requested_of(Index node) const noexcept {
    const Node& n = pool_[node];
    return Bytes{(std::uint64_t{n.size} << granule_bits_) - n.state};
  }
  template <class Visit>
  void for_each_node(Visit&& visit) const {
    for (const Span& span : spans_) {
      for (Index node = span.head; node != 0; node = pool_[node].next)
        visit(node);
    }
  }

  // In one piece: written in halves and read back whole, it would wait for the stores.
  [[nodiscard]] static RangeId id_of(Index node, std::uint32_t generation) noexcept {
    if constexpr (std::endian::native != std::endian::little) return {node, generation};
    return std::bit_cast<RangeId>(std::uint64_t{generation} << 32U | node);
  }
  // Whether any hole of the size will do: neither size nor alignment is out of bounds, nor the alignment
  // above the granule. (0 wraps around.)
  [[nodiscard]] bool is_plain(RangeRequest request) const noexcept {
    const std::uint64_t below = request.alignment.value - 1;
    return request.size.value - 1 < span_limit_.value &&
           ((below & request.alignment.value) | below >> granule_bits_) == 0;
  }
  [[nodiscard]] std::uint32_t granules_for(Bytes size) const noexcept {
    return static_cast<std::uint32_t>(((size.value - 1) >> granule_bits_) + 1);
  }
  [[nodiscard]] std::uint32_t slack_of(std::uint32_t granules, Bytes size) const noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{granules} << granule_bits_) - size.value);
  }
  [[nodiscard]] bool names_live(RangeId id) const noexcept {
    if (!pool_.knows(id.index)) return false;
    const Node& node = pool_[id.index];
    return node.generation == id.generation && is_live(node);
  }

  [[nodiscard]] Result<Need> need_of(RangeRequest request) const noexcept;
  [[nodiscard]] Fit best_fit(Need need) const noexcept;
  [[nodiscard]] Fit best_aligned_fit(Need need) const noexcept;
  [[nodiscard, gnu::noinline]] Result<Range> allocate_from_large(std::uint32_t size, Bytes asked) noexcept;
  [[nodiscard, gnu::noinline]] Result<Range> allocate_otherwise(RangeRequest request) noexcept;
  [[nodiscard]] bool prepare(std::uint32_t nodes) noexcept {
    return (pool_.has(nodes) && !holes_.wants_memory()) || ask_host(nodes);
  }
  [[nodiscard, gnu::noinline]] bool ask_host(std::uint32_t nodes) noexcept;
  void take_front(Index hole, std::uint32_t size) noexcept;
  [[gnu::noinline]] void leave_rest(Index node, std::uint32_t size) noexcept;
  [[nodiscard]] Index take_aligned(Fit fit, std::uint32_t size) noexcept;
  [[gnu::always_inline]] void make_live(Index node, std::uint32_t size, std::uint32_t slack) noexcept;
  [[gnu::always_inline]] Index give_back(Index node) noexcept;
  [[nodiscard, gnu::noinline]] Index absorb_neighbours(Index node) noexcept;
  [[nodiscard, gnu::noinline]] Result<void> refuse(RangeId id) const noexcept;
  [[nodiscard, gnu::noinline]] Error why_not_live(RangeId id) const noexcept;
  [[nodiscard]] Index split(Index node, std::uint32_t size) noexcept;
  void merge_with_next(Index node) noexcept;
  void add_hole(Index node) noexcept;
  void remove_hole(Index node) noexcept;
  void drop(Index node) noexcept;
  [[gnu::noinline]] void index_live(Index node) noexcept;
  [[gnu::noinline]] void unindex_live(Index node) noexcept;
  void build_address_index() noexcept;
  [[nodiscard]] Index span_head(Offset begin) const noexcept;
  [[nodiscard]] const char* validate_span(const Span& span, std::uint32_t at) const noexcept;
  [[nodiscard]] const char* validate_holes() const noexcept;
  [[nodiscard]] const char* validate_addresses() const noexcept;

  Bytes span_limit_;  // no span, so no request and no alignment, is larger
  unsigned granule_bits_;
  unsigned window_bits_;
  std::uint32_t alignment_candidates_;
  std::uint32_t live_ = 0;
  std::uint32_t first_gap_ = 0;  // no window below it is out of use
  std::uint64_t capacity_ = 0;   // in granules
  std::uint64_t used_ = 0;
  bool address_indexed_;
  unsigned address_bits_ = 1;  // offsets of live ranges are below 2^address_bits_
  Index address_root_ = 0;
  // Looking up changes neither, but the tree's views hand out references.
  mutable Pool pool_;
  mutable Probe probe_{};
  Holes holes_;
  HostArray<Span> spans_;
};

using ObjectAllocator = BasicObjectAllocator<NoProbe>;
extern template class BasicObjectAllocator<NoProbe>;
// For tests: counts node visits.
extern template class BasicObjectAllocator<VisitProbe>;

}  // namespace vaspace
