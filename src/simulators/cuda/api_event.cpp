// Events.
#include <cuda.h>

#include "entry.hpp"

namespace vasim::cuda {
namespace {

constexpr unsigned kEventFlags = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;

CUresult create(Call& call, CUevent* out, unsigned flags) {
  if (out == nullptr || (flags & ~kEventFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  if ((flags & CU_EVENT_INTERPROCESS) != 0) return CUDA_ERROR_NOT_SUPPORTED;
  auto event = std::make_shared<Event>();
  event->flags = flags;
  event->context = call.context->id;
  const std::uint64_t id = new_id();
  call.driver.events.emplace(id, std::move(event));
  *out = handle_of<CUevent>(id);
  return CUDA_SUCCESS;
}

std::shared_ptr<Event> find_event(Driver& driver, CUevent handle) {
  const auto found = driver.events.find(id_of(handle));
  return found != driver.events.end() ? found->second : nullptr;
}

CUresult record(Call& call, CUevent handle, CUstream stream_handle) {
  const auto event = find_event(call.driver, handle);
  const auto stream = find_stream(call, stream_handle);
  if (event == nullptr || stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (event->context != stream->context->id) return CUDA_ERROR_INVALID_HANDLE;
  Work work;
  work.name = call.name;
  // A later record of the same event makes this one's time worthless.
  const std::uint64_t number = stream->submitted + 1;
  work.run = [event, id = stream->id, number](Lock&, const Clock&) {
    if (event->point.stream == id && event->point.number == number)
      event->time = std::chrono::steady_clock::now();
    return CUDA_SUCCESS;
  };
  event->point = submit(call, *stream, std::move(work));
  event->clock = stream->clock;
  return CUDA_SUCCESS;
}

CUresult query(Call& call, const Event& event) {
  if (!is_over(call.driver, event.point)) return CUDA_ERROR_NOT_READY;
  call.driver.host.merge(event.clock);
  return CUDA_SUCCESS;
}

CUresult elapsed(Call& call, float* milliseconds, CUevent from, CUevent to) {
  const auto begin = find_event(call.driver, from);
  const auto end = find_event(call.driver, to);
  if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (begin == nullptr || end == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (((begin->flags | end->flags) & CU_EVENT_DISABLE_TIMING) != 0) return CUDA_ERROR_INVALID_HANDLE;
  if (begin->point.number == 0 || end->point.number == 0) return CUDA_ERROR_INVALID_HANDLE;
  if (query(call, *begin) != CUDA_SUCCESS || query(call, *end) != CUDA_SUCCESS) return CUDA_ERROR_NOT_READY;
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuEventCreate(CUevent* phEvent, unsigned flags) {
  return call("cuEventCreate", Needs::context, [&](Call& made) { return create(made, phEvent, flags); });
}

CUresult CUDAAPI cuEventDestroy_v2(CUevent event) {
  return call("cuEventDestroy", Needs::device, [&](Call& made) {
    return made.driver.events.erase(id_of(event)) != 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult CUDAAPI cuEventRecord(CUevent event, CUstream stream) {
  return call("cuEventRecord", Needs::context, [&](Call& made) { return record(made, event, stream); });
}

CUresult CUDAAPI cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  return call("cuEventRecordWithFlags", Needs::context, [&](Call& made) {
    return flags == CU_EVENT_RECORD_DEFAULT ? record(made, event, stream) : CUDA_ERROR_NOT_SUPPORTED;
  });
}

CUresult CUDAAPI cuEventQuery(CUevent event) {
  return call("cuEventQuery", Needs::device, [&](Call& made) {
    const auto found = find_event(made.driver, event);
    return found != nullptr ? query(made, *found) : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult CUDAAPI cuEventSynchronize(CUevent event) {
  return call("cuEventSynchronize", Needs::device, [&](Call& made) {
    const auto found = find_event(made.driver, event);
    if (found == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    const Point point = found->point;
    const Clock clock = found->clock;
    const CUresult result = await(made, point, clock);
    trim_to_thresholds(made.driver);
    return result;
  });
}

CUresult CUDAAPI cuEventElapsedTime_v2(float* pMilliseconds, CUevent hStart, CUevent hEnd) {
  return cuEventElapsedTime(pMilliseconds, hStart, hEnd);
}

CUresult CUDAAPI cuEventElapsedTime(float* pMilliseconds, CUevent hStart, CUevent hEnd) {
  return call("cuEventElapsedTime", Needs::device,
              [&](Call& made) { return elapsed(made, pMilliseconds, hStart, hEnd); });
}

}  // extern "C"
