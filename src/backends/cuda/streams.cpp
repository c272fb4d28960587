// Streams as timelines, copies, fills, pinned memory.
#include <algorithm>
#include <ctime>

#include "state.hpp"

namespace vaspace::cuda {
namespace {

constexpr std::uint64_t kPollNs = 20'000;

std::uint64_t now_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

void sleep_ns(std::uint64_t ns) noexcept {
  const timespec duration{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  (void)nanosleep(&duration, nullptr);
}

// Runs `call` with the lock held and the context current.
template <class Call>
auto locked(Backend::State& s, Call&& call) noexcept -> decltype(call()) {
  const std::lock_guard lock(s.mutex);
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  return call();
}

}  // namespace

Result<Stream> known_stream(Stream stream) noexcept {
  if (stream == CU_STREAM_PER_THREAD) return fail(ErrorCode::not_supported, CUDA_ERROR_NOT_SUPPORTED);
  return stream == CU_STREAM_LEGACY ? nullptr : stream;
}

// An event that is recorded while the stream captures is the graph's: it says nothing about the stream.
Result<TimelinePoint> Backend::mark(Stream stream) noexcept {
  const Result<Stream> known = known_stream(stream);
  if (!known) return fail(known.error());
  return locked(*state_, [&]() -> Result<TimelinePoint> {
    if (const CUresult captures = state_->ask_capturing(*known); captures != CUDA_SUCCESS)
      return fail(captures == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
                      ? Error{ErrorCode::wrong_state, static_cast<std::int32_t>(captures)}
                      : error_of(captures));
    return state_->timelines.mark(*known);
  });
}

// The default stream is that of the context which is current, and that is ours.
Result<bool> Backend::is_own(Stream stream) noexcept {
  const Result<Stream> known = known_stream(stream);
  if (!known) return fail(known.error());
  if (*known == nullptr) return true;
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  CUcontext of = nullptr;
  const CUresult asked = state_->driver.stream_context(*known, &of);
  if (asked != CUDA_SUCCESS) return fail(error_of(asked));
  return of == state_->context;
}

// To query a stream that captures would break the capture.
Result<bool> Backend::idle(Stream stream) noexcept {
  const Result<Stream> known = known_stream(stream);
  if (!known) return fail(known.error());
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  const CUresult captures = state_->ask_capturing(*known);
  if (captures == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED) return false;
  const CUresult asked = captures != CUDA_SUCCESS ? captures : state_->driver.stream_query(*known);
  if (asked == CUDA_ERROR_NOT_READY) return false;
  if (asked != CUDA_SUCCESS) return fail(error_of(asked));
  return true;
}

Result<void> Backend::order_after(Stream stream, TimelinePoint point) noexcept {
  const Result<Stream> known = known_stream(stream);
  if (!known) return fail(known.error());
  return locked(*state_, [&] { return state_->timelines.order_after(*known, point); });
}

void Backend::forget(Stream stream) noexcept {
  const Result<Stream> known = known_stream(stream);
  if (!known) return;
  const std::lock_guard lock(state_->mutex);
  state_->timelines.forget(*known);
}

Result<bool> Backend::completed(TimelinePoint point) noexcept {
  if (point.timeline == TimelineId{})
    return point.value == 0 ? Result<bool>(true) : fail(ErrorCode::invalid_argument);
  return locked(*state_, [&] { return state_->timelines.completed(point); });
}

// The driver can wait, but not for so long: a limited wait asks now and then.
Result<void> Backend::wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept {
  if (point == TimelinePoint{}) return {};
  State& s = *state_;
  if (timeout_ns != kForever) {
    const std::uint64_t begin = now_ns();
    for (;;) {
      const Result<bool> passed = completed(point);
      if (!passed) return fail(passed.error());
      if (*passed) return {};
      const std::uint64_t spent = now_ns() - begin;
      if (spent >= timeout_ns) return fail(ErrorCode::timed_out);
      sleep_ns(timeout_ns - spent < kPollNs ? timeout_ns - spent : kPollNs);
    }
  }
  Result<Timelines::Waited> waited = locked(s, [&] { return s.timelines.begin_wait(point); });
  if (!waited) return fail(waited.error());
  if (waited->event == nullptr) return {};
  CUresult over = CUDA_SUCCESS;
  {
    const ContextScope scope(s);
    over = s.driver.event_synchronize(waited->event);
  }
  const std::lock_guard lock(s.mutex);
  s.timelines.end_wait(point, *waited, over == CUDA_SUCCESS);
  return check(over);
}

// The legacy stream is part of a capture of another one, as the driver sees it.
CUresult Backend::State::ask_capturing(Stream stream) const noexcept {
  if (driver.is_capturing == nullptr) return CUDA_SUCCESS;
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult asked = driver.is_capturing(stream, &status);
  if (asked == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT ||
      (asked == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE))
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return asked;
}

Result<void> Backend::State::make_copy_stream() noexcept {
  if (copies != nullptr) return {};
  return check(driver.stream_create(&copies, CU_STREAM_NON_BLOCKING));
}

// Copies wait for streams of the program, perhaps for long: nobody else is kept waiting for that (T2). What
// is copied meanwhile is waited for too.
Result<void> Backend::State::await_copies(std::span<const BindOp> ops,
                                          std::unique_lock<std::mutex>& lock) noexcept {
  const auto in_use = [&](const BindOp& op) noexcept {
    if (op.physical) return false;
    const ReservationRecord* record = reservations.holding(op.address, op.size);
    return record != nullptr && record->last_use > copies_done;
  };
  while (std::any_of(ops.begin(), ops.end(), in_use)) {
    if (host_copies != 0) {
      host_copies_over.wait(lock);
      continue;
    }
    const std::uint64_t begun = copy_number;
    lock.unlock();
    const CUresult over = driver.stream_synchronize(copies);
    lock.lock();
    if (over != CUDA_SUCCESS) return fail(error_of(over));
    copies_done = std::max(copies_done, begun);
  }
  return {};
}

// Host memory and device memory are the caller's again when this returns: a wait that is refused is asked
// again.
Result<void> Backend::State::finish_copies(CUresult begun) noexcept {
  const CUresult over = insist([&]() noexcept { return driver.stream_synchronize(copies); });
  return check(begun != CUDA_SUCCESS ? begun : over);
}

// Checked first. Where the driver refuses in the middle, what was begun is waited for before that is
// answered.
Result<TimelinePoint> Backend::copy(std::span<const CopyOp> ops,
                                    std::span<const TimelinePoint> waits) noexcept {
  State& s = *state_;
  CUresult refused = CUDA_SUCCESS;
  bool begun = false;
  const auto begin = [&]() -> Result<TimelinePoint> {
    if (Result<void> alive = s.alive(); !alive) return fail(alive.error());
    for (const CopyOp& op : ops) {
      const Result<ReservationRecord*> source = s.usable(op.source, op.size, Access::read);
      if (!source) return fail(source.error());
      const Result<ReservationRecord*> target = s.usable(op.destination, op.size, Access::read_write);
      if (!target) return fail(target.error());
      if (op.source < op.destination + op.size && op.destination < op.source + op.size)
        return fail(ErrorCode::invalid_argument);
    }
    if (Result<void> made = s.make_copy_stream(); !made) return fail(made.error());
    for (const TimelinePoint& point : waits)
      if (Result<void> ordered = s.timelines.order_after(s.copies, point); !ordered)
        return fail(ordered.error());
    ++s.copy_number;
    for (const CopyOp& op : ops) {
      s.reservations.holding(op.source, op.size)->last_use = s.copy_number;
      s.reservations.holding(op.destination, op.size)->last_use = s.copy_number;
    }
    begun = true;
    for (std::size_t i = 0; refused == CUDA_SUCCESS && i < ops.size(); ++i)
      refused =
          s.driver.copy_device(ops[i].destination.value, ops[i].source.value, ops[i].size.value, s.copies);
    if (refused != CUDA_SUCCESS) return fail(error_of(refused));
    return s.timelines.mark(s.copies);
  };
  const Result<TimelinePoint> point = locked(s, begin);
  if (point || !begun) return point;
  const ContextScope scope(s);
  if (scope.entered()) (void)s.finish_copies(refused);
  return point;
}

namespace {

// Puts copies between host and device on the copies' stream, and waits for them: both without the lock (T2),
// for the driver may wait when pageable memory is put on a stream.
template <class Put>
Result<void> copy_and_wait(Backend::State& s, std::span<const HostCopy> copies, Access access,
                           Put&& put) noexcept {
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  {
    const std::lock_guard lock(s.mutex);
    if (Result<void> alive = s.alive(); !alive) return alive;
    for (const HostCopy& one : copies)
      if (const Result<ReservationRecord*> record = s.usable(one.device, one.size, access); !record)
        return fail(record.error());
    if (Result<void> made = s.make_copy_stream(); !made) return made;
    ++s.copy_number;
    for (const HostCopy& one : copies)
      s.reservations.holding(one.device, one.size)->last_use = s.copy_number;
    ++s.host_copies;
  }
  CUresult begun = CUDA_SUCCESS;
  for (std::size_t i = 0; begun == CUDA_SUCCESS && i < copies.size(); ++i)
    begun = put(copies[i]);
  const Result<void> over = s.finish_copies(begun);
  const std::lock_guard lock(s.mutex);
  if (--s.host_copies == 0) s.host_copies_over.notify_all();
  return over;
}

}  // namespace

Result<void> Backend::copy_to_host(std::span<const HostCopy> copies) noexcept {
  State& s = *state_;
  return copy_and_wait(s, copies, Access::read, [&](const HostCopy& one) noexcept {
    return s.driver.copy_to_host(one.host, one.device.value, one.size.value, s.copies);
  });
}

Result<void> Backend::copy_from_host(std::span<const HostCopy> copies) noexcept {
  State& s = *state_;
  return copy_and_wait(s, copies, Access::read_write, [&](const HostCopy& one) noexcept {
    return s.driver.copy_from_host(one.device.value, one.host, one.size.value, s.copies);
  });
}

Result<void> Backend::copy_to_host(std::byte* to, Address from, Bytes size) noexcept {
  const HostCopy one{to, from, size};
  return copy_to_host({&one, 1});
}

Result<void> Backend::copy_from_host(Address to, const std::byte* from, Bytes size) noexcept {
  // The driver only reads it. NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
  const HostCopy one{const_cast<std::byte*>(from), to, size};
  return copy_from_host({&one, 1});
}

Result<void> Backend::fill(Address address, std::byte value, Bytes size, Stream stream) noexcept {
  State& s = *state_;
  return locked(s, [&]() -> Result<void> {
    if (Result<void> alive = s.alive(); !alive) return alive;
    if (Result<ReservationRecord*> record = s.usable(address, size, Access::read_write); !record)
      return fail(record.error());
    return check(s.driver.fill(address.value, std::to_integer<unsigned char>(value), size.value, stream));
  });
}

Result<std::byte*> Backend::allocate_pinned(Bytes size) noexcept {
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  void* memory = nullptr;
  const CUresult made = state_->driver.pinned_allocate(&memory, size.value,
                                                       CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
  if (made != CUDA_SUCCESS) return fail(error_of(made, ErrorCode::out_of_host_memory));
  return static_cast<std::byte*>(memory);
}

Result<void> Backend::free_pinned(std::byte* memory) noexcept {
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  return check(state_->driver.pinned_free(memory));
}

Result<void> Backend::pin(std::byte* memory, Bytes size) noexcept {
  State& s = *state_;
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  int same_address = 0;
  const CUresult asked = s.driver.device_attribute(
      &same_address, CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, s.device);
  if (asked != CUDA_SUCCESS) return fail(error_of(asked));
  if (same_address == 0) return fail(ErrorCode::not_supported);
  return check(
      s.driver.host_register(memory, size.value, CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP),
      ErrorCode::out_of_host_memory);
}

Result<void> Backend::unpin(std::byte* memory) noexcept {
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  return check(state_->driver.host_unregister(memory));
}

Result<Stream> Backend::make_stream() noexcept {
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  CUstream made = nullptr;
  const CUresult created = state_->driver.stream_create(&made, CU_STREAM_NON_BLOCKING);
  if (created != CUDA_SUCCESS) return fail(error_of(created));
  return made;
}

Result<void> Backend::destroy_stream(Stream stream) noexcept {
  forget(stream);
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  return check(state_->driver.stream_destroy(stream));
}

Result<void> Backend::wait_idle() noexcept {
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  return check(state_->driver.context_synchronize());
}

Result<void> Backend::wait_for(Stream stream) noexcept {
  const ContextScope scope(*state_);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  return check(state_->driver.stream_synchronize(stream));
}

}  // namespace vaspace::cuda
