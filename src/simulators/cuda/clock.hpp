// What is known to be over: a vector clock with one entry per stream.
//
// The n-th piece of work of a stream is the point (stream, n). A clock covers a point where whoever holds the
// clock has waited for that work, directly or through others: so a missing wait is seen even when the work
// happens to be over already.
#pragma once

#include <cstdint>
#include <map>

namespace vasim::cuda {

struct Point {
  std::uint64_t stream = 0;
  std::uint64_t number = 0;
};

class Clock {
 public:
  [[nodiscard]] bool covers(Point point) const {
    if (point.number == 0) return true;
    const auto found = numbers_.find(point.stream);
    return found != numbers_.end() && found->second >= point.number;
  }

  void raise(Point point) {
    std::uint64_t& number = numbers_[point.stream];
    if (number < point.number) number = point.number;
  }

  void merge(const Clock& other) {
    for (const auto& [stream, number] : other.numbers_)
      raise({stream, number});
  }

  // The stream is gone, and everybody knows that all its work is over.
  void forget(std::uint64_t stream) { numbers_.erase(stream); }

 private:
  std::map<std::uint64_t, std::uint64_t> numbers_;
};

}  // namespace vasim::cuda
