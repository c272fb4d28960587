// Defragmentation: the heap's moves, with a new handle at each destination.
#include <algorithm>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

// A resource like the one in the record, bound at the move's destination.
Result<void> make_destination(const HeapState& state, MovableRecord& record, ResourceMove& out) noexcept {
  out.kind = record.kind;
  out.user_data = record.user_data;
  if (record.kind == ResourceMove::Kind::buffer) {
    record.buffer_info.pQueueFamilyIndices = record.families.data();
    const auto made = state.calls.create(record.buffer_info);
    if (!made) return fail(made.error());
    out.source_buffer = record.buffer;
    out.destination_buffer = *made;
    out.size = Bytes{record.buffer_info.size};
    (void)state.calls.needs(*made);  // asked for before every bind
    const auto bound = state.calls.bind(*made, out.move.destination);
    if (!bound) state.calls.destroy(*made);
    if (bound) state.calls.name(*made, record.name.data());
    return bound;
  }
  record.image_info.pQueueFamilyIndices = record.families.data();
  const auto made = state.calls.create(record.image_info);
  if (!made) return fail(made.error());
  out.source_image = record.image;
  out.destination_image = *made;
  (void)state.calls.needs(*made);
  const auto bound = state.calls.bind(*made, out.move.destination);
  if (!bound) state.calls.destroy(*made);
  if (bound) state.calls.name(*made, record.name.data());
  return bound;
}

// A copy of the record of what is to be moved, which is in the move from then on; false: it is being made, or
// has been freed, by another thread.
bool begin_move(HeapState& state, ResourceMove& move, MovableRecord& copy) noexcept {
  const Lock lock(state.mutex);
  move.record = state.records.of(move.move.source);
  if (move.record == MovableRecords::kNone) return false;
  MovableRecord& record = state.records[move.record];
  record.moving = true;
  record.move_index = move.move.index;
  record.move_generation = move.move.generation;
  copy = record;
  return true;
}

// A handle without memory, which is the core's to take back, and both kinds of points.
Retired waiting(VkBuffer buffer, VkImage image, std::span<const TimelinePoint> of_move,
                std::span<const TimelinePoint> of_retire) noexcept {
  Retired handle{.buffer = buffer, .image = image};
  const auto rest = std::copy(of_move.begin(), of_move.end(), handle.points.begin());
  std::copy(of_retire.begin(), of_retire.end(), rest);
  handle.point_count = static_cast<std::uint32_t>(of_move.size() + of_retire.size());
  return handle;
}

}  // namespace

Result<std::uint32_t> Heap::plan_moves(const MoveBudget& budget, std::span<ResourceMove> out) noexcept {
  HeapState& state = *state_;
  HostArray<vaspace::Move> planned(state.config.memory.host);
  if (!planned.resize(out.size())) return state.refuse({ErrorCode::out_of_host_memory}, "Heap::plan_moves");
  MoveBudget ours = budget;
  ours.mover = kMover;
  const auto count = state.memory->plan_moves(ours, planned.span());
  if (!count) return state.refuse(count.error(), "Heap::plan_moves");
  std::uint32_t made = 0;
  Error refused{};
  for (std::uint32_t i = 0; i < *count; ++i) {
    ResourceMove move;
    move.move = planned[i];
    MovableRecord record;
    if (!begin_move(state, move, record)) {
      (void)state.memory->abandon_move(planned[i]);  // not ours to move
      continue;
    }
    Result<void> good = fail(refused);
    if (refused == Error{}) {
      good = make_destination(state, record, move);
      if (!good) refused = good.error();
    }
    if (!good) {
      move.destination_buffer = VK_NULL_HANDLE;
      move.destination_image = VK_NULL_HANDLE;
      (void)state.end_move(move, {}, false);
      continue;
    }
    if (move.kind == ResourceMove::Kind::buffer) state.counts.add(ResourceCounts::buffers);
    if (move.kind == ResourceMove::Kind::image) state.counts.add(ResourceCounts::images);
    {
      const Lock lock(state.mutex);
      state.records[move.record].new_buffer = move.destination_buffer;
      state.records[move.record].new_image = move.destination_image;
    }
    out[made++] = move;
  }
  if (made == 0 && refused != Error{}) return state.refuse(refused, "Heap::plan_moves");
  return made;
}

// What can be refused is refused before anything is done. The record and the core change in one piece: who
// frees or retires the resource on another thread does it before or after.
Result<bool> HeapState::end_move(const ResourceMove& move, std::span<const TimelinePoint> points,
                                 bool commit) noexcept {
  if (const auto good = check_points(points); !good) return fail(good.error());
  const Lock lock(mutex);
  if (!records.is_in(move.record, move.move)) return fail(ErrorCode::unknown_handle);
  MovableRecord& record = records[move.record];
  const bool made = record.new_buffer != VK_NULL_HANDLE || record.new_image != VK_NULL_HANDLE;
  if (!retired.reserve_more((made ? 1U : 0U) + (record.ended ? 1U : 0U)))
    return fail(ErrorCode::out_of_host_memory);
  // The core gives no place away before the handle there, if one was made, is gone, whatever has passed.
  std::array<TimelinePoint, Heap::kMaxPoints + 1> of_memory{};
  std::copy(points.begin(), points.end(), of_memory.begin());
  of_memory[points.size()] = timelines.next_walk();
  const bool leaves_handle = made || record.ended;
  const auto until = std::span<const TimelinePoint>(of_memory).first(points.size() + (leaves_handle ? 1 : 0));
  bool moved = false;
  if (commit) {
    const auto committed = memory->commit_move(move.move, until);
    if (!committed) return fail(committed.error());
    moved = static_cast<bool>(*committed);
    if (moved) record.memory = *committed;
  } else if (const auto abandoned = memory->abandon_move(move.move, until); !abandoned) {
    return fail(abandoned.error());
  }
  if (moved) {
    record.buffer = std::exchange(record.new_buffer, record.buffer);
    record.image = std::exchange(record.new_image, record.image);
  }
  const auto of_retire = std::span<const TimelinePoint>(record.points).first(record.point_count);
  if (made) retired.push_back_reserved(waiting(record.new_buffer, record.new_image, points, of_retire));
  if (record.ended) retired.push_back_reserved(waiting(record.buffer, record.image, points, of_retire));
  record.new_buffer = VK_NULL_HANDLE;
  record.new_image = VK_NULL_HANDLE;
  record.moving = false;
  if (record.ended) records.remove(move.record);
  return moved;
}

Result<bool> Heap::commit_move(const ResourceMove& move, std::span<const TimelinePoint> points) noexcept {
  return state_->tell(state_->end_move(move, points, true), "Heap::commit_move");
}

Result<void> Heap::abandon_move(const ResourceMove& move, std::span<const TimelinePoint> points) noexcept {
  const auto ended = state_->end_move(move, points, false);
  if (!ended) return state_->refuse(ended.error(), "Heap::abandon_move");
  return {};
}

}  // namespace vaspace::vulkan
