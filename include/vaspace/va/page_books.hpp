// Which cells of which pages are live, and which physical page lies behind each.
//
//   block   |------------- a large page's worth of addresses -------------|
//   pages   |--0--|--1--|--2--|--3--| ...                    small pages
//   frames  [      one large frame      ]     or   [a] [b] [a] [c]     a small one may be behind several
//   pages
//
// A frame is one physical object. A large frame has a page of its block at each offset; a small frame has one
// page, or, meshed, several whose live cells are disjoint.
//
// Always true: a page is behind one frame at most, and in its list of members; no two members of a frame have
// a live cell at the same place; a page that was never touched costs no host memory. Externally synchronised.
#pragma once

#include <cstdint>
#include <span>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"
#include "vaspace/va/cell_mask.hpp"

namespace vaspace {

class PageBooks {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Page {
    std::uint32_t frame = kNone;  // behind it
    std::uint32_t next = kNone;   // member of the frame
    std::uint32_t live = 0;       // cells
    std::uint32_t next_empty = kNone;
    std::uint32_t claims = 0;  // acquires under way that want it: not to be given back though it is empty
    bool busy = false;         // in one thread's hands
    bool queued = false;       // in the list of empty pages
    bool guarded = false;      // bound for reading only, because a move was refused in the middle
  };
  struct Frame {
    PhysicalId physical{};
    std::uint32_t first = kNone;  // member; of a free frame: the next free one
    std::uint32_t members = 0;
    std::uint32_t live_pages = 0;  // members with a live cell
    std::uint32_t generation = 0;
    std::uint32_t moved = 0;  // of a large one: pages copied out of it, which hold memory beside it
    bool large = false;
    bool busy = false;  // someone copies into it: no cell of a member may become live
  };

  PageBooks(std::uint32_t pages, std::uint32_t pages_per_block, std::uint32_t words,
            const HostAllocator& host) noexcept
      : pages_(pages), per_block_(pages_per_block), words_(words), blocks_(host), frames_(host) {}
  PageBooks(const PageBooks&) = delete;
  PageBooks& operator=(const PageBooks&) = delete;
  ~PageBooks();

  // Once, before all else. False: no host memory.
  [[nodiscard]] bool open() noexcept;
  // Pages [first, last] can be used from now on. False: no host memory.
  [[nodiscard]] bool touch(std::uint32_t first, std::uint32_t last) noexcept;
  [[nodiscard]] bool touched(std::uint32_t page) const noexcept {
    return blocks_[page / per_block_].pages != nullptr;
  }

  [[nodiscard]] std::uint32_t pages() const noexcept { return pages_; }
  [[nodiscard]] std::uint32_t blocks() const noexcept { return pages_ / per_block_; }
  [[nodiscard]] std::uint32_t pages_per_block() const noexcept { return per_block_; }
  [[nodiscard]] std::uint32_t words() const noexcept { return words_; }
  [[nodiscard]] std::uint32_t cells() const noexcept { return words_ * kCellsPerWord; }

  [[nodiscard]] Page& page(std::uint32_t index) noexcept {
    return blocks_[index / per_block_].pages[index % per_block_];
  }
  [[nodiscard]] const Page& page(std::uint32_t index) const noexcept {
    return blocks_[index / per_block_].pages[index % per_block_];
  }
  [[nodiscard]] CellMask mask(std::uint32_t index) const noexcept {
    return {blocks_[index / per_block_].masks + std::size_t{index % per_block_} * words_, words_};
  }
  [[nodiscard]] Frame& frame(std::uint32_t index) noexcept { return frames_[index]; }
  [[nodiscard]] const Frame& frame(std::uint32_t index) const noexcept { return frames_[index]; }
  [[nodiscard]] std::uint32_t frames() const noexcept { return static_cast<std::uint32_t>(frames_.size()); }

  // Cells [begin, end) of a page, which are not live, become so; or the other way round. True where that
  // changed whether the page has any.
  bool revive(std::uint32_t index, std::uint32_t begin, std::uint32_t end) noexcept;
  bool retire(std::uint32_t index, std::uint32_t begin, std::uint32_t end) noexcept;
  // Whether a live cell of any member lies in `cells` of the frame.
  [[nodiscard]] bool members_overlap(std::uint32_t frame, CellMask cells) const noexcept;

  // Whether this is the first live member of its frame, so that each frame is seen once.
  [[nodiscard]] bool stands_for_frame(std::uint32_t index) const noexcept;

  // Room for `more` frames, kept for whoever asked until add_frame or unreserve. False: no host memory.
  [[nodiscard]] bool reserve_frames(std::uint32_t more) noexcept;
  void unreserve(std::uint32_t frames) noexcept { reserved_ -= frames; }
  // Reserved.
  std::uint32_t add_frame(PhysicalId physical, bool large) noexcept;
  // It has no members.
  void remove_frame(std::uint32_t index) noexcept;
  void join(std::uint32_t page, std::uint32_t frame) noexcept;
  // The frame that it was behind.
  std::uint32_t leave(std::uint32_t page) noexcept;

  [[nodiscard]] const char* validate() const noexcept;

 private:
  struct Block {
    Page* pages = nullptr;
    std::uint64_t* masks = nullptr;
  };
  [[nodiscard]] std::span<std::uint64_t> bits(std::uint32_t index) noexcept {
    return {blocks_[index / per_block_].masks + std::size_t{index % per_block_} * words_, words_};
  }
  [[nodiscard]] bool make(Block& block) const noexcept;

  std::uint32_t pages_;
  std::uint32_t per_block_;
  std::uint32_t words_;
  HostArray<Block> blocks_;
  HostArray<Frame> frames_;
  std::uint32_t free_frame_ = kNone;
  std::uint32_t reserved_ = 0;
};

}  // namespace vaspace
