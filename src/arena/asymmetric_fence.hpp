// A store-load fence whose cost falls on one side only.
//
//   frequent side:  store a;  light_fence;  load b          rare side:  store b;  heavy_fence;  load a
//
// Always true: at least one of the two loads sees the other side's store, as if both fences were sequentially
// consistent. Where the kernel runs a barrier on every thread of the process for the asking (Linux'
// membarrier, private expedited), the light side is free; elsewhere both are real fences.
#pragma once

#include <atomic>

namespace vaspace {

class AsymmetricFence {
 public:
  // Asks the kernel once; a process that has not asked cannot use it.
  AsymmetricFence() noexcept;

  void light() const noexcept {
    if (light_is_free_) [[likely]] {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
  }
  void heavy() const noexcept;

 private:
  bool light_is_free_ = false;
};

}  // namespace vaspace
