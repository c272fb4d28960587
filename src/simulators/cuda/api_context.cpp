// Contexts: primary ones, others, and the stack that each thread has.
#include <algorithm>
#include <cuda.h>
#include <utility>

#include "call.hpp"
#include "entry.hpp"
#include "queueing.hpp"

namespace vasim::cuda {
namespace {

std::shared_ptr<Context> make_context(Driver& driver, std::uint64_t id, int device, unsigned flags) {
  auto context = std::make_shared<Context>();
  context->id = id;
  context->device = device;
  context->flags = flags;
  driver.contexts.emplace(id, context);
  return context;
}

// What the context owns goes with it; mappings, physical memory and pools belong to the process.
void remove_owned(Driver& driver, std::uint64_t context) {
  std::vector<std::uint64_t> regions;
  for (const auto& [begin, region] : driver.space.regions())
    if (region.context == context) regions.push_back(begin);
  for (const std::uint64_t begin : regions)
    remove_memory(driver, *driver.space.region_at(begin));
  std::erase_if(driver.events, [&](const auto& entry) { return entry.second->context == context; });
}

void destroy_context(Call& call, std::shared_ptr<Context> context) {
  (void)await_context(call, context);
  context->alive = false;
  std::vector<std::shared_ptr<Stream>> streams;
  for (const auto& [id, stream] : call.driver.streams)
    if (stream->context == context) streams.push_back(stream);
  for (const auto& stream : streams)
    close_stream(call.driver, stream);
  context->legacy.reset();
  context->per_thread.clear();
  remove_owned(call.driver, context->id);
  call.driver.contexts.erase(context->id);
  for (const auto& [id, other] : call.driver.contexts)
    other->peers.erase(context->id);
}

CUresult drop_primary(Call& call, Device& device) {
  if (device.primary != nullptr) destroy_context(call, std::exchange(device.primary, nullptr));
  return CUDA_SUCCESS;
}

CUresult create(Call& call, CUcontext* out, unsigned flags, CUdevice ordinal) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Device* device = find_device(call.driver, ordinal);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (device->lost != CUDA_SUCCESS) return device->lost;
  const auto context = make_context(call.driver, new_id(), ordinal, flags);
  this_thread().context_stack.push_back(context->id);
  *out = handle_of<CUcontext>(context->id);
  return CUDA_SUCCESS;
}

CUresult destroy(Call& call, CUcontext handle) {
  const Context* found = find_context(call.driver, handle);
  if (found == nullptr) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (found->primary) return CUDA_ERROR_INVALID_CONTEXT;
  auto& stack = this_thread().context_stack;
  if (!stack.empty() && stack.back() == found->id) stack.pop_back();
  destroy_context(call, call.driver.contexts.at(id_of(handle)));
  return CUDA_SUCCESS;
}

CUresult retain_primary(Call& call, CUcontext* out, CUdevice ordinal) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Device* device = find_device(call.driver, ordinal);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (device->lost != CUDA_SUCCESS) return device->lost;
  if (device->primary == nullptr) {
    device->primary = make_context(call.driver, device->primary_id, ordinal, device->primary_flags);
    device->primary->primary = true;
  }
  ++device->primary_references;
  *out = handle_of<CUcontext>(device->primary_id);
  return CUDA_SUCCESS;
}

CUresult release_primary(Call& call, CUdevice ordinal) {
  Device* device = find_device(call.driver, ordinal);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (device->primary_references == 0) return CUDA_ERROR_INVALID_CONTEXT;
  return --device->primary_references == 0 ? drop_primary(call, *device) : CUDA_SUCCESS;
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuCtxCreate_v2(CUcontext* pctx, unsigned flags, CUdevice dev) {
  return call("cuCtxCreate", Needs::initialisation,
              [&](Call& made) { return create(made, pctx, flags, dev); });
}

CUresult CUDAAPI cuCtxCreate_v4(CUcontext* pctx, CUctxCreateParams* params, unsigned flags, CUdevice dev) {
  return call("cuCtxCreate", Needs::initialisation, [&](Call& made) {
    if (params != nullptr && (params->numExecAffinityParams != 0 || params->cigParams != nullptr))
      return CUDA_ERROR_NOT_SUPPORTED;
    return create(made, pctx, flags, dev);
  });
}

CUresult CUDAAPI cuCtxDestroy_v2(CUcontext ctx) {
  return call("cuCtxDestroy", Needs::initialisation, [&](Call& made) { return destroy(made, ctx); });
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext* pctx, CUdevice dev) {
  return call("cuDevicePrimaryCtxRetain", Needs::initialisation,
              [&](Call& made) { return retain_primary(made, pctx, dev); });
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease_v2(CUdevice dev) {
  return call("cuDevicePrimaryCtxRelease", Needs::initialisation,
              [&](Call& made) { return release_primary(made, dev); });
}

CUresult CUDAAPI cuDevicePrimaryCtxReset_v2(CUdevice dev) {
  return call("cuDevicePrimaryCtxReset", Needs::initialisation, [&](Call& made) {
    Device* device = find_device(made.driver, dev);
    return device != nullptr ? drop_primary(made, *device) : CUDA_ERROR_INVALID_DEVICE;
  });
}

CUresult CUDAAPI cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned flags) {
  return call("cuDevicePrimaryCtxSetFlags", Needs::initialisation, [&](Call& made) {
    Device* device = find_device(made.driver, dev);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    device->primary_flags = flags;
    if (device->primary != nullptr) device->primary->flags = flags;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDevicePrimaryCtxGetState(CUdevice dev, unsigned* flags, int* active) {
  return call("cuDevicePrimaryCtxGetState", Needs::initialisation, [&](Call& made) {
    const Device* device = find_device(made.driver, dev);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = device->primary_flags;
    *active = device->primary != nullptr ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxSetCurrent(CUcontext ctx) {
  return call("cuCtxSetCurrent", Needs::initialisation, [&](Call& made) {
    auto& stack = this_thread().context_stack;
    if (ctx != nullptr && find_context(made.driver, ctx) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (!stack.empty()) stack.pop_back();
    if (ctx != nullptr) stack.push_back(id_of(ctx));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetCurrent(CUcontext* pctx) {
  return call("cuCtxGetCurrent", Needs::initialisation, [&](Call&) {
    if (pctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto& stack = this_thread().context_stack;
    *pctx = stack.empty() ? nullptr : handle_of<CUcontext>(stack.back());
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxPushCurrent_v2(CUcontext ctx) {
  return call("cuCtxPushCurrent", Needs::initialisation, [&](Call& made) {
    if (find_context(made.driver, ctx) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    this_thread().context_stack.push_back(id_of(ctx));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxPopCurrent_v2(CUcontext* pctx) {
  return call("cuCtxPopCurrent", Needs::initialisation, [&](Call&) {
    auto& stack = this_thread().context_stack;
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (pctx != nullptr) *pctx = handle_of<CUcontext>(stack.back());
    stack.pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxSynchronize(void) {
  return call("cuCtxSynchronize", Needs::context, [&](Call& made) {
    const CUresult result = await_context(made, made.context);
    trim_to_thresholds(made.driver);
    return result;
  });
}

CUresult CUDAAPI cuCtxSynchronize_v2(CUcontext ctx) {
  return call("cuCtxSynchronize", ctx == nullptr ? Needs::context : Needs::device, [&](Call& made) {
    if (ctx != nullptr && find_context(made.driver, ctx) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    const auto context = ctx != nullptr ? made.driver.contexts.at(id_of(ctx)) : made.context;
    const CUresult result = await_context(made, context);
    trim_to_thresholds(made.driver);
    return result;
  });
}

CUresult CUDAAPI cuCtxGetDevice(CUdevice* device) {
  return call("cuCtxGetDevice", Needs::context, [&](Call& made) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = made.context->device;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetDevice_v2(CUdevice* device, CUcontext ctx) {
  return call("cuCtxGetDevice", ctx == nullptr ? Needs::context : Needs::device, [&](Call& made) {
    const Context* context = ctx != nullptr ? find_context(made.driver, ctx) : made.context.get();
    if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = context->device;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetFlags(unsigned* flags) {
  return call("cuCtxGetFlags", Needs::context, [&](Call& made) {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = made.context->flags;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetId(CUcontext ctx, unsigned long long* id) {
  return call("cuCtxGetId", ctx == nullptr ? Needs::context : Needs::device, [&](Call& made) {
    const Context* context = ctx != nullptr ? find_context(made.driver, ctx) : made.context.get();
    if (context == nullptr) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *id = context->id;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetApiVersion(CUcontext ctx, unsigned* version) {
  return call("cuCtxGetApiVersion", Needs::device, [&](Call& made) {
    if (ctx != nullptr && find_context(made.driver, ctx) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *version = 3020;  // of the versioned names (_v2) that contexts have had since
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetLimit(size_t* value, CUlimit limit) {
  return call("cuCtxGetLimit", Needs::context, [&](Call& made) {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (limit < 0 || limit >= CU_LIMIT_MAX) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    const auto found = made.context->limits.find(static_cast<int>(limit));
    *value = found != made.context->limits.end() ? found->second : 0;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxSetLimit(CUlimit limit, size_t value) {
  return call("cuCtxSetLimit", Needs::context, [&](Call& made) {
    if (limit < 0 || limit >= CU_LIMIT_MAX) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    made.context->limits[static_cast<int>(limit)] = value;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return call("cuCtxGetStreamPriorityRange", Needs::context, [&](Call&) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = 0;  // one priority: streams are equals here
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
