#include <array>
#include <atomic>
#include <cstdio>
#include <cuda.h>
#include <mutex>
#include <new>
#include <stdexcept>

#include "vaspace/frontends/cuda.hpp"
#include "vaspace/frontends/cuda_torch.h"

namespace {

using namespace vaspace;  // NOLINT: the functions below are C's

constexpr int kMaxDevices = 64;

struct Device {
  HostObject<cuda::Backend> backend;
  HostObject<cuda::StreamAllocator> streams;
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> bad_frees{0};
};

// The only state of the process: what the plug-in's C functions have no other place for. Never destroyed by
// the program's end, when the driver may be gone already.
struct Devices {
  std::mutex making;
  std::array<std::atomic<Device*>, kMaxDevices> made{};
};
Devices& devices() noexcept {
  static Devices all;
  return all;
}

std::array<char, 320>& last_error() noexcept {
  thread_local std::array<char, 320> text{};
  return text;
}

// PyTorch makes its exception of either, with the text.
class OutOfMemory final : public std::bad_alloc {
 public:
  [[nodiscard]] const char* what() const noexcept override { return text_.data(); }

 private:
  const std::array<char, 320> text_ = last_error();
};

void say(const char* what, Error error, const char* why = "") noexcept {
  std::snprintf(last_error().data(), last_error().size(), "%s: %s (CUresult %d) %s", what,
                to_string(error.code), static_cast<int>(error.native), why);
}

Device* find(int number) noexcept {
  if (number < 0 || number >= kMaxDevices) return nullptr;
  return devices().made[static_cast<std::size_t>(number)].load(std::memory_order_acquire);
}

// Every device that can reach the memory does (C7): tensors are copied and read across devices.
Result<void> add_peers(cuda::Backend& backend) noexcept {
  const Result<int> count = cuda::device_count();
  if (!count) return fail(count.error());
  for (int peer = 0; peer < *count; ++peer) {
    if (peer == backend.device()) continue;
    const Result<void> added = backend.add_peer(peer);
    if (!added && added.error().code != ErrorCode::not_supported) return added;
  }
  return {};
}

Device* find_or_make(int number) noexcept {
  if (Device* device = find(number); device != nullptr) return device;
  if (number < 0 || number >= kMaxDevices) {
    say("vaspace_torch_allocate", {ErrorCode::invalid_argument, CUDA_ERROR_INVALID_DEVICE}, "no such device");
    return nullptr;
  }
  const std::lock_guard lock(devices().making);
  if (Device* device = find(number); device != nullptr) return device;
  cuda::Refusal refusal;
  cuda::BackendConfig config;
  config.device = number;
  config.refusal = &refusal;
  auto backend = cuda::Backend::create(config);
  if (!backend) {
    say("vaspace_torch_allocate", backend.error(), refusal.text);
    return nullptr;
  }
  if (const Result<void> reached = add_peers(**backend); !reached) {
    say("vaspace_torch_allocate", reached.error(), "a peer was not given access");
    return nullptr;
  }
  auto streams = cuda::StreamAllocator::create(**backend);
  HostObject<Device> device = make_host_object<Device>(default_host_allocator());
  if (!streams || device == nullptr) {
    say("vaspace_torch_allocate", streams ? Error{ErrorCode::out_of_host_memory} : streams.error());
    return nullptr;
  }
  device->backend = std::move(*backend);
  device->streams = std::move(*streams);
  Device* made = device.release();
  devices().made[static_cast<std::size_t>(number)].store(made, std::memory_order_release);
  return made;
}

// What no call of the driver refused has no number of it: CUDA_ERROR_UNKNOWN.
int number_of(const char* what, Error error) noexcept {
  say(what, error);
  return error.native != 0 ? static_cast<int>(error.native) : CUDA_ERROR_UNKNOWN;
}

void* allocate(std::uint64_t size, int number, CUstream_st* stream, ErrorCode& refused) noexcept {
  refused = ErrorCode::invalid_argument;
  Device* device = find_or_make(number);
  if (device == nullptr) return nullptr;
  const Result<Address> address = device->streams->allocate(Bytes{size}, stream);
  if (!address) {
    refused = address.error().code;
    device->refused.fetch_add(1, std::memory_order_relaxed);
    say("vaspace_torch_allocate", address.error());
    return nullptr;
  }
  // A device address is a pointer to who asked. NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address->value));
}

}  // namespace

extern "C" {

void* vaspace_torch_try_allocate(ssize_t size, int number, CUstream_st* stream) {
  ErrorCode refused{};
  return size != 0 ? allocate(size > 0 ? static_cast<std::uint64_t>(size) : 0, number, stream, refused)
                   : nullptr;
}

// What the caller gets it takes for memory: NULL would be a tensor at address 0.
void* vaspace_torch_allocate(ssize_t size, int number, CUstream_st* stream) {
  if (size == 0) return nullptr;
  ErrorCode refused{};
  void* memory = allocate(size > 0 ? static_cast<std::uint64_t>(size) : 0, number, stream, refused);
  if (memory != nullptr) return memory;
  switch (refused) {
    case ErrorCode::out_of_device_memory:
    case ErrorCode::out_of_address_space:
    case ErrorCode::out_of_host_memory:
    case ErrorCode::out_of_space:
    case ErrorCode::too_large:
      throw OutOfMemory();
    default:
      throw std::runtime_error(last_error().data());
  }
}

void vaspace_torch_free(void* memory, ssize_t, int number, CUstream_st* stream) {
  if (memory == nullptr) return;
  Device* device = find(number);
  if (device == nullptr)
    return say("vaspace_torch_free", {ErrorCode::unknown_address, CUDA_ERROR_INVALID_DEVICE},
               "no such device");
  const Result<void> freed = device->streams->free(Address{reinterpret_cast<std::uintptr_t>(memory)}, stream);
  if (freed) return;
  device->bad_frees.fetch_add(1, std::memory_order_relaxed);
  say("vaspace_torch_free", freed.error());
}

// Only the allocator whose memory it is knows the address.
void vaspace_torch_record_stream(void* memory, CUstream_st* stream) {
  if (memory == nullptr) return;
  const Address address{reinterpret_cast<std::uintptr_t>(memory)};
  Result<void> recorded = fail(ErrorCode::unknown_address, CUDA_ERROR_INVALID_VALUE);
  Device* last = nullptr;
  for (int number = 0; number < kMaxDevices; ++number) {
    Device* device = find(number);
    if (device == nullptr) continue;
    last = device;
    recorded = device->streams->record_stream(address, stream);
    if (recorded || recorded.error().code != ErrorCode::unknown_address) break;
  }
  if (recorded) return;
  if (last != nullptr) last->bad_frees.fetch_add(1, std::memory_order_relaxed);
  say("vaspace_torch_record_stream", recorded.error());
}

int vaspace_torch_release_stream(int number, CUstream_st* stream) {
  Device* device = find(number);
  const Result<void> released = device != nullptr
                                    ? device->streams->release_stream(stream)
                                    : fail(ErrorCode::invalid_argument, CUDA_ERROR_INVALID_DEVICE);
  return released ? 0 : number_of("vaspace_torch_release_stream", released.error());
}

int vaspace_torch_add_stream(int number, CUstream_st* stream) {
  Device* device = find(number);
  const Result<void> added = device != nullptr ? device->streams->add_stream(stream)
                                               : fail(ErrorCode::invalid_argument, CUDA_ERROR_INVALID_DEVICE);
  return added ? 0 : number_of("vaspace_torch_add_stream", added.error());
}

void vaspace_torch_trim(int number) {
  if (Device* device = find(number); device != nullptr) device->streams->trim(true);
}

int vaspace_torch_get_statistics(int number, vaspace_torch_statistics* statistics) {
  Device* device = find(number);
  if (device == nullptr || statistics == nullptr) return -1;
  const cuda::StreamReport report = device->streams->report();
  *statistics = {report.live_allocations,
                 report.live.value,
                 report.physical.value,
                 report.idle.value,
                 report.parked.value,
                 device->refused.load(std::memory_order_relaxed),
                 device->bad_frees.load(std::memory_order_relaxed),
                 report.waiting.value};
  return 0;
}

const char* vaspace_torch_last_error(void) {
  return last_error().data();
}

void vaspace_torch_close(void) {
  const std::lock_guard lock(devices().making);
  for (std::atomic<Device*>& slot : devices().made) {
    Device* device = slot.exchange(nullptr, std::memory_order_acq_rel);
    if (device == nullptr) continue;
    device->streams.reset();
    HostDelete<Device>{default_host_allocator()}(device);
  }
}

}  // extern "C"
