// Reservations of a sparse backend: buffers without memory, or filled at once where there are no pages.
#include <algorithm>
#include <limits>

#include "vaspace/device/profile_checks.hpp"

#include "sparse_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

}  // namespace

Result<std::uint32_t> SparseBackend::State::claim(const ReservationRequest& request) noexcept {
  std::uint32_t slot = 0;
  while (slot < buffers.size() && buffers[slot].taken)
    ++slot;
  if (slot == buffers.size() && !buffers.push_back({})) return fail(ErrorCode::out_of_host_memory);
  if (!account->claim_sparse(request.size)) return fail(ErrorCode::out_of_address_space);
  buffers[slot] = {.size = request.size, .memory_type = request.memory_type, .taken = true};
  return slot;
}

void SparseBackend::State::destroy(const Buffer& buffer) const noexcept {
  if (buffer.buffer != VK_NULL_HANDLE)
    driver.functions.vkDestroyBuffer(driver.device, buffer.buffer, nullptr);
  account->give_back_sparse(buffer.size);
  if (buffer.memory != VK_NULL_HANDLE) free(buffer.memory, buffer.memory_size, buffer.memory_type);
}

// V20: memory for the whole of it, bound before anybody can use it. Where that cannot be waited for the slot
// is parked: it is taken down once the chain has passed the bind, by whoever reserves next.
Result<void> SparseBackend::State::fill(std::uint32_t slot, const ReservationRequest& request,
                                        bool& in_use) noexcept {
  VkBuffer buffer = VK_NULL_HANDLE;
  {
    const Lock lock(mutex);
    buffer = buffers[slot].buffer;
  }
  VkMemoryRequirements needs{};
  driver.functions.vkGetBufferMemoryRequirements(driver.device, buffer, &needs);
  const Bytes size = align_up(Bytes{needs.size}, Alignment{needs.alignment});
  const auto memory = fill_memory(slot, size, request);
  if (!memory) return fail(memory.error());
  SparseOp op{.buffer = buffer, .bind = {}};
  op.bind.size = size.value;
  op.bind.memory = *memory;
  Result<std::uint64_t> bound = fail(ErrorCode::out_of_host_memory);
  {
    const Lock one_at_a_time(submitting);
    const auto set = chain.set_waits({}, timelines);
    bound = set ? chain.submit_binds({&op, 1}) : fail(set.error());
  }
  if (!bound) return fail(bound.error());
  const Result<void> waited = chain.wait(*bound, std::numeric_limits<std::uint64_t>::max());
  if (waited) return {};
  const Lock lock(mutex);
  buffers[slot].until = *bound;
  ++parked;
  in_use = true;
  return waited;
}

// A memory object in a slot, and all books but the account's and the gate's.
Result<VkDeviceMemory> SparseBackend::State::fill_memory(std::uint32_t slot, Bytes size,
                                                         const ReservationRequest& request) noexcept {
  {
    const Lock lock(mutex);
    if (!pages.count_other()) return fail(ErrorCode::out_of_address_space);  // V4
  }
  const auto memory = allocate(size, request.memory_type, request.traits.priority);
  const Lock lock(mutex);
  if (!memory) {
    pages.uncount_other();
    return memory;
  }
  buffers[slot].memory = *memory;
  buffers[slot].memory_size = size;
  budgets.take(heap_of(request.memory_type), size);
  used[heap_of(request.memory_type)] += request.size;
  return memory;
}

void SparseBackend::State::take_down(std::uint32_t slot) noexcept {
  Buffer gone;
  {
    const Lock lock(mutex);
    gone = buffers[slot];
  }
  destroy(gone);
  const Lock lock(mutex);
  if (gone.memory_size != Bytes{}) {
    pages.uncount_other();
    budgets.give_back(heap_of(gone.memory_type), gone.memory_size);
    used[heap_of(gone.memory_type)] -= gone.size;
  }
  buffers[slot] = {};
}

void SparseBackend::State::take_down_parked() noexcept {
  const std::uint64_t done = chain.reached(chain.last());
  for (std::uint32_t slot = 0;; ++slot) {
    {
      const Lock lock(mutex);
      while (slot < buffers.size() && (buffers[slot].until == 0 || buffers[slot].until > done))
        ++slot;
      if (slot == buffers.size()) return;
      buffers[slot].until = 0;
      --parked;
    }
    take_down(slot);
  }
}

Result<void> SparseBackend::State::make_buffer(std::uint32_t slot, Bytes size) noexcept {
  const auto buffer = create_buffer(size);
  if (!buffer) return fail(buffer.error());
  std::uint64_t address = 0;
  if (profile.capabilities.device_address) {
    VkBufferDeviceAddressInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
    info.buffer = *buffer;
    address = driver.get_buffer_device_address(driver.device, &info);
  }
  const Lock lock(mutex);
  buffers[slot].buffer = *buffer;
  buffers[slot].device_address = address;
  return {};
}

Result<void> SparseBackend::State::check(const ReservationRequest& request) const noexcept {
  const auto alignment = check_reservation_request(profile, request);
  if (!alignment) return fail(alignment.error());
  if (*alignment > Alignment{1_TiB}) return fail(ErrorCode::out_of_address_space);
  if (!whole()) return {};
  if (!serves(request.memory_type)) return fail(ErrorCode::not_supported);
  if (request.size > profile.heaps[heap_of(request.memory_type)].size)
    return fail(ErrorCode::out_of_device_memory);
  return {};
}

Result<Reservation> SparseBackend::reserve(const ReservationRequest& request) noexcept {
  State& state = *state_;
  if (const auto checked = state.check(request); !checked) return fail(checked.error());
  bool parked = false;
  {
    const Lock lock(state.mutex);
    parked = state.parked != 0;
  }
  if (parked) state.take_down_parked();
  Result<std::uint32_t> slot;
  {
    const Lock lock(state.mutex);
    slot = state.claim(request);
  }
  if (!slot) return fail(slot.error());
  Result<void> made = state.make_buffer(*slot, request.size);
  bool in_use = false;
  if (made && state.whole()) made = state.fill(*slot, request, in_use);
  if (made) {
    const Lock lock(state.mutex);
    if (state.reservations.reserve_one())
      return state.reservations.add(State::address_of(*slot), request.size, request.memory_type);
    made = fail(ErrorCode::out_of_host_memory);
  }
  if (!in_use) state.take_down(*slot);
  return fail(made.error());
}

Result<void> SparseBackend::release(const Reservation& reservation) noexcept {
  State& state = *state_;
  const Result<std::uint64_t> looked = state.chain.look(state.chain.last());
  {
    const Lock lock(state.mutex);
    const ReservationRecord* record = state.reservations.find(reservation);
    if (record == nullptr) return fail(ErrorCode::invalid_argument);
    if (state.bindings.any_bound(record->address, record->size)) return fail(ErrorCode::wrong_state);
    if (!looked && record->last_use != 0) return fail(looked.error());
    if (looked && record->last_use > *looked) return fail(ErrorCode::wrong_state);
    state.reservations.remove(*record);
  }
  state.take_down(State::slot_of(reservation.address));
  return {};
}

}  // namespace vaspace::vulkan
