// The blocks of one pool, found by their address: an open hash table over records that keep their number.
//
//   slots    [ 3 | - | 0 | 1 | - | 2 ]     record's number, linear probing, no tombstones
//   records  [ 0 | 1 | 2 | 3 ]             4 of them at most half as many as slots
//
// Always true: each address has one record at most; a record keeps its number while it lives; only
// reserve_one() and add_user() ask for host memory. Externally synchronised.
#pragma once

#include <optional>

#include "vaspace/arena/allocation.hpp"
#include "vaspace/backends/cuda.hpp"
#include "vaspace/base/host_array.hpp"

namespace vaspace::cuda {

// As large as a cache line: a record is found by a shift.
struct alignas(64) Block {
  enum class State : std::uint8_t {
    gone,
    live,
    recorded,  // live, and used on other streams too
    lent,      // live, and given out on another stream than its own, which has used it before
    parked,    // in the pool's cache
    waiting    // freed, and other streams have not passed
  };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  Address address{};
  Bytes size{};   // taken from the arena
  Bytes asked{};  // of what is live or was last
  // Where it was taken from.
  struct Place {
    AllocationId id{};
    std::uint32_t arena = 0;
  };
  Place place{};
  std::uint32_t next = kNone;       // parked: of the same size; waiting: on the same stream
  std::uint32_t next_pool = kNone;  // waiting: the pool that `next` is a number in
  std::uint32_t users = kNone;  // what other streams have used it and have not passed, as the table has them
  State state = State::gone;
  bool shared = false;      // waiting: more streams have used it than freed it
  Stream stream = nullptr;  // waiting for one that has no pool

  [[nodiscard]] bool is_live() const noexcept {
    return state == State::live || state == State::recorded || state == State::lent;
  }
};

class BlockTable {
 public:
  explicit BlockTable(const HostAllocator& host) noexcept : records_(host), slots_(host), users_(host) {}
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;

  [[nodiscard]] std::uint32_t find(Address address) const noexcept {
    for (std::uint64_t slot = home_of(address);; slot = (slot + 1) & mask_) {
      const std::uint32_t record = looked_at_[slot];
      if (record == Block::kNone || records_.data()[record].address == address) return record;
    }
  }
  [[nodiscard]] Block& operator[](std::uint32_t record) noexcept { return records_.data()[record]; }
  [[nodiscard]] const Block& operator[](std::uint32_t record) const noexcept {
    return records_.data()[record];
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // All numbers that records have had: gone ones too.
  [[nodiscard]] std::uint32_t records() const noexcept { return static_cast<std::uint32_t>(records_.size()); }

  // Room for one more. False: no host memory; nothing has changed.
  [[nodiscard]] bool reserve_one() noexcept;
  // Its address is new here; the room is reserved.
  std::uint32_t add(const Block& block) noexcept;
  void remove(std::uint32_t record) noexcept;

  // A stream that has used a block: that of a pool, or one that has none.
  struct User {
    std::uint32_t pool = Block::kNone;
    Stream stream = nullptr;  // where there is no pool

    friend bool operator==(const User&, const User&) = default;
  };
  // One more of the block; once. False: no host memory; nothing has changed.
  [[nodiscard]] bool add_user(std::uint32_t record, const User& user) noexcept;
  // Takes one of them off. None: there is none.
  [[nodiscard]] std::optional<User> take_user(std::uint32_t record) noexcept;
  // This one, where it is one of them.
  void drop_user(std::uint32_t record, const User& user) noexcept;

  [[nodiscard]] const char* validate() const noexcept;

 private:
  // The product's leading bits: blocks that lie side by side come to lie far apart.
  [[nodiscard]] std::uint64_t home_of(Address address) const noexcept {
    return ((address.value >> 8U) * 0x9e3779b97f4a7c15ULL) >> shift_;
  }
  void place(std::uint32_t record) noexcept;

  struct LinkedUser {
    User user;
    std::uint32_t next = Block::kNone;
  };

  static constexpr std::uint32_t kNoSlots[2] = {Block::kNone, Block::kNone};

  // Those of slots_; or, so that who looks need not ask whether there are any, two that are empty.
  const std::uint32_t* looked_at_ = kNoSlots;
  std::uint64_t mask_ = 1;
  unsigned shift_ = 63;
  HostArray<Block> records_;
  HostArray<std::uint32_t> slots_;
  std::size_t size_ = 0;
  std::uint32_t free_ = Block::kNone;
  HostArray<LinkedUser> users_;
  std::uint32_t free_user_ = Block::kNone;
};

}  // namespace vaspace::cuda
