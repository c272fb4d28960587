// Pages, and what can be asked of a sparse backend. Reservations are in sparse_reservations.cpp.
#include <algorithm>
#include <limits>

#include "vaspace/device/profile_checks.hpp"

#include "sparse_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

constexpr Bytes kSmallestHeld = 256_KiB;
// Below so many that are left, a memory object is rather too large than too small.
constexpr std::uint64_t kFewObjects = 64;
constexpr Bytes kLargestBlock = 256_MiB;

}  // namespace

SparseBackend::State::~State() {
  chain.drain();
  for (const Buffer& buffer : buffers)
    if (buffer.taken) destroy(buffer);
  for (std::uint32_t slot = 0; slot < pages.size(); ++slot) {
    const PageBlock& block = pages[slot];
    if (block.state == PageBlock::State::live)
      free((VkDeviceMemory)block.memory, block.size, block.memory_type);
  }
}

SparseBackend::SparseBackend(HostObject<State> state) noexcept : state_(std::move(state)) {}
SparseBackend::~SparseBackend() = default;

const DeviceProfile& SparseBackend::profile() const noexcept {
  return state_->profile;
}

Result<Budget> SparseBackend::budget(std::uint32_t heap) noexcept {
  State& state = *state_;
  if (heap >= state.profile.heap_count) return fail(ErrorCode::invalid_argument);
  bool due = false;
  if (state.limits.memory_budget) {
    const Lock lock(state.mutex);
    due = state.budgets.reading_due();
  }
  if (due) read_budgets(state.driver, state.profile, state.mutex, state.budgets);
  const Lock lock(state.mutex);
  Budget budget = state.budgets.of(heap, state.profile.heaps[heap].size);
  budget.usage = budget.usage - state.budgets.held(heap) + state.used[heap];
  return budget;
}

Result<Budget> SparseBackend::read_budget(std::uint32_t heap) noexcept {
  State& state = *state_;
  if (state.limits.memory_budget) read_budgets(state.driver, state.profile, state.mutex, state.budgets);
  return budget(heap);
}

std::uint32_t SparseBackend::memory_type_bits() const noexcept {
  return state_->type_bits;
}

Bytes SparseBackend::held() const noexcept {
  const Lock lock(state_->mutex);
  Bytes whole{};
  for (const State::Buffer& buffer : state_->buffers)
    whole += buffer.memory_size;
  return state_->pages.held() + whole;
}

std::uint32_t SparseBackend::memory_objects() const noexcept {
  const Lock lock(state_->mutex);
  return state_->pages.count();
}

// ---- pages

// As small as the count of memory objects allows (V4), so that what is freed goes back: what is asked for
// now, or that share of what is held by which all must go on growing to take the whole heap within the
// objects that are left. The fewer they are, the more doublings fall to each: the last takes what is left,
// whoever it is that began late.
Bytes SparseBackend::State::next_block(std::uint32_t memory_type, Bytes least) noexcept {
  const Bytes heap = profile.heaps[heap_of(memory_type)].size;
  // A few are spared for the end, where what is left of the heap comes in pieces.
  const std::uint64_t count = std::min(
      {std::uint64_t{pages.count_left()}, account->memory_objects_left(), allowance->memory_objects_left()});
  const std::uint64_t left = std::max(count - std::min<std::uint64_t>(count / 2, 8), std::uint64_t{1});
  const std::uint64_t held = std::max(pages.held_of(memory_type), kSmallestHeld).value;
  const auto doublings = static_cast<std::uint64_t>(std::bit_width(heap.value / held));
  const std::uint64_t each = (doublings + left - 1) / left;
  const Bytes share{left >= doublings ? held * doublings / left : (held << each) - held};
  const Bytes rest{heap.value > held ? (heap.value - held) / left : 0};
  const Bytes largest = std::max({std::min(kLargestBlock, Bytes{heap.value / 8}), rest, least});
  const Bytes unheld = heap - std::min(heap, budgets.held(heap_of(memory_type)));
  const Bytes rounding = left < kFewObjects ? least - Bytes{1} : Bytes{};
  const Bytes size = std::min(std::min(share, largest) + rounding, unheld);
  return std::max(Bytes{size.value / least.value * least.value}, least);
}

Result<void> SparseBackend::State::add_block(std::uint32_t memory_type, Bytes size) noexcept {
  Result<std::uint32_t> slot;
  {
    const Lock lock(mutex);
    slot = pages.claim();
  }
  if (!slot) return fail(slot.error());
  const auto memory = allocate(size, memory_type, MemoryTraits{}.priority);
  bool published = false;
  {
    const Lock lock(mutex);
    published = memory && pages.publish(*slot, (std::uint64_t)*memory, size, memory_type);
    if (published) budgets.take(heap_of(memory_type), size);
    if (!published) pages.vacate(*slot);
  }
  if (published) return {};
  if (!memory) return fail(memory.error());
  free(*memory, size, memory_type);
  return fail(ErrorCode::out_of_host_memory);
}

// Smaller where the device has no more, down to one object. Pages are out of memory, not of addresses, where
// no memory object is left (V4).
Result<void> SparseBackend::State::grow(std::uint32_t memory_type, Bytes least) noexcept {
  const Lock one_at_a_time(growing);
  Bytes size{};
  {
    const Lock lock(mutex);
    size = next_block(memory_type, least);
  }
  size = std::max(least, Bytes{std::min(size, limits.max_memory).value / least.value * least.value});
  for (;;) {
    const Result<void> added = add_block(memory_type, size);
    if (!added && added.error().code == ErrorCode::out_of_address_space)
      return fail(ErrorCode::out_of_device_memory, added.error().native);
    if (added || added.error().code != ErrorCode::out_of_device_memory || size <= least) return added;
    size = std::max(least, Bytes{size.value / 2 / least.value * least.value});
  }
}

void SparseBackend::State::give_back_empty_blocks() noexcept {
  for (;;) {
    PageBlock gone;
    std::uint32_t slot = 0;
    {
      const Lock lock(mutex);
      const auto empty = pages.retract_empty();
      if (!empty) return;
      slot = *empty;
      gone = pages[slot];
    }
    free((VkDeviceMemory)gone.memory, gone.size, gone.memory_type);
    const Lock lock(mutex);
    budgets.give_back(heap_of(gone.memory_type), gone.size);
    pages.vacate(slot);
  }
}

Result<void> SparseBackend::create_physical(const PhysicalRequest& request,
                                            std::span<PhysicalId> out) noexcept {
  State& state = *state_;
  const auto total = check_physical_request(state.profile, request, out.size());
  if (!total) return fail(total.error());
  const MemoryType& type = state.profile.memory_types[request.memory_type];
  if (!state.serves(request.memory_type)) return fail(ErrorCode::not_supported);
  if (request.size > state.limits.max_memory) return fail(ErrorCode::out_of_device_memory);
  HostArray<PhysicalId> made(state.config.device.host);
  if (!made.reserve(out.size())) return fail(ErrorCode::out_of_host_memory);
  Bytes& used = state.used[type.heap];
  Result<void> answer;
  while (answer && made.size() < out.size()) {
    Bytes missing{};
    {
      const Lock lock(state.mutex);
      const std::size_t left = out.size() - made.size();
      missing = request.size * left;
      if (missing > state.profile.heaps[type.heap].size - used) {
        answer = fail(ErrorCode::out_of_device_memory);
      } else if (!state.objects.reserve(left) || !state.pages.reserve(left)) {
        answer = fail(ErrorCode::out_of_host_memory);
      }
      while (answer && made.size() < out.size()) {
        const auto place = state.pages.take(request.memory_type, request.size);
        if (!place) break;
        made.push_back_reserved(state.objects.add(*place, request.size, request.memory_type));
        used += request.size;
      }
      missing = request.size * (out.size() - made.size());
    }
    if (answer && missing != Bytes{}) answer = state.grow(request.memory_type, request.size);
  }
  if (answer) {
    std::copy(made.begin(), made.end(), out.begin());
    return answer;
  }
  {
    const Lock lock(state.mutex);
    for (const PhysicalId id : made) {
      state.pages.give(state.objects.find(id)->place, request.size);
      state.objects.remove(id);
      used -= request.size;
    }
  }
  state.give_back_empty_blocks();
  return answer;
}

Result<void> SparseBackend::destroy_physical(std::span<const PhysicalId> ids) noexcept {
  State& state = *state_;
  if (!state.profile.capabilities.bind) return fail(ErrorCode::not_supported);
  const Result<std::uint64_t> looked = state.chain.look(state.chain.last());
  {
    const Lock lock(state.mutex);
    const auto unused = hide_unused(state.objects, ids, looked.value_or(0));
    if (!unused && unused.error().code == ErrorCode::wrong_state && !looked) return fail(looked.error());
    if (!unused) return unused;
    for (const PhysicalId id : ids) {
      const PhysicalObject& object = state.objects[PhysicalTable::slot_of(id)];
      state.pages.give(object.place, object.size);
      state.used[state.heap_of(object.memory_type)] -= object.size;
      state.objects.remove(id);
    }
  }
  state.give_back_empty_blocks();
  return {};
}

// ---- addresses

Result<NativeRange> SparseBackend::locate(Address address) noexcept {
  const Lock lock(state_->mutex);
  const ReservationRecord* record = state_->reservations.holding(address, Bytes{1});
  if (record == nullptr) return fail(ErrorCode::unknown_address);
  const State::Buffer& buffer = state_->buffers[State::slot_of(record->address)];
  return NativeRange{(std::uint64_t)buffer.buffer, address - record->address};
}

Result<std::uint64_t> SparseBackend::device_address(Address address) noexcept {
  if (!state_->profile.capabilities.device_address) return fail(ErrorCode::not_supported);
  const Lock lock(state_->mutex);
  const ReservationRecord* record = state_->reservations.holding(address, Bytes{1});
  if (record == nullptr) return fail(ErrorCode::unknown_address);
  const State::Buffer& buffer = state_->buffers[State::slot_of(record->address)];
  return buffer.device_address + (address - record->address).value;
}

// ---- timelines

VkSemaphore SparseBackend::timeline() const noexcept {
  return state_->chain.semaphore();
}

Result<TimelineId> SparseBackend::add_timeline(VkSemaphore semaphore) noexcept {
  if (semaphore == VK_NULL_HANDLE) return fail(ErrorCode::invalid_argument);
  return state_->timelines.add(semaphore);
}

Result<void> SparseBackend::forget_timeline(TimelineId timeline) noexcept {
  return state_->timelines.forget(timeline);
}

Result<bool> SparseBackend::completed(TimelinePoint point) noexcept {
  if (point.timeline == TimelineId{}) return state_->chain.passed(point.value);
  const auto semaphore = state_->timelines.find(point.timeline);
  if (!semaphore) return fail(semaphore.error());
  return has_reached(state_->driver, *semaphore, point.value);
}

Result<void> SparseBackend::wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept {
  if (point.timeline == TimelineId{}) return state_->chain.wait(point.value, timeout_ns);
  const auto semaphore = state_->timelines.find(point.timeline);
  if (!semaphore) return fail(semaphore.error());
  return wait_for(state_->driver, *semaphore, point.value, timeout_ns);
}

}  // namespace vaspace::vulkan
