// What the device can do, asked once when the backend is made.
#include <algorithm>
#include <cstring>
#include <unistd.h>

#include "vaspace/device/profile_checks.hpp"

#include "state.hpp"

namespace vaspace::cuda {
namespace {

// Whether memory of these properties can be exported: a kind may be accepted and yet not work (C14).
bool try_export(Backend::State& s, std::size_t size) noexcept {
  const Driver& driver = s.driver;
  CUmemGenericAllocationHandle handle = 0;
  if (!s.room_for_orphans(1) || driver.create(&handle, size, &s.properties, 0) != CUDA_SUCCESS) return false;
  int descriptor = -1;
  const bool exported =
      driver.export_handle(&descriptor, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0) == CUDA_SUCCESS;
  if (exported) close(descriptor);
  if (driver.release(handle) == CUDA_SUCCESS) return exported;
  s.orphans.push_back_reserved({handle, 0, size});
  s.used += Bytes{size};
  return exported;
}

Result<Bytes> granularity(const Driver& driver, const CUmemAllocationProp& properties,
                          CUmemAllocationGranularity_flags kind, Refusal& refusal) noexcept {
  std::size_t bytes = 0;
  const CUresult asked = driver.granularity(&bytes, &properties, kind);
  if (asked != CUDA_SUCCESS)
    return refuse(refusal, error_of(asked), "cuMemGetAllocationGranularity", "no virtual memory management");
  return Bytes{bytes};
}

Result<void> find_page_sizes(Backend::State& s, Refusal& refusal) noexcept {
  const auto minimum = granularity(s.driver, s.properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM, refusal);
  if (!minimum) return fail(minimum.error());
  const auto advised = granularity(s.driver, s.properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED, refusal);
  if (!advised) return fail(advised.error());
  if (!Alignment{*minimum}.valid())
    return refuse(refusal, {ErrorCode::invalid_configuration, CUDA_ERROR_INVALID_VALUE},
                  "cuMemGetAllocationGranularity", "the granularity is no power of two");
  const std::array<Bytes, 2> sizes{*minimum, *advised};
  const bool two = *advised > *minimum && Alignment{*advised}.valid();
  set_page_sizes(s.profile, std::span(sizes).first(two ? 2 : 1));
  s.recommended = *advised;
  return {};
}

// The properties that all memory gets, and the page sizes that go with them. Whether the device can export is
// tried in any case, with memory that is.
Result<void> choose_properties(Backend::State& s, bool exportable, Refusal& refusal) noexcept {
  s.properties = {};
  s.properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  s.properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  s.properties.location.id = s.device;
  s.properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  std::size_t smallest = 0;
  const bool asked =
      s.driver.granularity(&smallest, &s.properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM) == CUDA_SUCCESS;
  s.can_export = asked && try_export(s, smallest);
  s.profile.capabilities.external_memory = exportable && s.can_export;
  if (!s.profile.capabilities.external_memory) s.properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
  return find_page_sizes(s, refusal);
}

Result<void> describe(Backend::State& s, Refusal& refusal) noexcept {
  char name[64] = {};
  std::size_t memory = 0;
  const CUresult named = s.driver.device_name(name, sizeof name - 1, s.device);
  if (named != CUDA_SUCCESS) return refuse(refusal, error_of(named), "cuDeviceGetName", "no name");
  const CUresult sized = s.driver.device_memory(&memory, s.device);
  if (sized != CUDA_SUCCESS) return refuse(refusal, error_of(sized), "cuDeviceTotalMem", "no size");
  set_name(s.profile, name);
  s.profile.heap_count = 1;
  s.profile.heaps[0] = {Bytes{memory}, true};
  s.profile.memory_type_count = 1;
  s.profile.memory_types[0] = {.heap = 0, .device_local = true};
  s.profile.reservation_granularity = reservation_granularity(s.profile.pages());
  Capabilities& can = s.profile.capabilities;
  can.bind = true;
  can.partial_unbind = false;   // C8
  can.physical_offset = false;  // C4
  can.aliasing = true;
  can.completes_later = true;  // copies; binds never do
  can.copy = true;
  can.set_access = true;
  return {};
}

}  // namespace

Result<void> Backend::State::open(const BackendConfig& config, Refusal& refusal) noexcept {
  if (Result<void> opened = driver.open(config.driver, refusal); !opened) return opened;
  const CUresult got = driver.device_get(&device, config.device);
  if (got == CUDA_ERROR_INVALID_DEVICE || got == CUDA_ERROR_INVALID_VALUE)
    return refuse(refusal, {ErrorCode::invalid_argument, static_cast<std::int32_t>(got)}, "cuDeviceGet",
                  "there is no such device");
  if (got != CUDA_SUCCESS) return refuse(refusal, error_of(got), "cuDeviceGet", "the driver refuses");
  int manages = 0;
  const CUresult asked =
      driver.device_attribute(&manages, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, device);
  if (asked != CUDA_SUCCESS)
    return refuse(refusal, error_of(asked), "cuDeviceGetAttribute", "the driver refuses");
  if (manages == 0)
    return refuse(refusal, {ErrorCode::not_supported, CUDA_ERROR_NOT_SUPPORTED}, "cuDeviceGetAttribute",
                  "the device has no virtual memory management");
  const CUresult retained = driver.retain_context(&context, device);
  if (retained != CUDA_SUCCESS) {
    context = nullptr;
    return refuse(refusal, error_of(retained), "cuDevicePrimaryCtxRetain", "no context");
  }
  const ContextScope scope(*this);
  if (Result<void> entered = scope.entered(); !entered)
    return refuse(refusal, entered.error(), "cuCtxPushCurrent", "the context cannot be made current");
  if (Result<void> chosen = choose_properties(*this, config.exportable, refusal); !chosen) return chosen;
  if (Result<void> described = describe(*this, refusal); !described) return described;
  CUmemAccessDesc own{};
  own.location = properties.location;
  own.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  if (!reach.push_back(own)) return fail(ErrorCode::out_of_host_memory);
  return {};
}

Result<int> device_count(const char* library, Refusal* refusal) noexcept {
  Refusal unread;
  Refusal& why = refusal != nullptr ? *refusal : unread;
  Driver driver;
  if (Result<void> opened = driver.open(library, why); !opened) return fail(opened.error());
  int count = 0;
  const CUresult counted = driver.device_count(&count);
  if (counted != CUDA_SUCCESS)
    return refuse(why, error_of(counted), "cuDeviceGetCount", "the driver refuses");
  return count;
}

}  // namespace vaspace::cuda
