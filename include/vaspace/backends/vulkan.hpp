// Plain Vulkan memory: every reservation is one vkAllocateMemory block of a given memory type.
//
// Always true:
//  - Reserving commits (capabilities.reserve_commits); nothing is ever bound, and there are no pages.
//  - Addresses are synthetic: (slot of the memory object + 1) * 2^40 + offset, the lowest free slot first, so
//    that the same calls get the same addresses (R9). locate() turns one into {VkDeviceMemory, offset}.
//  - Never more memory objects are held than the device allows (V4), and none is larger than it allows (V5).
//  - A memory object is mapped at most once, and wholly; map() and unmap() count (V10). Only host-visible
//    memory is mapped (V11). What is flushed or invalidated is widened to whole atoms (V12).
//
// The library does not link the Vulkan loader and keeps no Vulkan state of its own: what it calls, it asks
// from the functions that the configuration gives. This header declares the few Vulkan names that it needs by
// itself, so that it may stand before or after volk.h or vulkan.h, with prototypes or without.
#pragma once

#include <cstdint>
#include <vulkan/vk_platform.h>

#include "vaspace/base/host_object.hpp"
#include "vaspace/device/backend.hpp"

// The same declarations as vulkan_core.h has; repeating a typedef is allowed.
typedef struct VkInstance_T* VkInstance;
typedef struct VkPhysicalDevice_T* VkPhysicalDevice;
typedef struct VkDevice_T* VkDevice;
typedef void(VKAPI_PTR* PFN_vkVoidFunction)(void);
typedef PFN_vkVoidFunction(VKAPI_PTR* PFN_vkGetInstanceProcAddr)(VkInstance instance, const char* pName);
typedef PFN_vkVoidFunction(VKAPI_PTR* PFN_vkGetDeviceProcAddr)(VkDevice device, const char* pName);

namespace vaspace::vulkan {

struct BackendConfig {
  // Instance and device are of Vulkan 1.1 or later and outlive the backend. The instance may be null where
  // `get_instance_proc_addr` is null too.
  VkInstance instance = nullptr;
  VkPhysicalDevice physical_device = nullptr;
  VkDevice device = nullptr;
  // Where the functions come from. Null: the loader is opened at run time, by the name below; null for the
  // device: whatever the instance answers.
  PFN_vkGetInstanceProcAddr get_instance_proc_addr = nullptr;
  PFN_vkGetDeviceProcAddr get_device_proc_addr = nullptr;
  const char* loader = "libvulkan.so.1";
  // Allocate with VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT (V9). The device has bufferDeviceAddress enabled.
  bool device_address = false;
  // Ask VK_EXT_memory_budget for budgets where the physical device has it.
  bool memory_budget = true;
  // Memory objects that this backend may hold at once; 0: what the device allows for the whole process
  // (maxMemoryAllocationCount), lowered to the 2^24 - 1 that addresses can name.
  std::uint32_t max_memory_objects = 0;
  HostAllocator host = default_host_allocator();
};

// Thread-safe: any call from any thread, but calls on one memory object that contradict each other (release
// while it is in use) are the caller's to order. No driver call that allocates or frees is made under a lock.
class Backend final : public vaspace::Backend {
  struct State;

 public:
  // Errors: invalid_configuration (a null handle), io_error (the loader cannot be opened), not_supported
  // (a device below Vulkan 1.1), driver_error (a function is missing), out_of_host_memory.
  [[nodiscard]] static Result<HostObject<Backend>> create(const BackendConfig& config) noexcept;
  // For create() only: nobody else can name a State.
  explicit Backend(HostObject<State> state) noexcept;
  // Frees what is still reserved. The device is not using it any more.
  ~Backend() override;

  [[nodiscard]] const DeviceProfile& profile() const noexcept override;
  // An estimate (V16): what the driver said at the last reading, corrected by what this backend has reserved
  // and released since, and never above the heap. A reading is good for kBudgetReadingLife changes. Without
  // VK_EXT_memory_budget: the whole heap, used by what is reserved here. LAZILY_ALLOCATED memory does not
  // count (V14).
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  static constexpr std::uint32_t kBudgetReadingLife = 32;

  // One vkAllocateMemory. Any alignment up to 2^40 is met; `hint` is ignored. Errors: invalid_size,
  // invalid_alignment, invalid_argument (no such memory type), not_supported (a type that needs a device
  // feature: PROTECTED, DEVICE_COHERENT_AMD, ...), out_of_address_space (V4; above the largest memory object,
  // V5; an alignment above 2^40), out_of_device_memory (the driver, or more than the heap),
  // out_of_host_memory, device_lost, driver_error.
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  // vkFreeMemory. Errors: invalid_argument for what is not exactly a live reservation of this backend,
  // wrong_state while it is mapped.
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;

  // not_supported, all four: there are no pages, and the thin backend owns no queue to copy on.
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override;
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override;
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;

  // The first map of a memory object calls the driver, the last unmap too. Errors of all four: invalid_size
  // (0), unknown_address, invalid_argument (the range leaves its reservation), not_supported (not
  // host-visible), the driver's own; of the last three also wrong_state (not mapped).
  [[nodiscard]] Result<std::byte*> map(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> unmap(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> flush(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> invalidate(Address address, Bytes size) noexcept override;

  // {VkDeviceMemory as a number, offset in it}. O(1). Errors: unknown_address.
  [[nodiscard]] Result<NativeRange> locate(Address address) noexcept override;

  // Nothing here completes later: the default point has passed, and no other exists (invalid_argument).
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::vulkan
