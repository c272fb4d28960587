// Sparse buffers as address space: a reservation is a VkBuffer without memory, and pages are bound behind it.
//
//   reservation   |--page--|--page--|........|--page--|     a VkBuffer, created with SPARSE_BINDING
//                     |        |                 |
//   memory objects  [..#...........#....]      [.#........]  VkDeviceMemory, many pages each (V4)
//
// Always true:
//  - Addresses are synthetic, as the plain backend's: (slot + 1) * 2^40 + offset, the lowest free slot first
//    (R9). locate() gives {VkBuffer, offset}, device_address() what shaders use.
//  - All binds and copies of a backend form one chain on a timeline semaphore of its own: each begins when
//    the one before is done (V24, V25), and each call's answer is the chain's value at its end. Pages and
//    reservations are taken back only once the chain has passed their last use (V27).
//  - No batch that the driver sees binds a range twice or takes memory that it also unbinds (V23, V29).
//  - Everything bound is whole pages, and pages are multiples of what the device wants (V19).
//  - Memory objects (V4) and the sizes of all buffers (V30) are claimed from the account, and memory passes
//    the gate, before the driver is asked.
//
// What commands of the application do with the buffers is not known here: they wait for the point that bind()
// answers, and whoever unbinds hands in the points of the last use (V25).
#pragma once

#include "vaspace/backends/vulkan.hpp"

#if UINTPTR_MAX == UINT64_MAX
typedef struct VkBuffer_T* VkBuffer;
#else
typedef uint64_t VkBuffer;
#endif
typedef struct VkQueue_T* VkQueue;

namespace vaspace::vulkan {

// A queue of the application's. Vulkan wants the calls on one ordered: what else submits to it takes the same
// lock, or comes from no other thread.
struct Queue {
  VkQueue queue = nullptr;
  std::uint32_t family = 0;
  void* user = nullptr;
  void (*lock)(void* user) noexcept = nullptr;
  void (*unlock)(void* user) noexcept = nullptr;
};

// Asked before memory is taken from the device, told before it goes back and again when it has: a heap's
// budget, say. Called with no lock that another thread's bind or allocation needs. Null functions: nobody is.
struct MemoryGate {
  void* user = nullptr;
  Result<void> (*enter)(void* user, std::uint32_t memory_type, Bytes size) noexcept = nullptr;
  // It was entered, but the driver has refused it.
  void (*refused)(void* user, std::uint32_t memory_type, Bytes size) noexcept = nullptr;
  // It was entered, and the driver has given it.
  void (*taken)(void* user, std::uint32_t memory_type, Bytes size) noexcept = nullptr;
  void (*leaving)(void* user, std::uint32_t memory_type, Bytes size) noexcept = nullptr;
  void (*left)(void* user, std::uint32_t memory_type, Bytes size) noexcept = nullptr;
};

struct SparseConfig {
  static constexpr std::size_t kMaxFamilies = 16;

  // features has sparse_binding and timeline_semaphore; buffer_device_address where `usage` wants it.
  // max_memory_objects 0: 240. The more, the smaller they are, and the more of what is freed goes back.
  // `account`: of the other backends on this device, so that V4 and V30 hold for all of them together.
  BackendConfig device{};
  Queue sparse{};    // of a family with VK_QUEUE_SPARSE_BINDING_BIT (V31)
  Queue transfer{};  // for copy(); may be the same queue; null: copies are not supported
  // Queue families that use the buffers. Two or more: they are shared between them
  // (VK_SHARING_MODE_CONCURRENT).
  std::span<const std::uint32_t> families{};
  std::uint32_t usage = 0;  // VkBufferUsageFlags of every buffer; those of transfers are added
  // The least unit of binding; raised to the device's sparse block. 2 MiB is offered as well.
  Bytes page_size = 64_KiB;
  // Let one page be bound at two addresses: sparseResidencyAliased is enabled (V29).
  bool aliasing = false;
  MemoryGate gate{};
  // Memory objects that this backend shares with others, beside those of the whole device: what one of them
  // does not take, the next may. It outlives them. Null: its own, device.max_memory_objects.
  DeviceAccount* allowance = nullptr;
};

// Thread-safe. Binds and copies are submitted one at a time, under a lock that no other call needs.
class SparseBackend final : public vaspace::Backend {
  struct State;

 public:
  // Errors: as Backend::create; also invalid_configuration (a family without sparse binding, a null queue, no
  // usage, a page size that is no power of two), not_supported (a feature that is not enabled:
  // sparse_binding, timeline_semaphore, those of `usage` and `aliasing`), and what creating a buffer and a
  // semaphore answers.
  [[nodiscard]] static Result<HostObject<SparseBackend>> create(const SparseConfig& config) noexcept;
  explicit SparseBackend(HostObject<State> state) noexcept;  // create() makes them
  // The feature that this configuration needs and the device was not created with, by the name that Vulkan
  // has for it; null: none.
  [[nodiscard]] static const char* missing_feature(const SparseConfig& config) noexcept;
  // Waits for its own binds and copies, and destroys what is still there. The device is not using it any
  // more.
  ~SparseBackend() override;

  // Without sparseResidencyBuffer a buffer is bound throughout before it is used (V20): reserving commits
  // then, there are no pages, and max_reservation_size is what one memory object holds. Null binds need
  // residencyNonResidentStrict (V28). A bind replaces nothing in one step: what is read while its binding
  // changes is undefined in Vulkan.
  [[nodiscard]] const DeviceProfile& profile() const noexcept override;
  // As the plain backend's; usage counts pages handed out. What their memory objects hold beyond is held().
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  [[nodiscard]] Result<Budget> read_budget(std::uint32_t heap) noexcept override;
  // The memory types that pages may have, as a bit mask (V6).
  [[nodiscard]] std::uint32_t memory_type_bits() const noexcept;
  // Bytes of all memory objects, and their number.
  [[nodiscard]] Bytes held() const noexcept;
  [[nodiscard]] std::uint32_t memory_objects() const noexcept;

  // One vkCreateBuffer; `memory_type` matters only where reserving commits. Errors: invalid_size,
  // invalid_alignment, not_supported (a trait), out_of_address_space (the sum of all that the account counts
  // passes the device's sparse address space, V30; where reserving commits, no memory object is left, V4; an
  // alignment above 2^40), out_of_host_memory, the gate's, the driver's own.
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  // Errors: invalid_argument, wrong_state (something is bound, or a bind or copy is not done yet), the
  // driver's own (it does not say whether it is).
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;

  // Errors: as vaspace::Backend says, and the gate's; out_of_device_memory where no memory object is left
  // (V4); not_supported for a memory type that buffers of this usage cannot have (V6) or that needs a feature
  // which is not enabled.
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override;
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override;

  // Waits are points on the chain or on timelines that were added. Errors: as vaspace::Backend says, and the
  // driver's own.
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  // The ops of one call do not overlap each other.
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;

  // {VkBuffer as a number, offset in it}. Errors: unknown_address.
  [[nodiscard]] Result<NativeRange> locate(Address address) noexcept override;
  // VkDeviceAddress. Errors: unknown_address, not_supported (`usage` lacks SHADER_DEVICE_ADDRESS).
  [[nodiscard]] Result<std::uint64_t> device_address(Address address) noexcept;

  // The chain itself, for submits that wait for a bind: VkSemaphore and the value of the point.
  [[nodiscard]] VkSemaphore timeline() const noexcept;
  // As Backend::add_timeline and forget_timeline. No bind or copy that waits for it is pending when it is
  // forgotten.
  [[nodiscard]] Result<TimelineId> add_timeline(VkSemaphore semaphore) noexcept;
  [[nodiscard]] Result<void> forget_timeline(TimelineId timeline) noexcept;
  // Errors: invalid_argument (a point of the chain that was never answered, an unknown timeline), timed_out,
  // device_lost, driver_error.
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::vulkan
