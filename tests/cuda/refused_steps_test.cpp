// Refusals that come in twos, or of two kinds at once; and what an error says of them.
#include <fcntl.h>
#include <unistd.h>
#include <vector>

#include "vaspace/frontends/cuda_shared.hpp"

#include "cuda/failing_calls.hpp"

namespace vaspace::test {
namespace {

class RefusedSteps : public CudaFailures {
 protected:
  static void refuse(const char* function, std::uint64_t first, std::uint64_t times) {
    ASSERT_EQ(DRIVER(vasim_cuda_fail)(function, first, times, CUDA_ERROR_UNKNOWN), 0);
  }
  static void refuse_nothing() { DRIVER(vasim_cuda_clear_failures)(); }
};

// The step back is refused too: asked again, nothing is lost.
TEST_F(RefusedSteps, C16_AccessThatIsRefusedAndThenItsStepBack) {
  Reservation range;
  at_every_call(
      [&]() -> Attempt {
        start("default");
        range = reserve(4);
        EXPECT_TRUE(bind(range.address, create()) && bind(range.address + page_, create()));
        return [&] {
          const bool done = backend_->set_access(range.address, page_ * 2, Access::read).has_value();
          refuse_nothing();
          EXPECT_EQ(code_of(backend_->fill(range.address, {}, page_, nullptr)), done ? "wrong_state" : "ok");
          (void)backend_->wait_idle();
          return done;
        };
      },
      Left::exact, CUDA_ERROR_UNKNOWN, 2);
}

// What the driver takes back of neither memory nor addresses is queued: there is room for all of both.
TEST_F(RefusedSteps, C16_C17_MemoryAndAddressesThatAreNotTakenBack) {
  start(VASPACE_CUDA_PROFILES "/scarce_many_pages.json");
  const auto chain = backend_->reserve({48_MiB, {}, {}, 0});
  ASSERT_TRUE(chain);
  const std::uint64_t parts = cuda_live(VASIM_CUDA_RESERVATIONS);
  ASSERT_GE(parts, 3U);
  std::vector<PhysicalId> pages(900);
  ASSERT_TRUE(backend_->create_physical({page_, 0, {}}, pages));
  refuse("cuMemRelease", 2, UINT64_MAX);
  refuse("cuMemAddressFree", 2, UINT64_MAX);
  EXPECT_EQ(code_of(backend_->destroy_physical(pages)), "ok");
  EXPECT_EQ(code_of(backend_->release(*chain)), "ok");
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 899U);
  EXPECT_EQ(cuda_live(VASIM_CUDA_RESERVATIONS), parts - 1);
  refuse_nothing();
  EXPECT_EQ(code_of(backend_->release(reserve(1))), "ok");
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 0U) << "tried again";
  EXPECT_EQ(cuda_live(VASIM_CUDA_RESERVATIONS), 0U);
}

// Where the first place of a chain does not do and is not taken back either.
TEST_F(RefusedSteps, C2_C16_OfAChainThatHasTwoPlaces) {
  at_every_refusal([&]() -> Attempt {
    start(VASPACE_CUDA_PROFILES "/scarce_addresses.json");
    const Reservation gap = reserve(8);
    (void)reserve(1);
    EXPECT_TRUE(backend_->release(gap));
    return [this] {
      const auto chain = backend_->reserve({32_MiB, {}, {}, 0});
      if (!chain) return false;
      for (int tries = 0; tries < 3; ++tries)
        if (backend_->release(*chain)) return true;
      return false;
    };
  });
}

// Once a mapping is not known any more, nothing reads, writes or hands it on.
TEST_F(RefusedSteps, C16_ALostBackendRefusesEverythingThatNeedsItsMappings) {
  start("two_devices");
  const Reservation range = reserve(4);
  ASSERT_TRUE(bind(range.address, create()) && bind(range.address + page_ * 2, create()));
  ASSERT_TRUE(backend_->add_peer(1));
  refuse("cuMemSetAccess", 1, 9);
  EXPECT_EQ(code_of(backend_->set_access(range.address, page_, Access::read)), "device_lost");
  refuse_nothing();
  std::byte byte{};
  EXPECT_EQ(code_of(backend_->copy_to_host(&byte, range.address, Bytes{1})), "device_lost");
  EXPECT_EQ(code_of(backend_->copy_from_host(range.address, &byte, Bytes{1})), "device_lost");
  EXPECT_EQ(code_of(backend_->fill(range.address, {}, page_, nullptr)), "device_lost");
  EXPECT_EQ(code_of(backend_->remove_peer(1)), "device_lost");
  EXPECT_EQ(code_of(backend_->add_peer(1)), "device_lost");
}

TEST_F(RefusedSteps, EveryErrorHoldsACUresult) {
  cuda::BackendConfig config = cuda_config();
  config.exportable = true;
  start("small_memory", config);
  for (const Bytes size : {kMaxBytes - 2_MiB, Bytes{1ULL << 57U}}) {
    const auto reserved = backend_->reserve({align_down(size, Alignment{page_}), {}, {}, 0});
    ASSERT_FALSE(reserved);
    EXPECT_EQ(reserved.error(), (Error{ErrorCode::out_of_address_space, CUDA_ERROR_OUT_OF_MEMORY}));
  }
  const auto import = cuda::SharedMemory::import(*backend_, ExternalHandle{1 << 20}, page_);
  ASSERT_FALSE(import);
  EXPECT_EQ(import.error(), (Error{ErrorCode::invalid_argument, CUDA_ERROR_INVALID_VALUE}));
  const auto streams = cuda::StreamAllocator::create(*backend_);
  ASSERT_TRUE(streams);
  for (const Bytes size : {Bytes{1ULL << 40U}, Bytes{1ULL << 57U}, kMaxBytes - 4_KiB}) {
    const auto got = (*streams)->allocate(size, nullptr);
    ASSERT_FALSE(got) << size.value;
    EXPECT_EQ(got.error().native, CUDA_ERROR_OUT_OF_MEMORY) << code_of(got) << ' ' << size.value;
  }
  cuda::StreamConfig small;
  small.classes = std::span(kStandardSizeClasses).first(1);
  const auto few = cuda::StreamAllocator::create(*backend_, small);
  ASSERT_TRUE(few);
  EXPECT_EQ((*few)->allocate(1_GiB, nullptr).error(),
            (Error{ErrorCode::too_large, CUDA_ERROR_OUT_OF_MEMORY}));
}

}  // namespace
}  // namespace vaspace::test
