// The gate that every entry point passes: it counts the call, lets an injected failure strike, checks that
// the driver is initialised and the context sound, and holds the lock while the body runs.
#pragma once

#include <cuda.h>
#include <string>

#include "driver.hpp"

namespace vasim::cuda {

struct Call {
  Driver& driver;
  Lock& lock;
  const char* name;
  std::shared_ptr<Context> context;  // the current one; null where there is none
  CUresult late = CUDA_SUCCESS;      // injected into the work that this call puts on a stream

  // A rule was broken; returns the code.
  CUresult broken(const char* rule, std::string object, std::string reason, CUresult code) const;
  // A rule was broken, and what a real driver does then is undefined. Here: CUDA_ERROR_INVALID_VALUE.
  CUresult undefined(const char* rule, std::string object, std::string reason) const;
};

enum class Needs {
  nothing,         // works before cuInit and after errors
  initialisation,  // and works after errors: what the host alone keeps books of
  device,          // and no sticky error
  context          // and a current context
};

using Body = CUresult (*)(void* state, Call& call);
[[nodiscard]] CUresult enter(const char* name, Needs needs, Body body, void* state);

template <class Function>
[[nodiscard]] CUresult call(const char* name, Needs needs, Function function) {
  return enter(
      name, needs, [](void* state, Call& made) { return (*static_cast<Function*>(state))(made); }, &function);
}

// What belongs to a thread of the program.
struct ThreadState {
  std::uint64_t id = 0;
  std::uint64_t generation = 0;              // of the driver that the stack belongs to
  std::vector<std::uint64_t> context_stack;  // the last one is current
  bool in_host_function = false;             // which may not call the driver
  bool own_default = false;                  // the null stream means the thread's own
  CUstreamCaptureMode capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
};
[[nodiscard]] ThreadState& this_thread();

}  // namespace vasim::cuda
