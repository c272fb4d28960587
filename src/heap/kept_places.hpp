// Places of freed allocations, kept by the thread that freed them for whatever of the same size it asks for
// next; and what has gone that way, by memory type.
//
//   free:     park the record, push it           }  under a lock that hardly another thread wants: those
//   allocate: pop one of this size, revive it    }  whose numbers are equal modulo 32, and those below
//   collect, report, trim, moves, a block more:  a pause, in which all of them are emptied
//
// Always true: a record in here is kept, and counts as none that lives; its place is taken. The counts of one
// thread wrap; the sum over all threads and the heap's own do not. Lock order: the records', then a pause.
#pragma once

#include <array>
#include <atomic>
#include <mutex>

#include "vaspace/base/host_object.hpp"

#include "arena/kept_ranges.hpp"
#include "arena/thread_slots.hpp"

namespace vaspace {

// Of allocations with records, of one memory type.
struct Tally {
  std::uint64_t allocations = 0;
  Bytes live{};
};

class KeptPlaces {
 public:
  struct alignas(64) Shard {
    std::mutex mutex;  // of what follows
    KeptRanges kept;
    std::array<Tally, kMaxMemoryTypes> tallies{};
  };

  explicit KeptPlaces(const HostAllocator& host) noexcept : host_(host) {}
  KeptPlaces(const KeptPlaces&) = delete;
  KeptPlaces& operator=(const KeptPlaces&) = delete;
  ~KeptPlaces() {
    for_each([&](Shard& shard) { HostDelete<Shard>{host_}(&shard); });
  }

  // The calling thread's; null: it has none.
  [[nodiscard]] Shard* mine() const noexcept {
    return shards_[ThreadSlots::mine() % kShards].load(std::memory_order_acquire);
  }
  // Makes one for the calling thread, if it has none; it does without where host memory fails.
  void join() noexcept {
    if (ThreadSlots::mine() == 0) (void)ThreadSlots::join();
    std::atomic<Shard*>& place = shards_[ThreadSlots::mine() % kShards];
    if (place.load(std::memory_order_acquire) != nullptr) return;
    const std::lock_guard lock(making_);
    if (place.load(std::memory_order_relaxed) != nullptr) return;
    if (auto made = make_host_object<Shard>(host_)) place.store(made.release(), std::memory_order_release);
  }

  // While it lives nothing comes or goes that way, and the holder may look into all of it.
  class Pause {
   public:
    explicit Pause(KeptPlaces& places) noexcept : places_(places) {
      places_.making_.lock();
      places_.for_each([](Shard& shard) { shard.mutex.lock(); });
    }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;
    ~Pause() {
      places_.for_each([](Shard& shard) { shard.mutex.unlock(); });
      places_.making_.unlock();
    }
    template <class Visit>
    void for_each(Visit&& visit) const noexcept {
      places_.for_each(visit);
    }

   private:
    KeptPlaces& places_;
  };

 private:
  static constexpr std::uint32_t kShards = 32;

  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (const auto& shard : shards_) {
      if (Shard* there = shard.load(std::memory_order_relaxed)) visit(*there);
    }
  }

  HostAllocator host_;
  std::mutex making_;  // who makes a shard, or pauses all
  std::array<std::atomic<Shard*>, kShards> shards_{};
};

}  // namespace vaspace
