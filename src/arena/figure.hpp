// A number with one writer at a time, which anybody may read: relaxed, because a reader takes it for a figure
// and learns nothing else from it.
#pragma once

#include <atomic>

namespace vaspace {

template <class T>
class Figure {
 public:
  void set(T value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void add(T n) noexcept { set(get() + n); }
  [[nodiscard]] T get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<T> value_{0};
};

}  // namespace vaspace
