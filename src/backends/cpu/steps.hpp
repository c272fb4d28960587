// What is to be done to the mappings, one kernel call each, and the steps that are not yet due.
//
// Always true: steps are carried out in the order of their submission, none before it is due.
#pragma once

#include <cstdint>
#include <optional>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace::cpu {

struct Step {
  enum class Kind : std::uint8_t { map, null, unmap, copy };
  Kind kind = Kind::unmap;
  Access access = Access::read_write;  // map
  std::uint32_t heap = 0;              // map
  std::uint64_t place = 0;             // map: the offset in the heap's file
  Address address{};                   // what changes
  Bytes size{};
  Address source{};  // copy
};

// Externally synchronised.
class StepQueue {
 public:
  struct Entry {
    Step step;
    std::uint64_t value = 0;  // of the timeline, once all its steps are done
    std::uint64_t due = 0;    // on the monotonic clock, in ns
  };

  explicit StepQueue(const HostAllocator& host) noexcept : entries_(host) {}

  // False: no host memory.
  [[nodiscard]] bool reserve(std::size_t more) noexcept;
  // Room is reserved; neither value nor due is below the last one's.
  void push(const Entry& entry) noexcept { entries_.push_back_reserved(entry); }
  [[nodiscard]] bool empty() const noexcept { return first_ == entries_.size(); }
  [[nodiscard]] const Entry& front() const noexcept { return entries_[first_]; }
  void pop() noexcept;

  // When `value` is due, if it still waits. O(n).
  [[nodiscard]] std::optional<std::uint64_t> due_of(std::uint64_t value) const noexcept;
  // Whether a waiting step concerns any of [address, address + size). O(n).
  [[nodiscard]] bool concerns(Address address, Bytes size) const noexcept;

 private:
  HostArray<Entry> entries_;
  std::size_t first_ = 0;
};

}  // namespace vaspace::cpu
