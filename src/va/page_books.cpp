#include "vaspace/va/page_books.hpp"

#include <new>

namespace vaspace {

PageBooks::~PageBooks() {
  const HostAllocator& host = blocks_.host();
  for (Block& block : blocks_) {
    if (block.pages == nullptr) continue;
    host.deallocate(host.user, block.pages, sizeof(Page) * per_block_, alignof(Page));
    host.deallocate(host.user, block.masks, sizeof(std::uint64_t) * words_ * per_block_,
                    alignof(std::uint64_t));
  }
}

bool PageBooks::open() noexcept {
  return blocks_.resize(blocks());
}

bool PageBooks::make(Block& block) const noexcept {
  const HostAllocator& host = blocks_.host();
  const std::size_t words = std::size_t{words_} * per_block_;
  void* pages = host.allocate(host.user, sizeof(Page) * per_block_, alignof(Page));
  if (pages == nullptr) return false;
  void* masks = host.allocate(host.user, sizeof(std::uint64_t) * words, alignof(std::uint64_t));
  if (masks == nullptr) {
    host.deallocate(host.user, pages, sizeof(Page) * per_block_, alignof(Page));
    return false;
  }
  block.pages = static_cast<Page*>(pages);
  block.masks = static_cast<std::uint64_t*>(masks);
  for (std::uint32_t i = 0; i < per_block_; ++i)
    ::new (static_cast<void*>(block.pages + i)) Page;
  for (std::size_t i = 0; i < words; ++i)
    ::new (static_cast<void*>(block.masks + i)) std::uint64_t{0};
  return true;
}

bool PageBooks::touch(std::uint32_t first, std::uint32_t last) noexcept {
  for (std::uint32_t at = first / per_block_; at <= last / per_block_; ++at)
    if (blocks_[at].pages == nullptr && !make(blocks_[at])) return false;
  return true;
}

bool PageBooks::revive(std::uint32_t index, std::uint32_t begin, std::uint32_t end) noexcept {
  Page& p = page(index);
  set_cells(bits(index), begin, end);
  p.live += end - begin;
  const bool first = p.live == end - begin;
  if (first && p.frame != kNone) ++frames_[p.frame].live_pages;
  return first;
}

bool PageBooks::retire(std::uint32_t index, std::uint32_t begin, std::uint32_t end) noexcept {
  Page& p = page(index);
  clear_cells(bits(index), begin, end);
  p.live -= end - begin;
  if (p.live == 0 && p.frame != kNone) --frames_[p.frame].live_pages;
  return p.live == 0;
}

bool PageBooks::members_overlap(std::uint32_t frame, CellMask cells) const noexcept {
  for (std::uint32_t at = frames_[frame].first; at != kNone; at = page(at).next)
    if (!disjoint(mask(at), cells)) return true;
  return false;
}

bool PageBooks::stands_for_frame(std::uint32_t index) const noexcept {
  const Page& p = page(index);
  if (p.frame == kNone || p.live == 0) return false;
  std::uint32_t at = frames_[p.frame].first;
  while (page(at).live == 0)
    at = page(at).next;
  return at == index;
}

bool PageBooks::reserve_frames(std::uint32_t more) noexcept {
  if (!frames_.reserve_more(std::size_t{reserved_} + more)) return false;
  reserved_ += more;
  return true;
}

std::uint32_t PageBooks::add_frame(PhysicalId physical, bool large) noexcept {
  --reserved_;
  std::uint32_t index = free_frame_;
  if (index == kNone) {
    index = frames();
    frames_.push_back_reserved(Frame{});
  } else {
    free_frame_ = frames_[index].first;
  }
  const std::uint32_t generation = frames_[index].generation;
  frames_[index] = Frame{};
  frames_[index].physical = physical;
  frames_[index].generation = generation;
  frames_[index].large = large;
  return index;
}

void PageBooks::remove_frame(std::uint32_t index) noexcept {
  Frame& f = frames_[index];
  f.physical = {};
  ++f.generation;
  f.first = free_frame_;
  free_frame_ = index;
}

void PageBooks::join(std::uint32_t index, std::uint32_t frame) noexcept {
  Page& p = page(index);
  Frame& f = frames_[frame];
  p.frame = frame;
  p.next = f.first;
  f.first = index;
  ++f.members;
  if (p.live != 0) ++f.live_pages;
}

std::uint32_t PageBooks::leave(std::uint32_t index) noexcept {
  Page& p = page(index);
  const std::uint32_t frame = p.frame;
  Frame& f = frames_[frame];
  std::uint32_t* link = &f.first;
  while (*link != index)
    link = &page(*link).next;
  *link = p.next;
  --f.members;
  if (p.live != 0) --f.live_pages;
  p.frame = p.next = kNone;
  return frame;
}

const char* PageBooks::validate() const noexcept {
  for (std::uint32_t index = 0; index < frames(); ++index) {
    const Frame& f = frames_[index];
    if (!f.physical) continue;
    std::uint32_t members = 0;
    std::uint32_t live = 0;
    for (std::uint32_t at = f.first; at != kNone; at = page(at).next) {
      if (page(at).frame != index) return "page books: a member has another frame";
      ++members;
      live += page(at).live != 0 ? 1U : 0U;
      for (std::uint32_t other = page(at).next; !f.large && other != kNone; other = page(other).next)
        if (!disjoint(mask(at), mask(other))) return "page books: two members are live in one cell";
    }
    if (members != f.members || live != f.live_pages) return "page books: a frame's members are miscounted";
  }
  for (std::uint32_t index = 0; index < pages_; ++index) {
    if (!touched(index)) continue;
    const Page& p = page(index);
    if (p.live != count_cells(mask(index))) return "page books: live cells are miscounted";
    if (p.live != 0 && p.frame == kNone && !p.busy) return "page books: what is live has no page";
  }
  return nullptr;
}

}  // namespace vaspace
