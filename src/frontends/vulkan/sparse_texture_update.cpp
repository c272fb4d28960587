// One update: which tiles change, memory for them, one batch of binds, and only then the books.
#include <algorithm>

#include "sparse_texture_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

}  // namespace

// ---- pages

Result<std::uint32_t> SparseTextures::State::take_page(const SparseTextureRecord& texture) noexcept {
  if (free_page == kNone) {
    // An eviction must not fail for want of host memory: there is room for each page to wait.
    if (!waiting.reserve_more(pages.size() + 1 - waiting.size()) || !pages.push_back({}))
      return fail(ErrorCode::out_of_host_memory);
    free_page = static_cast<std::uint32_t>(pages.size() - 1);
  }
  VkMemoryRequirements needs{};
  needs.size = needs.alignment = texture.image.block.value;
  needs.memoryTypeBits = texture.image.memory_type_bits;
  const auto memory = heap.allocate(needs, texture.wish);
  if (!memory) return fail(memory.error());
  const std::uint32_t page = free_page;
  free_page = pages[page].next_free;
  pages[page].memory = *memory;
  return page;
}

void SparseTextures::State::give_page(std::uint32_t page) noexcept {
  heap.free(pages[page].memory);
  pages[page] = {.memory = {}, .next_free = free_page};
  free_page = page;
}

// ---- what changes

// Under `mutex`. Marks what it finds, so that a tile that is named twice is changed once (V23).
Result<void> SparseTextures::State::plan(const TileChange& change) noexcept {
  if (change.texture == nullptr || !*change.texture || change.texture->record_->owner != this)
    return fail(ErrorCode::invalid_argument);
  SparseTextureRecord& texture = *change.texture->record_;
  const TileBox& box = change.tiles;
  if (!texture.layout.check(box)) return fail(ErrorCode::invalid_argument);
  for (std::uint32_t z = box.z; z < box.z + box.depth; ++z) {
    for (std::uint32_t y = box.y; y < box.y + box.height; ++y) {
      for (std::uint32_t x = box.x; x < box.x + box.width; ++x) {
        const std::uint32_t tile = texture.layout.index_of(box, x, y, z);
        std::uint32_t& mark = texture.tiles[tile];
        const bool changing = (mark & SparseTextureRecord::kChanging) != 0;
        const bool resident = (mark & ~SparseTextureRecord::kChanging) != 0;
        if (changing && resident == change.resident) return fail(ErrorCode::invalid_argument);
        if (changing || resident == change.resident) continue;
        const Step step{.texture = &texture,
                        .box = &box,
                        .tile = tile,
                        .at = {x, y, z},
                        .page = resident ? mark - 1 : kNone,
                        .resident = change.resident};
        if (!steps.push_back(step)) return fail(ErrorCode::out_of_host_memory);
        mark |= SparseTextureRecord::kChanging;
      }
    }
  }
  return {};
}

Result<void> SparseTextures::State::plan(std::span<const TileChange> changes) noexcept {
  const Lock lock(mutex);
  for (const TileChange& change : changes)
    if (const auto planned = plan(change); !planned) return planned;
  return {};
}

Result<void> SparseTextures::State::take_pages() noexcept {
  for (Step& step : steps) {
    if (!step.resident) continue;
    const auto page = take_page(*step.texture);
    if (!page) return fail(page.error());
    step.page = *page;
  }
  return {};
}

// Nothing has come of it.
void SparseTextures::State::forget_steps() noexcept {
  for (const Step& step : steps)
    if (step.resident && step.page != kNone) give_page(step.page);
  const Lock lock(mutex);
  for (const Step& step : steps)
    step.texture->tiles[step.tile] &= ~SparseTextureRecord::kChanging;
  steps.clear();
}

// ---- binds

// Tiles side by side, whose memory is too, are one bind.
bool SparseTextures::State::continues(const Step& before, const Step& step) const noexcept {
  const bool beside = before.box == step.box && before.resident == step.resident &&
                      before.at[0] + 1 == step.at[0] && before.at[1] == step.at[1] &&
                      before.at[2] == step.at[2];
  if (!beside || !step.resident) return beside;
  const HeapAllocation& left = pages[before.page].memory;
  const HeapAllocation& right = pages[step.page].memory;
  return left.native == right.native && left.offset + left.size == right.offset;
}

void SparseTextures::State::add_bind(const Step& step, std::uint32_t count) noexcept {
  ImageBind bind = step.texture->layout.bind_of(*step.box, step.at[0], step.at[1], step.at[2], count);
  if (step.resident) {
    bind.memory = pages[step.page].memory.native;
    bind.memory_offset = pages[step.page].memory.offset;
  }
  binds.push_back_reserved(bind);
}

Result<void> SparseTextures::State::gather_binds() noexcept {
  binds.clear();
  if (!binds.reserve(steps.size())) return fail(ErrorCode::out_of_host_memory);
  for (std::size_t first = 0; first < steps.size();) {
    std::size_t next = first + 1;
    while (next < steps.size() && continues(steps[next - 1], steps[next]))
      ++next;
    add_bind(steps[first], static_cast<std::uint32_t>(next - first));
    first = next;
  }
  return {};
}

// The driver has them. What is evicted waits until the device has done it (V27).
void SparseTextures::State::publish(std::uint64_t value) noexcept {
  last = value;
  const Lock lock(mutex);
  for (const Step& step : steps) {
    SparseTextureRecord& texture = *step.texture;
    texture.last_bind = value;
    texture.tiles[step.tile] = step.resident ? step.page + 1 : 0;
    if (step.resident) {
      ++texture.resident;
      ++figures.resident;
      figures.tile_bytes += texture.image.block;
    } else {
      --texture.resident;
      --figures.resident;
      figures.tile_bytes -= texture.image.block;
      waiting.push_back_reserved({step.page, value});
    }
  }
  figures.waiting = waiting.size();
  steps.clear();
}

Result<TimelinePoint> SparseTextures::update(std::span<const TileChange> changes,
                                             std::span<const TimelinePoint> waits) noexcept {
  State& state = *state_;
  const Lock one_at_a_time(state.submitting);
  if (!state.waiting.empty()) state.give_back_pages(state.images->reached());
  Result<void> done = state.plan(changes);
  if (done && state.steps.empty()) return TimelinePoint{TimelineId{}, state.last};
  if (done) done = state.take_pages();
  if (done) done = state.gather_binds();
  Result<TimelinePoint> point = fail(done ? Error{} : done.error());
  if (done) point = state.images->bind(state.binds.span(), waits);
  if (!point) {
    state.forget_steps();
    return point;
  }
  state.publish(point->value);
  return point;
}

}  // namespace vaspace::vulkan
