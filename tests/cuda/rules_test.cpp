// Each rule of CUDA's virtual memory, by our backend on the simulated driver, which reports whoever breaks
// one.
#include <vector>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/frontends/cuda_growable.hpp"

#include "cuda/simulated_device.hpp"

namespace vaspace::test {
namespace {

class CudaRules : public CudaTest {
 protected:
  void fill(Address at, Bytes size, int value) {
    const auto put = backend_->fill(at, static_cast<std::byte>(value), size, nullptr);
    EXPECT_TRUE(put) << code_of(put);
  }
};

TEST_F(CudaRules, C1_AnyHintIsTakenForAHint) {
  start("hint_elsewhere");
  const Reservation first = reserve(2);
  const Reservation second = reserve(2, first.end());
  EXPECT_NE(second.address, first.end());
  const Reservation third = reserve(1, Address{12345});
  for (const Reservation& reservation : {first, second, third}) {
    EXPECT_TRUE(is_aligned(reservation.address, Alignment{page_}));
    EXPECT_EQ(code_of(backend_->release(reservation)), "ok");
  }
}

TEST_F(CudaRules, C2_ALargeReservationIsAChainWhereTheDriverRefusesIt) {
  start(VASPACE_CUDA_PROFILES "/scarce_addresses.json");
  const std::uint64_t before = cuda_live(VASIM_CUDA_RESERVATIONS);
  const Reservation chain = reserve(24);  // 48 MiB, of 16 MiB at a time
  EXPECT_GE(cuda_live(VASIM_CUDA_RESERVATIONS), before + 3);
  std::vector<PhysicalId> pages;
  for (std::uint64_t i = 0; i < 24; ++i) {
    pages.push_back(create());
    ASSERT_EQ(code_of(bind(chain.address + page_ * i, pages.back())), "ok") << i;
    fill(chain.address + page_ * i, page_, static_cast<int>(i));
  }
  EXPECT_EQ(read(chain.address + page_ * 9), 9);
  EXPECT_EQ(code_of(backend_->set_access(chain.address, page_ * 24, Access::read)), "ok") << "over all seams";
  ASSERT_EQ(code_of(backend_->wait_idle()), "ok");
  EXPECT_EQ(code_of(unbind(chain.address, 24)), "ok");
  // A mapping lies in one of the driver's reservations.
  const PhysicalId wide = create(4);
  EXPECT_EQ(code_of(bind(chain.address + page_ * 4, wide, 4)), "not_supported");
  EXPECT_EQ(code_of(bind(chain.address, wide, 4)), "ok");
  EXPECT_EQ(code_of(unbind(chain.address, 4)), "ok");
  const auto too_much = backend_->reserve({64_MiB, {}, {}, 0});
  EXPECT_EQ(code_of(too_much), "out_of_address_space");
  EXPECT_EQ(too_much.error().native, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(code_of(backend_->release(chain)), "ok");
  EXPECT_EQ(cuda_live(VASIM_CUDA_RESERVATIONS), before);
  for (const PhysicalId page : pages)
    EXPECT_EQ(code_of(destroy(page)), "ok");
}

// A gap that holds the first part alone: |- gap -|other|---- free ----
TEST_F(CudaRules, C2_AChainBeginsAtAnotherPlaceWhereItsFirstPartHasNoRoomBeside) {
  start(VASPACE_CUDA_PROFILES "/scarce_addresses.json");
  const Reservation gap = reserve(8);
  const Reservation other = reserve(1);
  ASSERT_EQ(gap.end(), other.address);
  ASSERT_EQ(code_of(backend_->release(gap)), "ok");
  const auto chain = backend_->reserve({32_MiB, {}, {}, 0});
  ASSERT_EQ(code_of(chain), "ok");
  EXPECT_EQ(chain->address, other.end());
  EXPECT_EQ(cuda_live(VASIM_CUDA_RESERVATIONS), 3U) << "the gap was given back";
  EXPECT_EQ(code_of(backend_->release(*chain)), "ok");
  EXPECT_EQ(code_of(backend_->reserve({16_MiB, {}, {}, 0})), "ok");
}

TEST_F(CudaRules, C2_C18_AChainThatLandsElsewhereIsRefusedAndLeavesNothing) {
  start(VASPACE_CUDA_PROFILES "/scarce_elsewhere.json");
  EXPECT_EQ(code_of(backend_->reserve({32_MiB, {}, {}, 0})), "out_of_address_space");
  EXPECT_EQ(cuda_live(VASIM_CUDA_RESERVATIONS), 0U);
  // The layers above make do with several.
  auto arena = ArenaAllocator::create(*backend_);
  ASSERT_TRUE(arena);
  std::vector<Allocation> live;
  for (int i = 0; i < 5; ++i) {
    const auto got = arena->allocate({.size = 6_MiB});
    ASSERT_TRUE(got) << code_of(got);
    live.push_back(*got);
  }
  EXPECT_GE(arena->report().total.reservations, 3U);
  for (const Allocation& one : live)
    arena->free(one);
}

TEST_F(CudaRules, C3_PagesAreWhatTheDriverSaysOfExactlyThisMemory) {
  start("granularity_by_properties");
  EXPECT_EQ(page_, 64_KiB);
  EXPECT_EQ(backend_->recommended_page(), 2_MiB);
  EXPECT_TRUE(backend_->profile().offers_page(2_MiB));
  EXPECT_EQ(code_of(backend_->create_physical({4_KiB, 0, {}}, {})), "invalid_size");
  EXPECT_EQ(code_of(destroy(create())), "ok");
  backend_.reset();
  cuda::BackendConfig config = cuda_config();
  config.exportable = true;
  start("granularity_by_properties", config);
  EXPECT_EQ(page_, 512_KiB);
  EXPECT_EQ(backend_->recommended_page(), 4_MiB);
  EXPECT_EQ(code_of(destroy(create())), "ok");
}

TEST_F(CudaRules, C4_C5_C9_WhatIsBoundIsFreshAccessibleAndAgainAtTheSameAddress) {
  start();
  const Reservation reservation = reserve(4);
  const PhysicalId one = create();
  const PhysicalId two = create();
  EXPECT_EQ(code_of(bind(reservation.address, one)), "ok");
  EXPECT_EQ(code_of(bind(reservation.address, two)), "wrong_state");
  const BindOp inside{
      .address = reservation.address + page_, .size = page_, .physical = two, .offset = page_};
  EXPECT_NE(code_of(backend_->bind({&inside, 1}, {})), "ok");
  for (int round = 1; round < 4; ++round) {
    fill(reservation.address, page_, round);
    EXPECT_EQ(read(reservation.address + page_ - Bytes{1}), round);
    ASSERT_EQ(code_of(backend_->wait_idle()), "ok");
    ASSERT_EQ(code_of(unbind(reservation.address)), "ok");
    EXPECT_EQ(code_of(backend_->fill(reservation.address, {}, page_, nullptr)), "wrong_state");
    ASSERT_EQ(code_of(bind(reservation.address, round % 2 == 0 ? one : two)), "ok");
  }
}

TEST_F(CudaRules, C6_C8_AccessAndUnbindsCoverWholeMappings) {
  start();
  const Reservation reservation = reserve(6);
  const PhysicalId wide = create(2);
  ASSERT_EQ(code_of(bind(reservation.address, wide, 2)), "ok");
  EXPECT_EQ(code_of(backend_->set_access(reservation.address, page_ * 3, Access::read)), "wrong_state");
  EXPECT_EQ(code_of(backend_->set_access(reservation.address, page_, Access::read)), "not_supported");
  EXPECT_EQ(code_of(unbind(reservation.address)), "not_supported");
  EXPECT_EQ(code_of(backend_->set_access(reservation.address, page_ * 2, Access::read)), "ok");
  EXPECT_EQ(code_of(backend_->fill(reservation.address, {}, page_, nullptr)), "wrong_state");
  EXPECT_EQ(read(reservation.address), 0);
  EXPECT_EQ(code_of(unbind(reservation.address, 2)), "ok");
}

TEST_F(CudaRules, C7_APeerVisitsEveryMapping) {
  start("two_devices");
  const Reservation reservation = reserve(3);
  const PhysicalId early = create();
  const PhysicalId late = create();
  ASSERT_EQ(code_of(bind(reservation.address, early)), "ok");
  EXPECT_EQ(code_of(backend_->add_peer(1)), "ok");
  EXPECT_EQ(code_of(backend_->add_peer(1)), "wrong_state");
  EXPECT_EQ(code_of(backend_->add_peer(7)), "invalid_argument");
  ASSERT_EQ(code_of(bind(reservation.address + page_ * 2, late)), "ok");
  // The other device writes both.
  CUcontext other = nullptr;
  ASSERT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&other, 1));
  ASSERT_OK(DRIVER(cuCtxPushCurrent)(other));
  for (const Address at : {reservation.address, reservation.address + page_ * 2})
    EXPECT_OK(DRIVER(cuMemsetD8Async)(at.value, 5, page_.value, nullptr));
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
  EXPECT_OK(DRIVER(cuCtxPopCurrent)(&other));
  EXPECT_EQ(read(reservation.address), 5);
  EXPECT_EQ(read(reservation.address + page_ * 2), 5);
  EXPECT_EQ(code_of(backend_->remove_peer(1)), "ok");
  EXPECT_EQ(code_of(backend_->remove_peer(1)), "invalid_argument");
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRelease)(1));
}

TEST_F(CudaRules, C7_DevicesThatCannotReachEachOtherAreRefused) {
  restart_cuda("four_devices");
  cuda::BackendConfig config = cuda_config();
  const std::array<int, 1> far{2};
  config.peers = far;
  cuda::Refusal refusal;
  config.refusal = &refusal;
  EXPECT_EQ(code_of(cuda::Backend::create(config)), "not_supported");
  EXPECT_STRNE(refusal.text, "");
}

TEST_F(CudaRules, C10_MemoryIsTheDevicesAgainWhenMappingAndHandleAreGone) {
  start("small_memory");
  const Reservation reservation = reserve(1);
  const auto free_now = [&] { return backend_->budget(0)->budget - backend_->budget(0)->usage; };
  const Bytes before = free_now();
  const PhysicalId page = create();
  ASSERT_EQ(code_of(bind(reservation.address, page)), "ok");
  EXPECT_EQ(code_of(destroy(page)), "wrong_state");
  EXPECT_EQ(free_now(), before - page_);
  EXPECT_EQ(code_of(unbind(reservation.address)), "ok");
  EXPECT_EQ(code_of(destroy(page)), "ok");
  EXPECT_EQ(free_now(), before);
}

// The other order: one handle is released while memory of it is mapped through another.
TEST_F(CudaRules, C10_C11_AHandleThatIsReleasedFirstLeavesWhatIsMapped) {
  cuda::BackendConfig config = cuda_config();
  config.exportable = true;
  start("small_memory", config);
  const Reservation reservation = reserve(1);
  const auto free_now = [&] { return backend_->budget(0)->budget - backend_->budget(0)->usage; };
  const auto held = [] { return cuda_live(VASIM_CUDA_HANDLES); };
  const Bytes before = free_now();
  const PhysicalId page = create();
  const auto handle = backend_->export_physical(page);
  ASSERT_TRUE(handle);
  const auto imported = backend_->import_physical({page_, 0, {}}, *handle);
  ASSERT_TRUE(imported && bind(reservation.address, *imported));
  EXPECT_EQ(code_of(destroy(page)), "ok");
  fill(reservation.address, page_, 6);
  EXPECT_EQ(read(reservation.address), 6);
  EXPECT_EQ(held(), 1U);
  EXPECT_EQ(free_now(), before - page_);
  EXPECT_EQ(code_of(unbind(reservation.address)), "ok");
  EXPECT_EQ(free_now(), before - page_) << "a handle is left";
  EXPECT_EQ(code_of(destroy(*imported)), "ok");
  EXPECT_EQ(free_now(), before);
}

TEST_F(CudaRules, C11_C15_ImportsArePairedAndDescriptorsClosedOverManyCycles) {
  cuda::BackendConfig config = cuda_config();
  config.exportable = true;
  start("default", config);
  const PhysicalId page = create();
  const std::size_t files = open_files();
  const std::uint64_t handles = cuda_live(VASIM_CUDA_HANDLES);
  for (int i = 0; i < cuda_cycles(100'000); ++i) {
    const auto exported = backend_->export_physical(page);
    ASSERT_TRUE(exported);
    const auto imported = backend_->import_physical({page_, 0, {}}, *exported);
    ASSERT_TRUE(imported);
    ASSERT_NE(*imported, page) << "equal memory is not one handle";
    ASSERT_TRUE(destroy(*imported));
  }
  EXPECT_EQ(open_files(), files);
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), handles);
}

TEST_F(CudaRules, C12_ASecondReleaseDoesNotReachTheDriver) {
  start();
  const PhysicalId page = create();
  EXPECT_EQ(code_of(destroy(page)), "ok");
  const std::uint64_t releases = cuda_calls("cuMemRelease");
  EXPECT_EQ(code_of(destroy(page)), "unknown_handle");
  EXPECT_EQ(cuda_calls("cuMemRelease"), releases);
}

TEST_F(CudaRules, C13_AnUnbindBeginsAfterTheStreamsThatItIsGiven) {
  start("default", cuda_config(), "delay_us=200..400");
  const Reservation reservation = reserve(2);
  const PhysicalId page = create();
  ASSERT_EQ(code_of(bind(reservation.address, page)), "ok");
  const auto stream = backend_->make_stream();
  ASSERT_TRUE(stream);
  ASSERT_TRUE(backend_->fill(reservation.address, std::byte{3}, page_, *stream));
  const auto point = backend_->mark(*stream);
  ASSERT_TRUE(point);
  const BindOp gone{.address = reservation.address, .size = page_};
  EXPECT_TRUE(backend_->bind({&gone, 1}, {&*point, 1}));
  EXPECT_EQ(code_of(backend_->completed(*point)), "ok");
  EXPECT_EQ(code_of(backend_->completed({point->timeline, point->value + 1})), "invalid_argument");
  EXPECT_EQ(code_of(backend_->destroy_stream(*stream)), "ok");
}

TEST_F(CudaRules, C13_AnUnbindWaitsForTheBackendsOwnCopies) {
  start("default", cuda_config(), "delay_us=200..400");
  const Reservation reservation = reserve(2);
  const PhysicalId one = create();
  const PhysicalId two = create();
  ASSERT_EQ(code_of(bind(reservation.address, one)), "ok");
  ASSERT_EQ(code_of(bind(reservation.address + page_, two)), "ok");
  const CopyOp copy{reservation.address, reservation.address + page_, page_};
  ASSERT_TRUE(backend_->copy({&copy, 1}, {}));
  EXPECT_EQ(code_of(unbind(reservation.address, 2)), "ok");
}

TEST_F(CudaRules, C13_ALimitedWaitEndsInTime) {
  start();
  const auto stream = backend_->make_stream();
  const Reservation reservation = reserve(1);
  const PhysicalId page = create();
  ASSERT_TRUE(stream && bind(reservation.address, page));
  DRIVER(vasim_cuda_hold_streams)(1);
  ASSERT_TRUE(backend_->fill(reservation.address, {}, page_, *stream));
  const auto point = backend_->mark(*stream);
  ASSERT_TRUE(point);
  EXPECT_FALSE(backend_->completed(*point).value());
  EXPECT_EQ(code_of(backend_->wait(*point, 1'000'000)), "timed_out");
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_EQ(code_of(backend_->wait(*point, kForever)), "ok");
  EXPECT_EQ(code_of(backend_->wait(*point, 0)), "ok");
  backend_->forget(*stream);
  EXPECT_TRUE(backend_->completed(*point).value()) << "a point outlives its stream";
  EXPECT_EQ(code_of(backend_->destroy_stream(*stream)), "ok");
}

TEST_F(CudaRules, C14_AnExportThatDoesNotWorkIsFoundOutOnce) {
  cuda::BackendConfig config = cuda_config();
  config.exportable = true;
  start("not_exportable", config);
  EXPECT_FALSE(backend_->profile().capabilities.external_memory);
  const std::uint64_t tried = cuda_calls("cuMemExportToShareableHandle");
  EXPECT_EQ(tried, 1U);
  const PhysicalId page = create();
  EXPECT_EQ(code_of(backend_->export_physical(page)), "not_supported");
  EXPECT_EQ(cuda_calls("cuMemExportToShareableHandle"), tried);
}

TEST_F(CudaRules, C14_WhetherADeviceCanExportIsTriedInAnyCase) {
  start("default");
  EXPECT_TRUE(backend_->can_export());
  EXPECT_FALSE(backend_->profile().capabilities.external_memory) << "memory is not made so";
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 0U);
  start("not_exportable");
  EXPECT_FALSE(backend_->can_export());
  EXPECT_EQ(cuda_calls("cuMemExportToShareableHandle"), 1U);
}

TEST_F(CudaRules, C17_AReservationGoesAsItCame) {
  start();
  const Reservation reservation = reserve(4);
  const PhysicalId page = create();
  ASSERT_EQ(code_of(bind(reservation.address, page)), "ok");
  EXPECT_EQ(code_of(backend_->release(reservation)), "wrong_state");
  Reservation half = reservation;
  half.size = page_ * 2;
  EXPECT_EQ(code_of(backend_->release(half)), "invalid_argument");
  ASSERT_EQ(code_of(unbind(reservation.address)), "ok");
  EXPECT_EQ(code_of(backend_->release(reservation)), "ok");
  EXPECT_EQ(code_of(backend_->release(reservation)), "invalid_argument");
  EXPECT_EQ(cuda_live(VASIM_CUDA_RESERVATIONS), 0U);
}

TEST_F(CudaRules, C17_WhatIsLeftBehindGoesWithTheBackend) {
  start();
  const Reservation reservation = reserve(4);
  ASSERT_EQ(code_of(bind(reservation.address, create())), "ok");
  fill(reservation.address, page_, 1);
  (void)create();
  // TearDown asks the driver what is left.
}

TEST_F(CudaRules, C18_GrowingBesideTheLastReservationMayLandElsewhere) {
  for (const char* profile : {"default", "hint_elsewhere"}) {
    start(profile);
    const Reservation room = reserve(64);  // a hole, so that there is room behind
    ASSERT_TRUE(backend_->release(room));
    auto buffer = cuda::GrowableBuffer::create(*backend_, {.reservation = page_ * 2, .hint = room.address});
    ASSERT_TRUE(buffer);
    ASSERT_TRUE(buffer->grow(page_ * 2));
    const Address before = buffer->address();
    fill(before, page_ * 2, 9);
    ASSERT_TRUE(backend_->wait_idle());
    const auto grown = buffer->grow(page_ * 5);
    ASSERT_TRUE(grown) << code_of(grown);
    const bool moved = *grown == cuda::GrowableBuffer::Grown::moved;
    EXPECT_EQ(moved, profile == std::string("hint_elsewhere"));
    EXPECT_EQ(buffer->address() != before, moved);
    EXPECT_EQ(buffer->size(), page_ * 5);
    EXPECT_EQ(read(buffer->address()), 9);
    EXPECT_EQ(read(buffer->address() + page_ * 2 - Bytes{1}), 9);
    fill(buffer->address() + page_ * 4, page_, 4);
    EXPECT_EQ(read(buffer->address() + page_ * 5 - Bytes{1}), 4);
    ASSERT_TRUE(backend_->wait_idle());
    EXPECT_EQ(code_of(buffer->shrink(page_)), "ok");
    EXPECT_EQ(buffer->size(), page_);
    EXPECT_EQ(code_of(buffer->grow(kMaxBytes)), "invalid_size");
    EXPECT_EQ(code_of(buffer->grow(1_TiB)), "out_of_device_memory");
  }
}

}  // namespace
}  // namespace vaspace::test
