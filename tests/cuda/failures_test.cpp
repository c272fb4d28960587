// C16: whatever driver call is refused, the state is as it was, and the same call works when tried again.
#include <unistd.h>
#include <vector>

#include "vaspace/frontends/cuda_growable.hpp"
#include "vaspace/frontends/cuda_shared.hpp"

#include "cuda/failing_calls.hpp"

namespace vaspace::test {
namespace {

TEST_F(CudaFailures, C16_OfABackendsCalls) {
  cuda::BackendConfig config = cuda_config();
  config.exportable = true;
  Reservation range;
  std::vector<PhysicalId> pages;
  bool peer_added = false;
  const auto base = [&] {
    peer_added = false;
    start("two_devices", config);
    range = reserve(16);
    pages.assign(4, {});
    ASSERT_TRUE(backend_->create_physical({page_, 0, {}}, pages));
    ASSERT_TRUE(bind(range.address, pages[0]));
    ASSERT_TRUE(bind(range.address + page_, pages[1]));
  };
  const auto scenario = [&](const char* name, const Attempt& attempt) {
    SCOPED_TRACE(name);
    at_every_refusal([&] {
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
  scenario("peers come and go", [&] {
    // What is refused in the middle leaves the peer as it was; both calls go through in the end.
    if (!peer_added && !backend_->add_peer(1)) return false;
    peer_added = true;
    if (!backend_->remove_peer(1)) return false;
    peer_added = false;
    return true;
  });
  scenario("reserve beside", [&] {
    const auto more = backend_->reserve({page_ * 4, {}, range.end(), 0});
    return more.has_value();
  });
  scenario("pinned memory", [&] {
    const auto memory = backend_->allocate_pinned(64_KiB);
    if (!memory) return false;
    // What the driver does not take back is asked for again.
    return sooner_or_later([&] { return backend_->free_pinned(*memory); });
  });
  scenario("memory that is pinned", [&] {
    const auto memory =
        std::unique_ptr<void, decltype(&std::free)>(std::aligned_alloc(4096, 8192), &std::free);
    auto* const bytes = static_cast<std::byte*>(memory.get());
    if (!backend_->pin(bytes, 8_KiB)) return false;
    return sooner_or_later([&] { return backend_->unpin(bytes); });
  });
  scenario("export and import", [&] {
    const auto handle = backend_->export_physical(pages[0]);
    if (!handle) return false;
    const auto imported = backend_->import_physical({page_, 0, {}}, *handle);
    if (!imported) close(handle->fd);
    if (!imported) return false;
    return sooner_or_later([&] { return destroy(*imported); });
  });
  scenario("stream", [&] {
    const auto made = backend_->make_stream();
    if (!made) return false;
    return sooner_or_later([&] { return backend_->destroy_stream(*made); });
  });
  scenario("copies between host and device", [&] {
    std::byte byte{7};
    if (!backend_->copy_from_host(range.address, &byte, Bytes{1})) return false;
    return backend_->copy_to_host(&byte, range.address, Bytes{1}).has_value() && byte == std::byte{7};
  });
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
    const bool stays = profile == std::string("default");
    at_every_refusal([&]() -> Attempt {
      start(profile);
      auto made = cuda::GrowableBuffer::create(*backend_, {.reservation = page_ * 2});
      EXPECT_TRUE(made);
      auto buffer = std::make_shared<cuda::GrowableBuffer>(std::move(*made));
      EXPECT_TRUE(buffer->grow(page_ * 2));
      keep_.push_back(buffer);
      cuda::GrowableBuffer* grown = buffer.get();
      return [grown, stays, first = true, this]() mutable {
        const Address before = grown->address();
        const auto how = grown->grow(page_ * 6);
        const bool done = how.has_value();
        // Not where the second range was refused, and so the pages moved.
        if (done && !first) {
          EXPECT_EQ(*how == cuda::GrowableBuffer::Grown::in_place, stays);
        }
        first = false;
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

// Of the driver's small reservations side by side.
TEST_F(CudaFailures, C2_C16_OfAChainOfReservations) {
  steps_back_may_wait_ = true;
  at_every_refusal([&]() -> Attempt {
    start(VASPACE_CUDA_PROFILES "/scarce_addresses.json");
    (void)reserve(2);
    return [this] {
      const auto chain = backend_->reserve({48_MiB, {}, {}, 0});
      if (!chain) return false;
      // The first part may be refused, and then nothing has changed.
      return sooner_or_later([&] { return backend_->release(*chain); });
    };
  });
}

TEST_F(CudaFailures, C16_OfAShrinkingBuffer) {
  at_every_refusal(
      [&]() -> Attempt {
        start("small_memory");
        auto made = cuda::GrowableBuffer::create(*backend_, {.reservation = page_ * 8});
        EXPECT_TRUE(made && made->grow(page_ * 6));
        auto buffer = std::make_shared<cuda::GrowableBuffer>(std::move(*made));
        keep_.push_back(buffer);
        return [buffer = buffer.get(), this] {
          const bool done = buffer->shrink(page_ * 2).has_value();
          DRIVER(vasim_cuda_clear_failures)();
          EXPECT_EQ(buffer->size(), done ? page_ * 2 : page_ * 6);
          EXPECT_GE(read(buffer->address() + buffer->size() - Bytes{1}), 0);
          // Nothing of what was cut off is lost: there is room for all but the two pages.
          if (done) {
            EXPECT_TRUE(buffer->grow(page_ * 6));
            EXPECT_LE(cuda_live(VASIM_CUDA_HANDLES), is_exact() ? 6U : 7U);
          }
          return done;
        };
      },
      Left::less);
}

// A device that cannot say that it is idle may be using the memory: nothing is taken from under its work.
TEST_F(CudaFailures, C13_OfWaitingAtTheEndLeavesTheMappings) {
  for (const cuda::MemoryKind kind : {cuda::MemoryKind::device, cuda::MemoryKind::pinned}) {
    cuda::StreamConfig config;
    config.kind = kind;
    start_streams("small_memory", config);
    const Address block = allocate(6_MiB, a_);
    DRIVER(vasim_cuda_hold_streams)(1);
    if (kind == cuda::MemoryKind::device) work_on(block, 1_KiB, a_);
    const CudaHeld before;
    ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuCtxSynchronize", 1, 100, CUDA_ERROR_UNKNOWN), 0);
    streams_.reset();
    EXPECT_EQ(CudaHeld{}, before);
    DRIVER(vasim_cuda_clear_failures)();
    DRIVER(vasim_cuda_hold_streams)(0);
    tear_down();  // pinned memory goes with the context
  }
}

// A peer that gets access to the first of two mappings and not to the second has none in the end.
TEST_F(CudaFailures, C16_OfTakingAPeerBack) {
  const auto reaches = [](Address at) {
    unsigned long long flags = 0;
    const CUmemLocation peer{CU_MEM_LOCATION_TYPE_DEVICE, 1};
    EXPECT_OK(DRIVER(cuMemGetAccess)(&flags, &peer, at.value));
    return flags != CU_MEM_ACCESS_FLAGS_PROT_NONE;
  };
  for (const std::uint64_t times : {2U, 20U}) {
    start("two_devices");
    const Reservation range = reserve(4);
    ASSERT_TRUE(bind(range.address, create()) && bind(range.address + page_ * 2, create()));
    ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuMemSetAccess", 2, times, CUDA_ERROR_UNKNOWN), 0);
    EXPECT_EQ(code_of(backend_->add_peer(1)), times == 2 ? "driver_error" : "device_lost");
    DRIVER(vasim_cuda_clear_failures)();
    EXPECT_EQ(reaches(range.address), times != 2);
    EXPECT_EQ(code_of(backend_->reserve({page_, {}, {}, 0})), times == 2 ? "ok" : "device_lost");
  }
}

// The end of a backend with everything in it, and of what lives on it.
TEST_F(CudaFailures, C16_OfTheEnd) {
  int struck = 0;
  for (std::uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(nth);
    cuda::BackendConfig config = cuda_config();
    config.exportable = true;
    start("two_devices", config);
    auto streams = cuda::StreamAllocator::create(*backend_);
    auto pinned = cuda::StreamAllocator::create(*backend_, {.kind = cuda::MemoryKind::pinned});
    auto buffer = cuda::GrowableBuffer::create(*backend_, {.reservation = page_ * 2});
    auto shared = cuda::SharedMemory::create(*backend_, page_);
    ASSERT_TRUE(streams && pinned && buffer && shared && buffer->grow(page_ * 3));
    const auto side = backend_->make_stream();
    ASSERT_TRUE(side);
    const auto block = (*streams)->allocate(6_MiB, *side);
    ASSERT_TRUE(block && (*pinned)->allocate(64_KiB, *side));
    work_on(*block, 1_KiB, *side);
    ASSERT_TRUE(backend_->add_peer(1) && backend_->mark(*side));
    const Reservation left = reserve(2);
    ASSERT_TRUE(bind(left.address, create()));
    const std::uint64_t calls = cuda_calls();
    ASSERT_EQ(DRIVER(vasim_cuda_fail)("*", nth, 1, CUDA_ERROR_UNKNOWN), 0);
    streams->reset();
    pinned->reset();
    buffer = fail(ErrorCode::malformed);
    shared = fail(ErrorCode::malformed);
    if (!backend_->destroy_stream(*side)) (void)backend_->destroy_stream(*side);
    backend_.reset();
    const bool hit = cuda_calls() - calls >= nth;
    DRIVER(vasim_cuda_clear_failures)();
    EXPECT_EQ(cuda_reports(), "");
    EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U) << cuda_reports();
    if (!hit) break;
    ++struck;
    ASSERT_LT(nth, 2000U);
  }
  EXPECT_GT(struck, 30);
}

}  // namespace
}  // namespace vaspace::test
