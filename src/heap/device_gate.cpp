#include "heap/device_gate.hpp"

#include <algorithm>
#include <utility>

namespace vaspace {

DeviceGate::DeviceGate(Backend& backend, const HeapConfig& config) noexcept
    : backend_(backend), blocks_(config.host), max_objects_(backend.profile().capabilities.max_reservations) {
  if (config.max_memory_objects != 0) max_objects_ = std::min(max_objects_, config.max_memory_objects);
  for (std::uint32_t heap = 0; heap < backend.profile().heap_count; ++heap) {
    if (config.heap_limits[heap] != Bytes{}) accounts_[heap].limit = config.heap_limits[heap];
  }
}

// What still lives in memory objects of its own goes back too, whoever has leaked it.
DeviceGate::~DeviceGate() {
  release_leaving();
  for (std::uint32_t number = 1; number <= blocks_.size(); ++number) {
    if (Block& block = blocks_[number]; block.live) (void)try_release(block);
  }
}

Result<void> DeviceGate::check(TakeRequest& request) const noexcept {
  const Alignment granularity{profile().reservation_granularity};
  if (request.traits.dedicated == MemoryTraits::Dedicated::none) {
    const auto whole = checked_align_up(request.size, granularity);
    if (!whole) return fail(ErrorCode::too_large);
    request.size = *whole;
  }
  const Bytes heap = profile().heaps[profile().memory_types[request.memory_type].heap].size;
  if (request.size > std::min({profile().capabilities.max_reservation_size, heap, Block::kLargest}))
    return fail(ErrorCode::too_large);
  return {};
}

auto DeviceGate::toll_of(std::uint32_t memory_type, Bytes size, bool object) const noexcept -> Toll {
  const MemoryType& type = profile().memory_types[memory_type];
  return {.heap = type.heap, .size = size, .counts = !type.lazily_allocated, .object = object};
}

Bytes DeviceGate::usage_of(const Account& account) const noexcept {
  const Bytes grown = account.usage + account.committed;
  return grown > account.committed_at_reading ? grown - account.committed_at_reading : Bytes{};
}

HeapBudget DeviceGate::budget_of(std::uint32_t heap) const noexcept {
  const Account& account = accounts_[heap];
  const Bytes size = profile().heaps[heap].size;
  const Bytes said = account.budget == Bytes{} ? size : account.budget;
  return {.size = size,
          .budget = std::min({said, size, account.limit}),
          .usage = usage_of(account),
          .committed = account.committed};
}

bool DeviceGate::due(std::uint32_t heap) const noexcept {
  const std::lock_guard lock(mutex_);
  return accounts_[heap].changes >= kReadingLife;
}

// A driver that cannot say is taken for one whose heap is all ours. Of what is on its way while it is asked
// nobody knows whether its answer has it: it is taken for what it has not, and so counted beside it.
void DeviceGate::read(std::uint32_t heap) noexcept {
  Bytes before{};
  Bytes left{};
  {
    const std::lock_guard lock(mutex_);
    before = accounts_[heap].committed - accounts_[heap].moving;
    left = accounts_[heap].left;
  }
  const Result<Budget> budget = backend_.read_budget(heap);
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[heap];
  const Bytes gone = std::min(before, account.left - left);
  account.budget = budget ? budget->budget : Bytes{};
  account.usage = budget ? std::min(budget->usage, profile().heaps[heap].size) : before - gone;
  account.committed_at_reading = before - gone;
  account.changes = 0;
}

Result<void> DeviceGate::enter(const Toll& toll, BudgetPolicy policy) noexcept {
  bool fresh = toll.counts && due(toll.heap);
  if (fresh) read(toll.heap);
  for (;; fresh = true) {
    {
      const std::lock_guard lock(mutex_);
      if (toll.object && figures_.objects >= max_objects_) return fail(ErrorCode::out_of_address_space);
      Account& account = accounts_[toll.heap];
      const HeapBudget budget = budget_of(toll.heap);
      const auto room_in = [&](Bytes all, Bytes held) { return held <= all && toll.size <= all - held; };
      const bool hard = !toll.counts || room_in(account.limit, account.committed);
      const bool soft =
          !toll.counts || policy == BudgetPolicy::may_exceed || room_in(budget.budget, budget.usage);
      if (hard && soft) {
        if (toll.object) ++figures_.objects;
        if (toll.counts) account.committed += toll.size;
        if (toll.counts) account.moving += toll.size;
        ++account.changes;
        return {};
      }
      if (!hard || fresh) {
        ++figures_.refused_by_budget;
        return fail(ErrorCode::out_of_device_memory);
      }
    }
    read(toll.heap);
  }
}

void DeviceGate::settle(const Toll& toll) noexcept {
  const std::lock_guard lock(mutex_);
  if (toll.counts) accounts_[toll.heap].moving -= toll.size;
}

void DeviceGate::begin_leave(const Toll& toll) noexcept {
  const std::lock_guard lock(mutex_);
  if (toll.counts) accounts_[toll.heap].moving += toll.size;
}

void DeviceGate::leave(const Toll& toll) noexcept {
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[toll.heap];
  if (toll.object) --figures_.objects;
  ++account.changes;
  if (!toll.counts) return;
  account.committed -= toll.size;
  account.moving -= toll.size;
  account.left += toll.size;
}

template <class Take>
Result<Block*> DeviceGate::take(TakeRequest request, Take&& take) noexcept {
  const Toll toll = toll_of(request.memory_type, request.size, true);
  if (Result<void> entered = enter(toll, request.policy); !entered) return fail(entered.error());
  const Result<Block*> block = blocks_.claim();
  if (!block) {
    leave(toll);
    return block;
  }
  const Result<Reservation> reservation = take(ReservationRequest{.size = request.size,
                                                                  .alignment = request.alignment,
                                                                  .memory_type = request.memory_type,
                                                                  .traits = request.traits});
  if (!reservation) {
    blocks_.vacate(**block);
    leave(toll);
    doubt(toll.heap);
    return fail(reservation.error());
  }
  const Result<NativeRange> native = backend_.locate(reservation->address);
  blocks_.publish(**block, [&](Block& fresh) {
    fresh.reservation = *reservation;
    fresh.native = native ? native->object : 0;
    fresh.memory_type = request.memory_type;
    fresh.traits = request.traits;
    fresh.counts = toll.counts;
    fresh.exclusive = request.exclusive;
  });
  settle(toll);
  const std::lock_guard lock(mutex_);
  ++figures_.reserves;
  return block;
}

Result<Block*> DeviceGate::reserve(const TakeRequest& request) noexcept {
  TakeRequest checked = request;
  if (Result<void> possible = check(checked); !possible) return fail(possible.error());
  return take(checked, [this](const ReservationRequest& r) { return backend_.reserve(r); });
}

// The size is the exporter's, and nobody rounds it (V17).
Result<Block*> DeviceGate::import(const TakeRequest& request, ExternalHandle handle) noexcept {
  TakeRequest checked = request;
  if (Result<void> possible = check(checked); !possible) return fail(possible.error());
  return take(request, [&](const ReservationRequest& r) { return backend_.import_reservation(r, handle); });
}

Result<Block*> DeviceGate::import(const TakeRequest& request, void* pointer) noexcept {
  TakeRequest checked = request;
  if (Result<void> possible = check(checked); !possible) return fail(possible.error());
  return take(request, [&](const ReservationRequest& r) { return backend_.import_host_pointer(pointer, r); });
}

bool DeviceGate::try_release(Block& block) noexcept {
  {
    const std::lock_guard lock(block.map_mutex);
    if (block.pointer != nullptr && backend_.unmap(block.reservation.address, block.reservation.size)) {
      block.pointer = nullptr;
      block.mapped.store(nullptr, std::memory_order_relaxed);
    }
    settle_forgotten(block);
    block.maps = 0;
  }
  // A mapping that the driver did not take back keeps the block from being released.
  if (block.pointer != nullptr) return false;
  const Toll toll = toll_of(block.memory_type, block.reservation.size, true);
  begin_leave(toll);
  if (!backend_.release(block.reservation)) {
    stay(toll);
    return false;
  }
  blocks_.vacate(block);
  leave(toll);
  const std::lock_guard lock(mutex_);
  ++figures_.releases;
  return true;
}

void DeviceGate::release(Block& block) noexcept {
  if (try_release(block)) return;
  {
    const std::lock_guard lock(mutex_);
    ++figures_.refused_by_driver;
  }
  release_later(block);
}

void DeviceGate::release_later(Block& block) noexcept {
  const std::lock_guard lock(mutex_);
  block.next = leaving_;
  leaving_ = &block;
}

void DeviceGate::release_leaving() noexcept {
  Block* first = nullptr;
  {
    const std::lock_guard lock(mutex_);
    first = std::exchange(leaving_, nullptr);
  }
  while (first != nullptr) {
    Block& block = *first;
    first = std::exchange(block.next, nullptr);
    release(block);
  }
}

Result<void> DeviceGate::enter_pages(std::uint32_t memory_type, Bytes size, BudgetPolicy policy) noexcept {
  return enter(toll_of(memory_type, size, false), policy);
}

void DeviceGate::page_step(std::uint32_t memory_type, Bytes size, GuestStep step_done) noexcept {
  step(toll_of(memory_type, size, false), step_done);
}

Result<void> DeviceGate::enter_guest(std::uint32_t memory_type, Bytes size, BudgetPolicy policy) noexcept {
  return enter(toll_of(memory_type, size, true), policy);
}

void DeviceGate::guest_step(std::uint32_t memory_type, Bytes size, GuestStep step_done) noexcept {
  step(toll_of(memory_type, size, true), step_done);
  const std::lock_guard lock(mutex_);
  if (step_done == GuestStep::taken) {
    ++figures_.guests;
    ++figures_.guest_reserves;
    figures_.guest_bytes[memory_type] += size;
  }
  if (step_done == GuestStep::left) {
    --figures_.guests;
    figures_.guest_bytes[memory_type] -= size;
  }
}

void DeviceGate::step(const Toll& toll, GuestStep step_done) noexcept {
  switch (step_done) {
    case GuestStep::taken:
      return settle(toll);
    case GuestStep::refused:
      leave(toll);
      return doubt(toll.heap);
    case GuestStep::leaving:
      return begin_leave(toll);
    case GuestStep::left:
      return leave(toll);
  }
}

void DeviceGate::doubt(std::uint32_t heap) noexcept {
  const std::lock_guard lock(mutex_);
  accounts_[heap].changes = kReadingLife;
}

// The block's lock is held across the driver's call: Vulkan wants map and unmap of one object ordered, and
// nobody but who maps this very block waits.
Result<std::byte*> DeviceGate::map_for_good(Block& block) noexcept {
  if (!profile().memory_types[block.memory_type].host_visible) return fail(ErrorCode::not_supported);
  const std::lock_guard lock(block.map_mutex);
  if (block.pointer == nullptr) {
    const Result<std::byte*> pointer = backend_.map(block.reservation.address, block.reservation.size);
    if (!pointer) return pointer;
    block.pointer = *pointer;
  }
  block.mapped.store(block.pointer, std::memory_order_release);
  return block.pointer;
}

Result<std::byte*> DeviceGate::map(Block& block) noexcept {
  if (!profile().memory_types[block.memory_type].host_visible) return fail(ErrorCode::not_supported);
  const std::lock_guard lock(block.map_mutex);
  if (block.pointer == nullptr) {
    const Result<std::byte*> pointer = backend_.map(block.reservation.address, block.reservation.size);
    if (!pointer) return pointer;
    block.pointer = *pointer;
  }
  ++block.maps;
  return block.pointer;
}

Result<void> DeviceGate::unmap(Block& block) noexcept {
  const std::lock_guard lock(block.map_mutex);
  settle_forgotten(block);
  if (block.maps == 0) return fail(ErrorCode::wrong_state);
  const bool last = block.maps == 1 && block.mapped.load(std::memory_order_relaxed) == nullptr;
  if (last) {
    const Result<void> done = backend_.unmap(block.reservation.address, block.reservation.size);
    if (!done) return done;
    block.pointer = nullptr;
  }
  --block.maps;
  return {};
}

void DeviceGate::forget_maps(Block& block, std::uint32_t maps) noexcept {
  block.forgotten.fetch_add(maps, std::memory_order_acq_rel);
}

// The block's lock is held.
void DeviceGate::settle_forgotten(Block& block) noexcept {
  block.maps -= std::min(block.maps, block.forgotten.exchange(0, std::memory_order_acq_rel));
}

std::byte* DeviceGate::pointer_to(Block& block) noexcept {
  const std::lock_guard lock(block.map_mutex);
  return block.pointer;
}

Result<HeapBudget> DeviceGate::budget(std::uint32_t heap) noexcept {
  if (heap >= profile().heap_count) return fail(ErrorCode::invalid_argument);
  if (due(heap)) read(heap);
  return estimate(heap);
}

HeapBudget DeviceGate::estimate(std::uint32_t heap) const noexcept {
  const std::lock_guard lock(mutex_);
  return budget_of(heap);
}

Bytes DeviceGate::committed() const noexcept {
  const std::lock_guard lock(mutex_);
  Bytes sum{};
  for (const Account& account : accounts_)
    sum += account.committed;
  return sum;
}

Bytes DeviceGate::committed(std::uint32_t heap) const noexcept {
  const std::lock_guard lock(mutex_);
  return accounts_[heap].committed;
}

void DeviceGate::tick() noexcept {
  const std::lock_guard lock(mutex_);
  for (Account& account : accounts_)
    ++account.changes;
}

GateFigures DeviceGate::figures() const noexcept {
  const std::lock_guard lock(mutex_);
  return figures_;
}

const char* DeviceGate::validate() const noexcept {
  std::array<Bytes, kMaxHeaps> held{};
  std::uint64_t objects = 0;
  blocks_.for_each([&](const Block& block) {
    ++objects;
    if (block.counts) held[profile().memory_types[block.memory_type].heap] += block.reservation.size;
  });
  const std::lock_guard lock(mutex_);
  for (std::uint32_t type = 0; type < profile().memory_type_count; ++type) {
    if (!profile().memory_types[type].lazily_allocated)
      held[profile().memory_types[type].heap] += figures_.guest_bytes[type];
  }
  objects += figures_.guests;
  if (objects != figures_.objects || objects > max_objects_) return "memory objects are miscounted (V4)";
  if (profile().capabilities.bind) return nullptr;
  for (std::uint32_t heap = 0; heap < profile().heap_count; ++heap) {
    if (held[heap] != accounts_[heap].committed) return "bytes held from a heap are miscounted (V16)";
    if (held[heap] > accounts_[heap].limit) return "a heap's limit is passed";
  }
  return nullptr;
}

}  // namespace vaspace
