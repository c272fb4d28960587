// Plain Vulkan memory: every reservation is one vkAllocateMemory block of a given memory type.
//
// Always true:
//  - Reserving commits (capabilities.reserve_commits); nothing is ever bound, and there are no pages.
//  - Addresses are synthetic: (slot of the memory object + 1) * 2^40 + offset, the lowest free slot first, so
//    that the same calls get the same addresses (R9). locate() turns one into {VkDeviceMemory, offset}.
//  - Never more memory objects are held than the device allows (V4), by all backends that share an account
//    together, and none is larger than it allows (V5).
//  - A memory object is mapped at most once, and wholly; map() and unmap() count (V10). Only host-visible
//    memory is mapped (V11). What is flushed or invalidated is widened to whole atoms (V12).
//
// The library does not link the Vulkan loader and keeps no Vulkan state of its own: what it calls, it asks
// from the functions that the configuration gives. This header declares the few Vulkan names that it needs by
// itself, so that it may stand before or after volk.h or vulkan.h, with prototypes or without.
#pragma once

#include <cstdint>
#include <span>
#include <vulkan/vk_platform.h>

#include "vaspace/backends/vulkan/device_account.hpp"
#include "vaspace/base/host_object.hpp"
#include "vaspace/device/backend.hpp"

// The same declarations as vulkan_core.h has; repeating a typedef is allowed.
struct VkDeviceCreateInfo;
struct VkBufferCreateInfo;
struct VkImageCreateInfo;
#if UINTPTR_MAX == UINT64_MAX
typedef struct VkSemaphore_T* VkSemaphore;
#else
typedef uint64_t VkSemaphore;
#endif
typedef struct VkInstance_T* VkInstance;
typedef struct VkPhysicalDevice_T* VkPhysicalDevice;
typedef struct VkDevice_T* VkDevice;
typedef void(VKAPI_PTR* PFN_vkVoidFunction)(void);
typedef PFN_vkVoidFunction(VKAPI_PTR* PFN_vkGetInstanceProcAddr)(VkInstance instance, const char* pName);
typedef PFN_vkVoidFunction(VKAPI_PTR* PFN_vkGetDeviceProcAddr)(VkDevice device, const char* pName);

namespace vaspace::vulkan {

// What the application enabled when it created the device. A driver does not tell; and what is not enabled
// must not be used.
struct DeviceFeatures {
  bool buffer_device_address = false;      // bufferDeviceAddress
  bool memory_priority = false;            // VK_EXT_memory_priority: memoryPriority
  bool protected_memory = false;           // protectedMemory
  bool device_coherent_memory = false;     // VK_AMD_device_coherent_memory: deviceCoherentMemory
  bool sparse_binding = false;             // sparseBinding
  bool sparse_residency_buffer = false;    // sparseResidencyBuffer
  bool sparse_residency_aliased = false;   // sparseResidencyAliased
  bool timeline_semaphore = false;         // timelineSemaphore
  bool sparse_residency_image_2d = false;  // sparseResidencyImage2D
  bool sparse_residency_image_3d = false;  // sparseResidencyImage3D
};

// Reads it off the structure that the device was created with, chained features included.
[[nodiscard]] DeviceFeatures features_of(const VkDeviceCreateInfo& info) noexcept;

// The feature without which none of these memory types may be used, by the name that Vulkan has for it; null:
// one may, or it is no feature that is missing.
[[nodiscard]] const char* missing_feature(const DeviceProfile& profile, std::uint32_t memory_type_bits,
                                          const DeviceFeatures& features) noexcept;

// A function of the application's own, by the name that Vulkan has for it.
struct NamedFunction {
  const char* name = nullptr;
  PFN_vkVoidFunction function = nullptr;
};

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
  // Called in place of what the two above or the loader would answer; only read during create().
  std::span<const NamedFunction> functions{};
  // What is missing here is denied by profile().capabilities, or refused with not_supported.
  DeviceFeatures features{};
  // Ask VK_EXT_memory_budget for budgets where the physical device has it.
  bool memory_budget = true;
  // Memory objects that this backend, and whoever shares its account, may hold at once; 0: what the device
  // allows for the whole process (maxMemoryAllocationCount), lowered to the 2^24 - 1 that addresses can name.
  std::uint32_t max_memory_objects = 0;
  // Where what is held of the device is counted (V4, V30). It outlives the backend. Null: in an account of
  // its own; then other backends on this device must be handed this one's, account(), to count with it.
  DeviceAccount* account = nullptr;
  HostAllocator host = default_host_allocator();
};

// Bytes that the host sees, inside one reservation.
struct HostRange {
  Address address{};
  Bytes size{};
};

// What the device says about where resources may lie, in bytes.
struct ResourceLimits {
  Alignment uniform{1};  // of a descriptor's offset
  Alignment storage{1};
  Alignment texel{1};
  Alignment scratch{1};  // of acceleration structures; 1 where the device has none
  Alignment copy{1};     // best for copies between buffers and images
  Alignment non_coherent_atom{1};
  Alignment buffer_image_granularity{1};
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
  // The same, from a reading of now.
  [[nodiscard]] Result<Budget> read_budget(std::uint32_t heap) noexcept override;

  // One vkAllocateMemory. Any alignment up to 2^40 is met; `hint` is ignored. Memory that is dedicated to a
  // resource (V8) may have any size, because Vulkan wants exactly the resource's. Exportable memory has
  // opaque file descriptors. Errors: invalid_size, invalid_alignment, invalid_argument (no such memory type;
  // dedicated to a null handle; exportable memory that is not dedicated, where export_needs_dedicated()),
  // not_supported (a type or trait that needs a device feature which is not enabled), out_of_address_space
  // (V4; above the largest memory object, V5; an alignment above 2^40), out_of_device_memory (the driver, or
  // more than the heap), out_of_host_memory, device_lost, driver_error.
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
  // The same of many, in one call of the driver for each kMaxRangesOfACall of them that are not coherent;
  // what is contiguous in a memory object, once it is widened, is one range. Nothing is asked of the driver
  // before all of them are looked at; where it refuses a call, those of later calls are not done.
  static constexpr std::size_t kMaxRangesOfACall = 32;
  [[nodiscard]] Result<void> flush(std::span<const HostRange> ranges) noexcept;
  [[nodiscard]] Result<void> invalidate(std::span<const HostRange> ranges) noexcept;

  // {VkDeviceMemory as a number, offset in it}. O(1). Errors: unknown_address.
  [[nodiscard]] Result<NativeRange> locate(Address address) noexcept override;

  // V17, V18. A new descriptor each time, the caller's to close. Errors: invalid_argument (not a live
  // reservation of this backend, or not reserved as exportable), not_supported (VK_KHR_external_memory_fd is
  // not enabled), the driver's own.
  [[nodiscard]] Result<ExternalHandle> export_reservation(const Reservation& reservation) noexcept override;
  // The request has the size, the memory type and the resource (if it was dedicated) of the exporter. The
  // descriptor becomes the driver's when this succeeds. Errors: as reserve(), and not_supported as above.
  [[nodiscard]] Result<Reservation> import_reservation(const ReservationRequest& request,
                                                       ExternalHandle handle) noexcept override;
  // Exported memory of buffers for transfers has to be dedicated on this device (V18); memory that is not
  // said to be for a resource is held to it.
  [[nodiscard]] bool export_needs_dedicated() const noexcept;
  // The same of a buffer, and of an image: the driver says it of each usage and format. Errors: not_supported
  // (such an image cannot be exported), the driver's own.
  [[nodiscard]] bool export_needs_dedicated(const VkBufferCreateInfo& info) const noexcept;
  [[nodiscard]] Result<bool> export_needs_dedicated(const VkImageCreateInfo& info) const noexcept;

  // What the frontend needs of the device, as the configuration gave it or the device says; `account` is
  // filled in, so that a backend made of this configuration counts with this one.
  [[nodiscard]] VkDevice device() const noexcept;
  [[nodiscard]] const BackendConfig& config() const noexcept;
  [[nodiscard]] const ResourceLimits& resource_limits() const noexcept;
  // Budgets are the driver's (VK_EXT_memory_budget), not the sizes of heaps.
  [[nodiscard]] bool reads_budgets() const noexcept;
  // What is held of the device by all that count here; whoever else takes memory objects or sparse address
  // space of it claims them here.
  [[nodiscard]] DeviceAccount& account() const noexcept;
  // A function of the device for buffers, images and names; null where the device or this list has it not.
  [[nodiscard]] PFN_vkVoidFunction function(const char* name) const noexcept;

  // What host pointers that are imported are aligned to, and their sizes; 0 where VK_EXT_external_memory_host
  // is not enabled.
  [[nodiscard]] Bytes host_pointer_alignment() const noexcept override;
  // The memory types, as a bit mask, that this pointer can be imported as. Errors: not_supported,
  // invalid_alignment, the driver's own.
  [[nodiscard]] Result<std::uint32_t> host_pointer_types(const void* pointer) noexcept override;
  // Memory that is the host's: `pointer` stays the caller's and outlives the reservation. Errors:
  // invalid_alignment (of the pointer), invalid_size (no multiple of host_pointer_alignment()), and as
  // reserve().
  [[nodiscard]] Result<Reservation> import_host_pointer(void* pointer,
                                                        const ReservationRequest& request) noexcept override;

  // Makes a timeline semaphore of the application's known, so that points on it can be asked for and waited
  // for. It outlives the backend, or is forgotten before its end. Errors: not_supported (timelineSemaphore is
  // not enabled), invalid_argument (null), out_of_host_memory.
  [[nodiscard]] Result<TimelineId> add_timeline(VkSemaphore semaphore) noexcept;
  // Its id means nothing from now on. Errors: invalid_argument.
  [[nodiscard]] Result<void> forget_timeline(TimelineId timeline) noexcept;
  // The value that a timeline has reached now. Errors: invalid_argument, the driver's own.
  [[nodiscard]] Result<std::uint64_t> reached(TimelineId timeline) noexcept;
  // Nothing of the backend's own completes later: the default point has passed. Other points are on timelines
  // that were added. Errors: invalid_argument (another timeline), device_lost, driver_error; timed_out.
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::vulkan
