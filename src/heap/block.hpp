// The memory objects that a heap holds, by number.
//
// Always true: a number belongs to one block at a time, the lowest free one is taken first (R9); what is
// known of a block does not change while it is claimed, but for its maps, which its own lock guards. A block
// is looked up without a lock: who holds memory in it got that through a lock that the block was published
// under.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "vaspace/base/host_object.hpp"
#include "vaspace/base/published_array.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace {

struct Block {
  // Inside the heap, block n owns the addresses [n * 2^40, (n + 1) * 2^40).
  static constexpr unsigned kAddressBits = 40;
  static constexpr Bytes kLargest{std::uint64_t{1} << kAddressBits};
  static constexpr std::uint32_t kMaxNumber = (1U << (64U - kAddressBits)) - 1;

  [[nodiscard]] Address begin() const noexcept { return Address{std::uint64_t{number} << kAddressBits}; }
  [[nodiscard]] static std::uint32_t number_of(Address inside) noexcept {
    return static_cast<std::uint32_t>(inside.value >> kAddressBits);
  }
  [[nodiscard]] static Bytes offset_of(Address inside) noexcept {
    return Bytes{inside.value & (kLargest.value - 1)};
  }
  [[nodiscard]] Bytes size() const noexcept { return reservation.size; }

  Reservation reservation{};  // the backend's
  std::uint64_t native = 0;
  std::uint32_t number = 0;
  std::uint32_t memory_type = 0;
  MemoryTraits traits{};
  bool counts = true;      // against its heap's budget (V14)
  bool exclusive = false;  // one allocation's
  bool claimed = false;
  bool live = false;      // claimed, and all of the above is known
  Block* next = nullptr;  // among those on their way to the driver

  std::uint32_t window = 0;  // of the space that it is in; under that one's lock
  // Under the records' lock: the movable ones that lie in it, and how many are on their way out.
  std::uint32_t first_resident = 0;
  std::uint32_t leaving = 0;

  // Where it is mapped as long as it lives; null: not, or only while somebody counts on it.
  std::atomic<std::byte*> mapped{nullptr};
  std::mutex map_mutex;  // of what follows, and of the driver's map and unmap of this block (V10)
  std::byte* pointer = nullptr;
  std::uint32_t maps = 0;  // counted ones
  // Of these, the ones whose owner has ended; taken off by the next who holds the lock.
  std::atomic<std::uint32_t> forgotten{0};
};

class BlockTable {
 public:
  explicit BlockTable(const HostAllocator& host) noexcept : blocks_(host) {}
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;
  ~BlockTable() {
    for (std::uint32_t i = 0; i < blocks_.size(); ++i)
      HostDelete<Block>{blocks_.host()}(blocks_[i]);
  }

  // A block of the lowest number that is free. Errors: out_of_address_space, out_of_host_memory.
  [[nodiscard]] Result<Block*> claim() noexcept;
  // fill(block) writes what is known of it now.
  template <class Fill>
  void publish(Block& block, Fill&& fill) noexcept {
    const std::lock_guard lock(mutex_);
    fill(block);
    block.live = true;
  }
  void vacate(Block& block) noexcept;
  // Numbers up to this have been in use.
  [[nodiscard]] std::uint32_t size() const noexcept { return blocks_.view().size(); }

  // Claimed, or known to be: the caller holds memory in it.
  [[nodiscard]] Block& operator[](std::uint32_t number) const noexcept { return *blocks_.view()[number - 1]; }
  // Any number; null: there never was such a block. It may not be live.
  [[nodiscard]] Block* find(std::uint32_t number) const noexcept {
    const auto view = blocks_.view();
    return number - 1 < view.size() ? view[number - 1] : nullptr;
  }
  // Calls visit(Block&) for every live block, by number, under the table's lock.
  template <class Visit>
  void for_each(Visit&& visit) const {
    const std::lock_guard lock(mutex_);
    for (std::uint32_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i]->live) visit(*blocks_[i]);
    }
  }

 private:
  mutable std::mutex mutex_;
  PublishedArray<Block*> blocks_;  // by number - 1; a block stays in its place for the next of its number
  std::uint32_t first_free_ = 0;   // no lower index is free
};

}  // namespace vaspace
