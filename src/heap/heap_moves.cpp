// Compaction: which blocks can be emptied, where their residents go, and what becomes of it.
#include <algorithm>
#include <utility>

#include "heap/heap_state.hpp"

namespace vaspace {

using Lock = std::lock_guard<std::mutex>;

// What a planning works with; host memory that it gives back when it is done.
struct HeapState::MovePlan {
  explicit MovePlan(const HostAllocator& host) noexcept : sources(host), residents(host) {}

  HostArray<Source> sources;      // the emptiest first
  HostArray<Resident> residents;  // of the source in hand, the largest first
};

// What may be planned yet.
struct HeapState::MoveQuota {
  const MoveBudget& budget;
  std::span<Move> out;
  Bytes bytes{};
  std::uint32_t planned = 0;
  bool any_size = false;  // the smallest of a source, whatever the bytes
  bool skipped = false;   // something was larger than what was left of the bytes
  bool stopped = false;   // by anything else
  bool late = false;      // ... by the time

  [[nodiscard]] bool is_full() noexcept {
    stopped = stopped || planned == out.size() || planned >= budget.moves;
    return stopped;
  }
  [[nodiscard]] bool ends() noexcept {
    if (is_full()) return true;
    late = stopped = budget.out_of_time != nullptr && budget.out_of_time(budget.user);
    return stopped;
  }
  [[nodiscard]] bool admits(Bytes size) noexcept {
    skipped = skipped || (!stopped && size > bytes);
    return !stopped && size <= bytes;
  }
};

Result<void> HeapState::pin(const HeapAllocation& allocation, bool on) noexcept {
  if (allocation.shelf != 0) return {};  // it lives, and what an arena allocator placed is never moved
  const Lock lock(mutex_);
  if (!hold_record(allocation)) return fail(why_no_record(allocation));
  Record& record = records_[allocation.id.index];
  std::uint32_t& pins = record.pins;
  if (!on && pins == 0) return fail(ErrorCode::wrong_state);
  pins = on ? pins + 1 : pins - 1;
  if (on) cancel_move(record);
  return {};
}

bool HeapState::may_move(std::uint32_t index, std::uint8_t mover) const noexcept {
  const Record& record = records_[index];
  const RecordState state = records_.state_of(index);
  return (state == RecordState::live || state == RecordState::held) && record.movable &&
         record.mover == mover && record.pins == 0 && record.maps == 0 && record.shares == 0 &&
         record.move == 0;
}

// The pointer that the host has, or whatever it is pinned for, is to where it is now.
void HeapState::cancel_move(const Record& record) noexcept {
  if (record.move == 0) return;
  OpenMove& move = moves_[record.move - 1];
  if (move.phase == OpenMove::Phase::planned) move.cancelled = true;
}

void HeapState::enter_block(std::uint32_t index) noexcept {
  Record& record = records_[index];
  if (!record.movable) return;
  std::uint32_t& first = record.cut.block->first_resident;
  record.previous_resident = 0;
  record.next_resident = first;
  if (first != 0) records_[first].previous_resident = index;
  first = index;
}

void HeapState::leave_block(std::uint32_t index) noexcept {
  const Record& record = records_[index];
  if (!record.movable) return;
  const std::uint32_t next = record.next_resident, previous = record.previous_resident;
  (previous != 0 ? records_[previous].next_resident : record.cut.block->first_resident) = next;
  if (next != 0) records_[next].previous_resident = previous;
}

Result<void> HeapState::find_sources(MovePlan& plan) const noexcept {
  bool complete = true;
  spaces_.for_each([&](BlockSpace& space) {
    space.for_each_block([&](Block& block, Bytes used) {
      if (block.first_resident != 0) complete = complete && plan.sources.push_back({&space, &block, used});
    });
  });
  if (!complete) return fail(ErrorCode::out_of_host_memory);
  std::sort(plan.sources.begin(), plan.sources.end(), [](const Source& a, const Source& b) {
    return a.used != b.used ? a.used < b.used : a.block->number > b.block->number;
  });
  return {};
}

// It is one when the bytes of residents that may move are all that is used in it.
Result<bool> HeapState::find_residents(MovePlan& plan, const Source& source,
                                       std::uint8_t mover) const noexcept {
  plan.residents.clear();
  Bytes used{};
  for (std::uint32_t index = source.block->first_resident; index != 0;
       index = records_[index].next_resident) {
    if (!may_move(index, mover)) return false;
    used += records_[index].cut.range.size;
    if (!plan.residents.push_back({.record = index})) return fail(ErrorCode::out_of_host_memory);
  }
  // Something may have found a place in it meanwhile.
  if (used != source.used || source.space->used_in(*source.block) != used) return false;
  std::sort(plan.residents.begin(), plan.residents.end(), [&](const Resident& a, const Resident& b) {
    const Bytes x = records_[a.record].size, y = records_[b.record].size;
    return x != y ? x > y : a.record < b.record;
  });
  return true;
}

// Best fit looks at all blocks of the space; what it finds in the wrong one is held aside until it finds
// better.
Cut HeapState::take_destination(const Source& source, const Record& record) noexcept {
  constexpr std::uint32_t kTries = 16;
  std::array<Cut, kTries> wrong{};
  std::uint32_t tries = 0;
  Cut found;
  while (tries < kTries) {
    const Result<Cut> cut = source.space->take_present({with_margin(record.size), record.alignment});
    if (!cut) break;
    const Bytes used = source.space->used_in(*cut->block) - cut->range.size;
    if (cut->block != source.block && used >= source.used && cut->block->leaving == 0) {
      found = *cut;
      break;
    }
    wrong[tries++] = *cut;
  }
  while (tries != 0)
    source.space->give(wrong[--tries]);
  return found;
}

// All residents find one in time, or none is taken.
bool HeapState::find_destinations(MoveQuota& quota, const Source& source,
                                  std::span<Resident> residents) noexcept {
  for (std::size_t i = 0; i < residents.size(); ++i) {
    if (!quota.ends()) residents[i].destination = take_destination(source, records_[residents[i].record]);
    if (residents[i].destination) continue;
    while (i != 0)
      source.space->give(residents[--i].destination);
    return false;
  }
  return true;
}

// What does not fit into the bytes stays for another time, and what is smaller goes.
Result<void> HeapState::plan_source(MovePlan& plan, MoveQuota& quota, const Source& source) noexcept {
  const Result<bool> may_leave = find_residents(plan, source, quota.budget.mover);
  if (!may_leave) return fail(may_leave.error());
  if (!*may_leave || !find_destinations(quota, source, plan.residents.span())) return {};
  if (quota.any_size) quota.bytes = records_[plan.residents.back().record].size;
  for (const Resident& resident : plan.residents) {
    const Bytes size = records_[resident.record].size;
    if (quota.is_full() || !quota.admits(size)) {
      source.space->give(resident.destination);
      continue;
    }
    quota.bytes -= size;
    quota.out[quota.planned++] = open_move(source, resident);
  }
  return {};
}

// Where the time is up before anything was found, the next planning begins at what was not looked at to the
// end; but for a source that takes all of the time alone.
Result<void> HeapState::plan_sources(MovePlan& plan, MoveQuota& quota) noexcept {
  const std::size_t count = plan.sources.size();
  std::uint32_t& in_vain = tried_in_vain_[quota.budget.mover];
  const std::size_t first = count != 0 ? in_vain % count : 0;
  std::size_t tried = 0;
  for (std::size_t i = 0; i < count && !quota.ends(); ++i) {
    const Result<void> planned = plan_source(plan, quota, plan.sources[(first + i) % count]);
    if (!planned) return planned;
    if (quota.any_size && quota.planned != 0) return {};
    tried += quota.late ? 0 : 1;
  }
  const bool vain = quota.late && quota.planned == 0;
  in_vain = vain ? static_cast<std::uint32_t>(first + std::max(tried, std::size_t{1})) : 0;
  return {};
}

Result<std::uint32_t> HeapState::plan_moves(const MoveBudget& budget, std::span<Move> out) noexcept {
  if (gate_.profile().capabilities.bind) return fail(ErrorCode::not_supported);
  MovePlan plan(config_.host);
  MoveQuota quota{.budget = budget, .out = out, .bytes = budget.bytes};
  {
    const Lock lock(mutex_);
    const KeptPlaces::Pause pause(places_);
    give_back_kept(pause);
    if (!moves_.reserve_more(out.size())) return fail(ErrorCode::out_of_host_memory);
    if (Result<void> found = find_sources(plan); !found) return fail(found.error());
    if (budget.more_left != nullptr)
      *budget.more_left = std::any_of(moves_.begin(), moves_.end(), [](const OpenMove& move) {
        return move.phase != OpenMove::Phase::none;
      });
    Result<void> planned = plan_sources(plan, quota);
    // One larger than all of the bytes, rather than none for ever.
    quota.any_size = quota.planned == 0 && quota.skipped && budget.bytes != Bytes{};
    if (planned && quota.any_size && !quota.stopped) planned = plan_sources(plan, quota);
    if (!planned && quota.planned == 0) return fail(planned.error());
    if (budget.more_left != nullptr && (quota.skipped || quota.stopped || !planned)) *budget.more_left = true;
  }
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < quota.planned; ++i) {
    Move move = out[i];
    if (prepare_destination(move)) {
      out[kept++] = move;
    } else {
      (void)abandon_move(move, {});
    }
  }
  return kept;
}

// Under no lock: what is mapped stays mapped where it goes, and guards see what they look at. The driver may
// refuse that; then it stays.
bool HeapState::prepare_destination(Move& move) noexcept {
  const bool visible = gate_.profile().memory_types[move.source.memory_type].host_visible;
  const bool guarded = visible && (config_.guards.margin != Bytes{} || config_.guards.fill);
  if (move.source.mapped == nullptr && !guarded) return true;
  Block& block = gate_.blocks()[move.destination.block];
  std::byte* const mapped = map_block(block);
  if (mapped == nullptr) return false;
  if (move.source.mapped != nullptr) move.destination.mapped = mapped + move.destination.offset.value;
  if (guarded)
    prepare_guards({.memory_type = move.source.memory_type,
                    .cut = {.block = &block, .offset = move.destination.offset},
                    .size = move.source.size,
                    .guarded = config_.guards.margin != Bytes{} ? move.source.size : Bytes{}});
  return true;
}

Move HeapState::open_move(const Source& source, const Resident& resident) noexcept {
  std::uint32_t index = 0;
  while (index < moves_.size() && moves_[index].phase != OpenMove::Phase::none)
    ++index;
  if (index == moves_.size()) moves_.push_back_reserved({});
  OpenMove& open = moves_[index];
  Record& record = records_[resident.record];
  open = {.phase = OpenMove::Phase::planned,
          .generation = open.generation + 1,
          .record = resident.record,
          .space = source.space,
          .source = record.cut,
          .destination = resident.destination};
  record.move = index + 1;
  ++source.block->leaving;
  records_.set_state(resident.record, RecordState::held);
  ++open_moves_;
  Move move{.source = handle_of(resident.record),
            .kind = record.kind,
            .user_data = info_of(resident.record).user_data,
            .index = index,
            .generation = open.generation};
  const Block& block = *resident.destination.block;
  move.destination = move.source;
  move.destination.address = block.reservation.address + resident.destination.offset;
  move.destination.block = block.number;
  move.destination.native = block.native;
  move.destination.offset = resident.destination.offset;
  move.destination.mapped = nullptr;
  return move;
}

Result<std::uint32_t> HeapState::find_move(const Move& move) const noexcept {
  if (move.index >= moves_.size()) return fail(ErrorCode::unknown_handle);
  const OpenMove& open = moves_[move.index];
  if (open.phase != OpenMove::Phase::planned || open.generation != move.generation)
    return fail(ErrorCode::unknown_handle);
  return move.index;
}

// With points, what the move leaves behind waits among what is retired.
Result<void> HeapState::end_move(std::uint32_t index, bool moved,
                                 std::span<const TimelinePoint> points) noexcept {
  OpenMove& move = moves_[index];
  if (!points.empty()) {
    const Bytes left = move.source.range.size * (move.record == 0 ? 2 : 1);
    if (Result<void> added = retired_.add({.move = index + 1, .left = left}, points); !added) return added;
  }
  move.phase = OpenMove::Phase::landing;
  move.moved = moved;
  --open_moves_;
  if (moved) {
    leave_block(move.record);
    records_[move.record].cut = move.destination;
    enter_block(move.record);
  }
  if (points.empty()) land_move(index);
  return {};
}

// Its points have passed. Where the allocation has ended, both places go back (T3), where it is retired, they
// do when it ends; else the one that it is not in.
void HeapState::land_move(std::uint32_t index) noexcept {
  OpenMove& move = moves_[index];
  if (move.record == 0) return give_both(move);
  Record& record = records_[move.record];
  if (records_.state_of(move.record) == RecordState::retired) {
    move.phase = OpenMove::Phase::landed;
    return;
  }
  move.space->give(move.moved ? move.source : move.destination);
  record.move = 0;
  close_move(move);
}

void HeapState::give_both(OpenMove& move) noexcept {
  move.space->give(move.source);
  move.space->give(move.destination);
  close_move(move);
}

void HeapState::close_move(OpenMove& move) noexcept {
  --move.source.block->leaving;
  move.phase = OpenMove::Phase::none;
}

Result<HeapAllocation> HeapState::commit_move(const Move& move,
                                              std::span<const TimelinePoint> points) noexcept {
  const Lock lock(mutex_);
  const Result<std::uint32_t> index = find_move(move);
  if (!index) return fail(index.error());
  const OpenMove& open = moves_[*index];
  const std::uint32_t record = open.record;
  // Held: what is in a move is, until it is retired.
  const bool moves = record != 0 && !open.cancelled && records_.state_of(record) == RecordState::held;
  if (Result<void> ended = end_move(*index, moves, points); !ended) return fail(ended.error());
  if (!moves) return HeapAllocation{};
  return handle_of(record);
}

Result<void> HeapState::abandon_move(const Move& move, std::span<const TimelinePoint> points) noexcept {
  const Lock lock(mutex_);
  const Result<std::uint32_t> index = find_move(move);
  if (!index) return fail(index.error());
  return end_move(*index, false, points);
}

}  // namespace vaspace
