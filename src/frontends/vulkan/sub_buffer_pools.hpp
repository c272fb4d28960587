// Pools of shared buffers, one per usage and way of host access; found without a lock.
//
// Always true: a pool that was made stays until the end; a pool's usage has every bit that those who are
// served by it asked for. All sparse pools share one allowance of memory objects, which no pool has a part of
// to itself: what one does not take, the next may.
//
// What a sparse pool has no room for goes to a pool of the same usage in blocks of the heap, which tries
// every memory type: SubBufferKey::in_blocks().
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "vaspace/arena/arena_allocator.hpp"

#include "shared_buffers.hpp"

namespace vaspace::vulkan {

struct SubBufferConfig {
  Queue sparse{};
  Queue transfer{};
  std::span<const std::uint32_t> families{};
  Bytes sparse_page{};
  std::uint32_t sparse_memory_objects = 0;  // of all pools; 0: no sparse pools
  Bytes retain{};
  std::uint32_t retain_percent = 0;
  HostAllocator host{};
  MisuseHandler on_misuse{};
  HeapLeakHandler on_leak{};
};

// What a pool is for. Every request is compared with it, so that how it is accessed is one number.
struct SubBufferKey {
  SubBufferKey(std::uint32_t usage_bits, Intent intent, Mapping mapping, bool coherent) noexcept
      : usage(usage_bits),
        access(static_cast<std::uint32_t>(intent) | static_cast<std::uint32_t>(mapping) << 8U |
               (coherent ? 1U : 0U) << 16U) {}

  [[nodiscard]] Intent intent() const noexcept { return static_cast<Intent>(access & 0xffU); }
  [[nodiscard]] Mapping mapping() const noexcept { return static_cast<Mapping>(access >> 8U & 0xffU); }
  [[nodiscard]] bool coherent() const noexcept { return (access >> 16U & 1U) != 0; }
  // Never in sparse buffers.
  [[nodiscard]] bool is_in_blocks() const noexcept { return (access & kInBlocks) != 0; }
  [[nodiscard]] SubBufferKey in_blocks() const noexcept {
    SubBufferKey key = *this;
    key.access |= kInBlocks;
    return key;
  }
  // V15.
  [[nodiscard]] std::uint32_t buffer_flags() const noexcept {
    return intent() == Intent::protected_device ? VK_BUFFER_CREATE_PROTECTED_BIT : 0;
  }

  std::uint32_t usage;
  std::uint32_t access;

 private:
  static constexpr std::uint32_t kInBlocks = 1U << 17U;
};

struct SubBufferPool {
  explicit SubBufferPool(const SubBufferKey& of, const HostAllocator& host) noexcept : key(of), table(host) {}

  SubBufferKey key;
  BufferTable table;
  HostObject<SparseBackend> sparse{nullptr, HostDelete<SparseBackend>{}};
  HostObject<SparseBuffers> sparse_buffers{nullptr, HostDelete<SparseBuffers>{}};
  HostObject<SharedBuffers> shared{nullptr, HostDelete<SharedBuffers>{}};
  std::optional<ThreadSafeArenaAllocator> arena;  // over one of them
};

class SubBufferPools {
 public:
  static constexpr std::uint32_t kMaxPools = 32;
  static constexpr std::uint32_t kMaxSparsePools = 8;
  static constexpr std::uint32_t kNone = ~0U;

  // All outlive this.
  SubBufferPools(const ResourceCalls& calls, Backend& backend, vaspace::Heap& heap,
                 const SubBufferConfig& config) noexcept
      : calls_(calls),
        backend_(backend),
        heap_(heap),
        config_(config),
        sparse_objects_(config.sparse_memory_objects, {}) {}
  SubBufferPools(const SubBufferPools&) = delete;
  SubBufferPools& operator=(const SubBufferPools&) = delete;
  ~SubBufferPools();

  // The number of a pool that is there; kNone: none serves this yet.
  [[nodiscard]] std::uint32_t present(const SubBufferKey& key) const noexcept {
    const std::uint32_t count = count_.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (serves(pools_[i]->key, key)) [[likely]]
        return i;
    }
    return kNone;
  }
  // The same, made where there was none. Errors: out_of_space (kMaxPools are there: buffers of their own are
  // what is left), and what making one answers.
  [[nodiscard]] Result<std::uint32_t> find(const SubBufferKey& key) noexcept {
    const std::uint32_t there = present(key);
    if (there != kNone) return there;
    return add(key);
  }
  [[nodiscard]] SubBufferPool& operator[](std::uint32_t number) noexcept { return *pools_[number]; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  void collect() noexcept;
  void flush() noexcept;
  // What a pool for this is made for: wide enough that the next request needs no other.
  [[nodiscard]] static SubBufferKey widened(const SubBufferKey& key) noexcept;
  // Memory objects that sparse pools have given back so far.
  [[nodiscard]] std::uint64_t sparse_releases() const noexcept {
    return sparse_releases_.load(std::memory_order_relaxed);
  }

 private:
  struct Gate;
  [[nodiscard]] static bool serves(const SubBufferKey& pool, const SubBufferKey& key) noexcept {
    return (pool.usage & key.usage) == key.usage && pool.access == key.access;
  }
  [[nodiscard]] Result<std::uint32_t> add(const SubBufferKey& key) noexcept;
  [[nodiscard]] Result<void> open(SubBufferPool& pool) noexcept;
  [[nodiscard]] bool sparse_for(const SubBufferKey& key) const noexcept;
  [[nodiscard]] Result<void> open_sparse(SubBufferPool& pool, const HeapRequest& like) noexcept;
  [[nodiscard]] LeakHandler leak_handler() noexcept;
  [[nodiscard]] MemoryGate gate() noexcept;

  const ResourceCalls& calls_;
  Backend& backend_;
  vaspace::Heap& heap_;
  SubBufferConfig config_;
  DeviceAccount sparse_objects_;  // of all sparse pools together
  std::atomic<std::uint64_t> sparse_releases_{0};
  std::mutex adding_;
  std::uint32_t sparse_pools_ = 0;
  std::atomic<std::uint32_t> count_{0};
  HostObject<SubBufferPool> pools_[kMaxPools];
};

}  // namespace vaspace::vulkan
