// Where arenas get their reservations from.
//
// Where reserving costs nothing, each is one of the backend's. Where it commits (plain Vulkan), they are cut
// out of shared memory blocks, which start at 4 MiB and double up to an eighth of the heap, at most 256 MiB;
// what is above half of the largest block gets a memory object of its exact size. With a first block of the
// caller's they follow what is held: the next is half of that, and what is cut out of one at most an eighth.
//
// Always true: leases never overlap; put() never fails: a reservation that the driver does not take back is
// kept, counted in held() and offered again by trim() (R7). Thread-safe. Who needs a new block
// waits for another's that is being made; no other lock is held during a driver call.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "vaspace/device/backend.hpp"

#include "arena/spans.hpp"

namespace vaspace {

struct Lease {
  Reservation reservation{};
  RangeId cut{};  // in the blocks, where it was cut out of one
  bool is_cut = false;
};

struct SourceConfig {
  std::uint32_t memory_type = 0;
  MemoryTraits traits{};
  Bytes unit{};         // sizes are multiples of this power of two, at least 64 KiB
  Bytes device_size{};  // of the heap
  Bytes first_block{};  // 0: kFirstBlock, and blocks double
  HostAllocator host{};
};

class ReservationSource {
 public:
  static constexpr Bytes kFirstBlock = 4_MiB;
  static constexpr Bytes kCut = 64_KiB;  // the smallest piece of a block

  ReservationSource(Backend& backend, const SourceConfig& config) noexcept;
  ReservationSource(const ReservationSource&) = delete;
  ReservationSource& operator=(const ReservationSource&) = delete;
  ~ReservationSource();

  // Errors: out_of_host_memory.
  [[nodiscard]] Result<void> create() noexcept;

  // Reservations are cut out of blocks.
  [[nodiscard]] bool cuts() const noexcept { return blocks_.has_value(); }
  // Where it cuts: above half of this a lease has a memory object of its own.
  [[nodiscard]] Bytes largest_block() const noexcept { return largest_block_; }
  // Blocks grow with what is held, and so do the reservations that are cut out of them.
  [[nodiscard]] bool grows_slowly() const noexcept { return config_.first_block != Bytes{}; }
  [[nodiscard]] Bytes unit() const noexcept { return config_.unit; }

  // Errors: too_large (above the backend's largest reservation), or as Backend::reserve.
  [[nodiscard]] Result<Lease> get(Bytes size, Alignment alignment) noexcept;
  // Whether a block that is there holds it.
  [[nodiscard]] bool can_cut(Bytes size, Alignment alignment) const noexcept;
  void put(const Lease& lease) noexcept;
  // Gives back empty blocks while more than `keep` bytes of them are held, and offers again what was refused.
  void trim(Bytes keep) noexcept;
  // Bytes reserved from the backend.
  [[nodiscard]] Bytes held() const noexcept;
  // Times that the backend did not take a reservation back.
  [[nodiscard]] std::uint64_t refused() const noexcept;

 private:
  [[nodiscard]] Result<Lease> reserve(Bytes size, Alignment alignment) noexcept;
  [[nodiscard]] Result<Lease> cut(Bytes size, Alignment alignment) noexcept;
  [[nodiscard]] Bytes next_block(Bytes need) const noexcept;
  [[nodiscard]] Result<void> add_block(Bytes size) noexcept;
  [[nodiscard]] Result<void> enter_block(const Reservation& block) noexcept;
  void release(const Reservation& reservation) noexcept;
  [[nodiscard]] std::optional<Reservation> take_empty_block(Bytes keep) noexcept;

  struct Block {
    Reservation reservation{};
    Bytes used{};
  };

  Backend& backend_;
  SourceConfig config_;
  Bytes largest_block_{};
  Bytes next_block_ = kFirstBlock;
  std::mutex growing_;        // one grower of blocks at a time
  mutable std::mutex mutex_;  // of what follows
  std::optional<Spans> blocks_;
  HostArray<Block> block_list_;  // by window of blocks_
  Bytes empty_blocks_{};
  Bytes held_{};
  std::uint64_t live_ = 0;  // reservations held
  std::uint64_t times_refused_ = 0;
  HostArray<Reservation> refused_;  // by the driver; has room for every reservation held
};

}  // namespace vaspace
