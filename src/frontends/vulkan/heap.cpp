// Creation, memory alone, timelines and giving back.
#include <algorithm>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

// Bits of VkMemoryPropertyFlags that a type may have beyond the six that the core knows.
std::uint32_t extra_flags(const DeviceFeatures& features) noexcept {
  if (!features.device_coherent_memory) return 0;
  return VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
}

// What sparse buffers may have of all memory objects: a quarter, and no more than some hundreds. All count in
// one account (V4).
std::uint32_t sparse_objects(const DeviceProfile& profile) noexcept {
  const std::uint64_t all = std::min<std::uint64_t>(profile.capabilities.max_reservations, 1U << 20U);
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(all / 4, 1, 480));
}

}  // namespace

tl::unexpected<Error> HeapState::refuse(Error error, const char* function, std::string_view name,
                                        const char* feature, const char* driver) const noexcept {
  if (function == nullptr || config.on_refusal.on_refusal == nullptr) return fail(error);
  // A feature that is missing has the driver's number, though no driver was asked.
  if (driver == nullptr) driver = *feature == '\0' ? refused_by(error) : "";
  config.on_refusal.on_refusal(config.on_refusal.user, {error, function, driver, feature, name});
  return fail(error);
}

Result<void> HeapState::open() noexcept {
  auto loaded = ResourceCalls::load(backend);
  if (!loaded) return fail(loaded.error());
  calls = *loaded;
  const DeviceProfile& profile = backend.profile();
  const DeviceFeatures& features = backend.config().features;
  for (std::uint32_t type = 0; type < profile.memory_type_count; ++type)
    non_coherent = non_coherent ||
                   (profile.memory_types[type].host_visible && !profile.memory_types[type].host_coherent);
  vaspace::HeapConfig& neutral = config.memory;
  neutral.buffer_image_granularity = backend.resource_limits().buffer_image_granularity;
  neutral.non_coherent_atom = backend.resource_limits().non_coherent_atom;
  neutral.rules = {.protected_memory = features.protected_memory,
                   .extra_native_flags = extra_flags(features)};
  neutral.export_needs_dedicated = backend.export_needs_dedicated();
  other_timelines = neutral.timelines;
  other_pressure = neutral.on_pressure;
  neutral.timelines = {.user = this, .completed = [](void* user, TimelinePoint point) noexcept {
                         HeapState& state = *static_cast<HeapState*>(user);
                         const TimelineReader& other = state.other_timelines;
                         const Result<bool> passed = state.timelines.passed(point);
                         return passed || other.completed == nullptr ? passed
                                                                     : other.completed(other.user, point);
                       }};
  neutral.on_pressure = {.user = this, .give_back = [](void* user) noexcept {
                           HeapState& state = *static_cast<HeapState*>(user);
                           const PressureHandler& other = state.other_pressure;
                           if (!SharedBuffers::is_making()) state.pools->flush();
                           if (other.give_back != nullptr) other.give_back(other.user);
                         }};
  const bool sparse = config.sparse.queue != nullptr && features.sparse_residency_buffer;
  SubBufferConfig sub_buffers{.sparse = config.sparse,
                              .transfer = config.transfer,
                              .families = config.families,
                              .sparse_page = config.sparse_page,
                              .retain = config.sub_buffer_retain,
                              .retain_percent = config.sub_buffer_retain_percent,
                              .host = neutral.host,
                              .on_misuse = neutral.on_misuse,
                              .on_leak = neutral.on_leak};
  if (sparse) sub_buffers.sparse_memory_objects = sparse_objects(profile);
  auto made = vaspace::Heap::create(backend, neutral);
  if (!made) return fail(made.error());
  memory.emplace(std::move(*made));
  pools.emplace(calls, backend, *memory, sub_buffers);
  return {};
}

HeapState::~HeapState() {
  if (!memory) return;
  for (const Retired& gone : retired)
    destroy(gone);
  // Moves that nobody ended.
  for (const MovableRecord& record : records.all()) {
    if (!record.live || !record.moving) continue;
    destroy({.buffer = record.new_buffer, .image = record.new_image});
    if (record.ended) destroy({.buffer = record.buffer, .image = record.image});
  }
}

Heap::Heap(HostObject<HeapState> state) noexcept : state_(std::move(state)) {}
Heap::Heap(Heap&& other) noexcept = default;
Heap& Heap::operator=(Heap&& other) noexcept = default;
Heap::~Heap() = default;

Result<Heap> Heap::create(Backend& backend, const HeapConfig& config) noexcept {
  if (config.families.size() > SparseConfig::kMaxFamilies) return fail(ErrorCode::invalid_configuration);
  auto state = make_host_object<HeapState>(config.memory.host, backend, config);
  if (!state) return fail(ErrorCode::out_of_host_memory);
  if (const auto opened = state->open(); !opened) return fail(opened.error());
  return Heap(std::move(state));
}

// ---- memory alone

void Heap::free(const HeapAllocation& memory) noexcept {
  state_->memory->free(memory);
}

namespace {

// V6, V7; V1 where kinds are kept apart.
Result<void> check_place(const vaspace::Heap& heap, const MemoryRequirements& needs, ResourceKind kind,
                         const HeapAllocation& memory) noexcept {
  const bool fits = needs.size <= memory.size && is_aligned(memory.offset, needs.alignment) &&
                    (needs.memory_type_bits >> memory.memory_type & 1U) != 0;
  if (!fits) return fail(ErrorCode::invalid_argument);
  const Result<HeapAllocationInfo> found = heap.find(memory);
  // Where a move is going has the moving allocation's id, and another address.
  if (!found && found.error().code == ErrorCode::unknown_handle) return {};
  if (!found) return fail(found.error());
  const bool apart = heap.config().buffer_image_granularity.value > 256;
  const bool other = found->kind != kind && found->kind != ResourceKind::unknown;
  if (apart && other) return fail(ErrorCode::invalid_argument);
  return {};
}

}  // namespace

Result<void> Heap::bind(VkBuffer buffer, const HeapAllocation& memory) noexcept {
  const MemoryRequirements needs = state_->calls.needs(buffer).memory;
  const Result<void> good = check_place(*state_->memory, needs, ResourceKind::linear, memory);
  return state_->tell(good ? state_->calls.bind(buffer, memory) : good, "Heap::bind");
}

Result<void> Heap::bind(VkImage image, const HeapAllocation& memory, bool linear_tiling) noexcept {
  const MemoryRequirements needs = state_->calls.needs(image).memory;
  const ResourceKind kind = linear_tiling ? ResourceKind::linear : ResourceKind::optimal;
  const Result<void> good = check_place(*state_->memory, needs, kind, memory);
  return state_->tell(good ? state_->calls.bind(image, memory) : good, "Heap::bind");
}

// ---- time

Result<TimelineId> Heap::add_timeline(VkSemaphore semaphore) noexcept {
  constexpr const char* kHere = "Heap::add_timeline";
  if (!state_->backend.config().features.timeline_semaphore)
    return state_->refuse({ErrorCode::not_supported, VK_ERROR_FEATURE_NOT_PRESENT}, kHere, {},
                          "timelineSemaphore");
  const auto timeline = state_->backend.add_timeline(semaphore);
  if (!timeline) return state_->refuse(timeline.error(), kHere);
  const auto added = state_->timelines.add(*timeline, semaphore);
  if (!added) {
    (void)state_->backend.forget_timeline(*timeline);
    return state_->refuse(added.error(), kHere);
  }
  return timeline;
}

Result<void> Heap::forget_timeline(TimelineId timeline) noexcept {
  state_->timelines.forget(timeline);
  return state_->tell(state_->backend.forget_timeline(timeline), "Heap::forget_timeline");
}

void HeapState::destroy(const Retired& gone) noexcept {
  if (gone.pool != ~0U) {
    (*pools)[gone.pool].arena->free(Allocation{gone.memory.address, gone.memory.size, gone.memory.id});
    return;
  }
  if (gone.buffer != VK_NULL_HANDLE) {
    calls.destroy(gone.buffer);
    counts.remove(ResourceCounts::buffers);
  }
  if (gone.image != VK_NULL_HANDLE) {
    calls.destroy(gone.image);
    counts.remove(ResourceCounts::images);
  }
  if (gone.has_memory) memory->free(gone.memory);
}

Result<void> HeapState::check_points(std::span<const TimelinePoint> points) noexcept {
  if (points.size() > Heap::kMaxPoints) return fail(ErrorCode::invalid_argument);
  for (const TimelinePoint& point : points) {
    if (!timelines.knows(point)) return fail(ErrorCode::invalid_argument);
  }
  return {};
}

namespace {

// Up to `gone.size()` of what has passed, from `from` on; how many. One walk over the list, however many
// times it is called.
std::size_t take_passed(HeapState& state, std::size_t& from, std::span<Retired> gone) noexcept {
  std::size_t count = 0;
  const Lock lock(state.mutex);
  while (from < state.retired.size() && count < gone.size()) {
    const Retired& entry = state.retired[from];
    if (!std::all_of(entry.points.begin(), entry.points.begin() + entry.point_count,
                     [&](const TimelinePoint& point) { return state.timelines.seen(point); })) {
      ++from;
      continue;
    }
    gone[count++] = entry;
    state.retired[from] = state.retired[state.retired.size() - 1];
    state.retired.pop_back();
  }
  return count;
}

}  // namespace

// One look at the timelines for all: first the handles go, then the memory that waited for the same points.
void HeapState::walk_retired() noexcept {
  if (walking.exchange(true, std::memory_order_acquire)) return;
  timelines.look(calls);
  std::size_t from = 0;
  Retired gone[32];
  for (std::size_t count = std::size(gone); count == std::size(gone);) {
    count = take_passed(*this, from, gone);
    for (std::size_t i = 0; i < count; ++i)
      destroy(gone[i]);
  }
  timelines.publish();
  walking.store(false, std::memory_order_release);
}

void Heap::collect() noexcept {
  HeapState& state = *state_;
  state.walk_retired();
  state.pools->collect();
  state.memory->collect();
}

// ---- what there is

vaspace::Heap& Heap::memory() noexcept {
  return *state_->memory;
}

Backend& Heap::backend() noexcept {
  return state_->backend;
}

}  // namespace vaspace::vulkan
