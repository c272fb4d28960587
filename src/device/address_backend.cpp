#include "vaspace/device/address_backend.hpp"

#include <mutex>
#include <utility>

#include "vaspace/device/binding_table.hpp"
#include "vaspace/device/free_space.hpp"
#include "vaspace/device/physical_table.hpp"
#include "vaspace/device/profile_checks.hpp"
#include "vaspace/device/reservation_table.hpp"

namespace vaspace {

struct AddressBackend::State {
  explicit State(const AddressBackendConfig& config) noexcept
      : addresses(config.host),
        reservations(config.host),
        objects(config.host),
        bindings(profile, reservations, objects, config.host),
        journal(config.host) {}

  std::mutex mutex;  // guards all below but the profile
  DeviceProfile profile;
  FreeSpace addresses;
  ReservationTable reservations;
  PhysicalTable objects;
  BindingTable bindings;
  BindJournal journal;
  Bytes used{};
  std::uint64_t last_point = 0;

  [[nodiscard]] Bytes unused() const noexcept { return profile.heaps[0].size - used; }
  [[nodiscard]] bool answered(TimelinePoint point) const noexcept {
    return point.timeline == TimelineId{} && point.value <= last_point;
  }
};

namespace {

bool valid(const AddressBackendConfig& config) noexcept {
  const Alignment granularity{reservation_granularity(config.page_sizes)};
  if (config.physical_size.value == 0 || config.address_space.value == 0) return false;
  if (!valid_page_sizes(config.page_sizes, Bytes{1})) return false;
  if (config.reserve_commits && !config.page_sizes.empty()) return false;
  if (config.base.value == 0 || !is_aligned(config.base, granularity)) return false;
  return checked_add(Bytes{config.base.value}, config.address_space).has_value();
}

void describe(DeviceProfile& profile, const AddressBackendConfig& config) noexcept {
  set_name(profile, "address");
  profile.heap_count = 1;
  profile.heaps[0] = {config.physical_size, true};
  profile.memory_type_count = 1;
  set_page_sizes(profile, config.page_sizes);
  profile.reservation_granularity = reservation_granularity(config.page_sizes);
  Capabilities& can = profile.capabilities;
  can.bind = can.partial_unbind = can.physical_offset = can.aliasing = !config.page_sizes.empty();
  can.reserve_commits = config.reserve_commits;
  can.max_reservations = config.max_reservations;
  can.max_reservation_size = config.max_reservation_size;
}

}  // namespace

AddressBackend::AddressBackend(HostObject<State> state) noexcept : state_(std::move(state)) {}
AddressBackend::~AddressBackend() = default;

Result<HostObject<AddressBackend>> AddressBackend::create(const AddressBackendConfig& config) noexcept {
  if (!valid(config)) return fail(ErrorCode::invalid_configuration);
  HostObject<State> state = make_host_object<State>(config.host, config);
  if (state == nullptr) return fail(ErrorCode::out_of_host_memory);
  describe(state->profile, config);
  const Address end = config.base + config.address_space;
  if (!state->addresses.open(config.base.value, end.value)) return fail(ErrorCode::out_of_host_memory);
  HostObject<AddressBackend> backend = make_host_object<AddressBackend>(config.host, std::move(state));
  if (backend == nullptr) return fail(ErrorCode::out_of_host_memory);
  return backend;
}

const DeviceProfile& AddressBackend::profile() const noexcept {
  return state_->profile;
}

Result<Budget> AddressBackend::budget(std::uint32_t heap) noexcept {
  if (heap != 0) return fail(ErrorCode::invalid_argument);
  const std::lock_guard lock(state_->mutex);
  const Bytes size = state_->profile.heaps[0].size;
  return Budget{size, size, state_->used};
}

Result<Reservation> AddressBackend::reserve(const ReservationRequest& request) noexcept {
  const Result<Alignment> alignment = check_reservation_request(state_->profile, request);
  if (!alignment) return fail(alignment.error());
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  const Capabilities& can = s.profile.capabilities;
  if (s.reservations.count() >= can.max_reservations) return fail(ErrorCode::out_of_address_space);
  if (can.reserve_commits && request.size > s.unused()) return fail(ErrorCode::out_of_device_memory);
  if (!s.addresses.reserve(1) || !s.reservations.reserve_one()) return fail(ErrorCode::out_of_host_memory);

  Address address = request.hint;
  const bool hinted = address.value != 0 && is_aligned(address, *alignment) &&
                      s.addresses.take_at(address.value, request.size);
  if (!hinted) {
    const auto lowest = s.addresses.take_lowest(request.size, *alignment);
    if (!lowest) return fail(ErrorCode::out_of_address_space);
    address = Address{*lowest};
  }
  if (can.reserve_commits) s.used += request.size;
  return s.reservations.add(address, request.size, request.memory_type);
}

Result<void> AddressBackend::release(const Reservation& reservation) noexcept {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  const ReservationRecord* record = s.reservations.find(reservation);
  if (record == nullptr) return fail(ErrorCode::invalid_argument);
  if (s.bindings.any_bound(record->address, record->size)) return fail(ErrorCode::wrong_state);
  s.addresses.give(record->address.value, record->size);
  if (s.profile.capabilities.reserve_commits) s.used -= record->size;
  s.reservations.remove(*record);
  return {};
}

Result<void> AddressBackend::create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept {
  const Result<Bytes> total = check_physical_request(state_->profile, request, out.size());
  if (!total) return fail(total.error());
  const std::lock_guard lock(state_->mutex);
  if (*total > state_->unused()) return fail(ErrorCode::out_of_device_memory);
  if (!state_->objects.reserve(out.size())) return fail(ErrorCode::out_of_host_memory);
  for (PhysicalId& id : out)
    id = state_->objects.add(0, request.size, request.memory_type);
  state_->used += *total;
  return {};
}

Result<void> AddressBackend::destroy_physical(std::span<const PhysicalId> objects) noexcept {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  if (!s.profile.capabilities.bind) return fail(ErrorCode::not_supported);
  const Result<void> unused = hide_unused(s.objects, objects, s.last_point);
  if (!unused) return unused;
  for (const PhysicalId id : objects) {
    s.used -= s.objects[PhysicalTable::slot_of(id)].size;
    s.objects.remove(id);
  }
  return {};
}

Result<TimelinePoint> AddressBackend::bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  if (!s.profile.capabilities.bind) return fail(ErrorCode::not_supported);
  for (const TimelinePoint& point : waits)
    if (!s.answered(point)) return fail(ErrorCode::invalid_argument);
  s.journal.clear();
  for (const BindOp& op : ops) {
    const Result<void> applied = s.bindings.apply(op, s.journal);
    if (!applied) {
      s.bindings.undo(s.journal);
      return fail(applied.error());
    }
  }
  return TimelinePoint{TimelineId{}, ++s.last_point};
}

Result<TimelinePoint> AddressBackend::copy(std::span<const CopyOp>, std::span<const TimelinePoint>) noexcept {
  return fail(ErrorCode::not_supported);
}

Result<bool> AddressBackend::completed(TimelinePoint point) noexcept {
  const std::lock_guard lock(state_->mutex);
  if (!state_->answered(point)) return fail(ErrorCode::invalid_argument);
  return true;
}

Result<void> AddressBackend::wait(TimelinePoint point, std::uint64_t) noexcept {
  const std::lock_guard lock(state_->mutex);
  if (!state_->answered(point)) return fail(ErrorCode::invalid_argument);
  return {};
}

}  // namespace vaspace
