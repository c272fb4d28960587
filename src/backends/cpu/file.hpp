// A heap's physical memory: one sparse memfd, and which of its offsets are taken.
//
// The home of an address is the offset of the same number. A page that is created for the address where it
// will be bound goes home if nobody is there, so that pages bound side by side lie side by side in the file
// too and the kernel keeps one mapping for all of them. Everything else goes to the offsets from kElsewhere
// on, lowest first.
//
// Always true: an offset is taken by one object at most; st_blocks counts the memory of what is taken and
// nothing else (and, while it is on its way in or out, of less).
#pragma once

#include <cstdint>

#include "vaspace/device/backend.hpp"
#include "vaspace/device/free_space.hpp"

namespace vaspace::cpu {

// Above every address that user space has (2^56 with five-level page tables).
inline constexpr std::uint64_t kElsewhere = 1ULL << 57U;
inline constexpr Bytes kFileSize{1ULL << 62U};
// First fit with M bytes taken needs no more than M log2 M bytes of offsets: 2^54, far below kFileSize.
inline constexpr Bytes kMaxHeapSize{1ULL << 48U};

[[nodiscard]] constexpr bool has_home(Address address, Bytes size) noexcept {
  return address.value != 0 && address.value < kElsewhere && size.value <= kElsewhere - address.value;
}

class HeapFile {
 public:
  explicit HeapFile(const HostAllocator& host) noexcept : offsets_(host) {}
  HeapFile(const HeapFile&) = delete;
  HeapFile& operator=(const HeapFile&) = delete;
  ~HeapFile();

  // Once, before all else. Errors: io_error, out_of_host_memory.
  [[nodiscard]] Result<void> open(std::uint32_t heap) noexcept;
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

  // Offsets; externally synchronised. reserve() first; false: no host memory.
  [[nodiscard]] bool reserve(std::size_t pieces) noexcept { return offsets_.reserve(pieces); }
  // `pieces` neighbours that together begin at the home of `near`, if it is free.
  [[nodiscard]] bool take_home(Address near, Bytes size, std::size_t pieces) noexcept;
  [[nodiscard]] std::uint64_t take_elsewhere(Bytes size, std::size_t pieces) noexcept;
  void give_offset(std::uint64_t offset, Bytes size) noexcept { offsets_.give(offset, size); }

  // Memory; thread-safe. 0 or errno.
  [[nodiscard]] int take_memory(std::uint64_t offset, Bytes size) noexcept;
  [[nodiscard]] int give_memory(std::uint64_t offset, Bytes size) noexcept;
  // Errors: io_error.
  [[nodiscard]] Result<Bytes> measured() const noexcept;

 private:
  FreeSpace offsets_;
  int descriptor_ = -1;
};

}  // namespace vaspace::cpu
