// Creation, the end, and what the backend says about itself.
#include <algorithm>
#include <utility>

#include "state.hpp"

namespace vaspace::cuda {

Backend::Backend(HostObject<State> state) noexcept : state_(std::move(state)) {}
Backend::~Backend() = default;

// What is still bound goes only when nothing runs any more (C13): where the driver does not say that for
// good, all of it is left to the driver.
Backend::State::~State() {
  if (context == nullptr) return;
  if (insist([&]() noexcept { return driver.push_context(context); }) == CUDA_SUCCESS) {
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    const auto exchange = [&]() noexcept { return driver.exchange_capture_mode(&mode); };
    const bool relaxed = insist(exchange) == CUDA_SUCCESS;
    if (insist([&]() noexcept { return driver.context_synchronize(); }) == CUDA_SUCCESS) give_all_back();
    if (relaxed) (void)insist(exchange);
    CUcontext popped = nullptr;
    (void)insist([&]() noexcept { return driver.pop_context(&popped); });
  }
  (void)insist([&]() noexcept { return driver.release_context(device); });
}

void Backend::State::give_all_back() noexcept {
  for (const auto* at = bindings.tree().ceiling(0); at != nullptr; at = bindings.tree().ceiling(at->end))
    (void)insist([&]() noexcept { return driver.unmap(at->begin, at->end - at->begin); });
  timelines.destroy_events();
  if (copies != nullptr) (void)insist([&]() noexcept { return driver.stream_destroy(copies); });
  std::uint32_t slot = 0;
  for (std::size_t left = objects.count(); left != 0; ++slot) {
    if (!objects[slot].live) continue;
    (void)insist([&]() noexcept { return driver.release(objects[slot].place); });
    --left;
  }
  for (const auto* at = parts.ceiling(0); at != nullptr; at = parts.ceiling(at->end))
    (void)insist([&]() noexcept { return driver.free_addresses(at->begin, at->end - at->begin); });
  for (std::size_t tries = 0; tries < 8 && !orphans.empty(); ++tries)
    retry_orphans();
}

Result<HostObject<Backend>> Backend::create(const BackendConfig& config) noexcept {
  Refusal unread;
  Refusal& refusal = config.refusal != nullptr ? *config.refusal : unread;
  refusal = {};
  HostObject<State> state = make_host_object<State>(config.host, config.host);
  if (state == nullptr) return fail(ErrorCode::out_of_host_memory);
  if (Result<void> opened = state->open(config, refusal); !opened) return fail(opened.error());
  HostObject<Backend> backend = make_host_object<Backend>(config.host, std::move(state));
  if (backend == nullptr) return fail(ErrorCode::out_of_host_memory);
  for (const int peer : config.peers) {
    const Result<void> added = backend->add_peer(peer);
    if (!added)
      return refuse(refusal, added.error(), "cuDeviceCanAccessPeer", "the peer cannot reach the device");
  }
  return backend;
}

int Backend::device() const noexcept {
  return state_->device;
}

int Backend::driver_version() const noexcept {
  return state_->driver.version();
}

Bytes Backend::recommended_page() const noexcept {
  return state_->recommended;
}

bool Backend::can_export() const noexcept {
  return state_->can_export;
}

const DeviceProfile& Backend::profile() const noexcept {
  return state_->profile;
}

// V16: what others hold is the driver's to say; what this process holds, the books'.
Result<Budget> Backend::budget(std::uint32_t heap) noexcept {
  State& s = *state_;
  if (heap >= s.profile.heap_count) return fail(ErrorCode::invalid_argument);
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  std::size_t unused = 0;
  std::size_t total = 0;
  const CUresult asked = s.driver.memory_info(&unused, &total);
  if (asked != CUDA_SUCCESS) return fail(error_of(asked));
  const std::lock_guard lock(s.mutex);
  const Bytes size = s.profile.heaps[0].size;
  return Budget{size, std::min(size, s.used + Bytes{unused}), s.used};
}

Result<void> Backend::add_peer(int device) noexcept {
  State& s = *state_;
  int reaches = 0;
  const CUresult asked = s.driver.can_access_peer(&reaches, device, s.device);
  if (asked != CUDA_SUCCESS) return fail(error_of(asked));
  if (reaches == 0) return fail(ErrorCode::not_supported, CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
  CUmemAccessDesc wanted{};
  wanted.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  wanted.location.id = device;
  const std::lock_guard lock(s.mutex);
  if (Result<void> alive = s.alive(); !alive) return alive;
  for (const CUmemAccessDesc& has : s.reach)
    if (has.location.id == device) return fail(ErrorCode::wrong_state);
  if (!s.reach.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  const BindingTree& tree = s.bindings.tree();
  for (const auto* at = tree.ceiling(0); at != nullptr; at = tree.ceiling(at->end)) {
    wanted.flags = at->value.access == Access::read_write ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                   : at->value.access == Access::read     ? CU_MEM_ACCESS_FLAGS_PROT_READ
                                                          : CU_MEM_ACCESS_FLAGS_PROT_NONE;
    const CUresult granted = s.driver.set_access(at->begin, at->end - at->begin, &wanted, 1);
    if (granted == CUDA_SUCCESS) continue;
    wanted.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    for (const auto* back = tree.ceiling(0); back != nullptr && back->begin < at->begin;
         back = tree.ceiling(back->end)) {
      const CUresult taken = insist(
          [&]() noexcept { return s.driver.set_access(back->begin, back->end - back->begin, &wanted, 1); });
      if (taken != CUDA_SUCCESS) s.lost = taken;
    }
    return s.lost == CUDA_SUCCESS ? fail(error_of(granted)) : s.alive();
  }
  wanted.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  s.reach.push_back_reserved(wanted);
  return {};
}

Result<void> Backend::remove_peer(int device) noexcept {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (Result<void> alive = s.alive(); !alive) return alive;
  for (std::size_t i = 1; i < s.reach.size(); ++i) {
    if (s.reach[i].location.id != device) continue;
    const ContextScope scope(s);
    if (Result<void> entered = scope.entered(); !entered) return entered;
    CUmemAccessDesc none = s.reach[i];
    none.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    const BindingTree& tree = s.bindings.tree();
    for (const auto* at = tree.ceiling(0); at != nullptr; at = tree.ceiling(at->end)) {
      const CUresult taken = s.driver.set_access(at->begin, at->end - at->begin, &none, 1);
      if (taken == CUDA_SUCCESS) continue;
      // What the peer has lost already it gets back.
      for (const auto* back = tree.ceiling(0); back != nullptr && back->begin < at->begin;
           back = tree.ceiling(back->end)) {
        const CUresult given =
            insist([&]() noexcept { return s.allow(back->begin, back->end, back->value.access); });
        if (given != CUDA_SUCCESS) s.lost = given;
      }
      return s.lost == CUDA_SUCCESS ? fail(error_of(taken)) : s.alive();
    }
    s.reach[i] = s.reach.back();
    s.reach.pop_back();
    return {};
  }
  return fail(ErrorCode::invalid_argument);
}

void Backend::State::retry_orphans() noexcept {
  for (std::size_t i = orphans.size(); i != 0; --i) {
    const Orphan orphan = orphans[i - 1];
    const CUresult gone = orphan.handle != 0 ? driver.release(orphan.handle)
                                             : driver.free_addresses(orphan.address, orphan.size);
    if (gone != CUDA_SUCCESS) continue;
    if (orphan.handle != 0) used -= Bytes{orphan.size};
    orphans[i - 1] = orphans.back();
    orphans.pop_back();
  }
}

}  // namespace vaspace::cuda
