// The program's current context is its own: as it was before, after every call, whichever thread makes it.
#include <functional>
#include <thread>
#include <unistd.h>
#include <vector>

#include "vaspace/backends/cuda_pinned.hpp"
#include "vaspace/frontends/cuda_growable.hpp"
#include "vaspace/frontends/cuda_shared.hpp"

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class CurrentContext : public StreamTest {
 protected:
  struct Call {
    const char* name;
    std::function<void()> make;
  };
  static CUcontext current() {
    CUcontext context = nullptr;
    EXPECT_OK(DRIVER(cuCtxGetCurrent)(&context));
    return context;
  }
  void start_everything() {
    restart_cuda("two_devices");
    cuda::BackendConfig config = cuda_config();
    config.exportable = true;
    auto made = cuda::Backend::create(config);
    ASSERT_TRUE(made);
    backend_ = std::move(*made);
    page_ = backend_->profile().page_sizes[0];
    auto streams = cuda::StreamAllocator::create(*backend_);
    ASSERT_TRUE(streams);
    streams_ = std::move(*streams);
    a_ = stream();
    b_ = stream();
  }
  // Every entry point, in an order in which each has something to do.
  std::vector<Call> calls() {
    return {
        {"device_count", [] { EXPECT_TRUE(cuda::device_count(VASIM_CUDA_LIBRARY)); }},
        {"create, destroy",
         [] {
           cuda::BackendConfig config = cuda_config();
           const std::array<int, 1> peers{0};
           config.device = 1;
           config.peers = peers;
           EXPECT_TRUE(cuda::Backend::create(config));
         }},
        {"create refused",
         [] {
           cuda::BackendConfig config = cuda_config();
           config.device = 9;
           EXPECT_FALSE(cuda::Backend::create(config));
         }},
        {"budget", [this] { EXPECT_TRUE(backend_->budget(0)); }},
        {"reserve", [this] { range_ = reserve(8); }},
        {"create_physical", [this] { id_ = create(); }},
        {"bind", [this] { EXPECT_TRUE(bind(range_.address, id_)); }},
        {"bind refused", [this] { EXPECT_FALSE(bind(range_.address, id_)); }},
        {"set_access",
         [this] { EXPECT_TRUE(backend_->set_access(range_.address, page_, Access::read_write)); }},
        {"add_peer", [this] { EXPECT_TRUE(backend_->add_peer(1)); }},
        {"remove_peer", [this] { EXPECT_TRUE(backend_->remove_peer(1)); }},
        {"fill", [this] { work_on(range_.address, page_, a_); }},
        {"mark",
         [this] {
           const auto point = backend_->mark(a_);
           ASSERT_TRUE(point);
           point_ = *point;
         }},
        {"idle", [this] { EXPECT_TRUE(backend_->idle(a_)); }},
        {"order_after", [this] { EXPECT_TRUE(backend_->order_after(b_, point_)); }},
        {"completed", [this] { EXPECT_TRUE(backend_->completed(point_)); }},
        {"wait", [this] { EXPECT_TRUE(backend_->wait(point_, 1'000'000'000)); }},
        {"wait for ever", [this] { EXPECT_TRUE(backend_->wait(*backend_->mark(b_), kForever)); }},
        {"wait_for", [this] { EXPECT_TRUE(backend_->wait_for(a_)); }},
        {"wait_idle", [this] { EXPECT_TRUE(backend_->wait_idle()); }},
        {"copy_to_host", [this] { EXPECT_TRUE(backend_->copy_to_host(&byte_, range_.address, Bytes{1})); }},
        {"copy_from_host",
         [this] { EXPECT_TRUE(backend_->copy_from_host(range_.address, &byte_, Bytes{1})); }},
        {"copy",
         [this] {
           const CopyOp op{range_.address, range_.address + 4_KiB, 4_KiB};
           EXPECT_TRUE(backend_->copy({&op, 1}, {}));
         }},
        {"export and import",
         [this] {
           const auto handle = backend_->export_physical(id_);
           ASSERT_TRUE(handle);
           const auto imported = backend_->import_physical({page_, 0, {}}, *handle);
           ASSERT_TRUE(imported);
           EXPECT_TRUE(destroy(*imported));
         }},
        {"unbind", [this] { EXPECT_TRUE(unbind(range_.address)); }},
        {"destroy_physical", [this] { EXPECT_TRUE(destroy(id_)); }},
        {"release", [this] { EXPECT_TRUE(backend_->release(range_)); }},
        {"pinned",
         [this] {
           const auto memory = backend_->allocate_pinned(4_KiB);
           ASSERT_TRUE(memory);
           EXPECT_TRUE(backend_->free_pinned(*memory));
         }},
        {"pin",
         [this] {
           void* memory = std::aligned_alloc(4096, 4096);
           EXPECT_TRUE(backend_->pin(static_cast<std::byte*>(memory), 4_KiB));
           EXPECT_TRUE(backend_->unpin(static_cast<std::byte*>(memory)));
           std::free(memory);
         }},
        {"streams",
         [this] {
           const auto made = backend_->make_stream();
           ASSERT_TRUE(made);
           backend_->forget(*made);
           EXPECT_TRUE(backend_->destroy_stream(*made));
         }},
        {"growable",
         [this] {
           auto buffer = cuda::GrowableBuffer::create(*backend_, {.reservation = page_});
           ASSERT_TRUE(buffer);
           EXPECT_TRUE(buffer->grow(page_ * 5));
           EXPECT_TRUE(buffer->shrink(page_));
         }},
        {"shared",
         [this] {
           auto memory = cuda::SharedMemory::create(*backend_, page_);
           ASSERT_TRUE(memory);
           const auto handle = memory->export_handle();
           ASSERT_TRUE(handle);
           EXPECT_TRUE(cuda::SharedMemory::import(*backend_, *handle, memory->size()));
         }},
        {"allocate small", [this] { small_ = allocate(1_KiB, a_); }},
        {"allocate large", [this] { large_ = allocate(20_MiB, a_); }},
        {"record_stream", [this] { EXPECT_TRUE(streams_->record_stream(small_, b_)); }},
        {"suspend", [this] { EXPECT_TRUE(streams_->suspend(cuda::Suspend::offload)); }},
        {"resume", [this] { EXPECT_TRUE(streams_->resume()); }},
        {"free", [this] { EXPECT_TRUE(streams_->free(small_, a_)); }},
        {"free elsewhere", [this] { EXPECT_TRUE(streams_->free(large_, b_)); }},
        {"trim", [this] { streams_->trim(); }},
        {"trim and wait", [this] { streams_->trim(true); }},
        {"release_stream", [this] { EXPECT_TRUE(streams_->release_stream(b_)); }},
        {"add_stream", [this] { EXPECT_TRUE(streams_->add_stream(b_)); }},
        {"end", [this] { streams_.reset(); }},
        {"pinned allocator",
         [this] {
           cuda::StreamConfig config;
           config.kind = cuda::MemoryKind::pinned;
           const auto pinned = cuda::StreamAllocator::create(*backend_, config);
           ASSERT_TRUE(pinned);
           const auto block = (*pinned)->allocate(100_KiB, a_);
           ASSERT_TRUE(block);
           EXPECT_TRUE((*pinned)->free(*block, a_));
           (*pinned)->trim(true);
         }},
    };
  }
  void make_all_with(CUcontext mine) {
    EXPECT_OK(DRIVER(cuCtxSetCurrent)(mine));
    for (const Call& call : calls()) {
      call.make();
      EXPECT_EQ(current(), mine) << call.name;
    }
    EXPECT_OK(DRIVER(cuCtxSetCurrent)(nullptr));
  }

  Reservation range_;
  PhysicalId id_;
  TimelinePoint point_;
  std::byte byte_{};
  Address small_;
  Address large_;
};

TEST_F(CurrentContext, OfAThreadThatHasNone) {
  start_everything();
  make_all_with(nullptr);
}

TEST_F(CurrentContext, OfAThreadThatHasAnotherDevices) {
  start_everything();
  CUcontext other = nullptr;
  ASSERT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&other, 1));
  make_all_with(other);
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRelease)(1));
}

TEST_F(CurrentContext, OfAThreadThatHasTheDevicesOwn) {
  start_everything();
  CUcontext own = nullptr;
  ASSERT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&own, 0));
  make_all_with(own);
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRelease)(0));
}

TEST_F(CurrentContext, OfAThreadThatIsNew) {
  start_everything();
  std::thread thread([&] {
    EXPECT_EQ(current(), nullptr);
    make_all_with(nullptr);
  });
  thread.join();
}

// The driver refuses what a thread in the global mode does while another one captures, and breaks its
// capture.
TEST_F(CurrentContext, NoCallBreaksWhatAnotherThreadCaptures) {
  start_everything();
  const auto mode = [] {
    CUstreamCaptureMode mine = CU_STREAM_CAPTURE_MODE_GLOBAL;
    EXPECT_OK(DRIVER(cuThreadExchangeStreamCaptureMode)(&mine));
    return mine;
  };
  DRIVER(vasim_cuda_capture_elsewhere)(1);
  for (const Call& call : calls()) {
    call.make();
    EXPECT_EQ(mode(), CU_STREAM_CAPTURE_MODE_GLOBAL) << call.name;
    EXPECT_EQ(cuda_reports(), "") << call.name;
  }
  EXPECT_EQ(code_of(backend_->destroy_stream(a_)), "ok");
  EXPECT_EQ(code_of(backend_->destroy_stream(b_)), "ok");
  made_.clear();
  backend_.reset();
  EXPECT_EQ(cuda_reports(), "");
  DRIVER(vasim_cuda_capture_elsewhere)(0);
}

// A call that fails has given it back too, whichever driver call was refused.
TEST_F(CurrentContext, C16_AfterARefusalOfAnyDriverCall) {
  start_everything();
  CUcontext other = nullptr;
  ASSERT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&other, 1));
  ASSERT_OK(DRIVER(cuCtxSetCurrent)(other));
  for (std::uint64_t nth = 1;; ++nth) {
    const std::uint64_t before = cuda_calls();
    ASSERT_EQ(DRIVER(vasim_cuda_fail)("*", nth, 1, CUDA_ERROR_UNKNOWN), 0);
    const auto block = streams_->allocate(6_MiB, a_);
    (void)backend_->mark(a_);
    (void)backend_->budget(0);
    (void)backend_->wait_idle();
    if (block) (void)streams_->free(*block, a_);
    streams_->trim(true);
    DRIVER(vasim_cuda_clear_failures)();
    const bool struck = cuda_calls() - before >= nth;
    EXPECT_EQ(current(), other) << nth;
    streams_->trim(true);
    if (!struck) break;
    ASSERT_LT(nth, 500U);
  }
  EXPECT_OK(DRIVER(cuCtxSetCurrent)(nullptr));
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRelease)(1));
}

}  // namespace
}  // namespace vaspace::test
