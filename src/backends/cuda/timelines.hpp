// Streams as timelines: where each was marked, by events of the driver.
//
//   stream   --work--|1|--work--work--|2|--...      a mark is an event; its value counts the stream's marks
//
// Always true: the marks of one timeline pass in order; done <= last; an event that a call waits for is not
// used again before that call returns; a stream that was forgotten has no timeline, its points pass all the
// same.
//
// Timeline 0 is that of binds, which are done when they are made. Externally synchronised, but where it says
// otherwise.
#pragma once

#include "vaspace/base/host_array.hpp"

#include "driver.hpp"

namespace vaspace::cuda {

class Timelines {
 public:
  Timelines(const Driver& driver, const HostAllocator& host) noexcept
      : driver_(driver), lines_(host), marks_(host) {}
  Timelines(const Timelines&) = delete;
  Timelines& operator=(const Timelines&) = delete;
  // Its events end with it; a context is current.
  void destroy_events() noexcept;

  [[nodiscard]] Result<TimelinePoint> mark(Stream stream) noexcept;
  [[nodiscard]] Result<void> order_after(Stream stream, TimelinePoint point) noexcept;
  void forget(Stream stream) noexcept;

  // Errors: invalid_argument for a point that was never answered, and what the driver says.
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept;

  // A wait in three steps: begin under the lock; event_synchronize of what it answers without the lock; end
  // under it. An event of null: the point has passed.
  struct Waited {
    CUevent event = nullptr;
    std::uint32_t mark = 0;
  };
  [[nodiscard]] Result<Waited> begin_wait(TimelinePoint point) noexcept;
  void end_wait(TimelinePoint point, const Waited& waited, bool passed) noexcept;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Line {
    Stream stream = nullptr;
    bool live = false;  // the stream is not forgotten
    std::uint64_t last = 0;
    std::uint64_t done = 0;
    std::uint32_t first_mark = kNone;  // not known to have passed, oldest first
    std::uint32_t last_mark = kNone;
  };
  struct Mark {
    CUevent event = nullptr;
    std::uint64_t value = 0;
    std::uint32_t next = kNone;
    std::uint32_t waiters = 0;
    bool queued = false;  // in its line; else free once nobody waits for it
  };

  // The line of a stream, made if need be. Null: no host memory.
  [[nodiscard]] Line* line_of(Stream stream) noexcept;
  [[nodiscard]] Line* dead_line() noexcept;
  [[nodiscard]] Result<std::uint32_t> take_mark() noexcept;
  // Errors: invalid_argument. Null: a point that has passed for certain.
  [[nodiscard]] Result<Line*> line_at(TimelinePoint point) noexcept;
  // The oldest mark that says whether the point has passed.
  [[nodiscard]] std::uint32_t mark_for(const Line& line, std::uint64_t value) const noexcept;
  void pass(Line& line, std::uint64_t value) noexcept;
  void recycle(std::uint32_t mark) noexcept;

  const Driver& driver_;
  HostArray<Line> lines_;
  HostArray<Mark> marks_;
  std::uint32_t free_mark_ = kNone;
};

}  // namespace vaspace::cuda
