// What a heap tells about itself: figures for every frame, and everything there is.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "vaspace/base/result.hpp"
#include "vaspace/device/profile.hpp"
#include "vaspace/heap/heap_allocation.hpp"

namespace vaspace {

struct HeapFigures {
  std::uint64_t allocations = 0;
  std::uint32_t blocks = 0;
  std::uint32_t empty_blocks = 0;  // of them
  Bytes live{};                    // asked for
  Bytes used{};                    // handed out for it
  Bytes committed{};               // held from the device
  Bytes guests{};                  // of it, what others have taken through Heap::enter_guest
};

// Of one heap of the device, as the gate sees it (V16).
struct HeapBudget {
  Bytes size{};
  Bytes budget{};     // clamped to the heap and to HeapConfig::heap_limits
  Bytes usage{};      // of the process, as estimated between two readings
  Bytes committed{};  // of it, by this heap
};

struct HeapReport {
  HeapFigures total{};
  std::uint32_t memory_type_count = 0;
  std::array<HeapFigures, kMaxMemoryTypes> memory_types{};
  std::uint32_t heap_count = 0;
  std::array<HeapBudget, kMaxHeaps> heaps{};
  std::uint64_t memory_objects = 0;  // held from the device (V4), guests too
  std::uint64_t dedicated = 0;       // of them, of one allocation each
  std::uint64_t demoted = 0;         // allocations so far that got another memory type than their best
  std::uint64_t retired = 0;         // allocations that wait for the device
  Bytes retired_bytes{};
  std::uint64_t moves_open = 0;  // planned, neither committed nor abandoned
  // LAZILY_ALLOCATED memory (V14): not in `total.used` and `total.committed`, which are of memory that is
  // there.
  Bytes lazy{};
  std::uint64_t device_reserves = 0;  // calls made so far, but for guests'
  std::uint64_t guest_reserves = 0;   // theirs
  std::uint64_t device_releases = 0;
  std::uint64_t refused_by_driver = 0;        // releases that it did not take; they are tried again
  std::uint64_t refused_by_budget = 0;        // requests
  std::uint64_t lost_timeline_questions = 0;  // `completed` that answered with an error
};

// What becomes of memory that somebody else takes from the device through a heap's gate.
enum class GuestStep : std::uint8_t {
  taken,    // entered: the driver has given it
  refused,  // entered: the driver has not, and it is forgotten
  leaving,  // taken: it is about to go back
  left,     // leaving: it has gone back, and it is forgotten
};

// Where text goes, piece by piece. False: the sink is full or broken, and nothing more is written.
struct TextSink {
  void* user = nullptr;
  bool (*write)(void* user, std::string_view text) noexcept = nullptr;
};

}  // namespace vaspace
