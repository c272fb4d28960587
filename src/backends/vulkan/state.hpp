// What a plain backend holds. Its calls are in backend.cpp (reservations), mapping.cpp and external.cpp.
//
// Two locks. `mutex` is for what is written here, and no driver call is made under it. `map_mutex` orders the
// driver's map and unmap calls, which Vulkan wants ordered per memory object; it is taken before `mutex`.
#pragma once

#include <mutex>

#include "vaspace/backends/vulkan.hpp"

#include "budget_book.hpp"
#include "driver.hpp"
#include "memory_order.hpp"
#include "object_table.hpp"
#include "profile.hpp"
#include "timeline_table.hpp"

namespace vaspace::vulkan {

// VkDeviceMemory is a pointer on 64-bit hosts and a number on others; a C cast is right for both.
[[nodiscard]] inline std::uint64_t bits_of(VkDeviceMemory memory) noexcept {
  return (std::uint64_t)memory;
}
[[nodiscard]] inline VkDeviceMemory memory_of(const MemoryObject& object) noexcept {
  return (VkDeviceMemory)object.memory;
}

using Lock = std::lock_guard<std::mutex>;

struct Backend::State {
  explicit State(const BackendConfig& given) noexcept
      : config(given), timelines(given.host), objects(given.host, 0, 0) {
    config.functions = {};  // only read during create()
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  using MappedCall = VkResult(VKAPI_PTR*)(VkDevice, std::uint32_t, const VkMappedMemoryRange*);

  [[nodiscard]] Result<void> check(const ReservationRequest& request) const noexcept;
  // A slot, the driver's memory in it, and the books.
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request,
                                            const MemoryOrder& order) noexcept;
  // The host-visible object around a range. Under `mutex`.
  [[nodiscard]] Result<ObjectRange> mappable(Address address, Bytes size) noexcept;
  [[nodiscard]] Result<void> synchronise(std::span<const HostRange> ranges, MappedCall call,
                                         const char* name) noexcept;
  [[nodiscard]] VkMappedMemoryRange widened(const ObjectRange& range, Bytes size) noexcept;
  // The heap that a reservation counts against, if it does (V14).
  [[nodiscard]] bool counts(std::uint32_t memory_type) const noexcept {
    return !profile.memory_types[memory_type].lazily_allocated;
  }
  [[nodiscard]] std::uint32_t heap_of(std::uint32_t memory_type) const noexcept {
    return profile.memory_types[memory_type].heap;
  }

  BackendConfig config;
  Driver driver;
  DeviceProfile profile;
  DeviceLimits limits;
  TimelineTable timelines;
  std::mutex mutex;
  std::mutex map_mutex;
  ObjectTable objects;
  BudgetBook budgets;
  DeviceAccount own_account;
  DeviceAccount* account = nullptr;  // the one that counts
};

}  // namespace vaspace::vulkan
