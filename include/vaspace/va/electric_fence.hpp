// Allocations that are found out: each has pages of its own and an unmapped one behind it, and what is freed
// stays unmapped until long after.
//
//   addresses   |....[obj]|guard|..[object]|guard|  freed, unmapped  |guard|
//                     ^ ends where its page ends, as near as its alignment lets it
//
// Always true: a live allocation is bound, nothing else is but what the driver would not unbind; addresses go
// round, so that a range is not handed out again before every other free one has been, nor before
// `quarantine` bytes of addresses were freed after it and the device has passed the points that it was freed
// with. A use of what was freed, or past the end, faults at once, and describe() says whose the address was.
//
// A debugging mode: every allocation costs a page, and allocate and free call the driver. Thread-safe; no
// driver call is made under the lock that describe() needs.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>

#include "vaspace/va/shared_va_space.hpp"

namespace vaspace {

struct ElectricFenceConfig {
  Bytes size{};       // of the addresses
  Bytes page_size{};  // one that the backend offers; 0: the smallest
  // Addresses that are freed before a freed range is handed out again; without a value, a quarter of `size`.
  std::optional<Bytes> quarantine{};
  std::uint32_t memory_type = 0;
  HostAllocator host = default_host_allocator();
};

struct FencedRequest {
  Bytes size{};
  Alignment alignment{16};
  std::string_view name{};  // the first 47 bytes are kept
};

// What lies, or lay, at an address.
struct FenceFinding {
  enum class Kind : std::uint8_t { live, past_the_end, before_the_begin, freed };
  static constexpr std::size_t kText = 48;

  Kind kind{};
  Address begin{};  // of the allocation
  Bytes size{};
  std::uint64_t number = 0;            // the n-th allocation of the fence
  std::array<char, kText> name{};      // null-terminated
  std::array<char, kText> freed_at{};  // where the caller said it was freed; null-terminated
};

class ElectricFence {
 public:
  // `backend` outlives the fence. Errors: as VaSpace::create.
  [[nodiscard]] static Result<HostObject<ElectricFence>> create(Backend& backend,
                                                                const ElectricFenceConfig& config) noexcept;
  ~ElectricFence();
  ElectricFence(const ElectricFence&) = delete;
  ElectricFence& operator=(const ElectricFence&) = delete;

  // Errors: invalid_size, invalid_alignment (no power of two, or above a page), too_large, out_of_space (what
  // is free is in quarantine), out_of_host_memory, or the driver's; nothing has changed then.
  [[nodiscard]] Result<Address> allocate(const FencedRequest& request) noexcept;
  // What allocate answered, unmapped at once. `where`: for findings, the last 47 bytes are kept. Errors:
  // unknown_address, interior_address, stale_handle (freed before), or the driver's when it will not unbind:
  // then it counts as freed, is bound still, and collect() tries again.
  [[nodiscard]] Result<void> free(Address address, std::string_view where = {}) noexcept;
  // The same once the device has passed all of `uses`: collect() unmaps it then. Errors: the same, and
  // invalid_argument for more than four uses, or one that no timeline of the backend ever answered. A use on
  // a lost device has passed, and so has one on a timeline that was forgotten since.
  [[nodiscard]] Result<void> retire(Address address, std::span<const TimelinePoint> uses,
                                    std::string_view where = {}) noexcept;
  // Unmaps what has been retired and what the driver refused. How many ranges still wait.
  std::uint64_t collect() noexcept;

  [[nodiscard]] std::optional<FenceFinding> describe(Address address) const noexcept;
  // A line about the address, without a line end and null-terminated; its length, or 0 where nothing is
  // known. For a signal handler: it asks for no memory and waits for nobody, and answers 0 in the moment that
  // another thread writes the books; not while the driver is called.
  std::size_t describe(Address address, std::span<char> text) const noexcept;

  [[nodiscard]] std::uint64_t live() const noexcept;
  // Addresses that are free but not yet to be handed out again.
  [[nodiscard]] Bytes quarantined() const noexcept;

  // For make_host_object alone: use create().
  ElectricFence(HostObject<VaSpace> space, const ElectricFenceConfig& config) noexcept;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::size_t kMaxUses = 4;

  // arriving, leaving: in the hands of a thread that calls the driver. kept: memory alone, which the driver
  // did not take back; the addresses are others' by then.
  enum class State : std::uint8_t { unused, arriving, live, retired, leaving, quarantined, kept };
  struct Record {
    FenceFinding finding{};
    Address pages{};  // the range that it has, with its guard
    Bytes span{};
    PhysicalId physical{};
    State state = State::unused;
    std::uint32_t next = kNone;  // in the list of its state
    std::uint32_t use_count = 0;
    std::array<TimelinePoint, kMaxUses> uses{};
  };
  struct Queue {
    std::uint32_t head = kNone;
    std::uint32_t tail = kNone;
  };

  [[nodiscard]] Bytes page() const noexcept { return space_->page_size(); }
  [[nodiscard]] std::optional<std::uint64_t> place(Bytes span) noexcept;
  [[nodiscard]] std::uint32_t add(const Record& record) noexcept;
  // What a record has of the driver, so that it can be asked without the lock.
  struct Held {
    Address pages{};
    Bytes bytes{};
    PhysicalId physical{};
    bool bound = false;
  };
  using Lock = std::unique_lock<std::mutex>;
  [[nodiscard]] Result<void> bind(Held& held) noexcept;
  [[nodiscard]] Result<void> unbind(Held& held) noexcept;
  [[nodiscard]] Result<void> let_go(std::uint32_t index, Lock& lock) noexcept;
  void drop(std::uint32_t index) noexcept;
  void destroy_kept(Lock& lock) noexcept;
  [[nodiscard]] Result<std::uint32_t> find_live(Address address) const noexcept;
  [[nodiscard]] Result<std::uint32_t> end_life(Address address, std::span<const TimelinePoint> uses,
                                               std::string_view where) noexcept;
  [[nodiscard]] bool passed(std::span<const TimelinePoint> uses) noexcept;
  void enter_quarantine(std::uint32_t index) noexcept;
  void end_quarantine() noexcept;
  void push(Queue& queue, std::uint32_t index) noexcept;
  std::uint32_t pop(Queue& queue) noexcept;

  const ElectricFenceConfig config_;
  mutable std::mutex mutex_;  // of all but the space; never held during a driver call
  SharedVaSpace space_;
  Bytes wanted_quarantine_{};
  FreeSpace addresses_;
  std::uint64_t cursor_ = 0;  // where the next one is looked for first
  IntervalMap<std::uint32_t> by_address_;
  HostArray<Record> records_;
  std::uint32_t unused_ = kNone;
  Queue retired_;
  Queue quarantine_;
  Queue kept_;
  Bytes quarantined_{};
  std::uint64_t live_ = 0;
  std::uint64_t numbers_ = 0;
};

}  // namespace vaspace
