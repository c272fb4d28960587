// What cannot be beaten: the two limits, which know one size and check nothing. They have the calls and the
// handles of the library's range allocators, so that what is compared is what lies behind the call.
#pragma once

#include <bit>
#include <cstdint>
#include <mutex>
#include <vector>

#include "vaspace/range/range.hpp"

namespace vaspace::tools::bench {

// A handle in one piece: written in halves and read back whole, it would wait for the stores.
[[nodiscard]] inline RangeId limit_id(std::uint32_t slot) {
  return std::bit_cast<RangeId>(std::uint64_t{slot});
}

// limit_lifo: preallocated slots in an intrusive list; pop and push.
class Lifo {
 public:
  Lifo(std::uint32_t slots, std::uint64_t slot_bytes) : next_(slots + 1), slot_bytes_(slot_bytes) {
    for (std::uint32_t i = 0; i <= slots; ++i)
      next_[i] = i < slots ? i + 1 : 0;
  }

  Result<Range> allocate(RangeRequest) {
    const std::uint32_t slot = next_[0];
    if (slot == 0) [[unlikely]]
      return fail(ErrorCode::out_of_space);
    next_[0] = next_[slot];
    return Range{Offset{slot * slot_bytes_}, Bytes{slot_bytes_}, limit_id(slot)};
  }
  Result<void> try_free(RangeId id) {
    next_[id.index] = next_[0];
    next_[0] = id.index;
    return {};
  }

 private:
  std::vector<std::uint32_t> next_;  // [0]: the first
  std::uint64_t slot_bytes_;
};

// The same behind a mutex: what threads are compared with.
class LifoWithMutex {
 public:
  LifoWithMutex(std::uint32_t slots, std::uint64_t slot_bytes) : lifo_(slots, slot_bytes) {}

  Result<Range> allocate(RangeRequest request) {
    const std::lock_guard lock(mutex_);
    return lifo_.allocate(request);
  }
  Result<void> try_free(RangeId id) {
    const std::lock_guard lock(mutex_);
    return lifo_.try_free(id);
  }

 private:
  std::mutex mutex_;
  Lifo lifo_;
};

// limit_bitmap: one bit per slot, and the word to look at first.
class OneLevelBitmap {
 public:
  OneLevelBitmap(std::uint32_t slots, std::uint64_t slot_bytes)
      : words_((slots + 63) / 64, ~std::uint64_t{0}), slot_bytes_(slot_bytes) {}

  Result<Range> allocate(RangeRequest) {
    std::size_t left = words_.size();
    while (words_[hint_] == 0) {
      if (--left == 0) [[unlikely]]
        return fail(ErrorCode::out_of_space);
      hint_ = hint_ + 1 == words_.size() ? 0 : hint_ + 1;
    }
    std::uint64_t& word = words_[hint_];
    const auto slot = static_cast<std::uint32_t>(hint_ * 64) + static_cast<unsigned>(std::countr_zero(word));
    word &= word - 1;
    return Range{Offset{slot * slot_bytes_}, Bytes{slot_bytes_}, limit_id(slot)};
  }
  Result<void> try_free(RangeId id) {
    hint_ = id.index / 64;
    words_[hint_] |= std::uint64_t{1} << (id.index % 64);
    return {};
  }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t hint_ = 0;
  std::uint64_t slot_bytes_;
};

}  // namespace vaspace::tools::bench
