// Why an acquire would fail and what would help: dry runs of the bookkeeping that would be done.
#include <algorithm>

#include "paged_space_inl.hpp"

namespace vaspace {

// What binding the range would take: pages that are missing, and those that are shared and in the way.
// Trimming unbinds what is empty of the range itself; compaction may leave every page of it unbound or
// shared.
Bytes PagedSpace::needed(const Span& span, After after) const noexcept {
  Bytes sum{};
  each_page(span, [&](std::uint32_t index, std::uint32_t, std::uint32_t) {
    bool lacks = after == After::compaction || !books_.touched(index) || books_.page(index).frame == kNone;
    if (!lacks) {
      const std::uint32_t frame = books_.page(index).frame;
      lacks = shares_cells(index, span) || (after == After::trim && books_.frame(frame).live_pages == 0);
    }
    if (lacks) sum += small_;
  });
  return sum;
}

// What the page's frame has live goes into the lists, as a pass would find it. False: no host memory.
bool PagedSpace::add_source(std::uint32_t page, DryRun& run) const noexcept {
  const PageBooks::Page& of = books_.page(page);
  const PageBooks::Frame& frame = books_.frame(of.frame);
  const bool alone = frame.large || frame.live_pages == 1;  // trim(0) has unbound the others
  const std::size_t begin = run.masks.size();
  if (!run.masks.reserve_more(books_.words()) || !run.sources.reserve_more(1)) return false;
  for (const std::uint64_t word : books_.mask(page))
    run.masks.push_back_reserved(word);
  for (std::uint32_t at = alone ? kNone : frame.first; at != kNone; at = books_.page(at).next)
    for (std::uint32_t i = 0; i < books_.words(); ++i)
      run.masks[begin + i] |= books_.mask(at)[i];
  std::uint32_t& head = run.heads[mesh_level(of.live, books_.cells())];
  run.sources.push_back_reserved({head, alone});
  head = static_cast<std::uint32_t>(run.sources.size() - 1);
  return true;
}

// What would stay behind large pages; what would be behind small ones goes into the lists, one page of each
// frame. `room`: what the heap has for pages that are copied before the large one goes; a block for which it
// is not enough is left halfway. False: no host memory.
bool PagedSpace::demoted(DryRun& run, Bytes room) const noexcept {
  for (std::uint32_t block = 0; block < books_.blocks(); ++block) {
    const std::uint32_t first = block * books_.pages_per_block();
    if (!books_.touched(first)) continue;
    bool goes = can_demote_ && worth_demoting(block);
    bool any_large = false;
    bool stays_large = false;
    for (std::uint32_t i = first; i < first + books_.pages_per_block(); ++i) {
      const PageBooks::Page& page = books_.page(i);
      if (page.frame == kNone || page.live == 0) continue;
      const PageBooks::Frame& frame = books_.frame(page.frame);
      if (!frame.large && !books_.stands_for_frame(i)) continue;
      if (frame.large) {
        any_large = true;
        goes = goes && room >= small_;
        stays_large = stays_large || !goes;
        if (!goes) continue;
        room -= small_;
      }
      if (!add_source(i, run)) return false;
    }
    if (stays_large) run.large += large_;
    if (any_large && !stays_large && room <= kMaxBytes - large_) room += large_;
  }
  return true;
}

// Puts it where a pass would: in with another, or in a bin of its own. False: no host memory.
bool PagedSpace::pack(std::uint32_t source, DryRun& run) const noexcept {
  const CellMask mask = run.masks.span().subspan(std::size_t{source} * books_.words(), books_.words());
  const std::uint32_t live = count_cells(mask);
  const bool may_join = run.sources[source].alone && can_mesh_;
  const std::uint32_t bin = may_join ? run.packer.find(mask, live, config_.mesh_probes) : MeshPacker::kNone;
  if (bin != MeshPacker::kNone) {
    run.packer.add(bin, mask, live);
    return true;
  }
  if (!run.packer.reserve()) return false;
  (void)run.packer.open(mask, live, 0);
  return true;
}

// Physical memory held after trim(0), a whole pass of compaction, and trim(0). Without the lock. Errors:
// out_of_host_memory.
Result<Bytes> PagedSpace::compacted(DryRun& run) const noexcept {
  for (std::uint32_t level = kMeshLevels + 1; level-- > 0;)
    for (std::uint32_t at = run.heads[level]; at != kNone; at = run.sources[at].next)
      if (!pack(at, run)) return fail(ErrorCode::out_of_host_memory);
  return run.large + small_ * run.packer.bins();
}

Result<Shortfall> PagedSpace::explain(Address address, Bytes size) const noexcept {
  const Result<Span> span = span_of(address, size);
  if (!span) return fail(span.error());
  Shortfall shortfall;
  Bytes held_now{};
  Bytes trimmed{};
  Bytes compact{};
  Bytes limit{};
  Bytes lacks{};
  const std::optional<Bytes> room = room_of(config_.memory_type);
  DryRun run(books_.words(), config_.host);
  if (!run.heads.resize(kMeshLevels + 1, kNone)) return fail(ErrorCode::out_of_host_memory);
  {
    const Lock lock(mutex_);
    if (any_live(*span)) return fail(ErrorCode::wrong_state);
    held_now = held();
    shortfall.from_trim = empty_bytes_ + pooled();
    const bool known = room && *room <= kMaxBytes - held_now;
    if (!demoted(run, known ? *room + shortfall.from_trim : kMaxBytes))
      return fail(ErrorCode::out_of_host_memory);
    limit = known ? std::min(budget_, held_now + *room) : budget_;
    shortfall.needed = needed(*span, After::now);
    shortfall.budget = budget_;
    shortfall.available = limit > held_now ? limit - held_now : Bytes{};
    lacks = shortfall.needed - std::min(shortfall.needed, small_ * small_pool_.pooled());
    trimmed = needed(*span, After::trim);
    compact = needed(*span, After::compaction);
  }
  const Result<Bytes> dense = compacted(run);
  if (!dense) return fail(dense.error());
  shortfall.from_compaction = held_now > *dense ? held_now - *dense : Bytes{};
  const auto fits = [&](Bytes given_back, Bytes wanted) noexcept {
    return held_now - given_back + wanted <= limit;
  };
  const bool trim_fits = fits(shortfall.from_trim, trimmed);
  shortfall.fits = fits(Bytes{}, lacks) || (config_.trim_under_pressure && trim_fits);
  if (shortfall.fits) return shortfall;
  shortfall.trim_helps = trim_fits;
  shortfall.compaction_helps = fits(shortfall.from_compaction, compact);
  find_memory(held_now + shortfall.needed, shortfall);
  return shortfall;
}

// What the heap has left, by its own word.
std::optional<Bytes> PagedSpace::room_of(std::uint32_t type) const noexcept {
  const Result<Budget> budget = backend_.budget(backend_.profile().memory_types[type].heap);
  if (!budget) return std::nullopt;
  return budget->budget > budget->usage ? budget->budget - budget->usage : Bytes{};
}

// What a larger budget could be, and another type that pages can be of, whose heap has so much left: it may
// be the same heap, for the budget is the space's own.
void PagedSpace::find_memory(Bytes wanted, Shortfall& shortfall) const noexcept {
  const DeviceProfile& profile = backend_.profile();
  const auto room = [&](std::uint32_t type) noexcept { return room_of(type).value_or(Bytes{}); };
  if (room(config_.memory_type) >= shortfall.needed) shortfall.budget_that_helps = wanted;
  for (std::uint32_t type = 0; type < profile.memory_type_count && !shortfall.other_type_helps; ++type) {
    const bool other = type != config_.memory_type && profile.pages_of(type);
    if (!other || room(type) < shortfall.needed) continue;
    shortfall.other_type_helps = true;
    shortfall.other_type = type;
  }
}

}  // namespace vaspace
