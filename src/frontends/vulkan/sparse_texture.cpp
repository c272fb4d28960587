// How textures come and go, and what can be asked of them.
#include "vaspace/frontends/vulkan/sparse_texture.hpp"

#include <algorithm>

#include "sparse_texture_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

}  // namespace

// ---- the texture's side

VkImage SparseTexture::image() const noexcept {
  return record_->image.image;
}

TimelinePoint SparseTexture::ready() const noexcept {
  return {TimelineId{}, record_->ready};
}

std::uint32_t SparseTexture::planes() const noexcept {
  return record_->layout.planes();
}

std::uint32_t SparseTexture::tiled_levels(std::uint32_t plane) const noexcept {
  return record_->layout.tiled_levels(plane);
}

std::array<std::uint32_t, 3> SparseTexture::tile(std::uint32_t plane) const noexcept {
  return record_->layout.tile(plane);
}

std::array<std::uint32_t, 3> SparseTexture::tiles(std::uint32_t level, std::uint32_t plane) const noexcept {
  return record_->layout.tiles(plane, level);
}

Bytes SparseTexture::tile_bytes() const noexcept {
  return record_->image.block;
}

Bytes SparseTexture::tail_bytes() const noexcept {
  return record_->tail_bytes;
}

Bytes SparseTexture::whole_bytes() const noexcept {
  return record_->tail_bytes + record_->image.block * record_->layout.tile_count();
}

bool SparseTexture::resident(const TileBox& box) const noexcept {
  const TextureLayout& layout = record_->layout;
  if (!layout.check(box)) return false;
  const Lock lock(record_->owner->mutex);
  for (std::uint32_t z = box.z; z < box.z + box.depth; ++z)
    for (std::uint32_t y = box.y; y < box.y + box.height; ++y)
      for (std::uint32_t x = box.x; x < box.x + box.width; ++x)
        if ((record_->tiles[layout.index_of(box, x, y, z)] & ~SparseTextureRecord::kChanging) == 0)
          return false;
  return true;
}

std::uint64_t SparseTexture::resident_tiles() const noexcept {
  const Lock lock(record_->owner->mutex);
  return record_->resident;
}

void SparseTexture::reset() noexcept {
  if (record_ == nullptr) return;
  SparseTextures::State& state = *record_->owner;
  const Lock lock(state.mutex);
  state.unlink(state.living, *record_);
  state.link(state.dead, *record_);
  --state.figures.textures;
  ++state.figures.retired;
  record_ = nullptr;
}

SparseTextureRecord::SparseTextureRecord(SparseTextures::State& state) noexcept
    : owner(&state), tiles(state.host), tails(state.host) {}

// ---- creation

SparseTextures::SparseTextures(HostObject<State> state) noexcept : state_(std::move(state)) {}
SparseTextures::SparseTextures(SparseTextures&& other) noexcept = default;
SparseTextures& SparseTextures::operator=(SparseTextures&& other) noexcept = default;
SparseTextures::~SparseTextures() = default;

Result<SparseTextures> SparseTextures::create(Heap& heap, const SparseTexturesConfig& config) noexcept {
  BackendConfig device = heap.backend().config();
  device.functions = config.functions;
  device.account = &heap.backend().account();
  auto state = make_host_object<State>(device.host, heap, device.host);
  if (!state) return fail(ErrorCode::out_of_host_memory);
  auto images = SparseImages::create(device, config.sparse);
  if (!images) return fail(images.error());
  state->images = std::move(*images);
  return SparseTextures(std::move(state));
}

// Whoever is here alone: the device is done with everything but the chain's own binds.
SparseTextures::State::~State() {
  if (images == nullptr) return;
  images->drain();
  while (dead != nullptr) {
    SparseTextureRecord& texture = *dead;
    unlink(dead, texture);
    destroy(texture);
  }
  give_back_pages(last);
}

void SparseTextures::State::link(SparseTextureRecord*& list, SparseTextureRecord& texture) noexcept {
  texture.before = nullptr;
  texture.next = list;
  if (list != nullptr) list->before = &texture;
  list = &texture;
}

void SparseTextures::State::unlink(SparseTextureRecord*& list, SparseTextureRecord& texture) noexcept {
  (texture.before != nullptr ? texture.before->next : list) = texture.next;
  if (texture.next != nullptr) texture.next->before = texture.before;
}

// Memory for the tails that are of metadata, or for those that are not, bound in one batch.
Result<void> SparseTextures::State::bind_tails(SparseTextureRecord& texture, bool metadata) noexcept {
  const TextureLayout& layout = texture.layout;
  const std::uint32_t begin = metadata ? 0 : layout.metadata_tails();
  const std::uint32_t end = metadata ? layout.metadata_tails() : layout.tails();
  if (begin == end) return {};
  binds.clear();
  if (!binds.reserve(end - begin)) return fail(ErrorCode::out_of_host_memory);
  VkMemoryRequirements needs{};
  needs.alignment = texture.image.block.value;
  needs.memoryTypeBits = texture.image.memory_type_bits;
  for (std::uint32_t i = begin; i < end; ++i) {
    const TextureLayout::Tail tail = layout.tail(i);
    needs.size = tail.size.value;
    const auto memory = heap.allocate(needs, texture.wish);
    if (!memory) return fail(memory.error());
    texture.tails.push_back_reserved(*memory);
    texture.tail_bytes += tail.size;
    ImageBind bind;
    bind.image = texture.image.image;
    bind.opaque = true;
    bind.metadata = metadata;
    bind.at = tail.at;
    bind.size = tail.size;
    bind.memory = memory->native;
    bind.memory_offset = memory->offset;
    binds.push_back_reserved(bind);
  }
  const auto point = images->bind(binds.span(), {});
  if (!point) return fail(point.error());
  texture.ready = texture.last_bind = last = point->value;
  return {};
}

Result<void> SparseTextures::State::fill(SparseTextureRecord& texture) noexcept {
  if (!texture.tiles.resize(texture.layout.tile_count()) || !texture.tails.reserve(texture.layout.tails()))
    return fail(ErrorCode::out_of_host_memory);
  const auto described = bind_tails(texture, true);
  return described ? bind_tails(texture, false) : described;
}

Result<SparseTexture> SparseTextures::create_texture(const SparseTextureRequest& request) noexcept {
  if (request.info == nullptr) return fail(ErrorCode::invalid_argument);
  State& state = *state_;
  const Lock one_at_a_time(state.submitting);
  auto texture = make_host_object<SparseTextureRecord>(state.host, state);
  if (!texture) return fail(ErrorCode::out_of_host_memory);
  const auto image = state.images->create_image(*request.info);
  if (!image) return fail(image.error());
  texture->image = *image;
  std::copy_n(request.name.data(), std::min(request.name.size(), texture->name.size()),
              texture->name.begin());
  texture->wish.intent = request.intent;
  texture->wish.kind = ResourceKind::optimal;
  texture->wish.budget = request.budget;
  texture->wish.priority = request.priority;
  texture->wish.name = {texture->name.data(), std::min(request.name.size(), texture->name.size())};
  const auto layout = TextureLayout::of(*image, *request.info);
  Result<void> done = layout ? Result<void>{} : fail(layout.error());
  if (done) {
    texture->layout = *layout;
    done = state.fill(*texture);
  }
  SparseTextureRecord& made = *texture.release();
  // Where metadata was bound and the tails were not, the driver is not done with the image.
  const bool pending = made.last_bind != 0;
  {
    const Lock lock(state.mutex);
    state.figures.tail_bytes += made.tail_bytes;
    if (done || pending) {
      state.link(done ? state.living : state.dead, made);
      ++(done ? state.figures.textures : state.figures.retired);
    }
  }
  if (done) return SparseTexture(&made);
  if (!pending) state.destroy(made);
  return fail(done.error());
}

// ---- taking back

void SparseTextures::State::destroy(SparseTextureRecord& texture) noexcept {
  images->destroy(texture.image);
  for (const std::uint32_t tile : texture.tiles)
    if (tile != 0) give_page(tile - 1);
  for (const HeapAllocation& tail : texture.tails)
    heap.free(tail);
  {
    const Lock lock(mutex);
    figures.resident -= texture.resident;
    figures.tile_bytes -= texture.image.block * texture.resident;
    figures.tail_bytes -= texture.tail_bytes;
  }
  HostObject<SparseTextureRecord>(&texture, HostDelete<SparseTextureRecord>{host}).reset();
}

bool SparseTextures::State::has_passed(const SparseTextureRecord& texture, std::uint64_t reached) noexcept {
  return texture.last_bind <= reached &&
         std::all_of(texture.points.begin(), texture.points.begin() + texture.point_count,
                     [&](const TimelinePoint& point) {
                       const auto passed = images->completed(point);
                       // What runs no more uses nothing.
                       return passed ? *passed : passed.error().code == ErrorCode::device_lost;
                     });
}

void SparseTextures::State::destroy_dead(std::uint64_t reached) noexcept {
  SparseTextureRecord* at = nullptr;
  {
    const Lock lock(mutex);
    at = dead;
  }
  while (at != nullptr) {
    SparseTextureRecord& texture = *at;
    const bool gone = has_passed(texture, reached);
    {
      const Lock lock(mutex);
      at = texture.next;
      if (gone) unlink(dead, texture);
      if (gone) --figures.retired;
    }
    if (gone) destroy(texture);
  }
}

void SparseTextures::State::give_back_pages(std::uint64_t reached) noexcept {
  std::size_t passed = 0;
  for (; passed < waiting.size() && waiting[passed].value <= reached; ++passed)
    give_page(waiting[passed].page);
  std::copy(waiting.begin() + passed, waiting.end(), waiting.begin());
  for (std::size_t i = 0; i < passed; ++i)
    waiting.pop_back();
  const Lock lock(mutex);
  figures.waiting = waiting.size();
}

void SparseTextures::collect() noexcept {
  State& state = *state_;
  const Lock one_at_a_time(state.submitting);
  const std::uint64_t reached = state.images->reached();
  state.give_back_pages(reached);
  state.destroy_dead(reached);
}

Result<void> SparseTextures::retire(SparseTexture&& texture, std::span<const TimelinePoint> points) noexcept {
  if (!texture || texture.record_->owner != state_.get() || points.size() > Heap::kMaxPoints)
    return fail(ErrorCode::invalid_argument);
  for (const TimelinePoint& point : points)
    if (const auto known = state_->images->completed(point);
        !known && known.error().code == ErrorCode::invalid_argument)
      return fail(known.error());
  std::copy(points.begin(), points.end(), texture.record_->points.begin());
  texture.record_->point_count = points.size();
  texture.reset();
  return {};
}

// ---- what can be asked

bool SparseTextures::non_resident_strict() const noexcept {
  return state_->images->non_resident_strict();
}

VkSemaphore SparseTextures::timeline() const noexcept {
  return state_->images->timeline();
}

Result<TimelineId> SparseTextures::add_timeline(VkSemaphore semaphore) noexcept {
  return state_->images->add_timeline(semaphore);
}

Result<void> SparseTextures::forget_timeline(TimelineId timeline) noexcept {
  return state_->images->forget_timeline(timeline);
}

Result<bool> SparseTextures::completed(TimelinePoint point) noexcept {
  return state_->images->completed(point);
}

Result<void> SparseTextures::wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept {
  return state_->images->wait(point, timeout_ns);
}

SparseTexturesReport SparseTextures::report() const noexcept {
  const Lock lock(state_->mutex);
  return state_->figures;
}

const char* SparseTextures::validate() const noexcept {
  State& state = *state_;
  const Lock one_at_a_time(state.submitting);
  const Lock lock(state.mutex);
  std::uint64_t used = 0;
  std::uint64_t textures = 0;
  for (const SparseTextureRecord* list : {state.living, state.dead}) {
    for (const SparseTextureRecord* at = list; at != nullptr; at = at->next) {
      std::uint64_t resident = 0;
      for (const std::uint32_t tile : at->tiles) {
        if ((tile & SparseTextureRecord::kChanging) != 0) return "sparse textures: a tile is being changed";
        if (tile == 0) continue;
        ++resident;
        if (!state.pages[tile - 1].memory) return "sparse textures: a resident tile has no memory";
      }
      if (resident != at->resident) return "sparse textures: resident tiles of a texture are miscounted";
      used += resident;
      ++textures;
    }
  }
  if (used != state.figures.resident) return "sparse textures: resident tiles are miscounted";
  if (textures != state.figures.textures + state.figures.retired)
    return "sparse textures: textures are miscounted";
  std::uint64_t taken = 0;
  for (const State::Page& page : state.pages)
    taken += page.memory ? 1U : 0U;
  return taken == used + state.waiting.size() ? nullptr : "sparse textures: a page is nobody's";
}

}  // namespace vaspace::vulkan
