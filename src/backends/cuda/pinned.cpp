#include <algorithm>
#include <cstring>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include "vaspace/backends/cuda_pinned.hpp"
#include "vaspace/device/profile_checks.hpp"

#include "errors.hpp"
#include "steps.hpp"

namespace vaspace::cuda {

struct PinnedBackend::State {
  State(cuda::Backend& of, const HostAllocator& host) noexcept
      : device(of), reservations(host), memory(host), free_records(host) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    // Memory that the device may still use is not given back: nobody will say any more when it may be (C13).
    if (!memory.empty() && !insist([&] { return device.wait_idle(); })) return;
    for (const Piece& piece : memory)
      if (piece.memory != nullptr) (void)insist([&] { return give_back(piece); });
  }

  struct Piece {
    std::byte* memory = nullptr;
    Bytes size{};       // that is pinned
    Address address{};  // of the reservation in it
    bool own = false;   // pages of this process that were pinned, and not the driver's
  };

  // Errors: out_of_host_memory, driver_error.
  [[nodiscard]] Result<Piece> take(Bytes size, Alignment alignment) noexcept;
  [[nodiscard]] Result<void> give_back(const Piece& piece) noexcept;

  cuda::Backend& device;
  DeviceProfile profile{};
  std::mutex mutex;
  ReservationTable reservations;
  HostArray<Piece> memory;
  HostArray<std::size_t> free_records;  // of `memory`
  Bytes used{};

  [[nodiscard]] Piece* piece_at(Address address) noexcept {
    for (Piece& piece : memory)
      if (piece.memory != nullptr && piece.address == address) return &piece;
    return nullptr;
  }
};

namespace {

constexpr Bytes kLargestAlignment = 1_GiB;

Bytes host_page() noexcept {
  const long page = sysconf(_SC_PAGESIZE);
  return Bytes{page > 0 ? static_cast<std::uint64_t>(page) : 4096};
}

// Pages at a multiple of the alignment: what is reserved around them costs no memory, and goes back.
std::byte* map_aligned(Bytes size, Alignment alignment) noexcept {
  const auto whole = checked_add(size, Bytes{alignment.value});
  if (!whole) return nullptr;
  void* const got =
      mmap(nullptr, whole->value, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(got);
  const Address low{reinterpret_cast<std::uintptr_t>(begin)};
  const std::uint64_t before = (align_up(low, alignment) - low).value;
  const std::uint64_t behind = alignment.value - before;
  if (before != 0) (void)munmap(begin, before);
  if (behind != 0) (void)munmap(begin + before + size.value, behind);
  return begin + before;
}

Bytes half_of_memory() noexcept {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page = sysconf(_SC_PAGESIZE);
  const auto whole = static_cast<std::uint64_t>(pages > 0 ? pages : 1) * static_cast<std::uint64_t>(page);
  return align_down(Bytes{whole / 2}, Alignment{64_KiB});
}

}  // namespace

PinnedBackend::PinnedBackend(HostObject<State> state) noexcept : state_(std::move(state)) {}
PinnedBackend::~PinnedBackend() = default;

Result<HostObject<PinnedBackend>> PinnedBackend::create(cuda::Backend& device,
                                                        const PinnedConfig& config) noexcept {
  HostObject<State> state = make_host_object<State>(config.host, device, config.host);
  if (state == nullptr) return fail(ErrorCode::out_of_host_memory);
  DeviceProfile& profile = state->profile;
  set_name(profile, "pinned host memory");
  profile.heap_count = 1;
  profile.heaps[0] = {config.limit == Bytes{} ? half_of_memory() : config.limit, false};
  profile.memory_type_count = 1;
  profile.memory_types[0] = {
      .heap = 0, .device_local = false, .host_visible = true, .host_coherent = true, .host_cached = true};
  profile.reservation_granularity = 64_KiB;
  profile.capabilities.reserve_commits = true;
  profile.capabilities.host_addressable = true;
  profile.capabilities.copy = true;
  HostObject<PinnedBackend> backend = make_host_object<PinnedBackend>(config.host, std::move(state));
  if (backend == nullptr) return fail(ErrorCode::out_of_host_memory);
  return backend;
}

const DeviceProfile& PinnedBackend::profile() const noexcept {
  return state_->profile;
}

Result<Budget> PinnedBackend::budget(std::uint32_t heap) noexcept {
  if (heap >= state_->profile.heap_count) return fail(ErrorCode::invalid_argument);
  const std::lock_guard lock(state_->mutex);
  const Bytes size = state_->profile.heaps[0].size;
  return Budget{size, size, state_->used};
}

// The driver aligns to a host page. Beyond that, pages of this process are pinned, exactly as many; where the
// device would have those at another address, more of the driver's are taken.
Result<PinnedBackend::State::Piece> PinnedBackend::State::take(Bytes size, Alignment alignment) noexcept {
  const auto at = [](const std::byte* begin) { return Address{reinterpret_cast<std::uintptr_t>(begin)}; };
  if (alignment.value > host_page().value) {
    std::byte* const mapped = map_aligned(size, alignment);
    if (mapped == nullptr) return fail(ErrorCode::out_of_host_memory);
    const Result<void> pinned = device.pin(mapped, size);
    if (pinned) return Piece{mapped, size, at(mapped), true};
    (void)munmap(mapped, size.value);
    if (pinned.error().code != ErrorCode::not_supported) return fail(pinned.error());
  }
  const bool wider = alignment.value > host_page().value;
  const auto whole = checked_add(size, Bytes{wider ? alignment.value : 0});
  if (!whole || *whole > profile.heaps[0].size - used) return fail(ErrorCode::out_of_host_memory);
  const Result<std::byte*> taken = device.allocate_pinned(*whole);
  if (!taken) return fail(taken.error());
  return Piece{*taken, *whole, align_up(at(*taken), alignment), false};
}

Result<void> PinnedBackend::State::give_back(const Piece& piece) noexcept {
  if (!piece.own) return device.free_pinned(piece.memory);
  if (Result<void> unpinned = device.unpin(piece.memory); !unpinned) return unpinned;
  (void)munmap(piece.memory, piece.size.value);
  return {};
}

Result<Reservation> PinnedBackend::reserve(const ReservationRequest& request) noexcept {
  State& s = *state_;
  const Result<Alignment> alignment = check_reservation_request(s.profile, request);
  if (!alignment) return fail(alignment.error());
  const std::lock_guard lock(s.mutex);
  if (request.size > s.profile.heaps[0].size - s.used || alignment->value > kLargestAlignment.value)
    return fail(ErrorCode::out_of_device_memory);
  const bool room =
      s.reservations.reserve_one() && s.memory.reserve_more(1) && s.free_records.reserve(s.memory.size() + 1);
  if (!room) return fail(ErrorCode::out_of_host_memory);
  const Result<State::Piece> piece = s.take(request.size, *alignment);
  if (!piece) {
    const bool full = piece.error().code == ErrorCode::out_of_host_memory;
    return fail(full ? ErrorCode::out_of_device_memory : piece.error().code, piece.error().native);
  }
  if (s.free_records.empty()) {
    s.memory.push_back_reserved(*piece);
  } else {
    s.memory[s.free_records.back()] = *piece;
    s.free_records.pop_back();
  }
  s.used += piece->size;
  return s.reservations.add(piece->address, request.size, request.memory_type);
}

Result<void> PinnedBackend::release(const Reservation& reservation) noexcept {
  State& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    if (s.reservations.find(reservation) == nullptr) return fail(ErrorCode::invalid_argument);
  }
  // Nobody else is kept waiting for what the device still does with it.
  if (Result<void> idle = s.device.wait_idle(); !idle) return idle;
  const std::lock_guard lock(s.mutex);
  const ReservationRecord* record = s.reservations.find(reservation);
  if (record == nullptr) return fail(ErrorCode::invalid_argument);
  State::Piece* piece = s.piece_at(record->address);
  if (Result<void> freed = s.give_back(*piece); !freed) return freed;
  piece->memory = nullptr;
  s.free_records.push_back_reserved(static_cast<std::size_t>(piece - s.memory.data()));
  s.used -= piece->size;
  s.reservations.remove(*record);
  return {};
}

Result<TimelinePoint> PinnedBackend::copy(std::span<const CopyOp> ops,
                                          std::span<const TimelinePoint> waits) noexcept {
  State& s = *state_;
  for (const TimelinePoint& point : waits)
    if (Result<void> waited = wait(point, ~std::uint64_t{0}); !waited) return fail(waited.error());
  const std::lock_guard lock(s.mutex);
  for (const CopyOp& op : ops) {
    const bool inside = op.size.value != 0 && s.reservations.holding(op.source, op.size) != nullptr &&
                        s.reservations.holding(op.destination, op.size) != nullptr;
    const bool overlap = op.source < op.destination + op.size && op.destination < op.source + op.size;
    if (!inside || overlap) return fail(ErrorCode::invalid_argument);
  }
  // Addresses are numbers above this backend. NOLINTBEGIN(performance-no-int-to-ptr)
  for (const CopyOp& op : ops)
    std::memcpy(reinterpret_cast<void*>(op.destination.value), reinterpret_cast<const void*>(op.source.value),
                op.size.value);
  // NOLINTEND(performance-no-int-to-ptr)
  return TimelinePoint{};
}

Result<bool> PinnedBackend::completed(TimelinePoint point) noexcept {
  return state_->device.completed(point);
}

Result<void> PinnedBackend::wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept {
  return state_->device.wait(point, timeout_ns);
}

}  // namespace vaspace::cuda
