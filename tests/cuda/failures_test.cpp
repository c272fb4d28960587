// C16: whatever driver call is refused, the state is as it was, and the same call works when tried again.
#include <functional>
#include <vector>

#include "vaspace/frontends/cuda_growable.hpp"
#include "vaspace/frontends/cuda_shared.hpp"

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

// What a scenario does while a call is refused. True: it did it; false: it was refused.
using Attempt = std::function<bool()>;

class CudaFailures : public StreamTest {
 protected:
  // Runs setup() afresh and then, with the n-th driver call refused, attempt(); for every n that there is.
  // `exact`: nothing may be left or gone; else what is cached may have been given back.
  void at_every_call(const std::function<Attempt()>& setup, bool exact = true) {
    int refusals = 0;
    for (std::uint64_t nth = 1;; ++nth) {
      const Attempt attempt = setup();
      if (HasFatalFailure()) return;
      const CudaHeld before;
      const StreamReport report = streams_ ? streams_->report() : StreamReport{};
      const std::uint64_t calls = cuda_calls();
      ASSERT_EQ(DRIVER(vasim_cuda_fail)("*", nth, 1, CUDA_ERROR_UNKNOWN), 0);
      const bool done = attempt();
      const bool struck = cuda_calls() - calls >= nth;
      DRIVER(vasim_cuda_clear_failures)();
      if (!done) {
        ++refusals;
        const CudaHeld after;
        if (exact) {
          EXPECT_EQ(after, before) << "call " << nth;
        } else {
          EXPECT_LE(after.handles, before.handles) << "call " << nth;
          EXPECT_LE(after.mappings, before.mappings) << "call " << nth;
          EXPECT_LE(after.reservations, before.reservations) << "call " << nth;
        }
        if (streams_) {
          EXPECT_EQ(streams_->report().live, report.live) << "call " << nth;
          EXPECT_EQ(streams_->validate(), nullptr) << "call " << nth;
        }
        EXPECT_TRUE(attempt()) << "again, after call " << nth;
      }
      EXPECT_EQ(cuda_reports(), "") << "call " << nth;
      tear_down();
      if (!struck) break;
      ASSERT_LT(nth, 2000U);
    }
    EXPECT_GT(refusals, 0);
  }
  void tear_down() {
    keep_.clear();
    streams_.reset();
    for (const cuda::Stream made : made_)
      if (made != nullptr) (void)backend_->destroy_stream(made);
    made_.clear();
    backend_.reset();
    EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U) << cuda_reports();
  }
  using StreamReport = cuda::StreamReport;
  std::vector<std::shared_ptr<void>> keep_;  // of a scenario
};

TEST_F(CudaFailures, C16_OfABackendsCalls) {
  cuda::BackendConfig config = cuda_config();
  config.exportable = true;
  Reservation range;
  std::vector<PhysicalId> pages;
  const auto base = [&] {
    start("two_devices", config);
    range = reserve(16);
    pages.assign(4, {});
    ASSERT_TRUE(backend_->create_physical({page_, 0, {}}, pages));
    ASSERT_TRUE(bind(range.address, pages[0]));
    ASSERT_TRUE(bind(range.address + page_, pages[1]));
  };
  const auto scenario = [&](const char* name, const Attempt& attempt) {
    SCOPED_TRACE(name);
    at_every_call([&] {
      base();
      return attempt;
    });
  };
  scenario("reserve", [&] {
    return backend_->reserve({page_ * 4, Alignment{page_ * 2}, {}, 0}).has_value();
  });
  scenario("create", [&] {
    std::vector<PhysicalId> more(3);
    return backend_->create_physical({page_, 0, {}}, more).has_value();
  });
  scenario("bind and unbind", [&] {
    const std::vector<BindOp> ops{{.address = range.address, .size = page_},
                                  {.address = range.address + page_ * 4, .size = page_, .physical = pages[0]},
                                  {.address = range.address + page_ * 5, .size = page_, .physical = pages[2]},
                                  {.address = range.address + page_, .size = page_},
                                  {.address = range.address, .size = page_, .physical = pages[3]}};
    const bool done = backend_->bind(ops, {}).has_value();
    DRIVER(vasim_cuda_clear_failures)();
    if (!done) {
      // Bound as before: readable, and not to be bound over.
      EXPECT_GE(read(range.address), 0);
      EXPECT_GE(read(range.address + page_), 0);
      EXPECT_EQ(code_of(bind(range.address, pages[3])), "wrong_state");
    }
    return done;
  });
  scenario("access", [&] {
    const bool done = backend_->set_access(range.address, page_ * 2, Access::read).has_value();
    DRIVER(vasim_cuda_clear_failures)();
    EXPECT_EQ(code_of(backend_->fill(range.address, {}, page_, nullptr)), done ? "wrong_state" : "ok");
    (void)backend_->wait_idle();
    return done;
  });
  scenario("destroy", [&] { return destroy(pages[2]).has_value(); });
  scenario("release", [&] {
    if (!unbind(range.address, 2)) return false;
    const bool done = backend_->release(range).has_value();
    DRIVER(vasim_cuda_clear_failures)();
    if (!done) {
      EXPECT_TRUE(bind(range.address, pages[0]) && bind(range.address + page_, pages[1]));
    }
    return done;
  });
  scenario("peer", [&] { return backend_->add_peer(1).has_value(); });
  scenario("copy", [&] {
    const CopyOp op{range.address, range.address + page_, page_};
    const auto point = backend_->copy({&op, 1}, {});
    const bool done = point.has_value();
    DRIVER(vasim_cuda_clear_failures)();
    (void)backend_->wait_idle();
    return done;
  });
  scenario("mark", [&] { return backend_->mark(nullptr).has_value(); });
  scenario("shared memory", [&] {
    auto made = cuda::SharedMemory::create(*backend_, page_);
    if (!made) return false;
    auto handle = made->export_handle();
    if (!handle) return false;
    auto import = cuda::SharedMemory::import(*backend_, *handle, made->size());
    if (!import) close(handle->fd);
    return import.has_value();
  });
}

TEST_F(CudaFailures, C16_OfAGrowingBuffer) {
  for (const char* profile : {"default", "hint_elsewhere"}) {
    SCOPED_TRACE(profile);
    at_every_call([&]() -> Attempt {
      start(profile);
      auto made = cuda::GrowableBuffer::create(*backend_, {.reservation = page_ * 2});
      EXPECT_TRUE(made);
      auto buffer = std::make_shared<cuda::GrowableBuffer>(std::move(*made));
      EXPECT_TRUE(buffer->grow(page_ * 2));
      keep_.push_back(buffer);
      cuda::GrowableBuffer* grown = buffer.get();
      return [grown, this] {
        const Address before = grown->address();
        const bool done = grown->grow(page_ * 6).has_value();
        DRIVER(vasim_cuda_clear_failures)();
        if (!done) {
          EXPECT_EQ(grown->address(), before);
          EXPECT_EQ(grown->size(), page_ * 2);
        }
        EXPECT_GE(read(grown->address()), 0);
        return done;
      };
    });
  }
}

TEST_F(CudaFailures, C16_R7_OfAStreamsAllocations) {
  at_every_call(
      [&]() -> Attempt {
        start_streams(VASPACE_CUDA_PROFILES "/small_64k.json", {}, "");
        EXPECT_EQ(DRIVER(vasim_cuda_take_memory)(0, (64_MiB - 704_KiB).value), 0);
        const Address on_a = allocate(192_KiB, a_);
        const Address on_b = allocate(192_KiB, b_);
        const Address kept = allocate(100_KiB, b_);
        work_on(kept, 100_KiB, b_, 9);
        EXPECT_TRUE(streams_->free(on_a, a_) && streams_->free(on_b, b_));
        return [this, kept] {
          // Of new pages, of the stream's own and of the other's.
          const bool done = streams_->allocate(512_KiB, a_).has_value();
          DRIVER(vasim_cuda_clear_failures)();
          EXPECT_EQ(read(kept + 99_KiB), 9);
          return done;
        };
      },
      false);
}

TEST_F(CudaFailures, C16_R7_OfSuspendAndResume) {
  at_every_call([&]() -> Attempt {
    start_streams(VASPACE_CUDA_PROFILES "/small_64k.json", {}, "");
    const Address kept = allocate(200_KiB, a_);
    const Address other = allocate(100_KiB, b_);
    work_on(kept, 200_KiB, a_, 5);
    work_on(other, 100_KiB, b_, 6);
    EXPECT_TRUE(backend_->wait_idle());
    streams_->trim(true);
    return [this, kept, other] {
      if (!streams_->suspend(cuda::Suspend::offload)) {
        DRIVER(vasim_cuda_clear_failures)();
        EXPECT_EQ(read(kept + 199_KiB), 5);
        EXPECT_EQ(read(other), 6);
        return false;
      }
      const auto resumed = streams_->resume();
      DRIVER(vasim_cuda_clear_failures)();
      if (!resumed) {
        EXPECT_EQ(streams_->report().physical, Bytes{});
        EXPECT_TRUE(streams_->resume());
        EXPECT_EQ(read(kept + 199_KiB), 5);
        EXPECT_EQ(read(other), 6);
      }
      return resumed.has_value();
    };
  });
}

TEST_F(CudaFailures, C16_R7_OfReleasingAStream) {
  at_every_call(
      [&]() -> Attempt {
        start_streams("small_memory");
        const Address mine = allocate(4_MiB, a_);
        const Address crossed = allocate(4_MiB, b_);
        EXPECT_TRUE(streams_->free(mine, a_) && streams_->free(crossed, a_));
        return [this] { return streams_->release_stream(a_).has_value(); };
      },
      false);
}

// A refused unbind, destroy or release is tried again: nothing is lost over many of them.
TEST_F(CudaFailures, C15_C16_NothingIsLostWhereAShareOfAllCallsFails) {
  start_streams("small_memory");
  ASSERT_EQ(DRIVER(vasim_cuda_fail_share)("*", 50'000, 3, CUDA_ERROR_UNKNOWN), 0);
  std::vector<std::pair<Address, cuda::Stream>> live;
  std::uint64_t state = 1;
  const auto below = [&](std::uint64_t n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33U) % n;
  };
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const cuda::Stream stream = below(2) == 0 ? a_ : b_;
    if (below(2) == 0 || live.empty()) {
      const Bytes size{1 + below(below(4) == 0 ? 12'000'000 : 300'000)};
      const auto got = streams_->allocate(size, stream);
      if (got) live.emplace_back(*got, stream);
      refused += got ? 0 : 1;
    } else {
      std::swap(live[below(live.size())], live.back());
      ASSERT_TRUE(streams_->free(live.back().first, below(4) == 0 ? stream : live.back().second));
      live.pop_back();
    }
    if (i % 50 == 0) streams_->trim();
  }
  DRIVER(vasim_cuda_clear_failures)();
  EXPECT_GT(refused, 0);
  EXPECT_EQ(streams_->validate(), nullptr);
  EXPECT_EQ(streams_->report().live_allocations, live.size());
  for (const auto& [address, stream] : live)
    EXPECT_TRUE(streams_->free(address, stream));
  streams_->trim(true);
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 0U);
}

}  // namespace
}  // namespace vaspace::test
