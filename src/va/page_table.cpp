#include "vaspace/va/page_table.hpp"

#include <new>

#include "page_table_inl.hpp"

namespace vaspace {

PageArray::PageArray(unsigned window_page_bits, const HostAllocator& host) noexcept
    : chunk_bits_(std::min(kChunkBits, window_page_bits)), chunks_(host) {}

PageArray::~PageArray() {
  const HostAllocator& host = chunks_.host();
  for (PageEntry* chunk : chunks_) {
    if (chunk != nullptr) {
      host.deallocate(host.user, chunk, sizeof(PageEntry) << chunk_bits_, alignof(PageEntry));
    }
  }
}

bool PageArray::reserve(std::uint64_t pages) noexcept {
  const std::size_t chunks = pages >> chunk_bits_;
  if (chunks > chunks_.size() && !chunks_.reserve_more(chunks - chunks_.size())) return false;
  while (chunks_.size() < chunks)
    chunks_.push_back_reserved(nullptr);
  return true;
}

bool PageArray::make_room(std::uint32_t first, std::uint32_t last) noexcept {
  const HostAllocator& host = chunks_.host();
  for (std::uint32_t at = first >> chunk_bits_; at <= last >> chunk_bits_; ++at) {
    if (chunks_[at] != nullptr) continue;
    void* memory = host.allocate(host.user, sizeof(PageEntry) << chunk_bits_, alignof(PageEntry));
    if (memory == nullptr) return false;
    chunks_[at] = static_cast<PageEntry*>(memory);
    for (std::uint32_t i = 0; i < 1U << chunk_bits_; ++i)
      ::new (static_cast<void*>(chunks_[at] + i)) PageEntry;
  }
  return true;
}

static_assert(sizeof(PageEntry) == 16, "docs/va.md says so");

template class PageTableOver<PageArray>;

}  // namespace vaspace
