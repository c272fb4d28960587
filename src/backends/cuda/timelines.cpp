#include "timelines.hpp"

#include "errors.hpp"
#include "steps.hpp"

namespace vaspace::cuda {

void Timelines::destroy_events() noexcept {
  for (const Mark& mark : marks_)
    if (mark.event != nullptr) (void)insist([&]() noexcept { return driver_.event_destroy(mark.event); });
  marks_.clear();
  lines_.clear();
}

// A forgotten stream's line is used again once its points have passed: they count on. Nobody may ask about
// them any more, so that is done here, before there is one line more.
Timelines::Line* Timelines::dead_line() noexcept {
  for (Line& line : lines_)
    if (!line.live && line.first_mark == kNone) return &line;
  for (Line& line : lines_) {
    if (line.live) continue;
    const auto id = static_cast<std::uint32_t>(&line - lines_.data()) + 1;
    (void)completed({TimelineId{id}, line.last});
    if (line.first_mark == kNone) return &line;
  }
  return nullptr;
}

Timelines::Line* Timelines::line_of(Stream stream) noexcept {
  for (Line& line : lines_)
    if (line.live && line.stream == stream) return &line;
  Line* line = dead_line();
  if (line == nullptr) {
    if (!lines_.push_back({})) return nullptr;
    line = &lines_.back();
  }
  line->stream = stream;
  line->live = true;
  return line;
}

Result<std::uint32_t> Timelines::take_mark() noexcept {
  if (free_mark_ != kNone) {
    const std::uint32_t mark = free_mark_;
    free_mark_ = marks_[mark].next;
    return mark;
  }
  if (!marks_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  CUevent event = nullptr;
  const CUresult made = driver_.event_create(&event, CU_EVENT_DISABLE_TIMING);
  if (made != CUDA_SUCCESS) return fail(error_of(made));
  marks_.push_back_reserved({.event = event});
  return static_cast<std::uint32_t>(marks_.size() - 1);
}

Result<TimelinePoint> Timelines::mark(Stream stream) noexcept {
  Line* line = line_of(stream);
  if (line == nullptr) return fail(ErrorCode::out_of_host_memory);
  const auto id = static_cast<std::uint32_t>(line - lines_.data()) + 1;
  // What has passed meanwhile is used again, so that a stream that is marked and never asked about holds few.
  if (line->first_mark != kNone) (void)completed({TimelineId{id}, marks_[line->first_mark].value});
  const Result<std::uint32_t> taken = take_mark();
  if (!taken) return fail(taken.error());
  Mark& mark = marks_[*taken];
  const CUresult recorded = driver_.event_record(mark.event, stream);
  if (recorded != CUDA_SUCCESS) {
    recycle(*taken);
    return fail(error_of(recorded));
  }
  mark.value = ++line->last;
  mark.next = kNone;
  mark.queued = true;
  if (line->last_mark == kNone) {
    line->first_mark = *taken;
  } else {
    marks_[line->last_mark].next = *taken;
  }
  line->last_mark = *taken;
  return TimelinePoint{TimelineId{id}, mark.value};
}

void Timelines::forget(Stream stream) noexcept {
  for (Line& line : lines_)
    if (line.live && line.stream == stream) line.live = false;
}

Result<Timelines::Line*> Timelines::line_at(TimelinePoint point) noexcept {
  const auto number = static_cast<std::uint32_t>(point.timeline);
  if (number == 0) return nullptr;
  if (number > lines_.size() || point.value > lines_[number - 1].last)
    return fail(ErrorCode::invalid_argument);
  Line& line = lines_[number - 1];
  return point.value <= line.done ? nullptr : &line;
}

std::uint32_t Timelines::mark_for(const Line& line, std::uint64_t value) const noexcept {
  std::uint32_t mark = line.first_mark;
  while (marks_[mark].value < value)
    mark = marks_[mark].next;
  return mark;
}

Result<bool> Timelines::completed(TimelinePoint point) noexcept {
  const Result<Line*> line = line_at(point);
  if (!line) return fail(line.error());
  if (*line == nullptr) return true;
  const Mark& mark = marks_[mark_for(**line, point.value)];
  const CUresult asked = driver_.event_query(mark.event);
  if (asked == CUDA_ERROR_NOT_READY) return false;
  if (asked != CUDA_SUCCESS) return fail(error_of(asked));
  pass(**line, mark.value);
  return true;
}

Result<void> Timelines::order_after(Stream stream, TimelinePoint point) noexcept {
  const Result<Line*> line = line_at(point);
  if (!line) return fail(line.error());
  if (*line == nullptr) return {};
  return check(
      driver_.stream_wait_event(stream, marks_[mark_for(**line, point.value)].event, CU_EVENT_WAIT_DEFAULT));
}

Result<Timelines::Waited> Timelines::begin_wait(TimelinePoint point) noexcept {
  const Result<Line*> line = line_at(point);
  if (!line) return fail(line.error());
  if (*line == nullptr) return Waited{};
  const std::uint32_t mark = mark_for(**line, point.value);
  ++marks_[mark].waiters;
  return Waited{marks_[mark].event, mark};
}

void Timelines::end_wait(TimelinePoint point, const Waited& waited, bool passed) noexcept {
  if (passed) pass(lines_[static_cast<std::uint32_t>(point.timeline) - 1], point.value);
  Mark& mark = marks_[waited.mark];
  if (--mark.waiters == 0 && !mark.queued) recycle(waited.mark);
}

void Timelines::pass(Line& line, std::uint64_t value) noexcept {
  if (value > line.done) line.done = value;
  while (line.first_mark != kNone && marks_[line.first_mark].value <= line.done) {
    const std::uint32_t gone = line.first_mark;
    line.first_mark = marks_[gone].next;
    marks_[gone].queued = false;
    if (marks_[gone].waiters == 0) recycle(gone);
  }
  if (line.first_mark == kNone) line.last_mark = kNone;
}

void Timelines::recycle(std::uint32_t mark) noexcept {
  marks_[mark].queued = false;
  marks_[mark].next = free_mark_;
  free_mark_ = mark;
}

}  // namespace vaspace::cuda
