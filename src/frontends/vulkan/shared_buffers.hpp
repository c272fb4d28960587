// Address space for sub-buffers, as a backend that an arena allocator takes: every reservation is a VkBuffer.
//
// Always true: what is reserved stands in the BufferTable until it is released. SharedBuffers: memory comes
// from the heap, so that its gate keeps count of it (V4, V16), and reserving commits. SparseBuffers: as
// SparseBackend.
#pragma once

#include <atomic>
#include <mutex>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/forwarding_backend.hpp"

#include "buffer_table.hpp"
#include "resource_calls.hpp"

namespace vaspace::vulkan {

struct SharedBuffersConfig {
  std::uint32_t usage = 0;
  Intent intent = Intent::device;
  Mapping mapping = Mapping::none;
  bool coherent = false;
  Bytes memory_size{};  // of the heap that the best memory type is in: blocks grow to an eighth of it
  std::span<const std::uint32_t> families{};
  HostAllocator host{};
};

class SharedBuffers final : public vaspace::Backend {
 public:
  SharedBuffers(const ResourceCalls& calls, vaspace::Heap& heap, BufferTable& table,
                const SharedBuffersConfig& config) noexcept;
  ~SharedBuffers() override;

  [[nodiscard]] const DeviceProfile& profile() const noexcept override { return profile_; }
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;

  [[nodiscard]] Result<void> create_physical(const PhysicalRequest&,
                                             std::span<PhysicalId>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp>,
                                           std::span<const TimelinePoint>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp>,
                                           std::span<const TimelinePoint>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<bool> completed(TimelinePoint) noexcept override { return true; }
  [[nodiscard]] Result<void> wait(TimelinePoint, std::uint64_t) noexcept override { return {}; }

  // This thread is making a buffer: its pool cannot give anything back just now.
  [[nodiscard]] static bool is_making() noexcept { return making_; }
  // Buffers made so far.
  [[nodiscard]] std::uint64_t made() const noexcept { return made_.load(std::memory_order_relaxed); }
  // The memory behind an address. Errors: unknown_address.
  [[nodiscard]] Result<HeapAllocation> memory_at(Address address) noexcept;

 private:
  struct Slot {
    VkBuffer buffer = VK_NULL_HANDLE;
    HeapAllocation memory{};
    Bytes size{};
    bool taken = false;
  };
  [[nodiscard]] Result<Slot> make(Bytes size) noexcept;
  static inline thread_local constinit bool making_ = false;
  static constexpr Alignment kAddressed{64_KiB};

  const ResourceCalls& calls_;
  vaspace::Heap& heap_;
  BufferTable& table_;
  SharedBuffersConfig config_;
  DeviceProfile profile_{};
  std::atomic<std::uint64_t> made_{0};
  std::mutex mutex_;  // of slots_ and the table's writers
  HostArray<Slot> slots_;
};

class SparseBuffers final : public ForwardingBackend {
 public:
  // Its pages are of `memory_type`.
  SparseBuffers(SparseBackend& sparse, BufferTable& table, std::uint32_t memory_type) noexcept
      : ForwardingBackend(sparse), sparse_(sparse), table_(table), memory_type_(memory_type) {}

  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  // Buffers made so far, the one that SparseBackend::create looks at among them.
  [[nodiscard]] std::uint64_t made() const noexcept { return made_.load(std::memory_order_relaxed); }

 private:
  SparseBackend& sparse_;
  BufferTable& table_;
  std::uint32_t memory_type_;
  std::atomic<std::uint64_t> made_{1};
  std::mutex mutex_;  // of the table's writers
};

}  // namespace vaspace::vulkan
