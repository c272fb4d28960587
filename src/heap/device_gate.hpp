// The one way by which a heap takes memory from the device and gives it back.
//
// Always true:
//  - Never more memory objects are held than the device and the configuration allow (V4), and none is larger
//    than the device, its heap or a block's addresses allow (V5).
//  - What is held from a heap never passes its configured limit; a request within budget never passes the
//    budget, which is never above the heap, whatever the driver says (V16). Memory is counted before the
//    driver is asked, so that two threads cannot both take the last of it.
//  - The driver is asked for the budget (Backend::read_budget, which keeps nothing) when it is first needed,
//    after kReadingLife changes, and once more before a request is refused because of it; between, its answer
//    is corrected by what is taken and given back here. What is on its way while it is asked is counted
//    twice rather than not at all.
//  - Guests are memory that others take from the same device through this gate: in all of the above they are
//    what the heap's own memory is.
//  - LAZILY_ALLOCATED memory does not count (V14).
//  - A release that the driver refuses is kept, counted and offered again (R7).
//
// Thread-safe; no lock is held during a driver call but the one of the block that is mapped or unmapped.
#pragma once

#include <array>

#include "vaspace/heap/heap.hpp"

#include "heap/block.hpp"

namespace vaspace {

struct TakeRequest {
  Bytes size{};  // rounded up to the granularity, unless dedicated to a resource
  Alignment alignment{};
  std::uint32_t memory_type = 0;
  MemoryTraits traits{};
  BudgetPolicy policy = BudgetPolicy::within;
  bool exclusive = false;
};

struct GateFigures {
  std::uint64_t objects = 0;
  std::uint64_t reserves = 0;
  std::uint64_t releases = 0;
  std::uint64_t refused_by_driver = 0;
  std::uint64_t refused_by_budget = 0;
  std::uint64_t guests = 0;
  std::uint64_t guest_reserves = 0;
  std::array<Bytes, kMaxMemoryTypes> guest_bytes{};
};

class DeviceGate {
 public:
  static constexpr std::uint32_t kReadingLife = 32;

  DeviceGate(Backend& backend, const HeapConfig& config) noexcept;
  DeviceGate(const DeviceGate&) = delete;
  DeviceGate& operator=(const DeviceGate&) = delete;
  ~DeviceGate();

  [[nodiscard]] Backend& backend() const noexcept { return backend_; }
  [[nodiscard]] const DeviceProfile& profile() const noexcept { return backend_.profile(); }
  [[nodiscard]] BlockTable& blocks() noexcept { return blocks_; }
  [[nodiscard]] const BlockTable& blocks() const noexcept { return blocks_; }

  // Errors: too_large, out_of_address_space (V4), out_of_device_memory, out_of_host_memory, the driver's.
  [[nodiscard]] Result<Block*> reserve(const TakeRequest& request) noexcept;
  [[nodiscard]] Result<Block*> import(const TakeRequest& request, ExternalHandle handle) noexcept;
  [[nodiscard]] Result<Block*> import(const TakeRequest& request, void* pointer) noexcept;
  void release(Block& block) noexcept;
  // Without the driver: release_leaving does it, and offers again what the driver refused.
  void release_later(Block& block) noexcept;
  void release_leaving() noexcept;
  // The same accounts for pages and for guests, which somebody else takes from the device: entered -> taken
  // -> leaving -> left, or entered -> refused. A guest is a memory object. Errors: out_of_address_space (V4),
  // out_of_device_memory.
  [[nodiscard]] Result<void> enter_pages(std::uint32_t memory_type, Bytes size, BudgetPolicy policy) noexcept;
  void page_step(std::uint32_t memory_type, Bytes size, GuestStep step) noexcept;
  [[nodiscard]] Result<void> enter_guest(std::uint32_t memory_type, Bytes size, BudgetPolicy policy) noexcept;
  void guest_step(std::uint32_t memory_type, Bytes size, GuestStep step) noexcept;

  // Mapped until the block is released; the pointer to its begin. Errors: not_supported (V11), the driver's.
  [[nodiscard]] Result<std::byte*> map_for_good(Block& block) noexcept;
  // Counted. Errors: the same; wrong_state.
  [[nodiscard]] Result<std::byte*> map(Block& block) noexcept;
  [[nodiscard]] Result<void> unmap(Block& block) noexcept;
  // Counted maps end with whom they were counted for; the driver is asked by whoever unmaps or releases next.
  // Takes no lock: it is called with the records' held, and a block's is held across calls of the driver.
  void forget_maps(Block& block, std::uint32_t maps) noexcept;
  // Its begin, where the host sees it now; null: it does not.
  [[nodiscard]] std::byte* pointer_to(Block& block) noexcept;

  // Errors: invalid_argument. May ask the driver.
  [[nodiscard]] Result<HeapBudget> budget(std::uint32_t heap) noexcept;
  // As it is known, without asking anybody.
  [[nodiscard]] HeapBudget estimate(std::uint32_t heap) const noexcept;
  [[nodiscard]] Bytes committed() const noexcept;
  [[nodiscard]] Bytes committed(std::uint32_t heap) const noexcept;
  // Other processes take and give too: every so many calls of this a reading is due.
  void tick() noexcept;

  [[nodiscard]] GateFigures figures() const noexcept;
  [[nodiscard]] std::uint64_t max_objects() const noexcept { return max_objects_; }
  [[nodiscard]] const char* validate() const noexcept;

 private:
  struct Account {
    Bytes limit = kMaxBytes;
    Bytes budget{};
    Bytes usage{};      // at the reading
    Bytes committed{};  // by this heap
    Bytes committed_at_reading{};
    Bytes moving{};                        // of committed: the driver has not answered yet
    Bytes left{};                          // ever
    std::uint32_t changes = kReadingLife;  // since the reading
  };
  // What is to be entered into the books.
  struct Toll {
    std::uint32_t heap = 0;
    Bytes size{};
    bool counts = true;
    bool object = true;
  };

  [[nodiscard]] Result<void> check(TakeRequest& request) const noexcept;
  [[nodiscard]] Toll toll_of(std::uint32_t memory_type, Bytes size, bool object) const noexcept;
  [[nodiscard]] Result<void> enter(const Toll& toll, BudgetPolicy policy) noexcept;
  // The driver has given it.
  void settle(const Toll& toll) noexcept;
  // The driver is about to take it back; it has, or has refused to.
  void begin_leave(const Toll& toll) noexcept;
  void stay(const Toll& toll) noexcept { settle(toll); }
  // After begin_leave, or where the driver never gave it.
  void leave(const Toll& toll) noexcept;
  void step(const Toll& toll, GuestStep step) noexcept;
  // The driver has refused what was entered: it knows of something that we do not.
  void doubt(std::uint32_t heap) noexcept;
  template <class Take>
  [[nodiscard]] Result<Block*> take(TakeRequest request, Take&& take) noexcept;
  [[nodiscard]] bool due(std::uint32_t heap) const noexcept;
  void read(std::uint32_t heap) noexcept;
  [[nodiscard]] Bytes usage_of(const Account& account) const noexcept;
  [[nodiscard]] HeapBudget budget_of(std::uint32_t heap) const noexcept;
  [[nodiscard]] bool try_release(Block& block) noexcept;
  static void settle_forgotten(Block& block) noexcept;

  Backend& backend_;
  BlockTable blocks_;
  std::uint64_t max_objects_;
  mutable std::mutex mutex_;  // of what follows
  std::array<Account, kMaxHeaps> accounts_{};
  GateFigures figures_{};
  Block* leaving_ = nullptr;
};

}  // namespace vaspace
