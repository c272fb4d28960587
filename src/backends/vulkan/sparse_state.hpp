// What a sparse backend holds. Creation is in sparse_create.cpp, reservations in sparse_reservations.cpp,
// pages in sparse_backend.cpp, binds and copies in sparse_work.cpp.
//
// Two locks, in this order: `submitting` makes binds and copies one at a time and is held during their driver
// calls; `mutex` is for the tables, and no driver call is made under it. `growing`, which neither of them is
// held at, makes one thread at a time ask for memory.
//
// What counts on the device is claimed from the account, then from the gate, before the driver is asked, and
// goes back in the other order, after.
#pragma once

#include <mutex>

#include "vaspace/backends/vulkan/sparse.hpp"
#include "vaspace/device/binding_table.hpp"
#include "vaspace/device/physical_table.hpp"
#include "vaspace/device/reservation_table.hpp"

#include "budget_book.hpp"
#include "page_memory.hpp"
#include "profile.hpp"
#include "sparse_chain.hpp"

namespace vaspace::vulkan {

struct SparseBackend::State {
  // A buffer, in the slot of the address space that its index names.
  struct Buffer {
    VkBuffer buffer = VK_NULL_HANDLE;
    std::uint64_t device_address = 0;
    VkDeviceMemory memory = VK_NULL_HANDLE;  // all of it, where there are no pages (V20)
    Bytes memory_size{};
    Bytes size{};
    std::uint32_t memory_type = 0;
    bool taken = false;
    // Nobody's, but its bind may still be under way: it is destroyed once the chain has passed this. 0: not.
    std::uint64_t until = 0;
  };

  explicit State(const SparseConfig& given) noexcept;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  [[nodiscard]] Result<void> open() noexcept;
  [[nodiscard]] Result<VkMemoryRequirements> probe() noexcept;
  [[nodiscard]] Result<VkBuffer> create_buffer(Bytes size) const noexcept;
  // Through the account (V4) and the gate.
  [[nodiscard]] Result<VkDeviceMemory> allocate(Bytes size, std::uint32_t memory_type,
                                                float priority) const noexcept;
  void free(VkDeviceMemory memory, Bytes size, std::uint32_t memory_type) const noexcept;

  // Under `mutex`: a slot of the address space, and its bytes of the sparse address space (V30).
  [[nodiscard]] Result<std::uint32_t> claim(const ReservationRequest& request) noexcept;
  // In use: it failed, and a bind may be under way all the same; the slot takes care of itself.
  [[nodiscard]] Result<void> fill(std::uint32_t slot, const ReservationRequest& request,
                                  bool& in_use) noexcept;
  [[nodiscard]] Result<VkDeviceMemory> fill_memory(std::uint32_t slot, Bytes size,
                                                   const ReservationRequest& request) noexcept;
  void destroy(const Buffer& buffer) const noexcept;
  [[nodiscard]] Result<void> make_buffer(std::uint32_t slot, Bytes size) noexcept;
  // The buffer in a slot, and all that it holds.
  void take_down(std::uint32_t slot) noexcept;
  void take_down_parked() noexcept;
  [[nodiscard]] Result<void> check(const ReservationRequest& request) const noexcept;

  // Another memory object, for pages of `least` each.
  [[nodiscard]] Result<void> grow(std::uint32_t memory_type, Bytes least) noexcept;
  [[nodiscard]] Result<void> add_block(std::uint32_t memory_type, Bytes size) noexcept;
  [[nodiscard]] Bytes next_block(std::uint32_t memory_type, Bytes least) noexcept;
  void give_back_empty_blocks() noexcept;

  // Under `submitting`.
  [[nodiscard]] Result<void> apply(std::span<const BindOp> ops) noexcept;
  void note_use(std::span<const BindOp> ops, std::uint64_t value) noexcept;
  [[nodiscard]] SparseOp sparse_op(const BindOp& op) noexcept;
  [[nodiscard]] Result<SparseChain::Copy> check_copy(const CopyOp& op) noexcept;

  [[nodiscard]] static Address address_of(std::uint32_t slot) noexcept {
    return Address{(std::uint64_t{slot} + 1) << 40U};
  }
  [[nodiscard]] static std::uint32_t slot_of(Address address) noexcept {
    return static_cast<std::uint32_t>((address.value >> 40U) - 1);
  }
  [[nodiscard]] std::uint32_t heap_of(std::uint32_t memory_type) const noexcept {
    return profile.memory_types[memory_type].heap;
  }
  // Buffers of this usage can have memory of this type (V6), and what it needs is enabled.
  [[nodiscard]] bool serves(std::uint32_t memory_type) const noexcept {
    return (type_bits >> memory_type & 1U) != 0 &&
           allocatable(profile.memory_types[memory_type], config.device.features);
  }
  [[nodiscard]] bool whole() const noexcept { return !config.device.features.sparse_residency_buffer; }

  SparseConfig config;
  DeviceAccount own_account;
  DeviceAccount* account = &own_account;  // the one that counts
  DeviceAccount own_allowance{kUnlimited, {}};
  DeviceAccount* allowance = &own_allowance;
  std::array<std::uint32_t, SparseConfig::kMaxFamilies> families{};
  Driver driver;
  DeviceProfile profile;
  DeviceLimits limits;
  std::uint32_t type_bits = 0;  // of buffers of this usage (V6)
  TimelineTable timelines;
  SparseChain chain;

  std::mutex submitting;
  BindJournal journal;
  HostArray<SparseOp> ops;
  HostArray<SparseChain::Copy> copies;

  std::mutex growing;

  mutable std::mutex mutex;  // of what follows
  HostArray<Buffer> buffers;
  ReservationTable reservations;
  PhysicalTable objects;
  BindingTable bindings;
  PageMemory pages;
  BudgetBook budgets;
  std::array<Bytes, kMaxHeaps> used{};  // pages handed out, by heap
  std::uint32_t parked = 0;             // buffers whose `until` is not 0
};

}  // namespace vaspace::vulkan
