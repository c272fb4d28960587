// Streams.
#include <cuda.h>
#include <utility>

#include "entry.hpp"

namespace vasim::cuda {
namespace {

CUresult create(Call& call, CUstream* out, unsigned flags, int priority) {
  if (out == nullptr || (flags & ~static_cast<unsigned>(CU_STREAM_NON_BLOCKING)) != 0)
    return CUDA_ERROR_INVALID_VALUE;
  *out = handle_of<CUstream>(make_stream(call.driver, call.context, flags, priority)->id);
  return CUDA_SUCCESS;
}

// The driver's default streams are no objects that a program may end.
CUresult destroy(Call& call, CUstream handle) {
  if (handle == nullptr || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD)
    return CUDA_ERROR_INVALID_HANDLE;
  const auto stream = find_stream(call, handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  close_stream(call.driver, stream);
  return CUDA_SUCCESS;
}

CUresult query(Call& call, Stream& stream) {
  if (!is_over(call.driver, stream.last())) return CUDA_ERROR_NOT_READY;
  call.driver.host.merge(stream.clock);
  return error_of(call.driver, *stream.context);
}

CUresult wait_for_event(Call& call, Stream& stream, CUevent handle) {
  const auto found = call.driver.events.find(id_of(handle));
  if (found == call.driver.events.end()) return CUDA_ERROR_INVALID_HANDLE;
  const Event& event = *found->second;
  if (event.point.number == 0) return CUDA_SUCCESS;  // never recorded: nothing to wait for
  Work work;
  work.name = call.name;
  work.after.push_back(event.point);
  work.clock = event.clock;
  work.run = [](Lock&, const Clock&) { return CUDA_SUCCESS; };
  (void)submit(call, stream, std::move(work));
  return CUDA_SUCCESS;
}

// Unlocked, for it is the program's; and it may not call the driver.
void call_host_function(Lock& lock, const std::function<void(CUresult)>& function, CUresult status) {
  lock.unlock();
  this_thread().in_host_function = true;
  function(status);
  this_thread().in_host_function = false;
  lock.lock();
}

// Whoever the function tells knows that what came before is over.
Work host_work(Call& call, std::function<void(CUresult)> function) {
  Work work;
  work.name = call.name;
  work.run = [&driver = call.driver, function = std::move(function)](Lock& lock, const Clock& over) {
    driver.host.merge(over);
    call_host_function(lock, function, CUDA_SUCCESS);
    return CUDA_SUCCESS;
  };
  return work;
}

template <class Body>
CUresult on_stream(const char* name, CUstream handle, Body body) {
  return call(name, Needs::context, [&](Call& made) {
    const auto stream = find_stream(made, handle);
    return stream != nullptr ? body(made, *stream) : CUDA_ERROR_INVALID_HANDLE;
  });
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuStreamCreate(CUstream* phStream, unsigned flags) {
  return call("cuStreamCreate", Needs::context, [&](Call& made) { return create(made, phStream, flags, 0); });
}

CUresult CUDAAPI cuStreamCreateWithPriority(CUstream* phStream, unsigned flags, int priority) {
  return call("cuStreamCreateWithPriority", Needs::context,
              [&](Call& made) { return create(made, phStream, flags, priority); });
}

CUresult CUDAAPI cuStreamDestroy_v2(CUstream stream) {
  return call("cuStreamDestroy", Needs::device, [&](Call& made) { return destroy(made, stream); });
}

CUresult CUDAAPI cuStreamQuery(CUstream stream) {
  return on_stream("cuStreamQuery", stream, query);
}

CUresult CUDAAPI cuStreamSynchronize(CUstream stream) {
  return on_stream("cuStreamSynchronize", stream, [](Call& made, Stream& found) {
    const CUresult result = await(made, found);
    trim_to_thresholds(made.driver);
    return result;
  });
}

CUresult CUDAAPI cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return on_stream("cuStreamWaitEvent", stream, [&](Call& made, Stream& found) {
    if ((flags & ~static_cast<unsigned>(CU_EVENT_WAIT_EXTERNAL)) != 0) return CUDA_ERROR_INVALID_VALUE;
    return wait_for_event(made, found, event);
  });
}

CUresult CUDAAPI cuLaunchHostFunc(CUstream stream, CUhostFn fn, void* userData) {
  return on_stream("cuLaunchHostFunc", stream, [&](Call& made, Stream& found) {
    if (fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
    (void)submit(made, found, host_work(made, [fn, userData](CUresult) { fn(userData); }));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* userData,
                                     unsigned flags) {
  return on_stream("cuStreamAddCallback", stream, [&](Call& made, Stream& found) {
    if (callback == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const auto told = [callback, stream, userData](CUresult status) { callback(stream, status, userData); };
    Work work = host_work(made, told);
    // Unlike cuLaunchHostFunc's, a callback is told of a failed context.
    work.dropped = [&driver = made.driver, told, context = found.context](Lock& lock) {
      call_host_function(lock, told, error_of(driver, *context));
    };
    (void)submit(made, found, std::move(work));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetFlags(CUstream stream, unsigned* flags) {
  return on_stream("cuStreamGetFlags", stream, [&](Call&, const Stream& found) {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = found.flags;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetPriority(CUstream stream, int* priority) {
  return on_stream("cuStreamGetPriority", stream, [&](Call&, const Stream& found) {
    if (priority == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *priority = found.priority;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetId(CUstream stream, unsigned long long* id) {
  return on_stream("cuStreamGetId", stream, [&](Call&, const Stream& found) {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *id = found.id;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetCtx(CUstream stream, CUcontext* context) {
  return on_stream("cuStreamGetCtx", stream, [&](Call&, const Stream& found) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = handle_of<CUcontext>(found.context->id);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetDevice(CUstream stream, CUdevice* device) {
  return on_stream("cuStreamGetDevice", stream, [&](Call&, const Stream& found) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = found.context->device;
    return CUDA_SUCCESS;
  });
}

// Graphs are not played: no stream ever captures.
CUresult CUDAAPI cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  return on_stream("cuStreamIsCapturing", stream, [&](Call&, const Stream&) {
    if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  return call("cuThreadExchangeStreamCaptureMode", Needs::initialisation, [&](Call&) {
    if (mode == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *mode = std::exchange(this_thread().capture_mode, *mode);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
