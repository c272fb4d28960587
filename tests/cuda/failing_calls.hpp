// C16: whatever driver call is refused, the state is as it was, and the same call works when tried again.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {

// One refusal leaves the state exactly as it was. What is refused twice may be a step back: what then is left
// over goes back later, and is gone at the end at the latest. A driver that refuses the step back eight times
// loses the device (C16_OfTakingAPeerBack).

// What a scenario does while a call is refused. True: it did it; false: it was refused.
using Attempt = std::function<bool()>;

// What a refusal may leave: nothing at all is exact; caches may have been given back.
enum class Left : std::uint8_t { exact, less };

class CudaFailures : public StreamTest {
 protected:
  // Runs setup() afresh and then, with the n-th driver call refused, attempt(); for every n that there is.
  // `times`: so many calls in a row are.
  void at_every_call(const std::function<Attempt()>& setup, Left left = Left::exact,
                     CUresult result = CUDA_ERROR_UNKNOWN, std::uint64_t times = 1) {
    SCOPED_TRACE(testing::Message() << "CUresult " << result << ", times " << times);
    refused_in_a_row_ = times;
    int refusals = 0;
    std::size_t files = 0;  // once the driver is loaded
    for (std::uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(nth);
      const Attempt attempt = setup();
      if (HasFatalFailure()) return;
      const CudaHeld before;
      const cuda::StreamReport report = streams_ ? streams_->report() : cuda::StreamReport{};
      const std::uint64_t calls = cuda_calls();
      ASSERT_EQ(DRIVER(vasim_cuda_fail)("*", nth, times, result), 0);
      const bool done = attempt();
      const bool struck = cuda_calls() - calls >= nth;
      DRIVER(vasim_cuda_clear_failures)();
      if (!done) {
        ++refusals;
        if (times == 1 || !steps_back_may_wait_) expect_as_before(before, CudaHeld{}, left);
        if (streams_) {
          EXPECT_EQ(streams_->report().live, report.live);
          EXPECT_EQ(streams_->report().live_allocations, report.live_allocations);
          EXPECT_EQ(streams_->validate(), nullptr);
        }
        EXPECT_TRUE(attempt()) << "again";
      }
      EXPECT_EQ(cuda_reports(), "");
      tear_down();
      if (nth == 1) files = open_files();
      EXPECT_EQ(open_files(), files);
      if (!struck) break;
      ASSERT_LT(nth, 2000U);
    }
    if (result != CUDA_ERROR_OUT_OF_MEMORY || !memory_may_be_found_) {
      EXPECT_GT(refusals, 0);
    }
  }
  // The same with what a driver that lacks memory answers, and with two refusals in a row.
  void at_every_refusal(const std::function<Attempt()>& setup, Left left = Left::exact) {
    at_every_call(setup, left);
    at_every_call(setup, left, CUDA_ERROR_OUT_OF_MEMORY);
    at_every_call(setup, left, CUDA_ERROR_UNKNOWN, 2);
  }
  static void expect_as_before(const CudaHeld& before, const CudaHeld& after, Left left) {
    if (left == Left::exact) {
      EXPECT_EQ(after, before);
      return;
    }
    EXPECT_LE(after.handles, before.handles);
    EXPECT_LE(after.mappings, before.mappings);
    EXPECT_LE(after.reservations, before.reservations);
    EXPECT_LE(after.host_memory, before.host_memory);
  }
  void tear_down() {
    keep_.clear();
    streams_.reset();
    for (const cuda::Stream made : made_)
      if (made != nullptr) (void)backend_->destroy_stream(made);
    made_.clear();
    backend_.reset();
    EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U);
    EXPECT_EQ(cuda_reports(), "");  // a restart would wipe them
  }
  // What gives something back may be what is refused: then it is tried again.
  template <class Call>
  [[nodiscard]] bool sooner_or_later(Call&& call) const {
    for (std::uint64_t i = 0; i <= refused_in_a_row_; ++i) {
      if (call()) return true;
    }
    return false;
  }
  [[nodiscard]] bool is_exact() const { return refused_in_a_row_ == 1; }

  std::uint64_t refused_in_a_row_ = 1;
  // A test says so where it holds: a step back that is refused with the call is made later; and who is told
  // that memory lacks finds some.
  bool steps_back_may_wait_ = false;
  bool memory_may_be_found_ = false;
  std::vector<std::shared_ptr<void>> keep_;  // of a scenario
};

}  // namespace vaspace::test
