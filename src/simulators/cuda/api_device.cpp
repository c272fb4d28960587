// Devices and peers.
#include <cstdio>
#include <cstring>
#include <cuda.h>

#include "attributes.hpp"
#include "entry.hpp"

namespace vasim::cuda {
namespace {

constexpr int kFirstBus = 0x65;  // the devices sit on buses of their own, one after the other

template <class Body>
CUresult of_device(const char* name, CUdevice ordinal, Body body) {
  return call(name, Needs::initialisation, [&](Call& made) {
    const Device* device = find_device(made.driver, ordinal);
    return device != nullptr ? body(made, *device) : CUDA_ERROR_INVALID_DEVICE;
  });
}

// Access of the current context to another one's memory.
CUresult enable_peer(Call& call, CUcontext handle, unsigned flags) {
  const Context* peer = find_context(call.driver, handle);
  if (peer == nullptr || peer == call.context.get()) return CUDA_ERROR_INVALID_CONTEXT;
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (!can_reach(call.driver, call.context->device, peer->device)) return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
  return call.context->peers.emplace(peer->id, true).second ? CUDA_SUCCESS
                                                            : CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuDeviceGet(CUdevice* device, int ordinal) {
  return of_device("cuDeviceGet", ordinal, [&](Call&, const Device& found) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = found.ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetCount(int* count) {
  return call("cuDeviceGetCount", Needs::initialisation, [&](Call& made) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<int>(made.driver.devices.size());
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetName(char* name, int len, CUdevice dev) {
  return of_device("cuDeviceGetName", dev, [&](Call&, const Device& found) {
    if (name == nullptr || len <= 0) return CUDA_ERROR_INVALID_VALUE;
    std::snprintf(name, static_cast<std::size_t>(len), "%s", found.profile->name.c_str());
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice dev) {
  return of_device("cuDeviceGetUuid", dev, [&](Call&, const Device& found) {
    if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(uuid->bytes, "vasim-cuda-dev-", 15);
    uuid->bytes[15] = static_cast<char>(found.ordinal);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetUuid(CUuuid* uuid, CUdevice dev) {
  return cuDeviceGetUuid_v2(uuid, dev);
}

CUresult CUDAAPI cuDeviceTotalMem_v2(size_t* bytes, CUdevice dev) {
  return of_device("cuDeviceTotalMem", dev, [&](Call&, const Device& found) {
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *bytes = found.profile->memory;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetAttribute(int* pi, CUdevice_attribute attrib, CUdevice dev) {
  return of_device("cuDeviceGetAttribute", dev, [&](Call&, const Device& found) {
    if (pi == nullptr || attrib < 1 || attrib >= CU_DEVICE_ATTRIBUTE_MAX) return CUDA_ERROR_INVALID_VALUE;
    *pi = attrib == CU_DEVICE_ATTRIBUTE_PCI_BUS_ID ? kFirstBus + found.ordinal
                                                   : device_attribute(*found.profile, attrib);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceComputeCapability(int* major, int* minor, CUdevice dev) {
  return of_device("cuDeviceComputeCapability", dev, [&](Call&, const Device& found) {
    if (major == nullptr || minor == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *major = found.profile->capability_major;
    *minor = found.profile->capability_minor;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetPCIBusId(char* pciBusId, int len, CUdevice dev) {
  return of_device("cuDeviceGetPCIBusId", dev, [&](Call&, const Device& found) {
    if (pciBusId == nullptr || len <= 0) return CUDA_ERROR_INVALID_VALUE;
    std::snprintf(pciBusId, static_cast<std::size_t>(len), "0000:%02X:00.0",
                  static_cast<unsigned>(kFirstBus + found.ordinal));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetByPCIBusId(CUdevice* dev, const char* pciBusId) {
  return call("cuDeviceGetByPCIBusId", Needs::initialisation, [&](Call& made) {
    if (dev == nullptr || pciBusId == nullptr) return CUDA_ERROR_INVALID_VALUE;
    unsigned domain = 0, bus = 0;
    if (std::sscanf(pciBusId, "%x:%x:", &domain, &bus) != 2) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = find_device(made.driver, static_cast<int>(bus) - kFirstBus);
    if (device == nullptr || domain != 0) return CUDA_ERROR_INVALID_DEVICE;
    *dev = device->ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceCanAccessPeer(int* canAccessPeer, CUdevice dev, CUdevice peerDev) {
  return of_device("cuDeviceCanAccessPeer", dev, [&](Call& made, const Device& found) {
    if (canAccessPeer == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (find_device(made.driver, peerDev) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *canAccessPeer = dev != peerDev && can_reach(made.driver, found.ordinal, peerDev) ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetP2PAttribute(int* value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
                                         CUdevice dstDevice) {
  return of_device("cuDeviceGetP2PAttribute", srcDevice, [&](Call& made, const Device& found) {
    if (find_device(made.driver, dstDevice) == nullptr || srcDevice == dstDevice)
      return CUDA_ERROR_INVALID_DEVICE;
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const bool access = attrib == CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED;
    *value = access && can_reach(made.driver, found.ordinal, dstDevice) ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxEnablePeerAccess(CUcontext peerContext, unsigned Flags) {
  return call("cuCtxEnablePeerAccess", Needs::context,
              [&](Call& made) { return enable_peer(made, peerContext, Flags); });
}

CUresult CUDAAPI cuCtxDisablePeerAccess(CUcontext peerContext) {
  return call("cuCtxDisablePeerAccess", Needs::context, [&](Call& made) {
    if (find_context(made.driver, peerContext) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    return made.context->peers.erase(id_of(peerContext)) != 0 ? CUDA_SUCCESS
                                                              : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
  });
}

}  // extern "C"
