// Entries of pages by number, in an array: one load each.
//
//   chunks   | * | . | . | * |        . : no page of these 1024 was ever touched
//
// Always true: a chunk that was made stays where it is until the end; nothing but reserve() and make_room()
// asks for host memory.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/va/page_entry.hpp"

namespace vaspace {

// Externally synchronised.
class PageArray {
 public:
  PageArray(unsigned window_page_bits, const HostAllocator& host) noexcept;
  PageArray(const PageArray&) = delete;
  PageArray& operator=(const PageArray&) = delete;
  ~PageArray();

  // Numbers below `pages` may be asked about from now on. False: no host memory; nothing changed.
  [[nodiscard]] bool reserve(std::uint64_t pages) noexcept;
  // [first, last] may be edited from now on. False: no host memory; no entry changed.
  [[nodiscard]] bool make_room(std::uint32_t first, std::uint32_t last) noexcept;

  // Whether it may be edited, and has an entry of its own to look at.
  [[nodiscard]] bool knows(std::uint32_t page) const noexcept {
    return chunks_.data()[page >> chunk_bits_] != nullptr;
  }
  [[nodiscard]] PageEntry& edit(std::uint32_t page) noexcept {
    return chunks_.data()[page >> chunk_bits_][page & ((1U << chunk_bits_) - 1)];
  }
  [[nodiscard]] const PageEntry& at(std::uint32_t page) const noexcept {
    return chunks_.data()[page >> chunk_bits_][page & ((1U << chunk_bits_) - 1)];
  }
  // Calls `see` with every entry in [begin, end) that it knows, and of how many pages that is the entry.
  template <class See>
  void for_each(std::uint32_t begin, std::uint32_t end, See&& see) const noexcept {
    for (std::uint32_t page = begin; page < end; ++page)
      if (knows(page)) see(at(page), std::uint64_t{1});
  }
  [[nodiscard]] static const char* validate() noexcept { return nullptr; }

 private:
  static constexpr unsigned kChunkBits = 10;  // pages of a chunk, unless a window has fewer

  unsigned chunk_bits_;
  HostArray<PageEntry*> chunks_;  // by page; null until a page of the chunk is first touched
};

}  // namespace vaspace
