// Creation, the timeline, and what the backend says about itself.
#include <utility>

#include "vaspace/backends/cpu.hpp"

#include "kernel.hpp"
#include "state.hpp"

namespace vaspace::cpu {

Backend::Backend(HostObject<State> state) noexcept : state_(std::move(state)) {}
Backend::~Backend() = default;

Backend::State::~State() {
  for (const ReservationRecord& record : reservations.records())
    if (record.live) (void)release_addresses(record.address, record.size);
}

Result<HostObject<Backend>> Backend::create(const BackendConfig& config) noexcept {
  const Result<DeviceProfile> profile = describe(config);
  if (!profile) return fail(profile.error());
  HostObject<State> state = make_host_object<State>(config.host, *profile, config);
  if (state == nullptr) return fail(ErrorCode::out_of_host_memory);
  for (std::uint32_t heap = 0; heap < profile->heap_count; ++heap) {
    HostObject<HeapFile> file = make_host_object<HeapFile>(config.host, config.host);
    if (file == nullptr) return fail(ErrorCode::out_of_host_memory);
    const Result<void> opened = file->open(heap);
    if (!opened) return fail(opened.error());
    state->files[heap] = std::move(file);
  }
  HostObject<Backend> backend = make_host_object<Backend>(config.host, std::move(state));
  if (backend == nullptr) return fail(ErrorCode::out_of_host_memory);
  return backend;
}

const DeviceProfile& Backend::profile() const noexcept {
  return state_->profile;
}

std::uint64_t Backend::mappings_held() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->mappings;
}

Result<Budget> Backend::budget(std::uint32_t heap) noexcept {
  if (heap >= state_->profile.heap_count) return fail(ErrorCode::invalid_argument);
  const std::lock_guard lock(state_->mutex);
  const Bytes size = state_->profile.heaps[heap].size;
  return Budget{size, size, state_->used[heap]};
}

Result<Bytes> Backend::measured_physical() noexcept {
  Bytes sum{};
  for (std::uint32_t heap = 0; heap < state_->profile.heap_count; ++heap) {
    const Result<Bytes> measured = state_->files[heap]->measured();
    if (!measured) return measured;
    sum += *measured;
  }
  return sum;
}

Result<void> Backend::State::advance() noexcept {
  if (later.empty() && lost == 0) return {};
  const std::uint64_t now = now_ns();
  while (lost == 0 && !later.empty() && later.front().due <= now) {
    lost = carry_out(later.front().step);
    later.pop();
    done = later.empty() ? submitted : later.front().value - 1;
  }
  if (lost != 0) return fail(ErrorCode::device_lost, lost);
  return {};
}

Result<bool> Backend::completed(TimelinePoint point) noexcept {
  const std::lock_guard lock(state_->mutex);
  const Result<void> advanced = state_->advance();
  if (!advanced) return fail(advanced.error());
  if (!state_->answered(point)) return fail(ErrorCode::invalid_argument);
  return point.value <= state_->done;
}

Result<void> Backend::wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept {
  const std::uint64_t begin = now_ns();
  const std::uint64_t deadline = timeout_ns > ~begin ? ~std::uint64_t{0} : begin + timeout_ns;
  for (;;) {
    std::uint64_t due = 0;
    {
      const std::lock_guard lock(state_->mutex);
      const Result<void> advanced = state_->advance();
      if (!advanced) return advanced;
      if (!state_->answered(point)) return fail(ErrorCode::invalid_argument);
      if (point.value <= state_->done) return {};
      due = state_->later.due_of(point.value).value_or(state_->later.front().due);
    }
    if (now_ns() >= deadline) return fail(ErrorCode::timed_out);
    sleep_until_ns(due < deadline ? due : deadline);
  }
}

}  // namespace vaspace::cpu
