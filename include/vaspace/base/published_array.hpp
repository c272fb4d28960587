// A growable table that is read without a lock while it grows.
//
// Always true: a reader sees a size and that many elements; what it has read stays readable until the table
// is destroyed, because a growth copies into a block twice as large and keeps the old one; growth that fails
// changes nothing. All blocks together are at most twice the largest.
//
// One writer at a time, the owner's lock sees to that. Readers need none: the block is published with
// release and read with acquire, so whoever sees a block sees what was in it then. An element that is written
// again later is the owner's to order with its readers.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "vaspace/base/host_allocator.hpp"

namespace vaspace {

template <class T>
class PublishedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
  static_assert(std::atomic_ref<T>::is_always_lock_free);

  struct Block {
    Block* older = nullptr;
    std::uint32_t capacity = 0;
    std::uint32_t size = 0;
    [[nodiscard]] T* items() noexcept { return reinterpret_cast<T*>(this + 1); }
    [[nodiscard]] const T* items() const noexcept { return reinterpret_cast<const T*>(this + 1); }
  };
  static_assert(alignof(T) <= alignof(Block) && sizeof(Block) % alignof(T) == 0);

 public:
  // What there was when it was looked at.
  class View {
   public:
    [[nodiscard]] std::uint32_t size() const noexcept {
      return block_ == nullptr ? 0 : std::atomic_ref(block_->size).load(std::memory_order_acquire);
    }
    // `i` is below a size() that was seen.
    [[nodiscard]] T operator[](std::uint32_t i) const noexcept {
      // Acquire: an element that was set later is seen with what it points to.
      return std::atomic_ref<T>(block_->items()[i]).load(std::memory_order_acquire);
    }

   private:
    friend PublishedArray;
    explicit View(Block* block) noexcept : block_(block) {}
    Block* block_;
  };

  explicit PublishedArray(const HostAllocator& host) noexcept : host_(host) {}
  PublishedArray(PublishedArray&& other) noexcept : host_(other.host_), block_(other.take()) {}
  PublishedArray& operator=(PublishedArray&& other) noexcept {
    if (this != &other) {
      release();
      host_ = other.host_;
      block_.store(other.take(), std::memory_order_relaxed);
    }
    return *this;
  }
  PublishedArray(const PublishedArray&) = delete;
  PublishedArray& operator=(const PublishedArray&) = delete;
  ~PublishedArray() { release(); }

  // For any thread.
  [[nodiscard]] View view() const noexcept { return View(block_.load(std::memory_order_acquire)); }

  // For the writer.
  [[nodiscard]] std::uint32_t size() const noexcept { return here() == nullptr ? 0 : here()->size; }
  [[nodiscard]] const T& operator[](std::uint32_t i) const noexcept {
    assert(i < size());
    return here()->items()[i];
  }
  // Room for `more` further elements; false: no host memory.
  [[nodiscard]] bool reserve_more(std::uint32_t more) noexcept {
    Block* old = here();
    const std::uint32_t needed = size() + more;
    if (old != nullptr && needed <= old->capacity) return true;
    const std::uint32_t doubled = old == nullptr ? 4 : old->capacity * 2;
    const std::uint32_t capacity = needed > doubled ? needed : doubled;
    void* memory = host_.allocate(host_.user, bytes_of(capacity), alignof(Block));
    if (memory == nullptr) return false;
    auto* grown = ::new (memory) Block{old, capacity, size()};
    if (old != nullptr) std::memcpy(static_cast<void*>(grown->items()), old->items(), old->size * sizeof(T));
    block_.store(grown, std::memory_order_release);
    return true;
  }
  void set(std::uint32_t i, const T& value) noexcept {
    assert(i < size());
    std::atomic_ref<T>(here()->items()[i]).store(value, std::memory_order_release);
  }
  // The caller has reserved the room.
  void push_back_reserved(const T& value) noexcept {
    Block& block = *here();
    assert(block.size < block.capacity);
    ::new (static_cast<void*>(block.items() + block.size)) T(value);
    // Release: who sees the size sees the element.
    std::atomic_ref(block.size).store(block.size + 1, std::memory_order_release);
  }
  [[nodiscard]] const HostAllocator& host() const noexcept { return host_; }

 private:
  [[nodiscard]] static std::size_t bytes_of(std::uint32_t capacity) noexcept {
    return sizeof(Block) + std::size_t{capacity} * sizeof(T);
  }
  [[nodiscard]] Block* here() const noexcept { return block_.load(std::memory_order_relaxed); }
  [[nodiscard]] Block* take() noexcept { return block_.exchange(nullptr, std::memory_order_relaxed); }
  void release() noexcept {
    for (Block* block = take(); block != nullptr;) {
      Block* older = block->older;
      host_.deallocate(host_.user, block, bytes_of(block->capacity), alignof(Block));
      block = older;
    }
  }

  HostAllocator host_;
  std::atomic<Block*> block_{nullptr};
};

}  // namespace vaspace
