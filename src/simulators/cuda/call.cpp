#include "call.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <new>
#include <string_view>
#include <system_error>
#include <unistd.h>

namespace vasim::cuda {
namespace {

// Losses of devices and memory that are due at this call.
void apply_schedule(Driver& driver) {
  for (const DeviceLoss& loss : driver.configuration.losses) {
    if (Device* device = find_device(driver, loss.device); device != nullptr && loss.at_call == driver.calls)
      device->lost = loss.code;
  }
  for (const MemoryTaken& taken : driver.configuration.taken) {
    if (Device* device = find_device(driver, taken.device);
        device != nullptr && taken.at_call == driver.calls)
      device->memory->take(taken.bytes);
  }
}

CUresult check(Call& made, Needs needs) {
  if (needs == Needs::nothing) return CUDA_SUCCESS;
  if (!made.driver.initialised) return CUDA_ERROR_NOT_INITIALIZED;
  const ThreadState& thread = this_thread();
  if (!thread.context_stack.empty()) {
    const auto found = made.driver.contexts.find(thread.context_stack.back());
    if (found != made.driver.contexts.end()) made.context = found->second;
  }
  if (needs == Needs::context && made.context == nullptr)
    return thread.context_stack.empty() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (needs == Needs::initialisation || made.context == nullptr) return CUDA_SUCCESS;
  return error_of(made.driver, *made.context);
}

// What a thread in the global mode may not call while another one captures.
bool breaks_a_capture(std::string_view name) {
  constexpr std::string_view kUnsafe[] = {"cuCtxSynchronize", "cuEventQuery",        "cuEventSynchronize",
                                          "cuMemAddressFree", "cuMemAddressReserve", "cuMemAlloc",
                                          "cuMemCreate",      "cuMemFree",           "cuMemFreeHost",
                                          "cuMemHostAlloc",   "cuMemHostRegister",   "cuMemHostUnregister",
                                          "cuMemMap",         "cuMemRelease",        "cuMemSetAccess",
                                          "cuMemUnmap",       "cuStreamQuery",       "cuStreamSynchronize"};
  return this_thread().capture_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
         std::find(std::begin(kUnsafe), std::end(kUnsafe), name) != std::end(kUnsafe);
}

CUresult guarded(Call& made, Needs needs, Body body, void* state) {
  const Strike strike = made.driver.faults.next_call(made.name);
  if (strike.now != CUDA_SUCCESS) return strike.now;
  made.late = strike.late;
  if (made.driver.captured_elsewhere && breaks_a_capture(made.name))
    return made.broken("capture", made.name, "breaks the capture of another thread",
                       CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  const CUresult ready = check(made, needs);
  return ready != CUDA_SUCCESS ? ready : body(state, made);
}

}  // namespace

CUresult Call::broken(const char* rule, std::string object, std::string reason, CUresult code) const {
  driver.reports.add({rule, std::move(object), std::string(name) + ": " + std::move(reason), code});
  return code;
}

CUresult Call::undefined(const char* rule, std::string object, std::string reason) const {
  (void)broken(rule, std::move(object), std::move(reason), CUDA_SUCCESS);
  return CUDA_ERROR_INVALID_VALUE;
}

ThreadState& this_thread() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local ThreadState state;
  if (state.id == 0) state.id = threads.fetch_add(1, std::memory_order_relaxed) + 1;
  return state;
}

CUresult enter(const char* name, Needs needs, Body body, void* state) {
  Machine& all = machine();
  ThreadState& thread = this_thread();
  const int owner = all.process.load(std::memory_order_relaxed);
  if (owner != 0 && owner != getpid()) return CUDA_ERROR_NOT_INITIALIZED;
  try {
    Lock lock(all.mutex);
    if (all.driver == nullptr) all.driver = make_driver(nullptr);
    if (thread.generation != all.generation) {
      thread.context_stack.clear();
      thread.generation = all.generation;
    }
    Driver& driver = *all.driver;
    ++driver.calls;
    const auto counted = driver.calls_of.find(name);
    if (counted != driver.calls_of.end()) {
      ++counted->second;
    } else {
      driver.calls_of.emplace(name, 1);
    }
    apply_schedule(driver);
    Call made{driver, lock, name, nullptr, CUDA_SUCCESS};
    if (thread.in_host_function && needs != Needs::nothing)
      return made.broken("host-function", name, "called from a host function", CUDA_ERROR_NOT_PERMITTED);
    return guarded(made, needs, body, state);
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (const std::system_error&) {  // no thread to be had
    return CUDA_ERROR_OPERATING_SYSTEM;
  }
}

}  // namespace vasim::cuda
