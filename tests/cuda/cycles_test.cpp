// C15: nothing grows over a hundred thousand cycles: no handle, mapping, address, event or descriptor.
#include <cstdlib>
#include <functional>

#include "vaspace/frontends/cuda_growable.hpp"

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class CudaCycles : public StreamTest {
 protected:
  void cycle(const char* what, int count, const std::function<bool()>& once) {
    SCOPED_TRACE(what);
    CudaHeld held;
    std::uint64_t events = 0;
    std::size_t files = 0;
    for (int i = 0; i < cuda_cycles(count); ++i) {
      ASSERT_TRUE(once()) << i;
      if (i != cuda_cycles(count) / 10) continue;
      held = {};
      events = cuda_live(VASIM_CUDA_EVENTS);
      files = open_files();
    }
    EXPECT_EQ(CudaHeld{}, held);
    EXPECT_LE(cuda_live(VASIM_CUDA_EVENTS), events);
    EXPECT_EQ(open_files(), files);
  }
};

TEST_F(CudaCycles, C15_OfAllocatingFreeingAndTrimming) {
  start_streams(VASPACE_CUDA_PROFILES "/small_64k.json", {}, "delay_us=0");
  const Address kept = allocate(1_KiB, a_);
  cycle("one stream", 100'000, [&] {
    const auto block = streams_->allocate(100_KiB, a_);
    const bool done = block && streams_->free(*block, a_);
    streams_->trim();
    return done;
  });
  cycle("freed on another stream", 100'000, [&] {
    const auto block = streams_->allocate(100_KiB, a_);
    const bool done = block && streams_->record_stream(*block, b_) && streams_->free(*block, b_);
    streams_->trim(true);
    return done && streams_->report().waiting == Bytes{};
  });
  EXPECT_EQ(code_of(streams_->free(kept, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(CudaCycles, C15_OfSuspendingAndResuming) {
  start_streams(VASPACE_CUDA_PROFILES "/small_64k.json", {}, "delay_us=0");
  const Address kept = allocate(1_KiB, a_);
  work_on(kept, 1_KiB, a_, 6);
  cycle("discarded", 100'000,
        [&] { return streams_->suspend(cuda::Suspend::discard) && streams_->resume(); });
  work_on(kept, 1_KiB, a_, 7);
  // Each copies all of it twice: the whole number by night.
  const int offloads = std::getenv("VASPACE_EXHAUSTIVE") != nullptr ? 100'000 : 20'000;
  cycle("offloaded", offloads,
        [&] { return streams_->suspend(cuda::Suspend::offload) && streams_->resume(); });
  EXPECT_EQ(read(kept), 7);
}

TEST_F(CudaCycles, C15_OfGrowingAndShrinking) {
  start(VASPACE_CUDA_PROFILES "/small_64k.json");
  {
    auto buffer = cuda::GrowableBuffer::create(*backend_, {.reservation = page_ * 4});
    ASSERT_TRUE(buffer && buffer->grow(page_));
    cycle("in place", 100'000, [&] { return buffer->grow(page_ * 3) && buffer->shrink(page_); });
  }
  start(VASPACE_CUDA_PROFILES "/small_hint_elsewhere.json");
  cycle("elsewhere", 100'000, [&] {
    auto moves = cuda::GrowableBuffer::create(*backend_, {.reservation = page_});
    return moves && moves->grow(page_) && moves->grow(page_ * 3);
  });
}

TEST_F(CudaCycles, C15_OfPeersThatComeAndGo) {
  start("two_devices");
  const Reservation range = reserve(2);
  ASSERT_TRUE(bind(range.address, create()));
  cycle("peer", 100'000, [&] { return backend_->add_peer(1) && backend_->remove_peer(1); });
}

TEST_F(CudaCycles, C15_OfReservingBindingAndPinning) {
  start(VASPACE_CUDA_PROFILES "/scarce_addresses.json");
  cycle("chain of reservations", 100'000, [&] {
    const auto chain = backend_->reserve({40_MiB, {}, {}, 0});
    return chain && backend_->release(*chain);
  });
  const Reservation range = reserve(2);
  cycle("page", 100'000, [&] {
    PhysicalId id;
    return backend_->create_physical({page_, 0, {}}, {&id, 1}) && bind(range.address, id) &&
           unbind(range.address) && destroy(id);
  });
  cycle("pinned", 100'000, [&] {
    const auto memory = backend_->allocate_pinned(4_KiB);
    return memory && backend_->free_pinned(*memory);
  });
}

TEST_F(CudaCycles, C15_OfBackendsAndAllocators) {
  start("two_devices");
  cycle("backend", 2000, [&] {
    cuda::BackendConfig config = cuda_config();
    config.device = 1;
    config.exportable = true;
    auto made = cuda::Backend::create(config);
    if (!made) return false;
    auto streams = cuda::StreamAllocator::create(**made);
    return streams && (*streams)->allocate(1_KiB, nullptr);
  });
}

}  // namespace
}  // namespace vaspace::test
