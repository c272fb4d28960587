// Replays one trace through one allocator.
//
// Always true:
//  - collect() follows every alloc and free row, and live, reserved and committed bytes are sampled after it;
//  the time of each call is
//    taken alone, and nothing that the replay itself does (waiting, verifying, counting) lies inside one.
//  - An allocation that is refused counts as failed, its free is skipped, and the replay goes on.
//  - A free waits until its alloc is done, whichever worker does it.
//  - When run() returns, everything is freed again.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <fmt/format.h>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "vaspace/arena/allocation.hpp"
#include "vaspace/trace/trace.hpp"

#include "deal.hpp"
#include "pace.hpp"
#include "tally.hpp"
#include "verifier.hpp"

namespace vaspace::tools {

struct ReplaySettings {
  Alignment align_buffers{};  // floors of the alignments of buffer and of image_optimal rows
  Alignment align_images{};
  unsigned threads = 1;  // above 1, the allocator must be thread-safe
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // now and then, rows; may be empty
};

// The allocator's own figures: by the cheap accessors where it has them, else out of report().
template <VaAllocator A>
[[nodiscard]] Bytes reserved_by(const A& allocator) {
  if constexpr (requires { Bytes{allocator.reserved()}; })
    return allocator.reserved();
  else
    return allocator.report().total.reserved;
}
template <VaAllocator A>
[[nodiscard]] Bytes committed_by(const A& allocator) {
  if constexpr (requires { Bytes{allocator.committed()}; })
    return allocator.committed();
  else
    return allocator.report().total.committed;
}
// Handed out above what was asked for. Two readings where other threads may come between: never below 0.
template <VaAllocator A>
[[nodiscard]] Bytes waste_of(const A& allocator) {
  Bytes used, live;
  if constexpr (requires {
                  Bytes{allocator.used()};
                  Bytes{allocator.live()};
                }) {
    live = allocator.live();
    used = allocator.used();
  } else {
    const AllocatorReport report = allocator.report();
    live = report.total.live;
    used = report.total.used;
  }
  return used > live ? used - live : Bytes{};
}

template <VaAllocator A>
class Replay {
 public:
  // All of them must outlive the Replay. `verifier` may be null.
  Replay(A& allocator, const trace::Trace& trace, const ReplaySettings& settings, Verifier* verifier)
      : allocator_(allocator),
        trace_(trace),
        settings_(settings),
        verifier_(verifier),
        pace_(settings.threads, trace.peak_live),
        slots_(trace.allocation_count) {}

  // Once.
  [[nodiscard]] ReplayResult run() {
    std::vector<Tally> tallies = play();
    ReplayResult result = merge(tallies);
    result.peak_reserved = std::max(result.peak_reserved, reserved_by(allocator_));
    finish(result);
    return result;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Rows = std::vector<DealtRow>;
  enum class State : std::uint8_t { waiting, live, refused, freed };
  struct Slot {
    Allocation allocation{};
    std::atomic<State> state{State::waiting};
  };

  static std::uint64_t ns_between(Clock::time_point from, Clock::time_point to) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count());
  }

  [[nodiscard]] std::vector<Tally> play() {
    const std::vector<Rows> dealt = deal(trace_, settings_.threads);
    std::vector<Tally> tallies;
    for (const Rows& rows : dealt)
      tallies.emplace_back(rows.size());
    if (dealt.size() == 1)
      work(0, dealt[0], tallies[0]);
    else
      play_together(dealt, tallies);
    return tallies;
  }

  void play_together(const std::vector<Rows>& dealt, std::vector<Tally>& tallies) {
    std::vector<std::exception_ptr> thrown(dealt.size());
    const auto guarded = [&](unsigned worker) {
      try {
        work(worker, dealt[worker], tallies[worker]);
      } catch (...) {
        thrown[worker] = std::current_exception();
        pace_.abandon();
      }
    };
    {
      std::vector<std::jthread> workers;
      try {
        for (unsigned worker = 0; worker < dealt.size(); ++worker)
          workers.emplace_back(guarded, worker);
      } catch (...) {
        pace_.abandon();
        throw;
      }
    }
    for (const std::exception_ptr& exception : thrown) {
      if (exception) std::rethrow_exception(exception);
    }
  }

  void work(unsigned worker, const Rows& rows, Tally& tally) {
    constexpr std::uint32_t kRowsPerProgress = 4096;
    for (const DealtRow& dealt : rows) {
      pace_.reach(worker, dealt.row);
      const bool is_alloc = trace_.rows[dealt.row].op == trace::Op::alloc;
      const bool done = is_alloc ? allocate(dealt.row, tally) : free(dealt.row, tally);
      if (!done) return;
      settle(dealt.operation, tally);
      if (worker == 0 && settings_.progress && tally.operations % kRowsPerProgress == 0)
        settings_.progress(dealt.row, trace_.rows.size());
    }
    pace_.reach(worker, Pace::kDone);
  }

  [[nodiscard]] AllocationRequest request_of(const trace::Row& row) const {
    Alignment alignment{row.alignment};
    if (row.kind == trace::Kind::buffer) alignment = std::max(alignment, settings_.align_buffers);
    if (row.kind == trace::Kind::image_optimal) alignment = std::max(alignment, settings_.align_images);
    return {.size = Bytes{row.size}, .alignment = alignment};
  }

  // False: the replay was abandoned.
  [[nodiscard]] bool allocate(std::uint32_t row_number, Tally& tally) {
    const trace::Row& row = trace_.rows[row_number];
    const AllocationRequest request = request_of(row);
    if (!pace_.admit(row_number, request.size)) return false;
    const Clock::time_point begin = Clock::now();
    const Result<Allocation> allocation = allocator_.allocate(request);
    const Clock::time_point end = Clock::now();
    Slot& slot = slots_[row.allocation];
    if (!allocation) {
      note_refusal(row_number, request, allocation.error(), tally);
      publish(slot, State::refused);
      return true;
    }
    tally.allocate_ns.push_back(ns_between(begin, end));
    slot.allocation = *allocation;
    live_ += request.size.value;
    if (verifier_ != nullptr) verifier_->begin(row.allocation, *allocation, request);
    publish(slot, State::live);
    return true;
  }

  void note_refusal(std::uint32_t row, const AllocationRequest& request, Error error, Tally& tally) {
    pace_.give_back(request.size);
    if (tally.failed++ != 0) return;
    tally.first_failed_row = row;
    tally.first_failure = fmt::format("{} bytes, alignment {}: {}", request.size.value,
                                      request.alignment.value, to_string(error.code));
  }

  [[nodiscard]] bool free(std::uint32_t row_number, Tally& tally) {
    Slot& slot = slots_[trace_.rows[row_number].allocation];
    const std::optional<State> state = wait_for(slot);
    if (!state) return false;
    if (*state == State::refused) return true;
    if (verifier_ != nullptr) verifier_->end(trace_.rows[row_number].allocation, slot.allocation);
    live_ -= slot.allocation.size.value;  // before the memory goes, so that live never passes committed
    const Clock::time_point begin = Clock::now();
    allocator_.free(slot.allocation);
    const Clock::time_point end = Clock::now();
    tally.free_ns.push_back(ns_between(begin, end));
    pace_.give_back(slot.allocation.size);
    publish(slot, State::freed);
    return true;
  }

  static void publish(Slot& slot, State state) { slot.state.store(state, std::memory_order_release); }

  // How its alloc ended; nothing where the replay was abandoned.
  [[nodiscard]] std::optional<State> wait_for(const Slot& slot) const {
    for (;;) {
      const State state = slot.state.load(std::memory_order_acquire);
      if (state != State::waiting) return state;
      if (pace_.abandoned()) return std::nullopt;
      std::this_thread::yield();
    }
  }

  void settle(std::uint32_t operation, Tally& tally) {
    const Clock::time_point begin = Clock::now();
    allocator_.collect();
    const Clock::time_point end = Clock::now();
    tally.collect_ns.push_back(ns_between(begin, end));
    const Sample sample{
        .live = Bytes{live_}, .reserved = reserved_by(allocator_), .committed = committed_by(allocator_)};
    if (sample.live > tally.peak_live) tally.waste_at_peak = waste_of(allocator_);
    tally.add(sample, std::size_t{operation} * Curve::kColumns / trace_.operation_count);
  }

  void finish(ReplayResult& result) {
    allocator_.flush();
    result.end_live = Bytes{live_};
    result.end_committed = committed_by(allocator_);
    if (verifier_ != nullptr) {
      if (const char* wrong = allocator_.validate(); wrong != nullptr) verifier_->report(wrong);
    }
    free_the_rest();
    if (verifier_ == nullptr) return;
    result.verify_errors = verifier_->errors();
    result.first_verify_error = verifier_->first_error();
  }

  void free_the_rest() {
    for (std::uint32_t number = 0; number < slots_.size(); ++number) {
      const Slot& slot = slots_[number];
      if (slot.state != State::live) continue;
      if (verifier_ != nullptr) verifier_->end(number, slot.allocation);
      allocator_.free(slot.allocation);
    }
    allocator_.flush();
  }

  A& allocator_;
  const trace::Trace& trace_;
  const ReplaySettings& settings_;
  Verifier* verifier_;
  Pace pace_;
  std::atomic<std::uint64_t> live_{0};
  std::vector<Slot> slots_;
};

}  // namespace vaspace::tools
