// What the kernel refuses: an error, and the state as it was. The refusals come from a file under the
// backend's descriptor that gives neither memory nor mappings.
#include <cerrno>
#include <sys/statvfs.h>

#include "support/backend_cpu.hpp"

namespace vaspace::test {
namespace {

class RefusalTest : public CpuTest {
 protected:
  static constexpr std::array<MemoryHeap, 2> kHeaps{MemoryHeap{16_MiB, true}, MemoryHeap{16_MiB, true}};

  [[nodiscard]] PhysicalId create_in(std::uint32_t heap, std::uint64_t page) {
    PhysicalId id;
    EXPECT_TRUE(backend_->create_physical({kPage, heap, at(page)}, {&id, 1}));
    return id;
  }
};

TEST_F(RefusalTest, R7_NoMemoryFromTheKernelLeavesTheStateAsItWas) {
  open({});
  settle(0);
  {
    const BrokenHeap broken("00");
    std::vector<PhysicalId> ids(2, PhysicalId{77});
    const Result<void> created = backend_->create_physical({kPage, 0, at(1)}, ids);
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error(), (Error{ErrorCode::driver_error, ENODEV}));
    EXPECT_EQ(ids, std::vector<PhysicalId>(2, PhysicalId{77}));
    EXPECT_EQ(backend_->budget(0)->usage, kPage);
  }
  EXPECT_EQ(physical_in_heap_files(), kPage);
  settle(1);
  EXPECT_EQ(backend_->mappings_held(), 2U) << "home was free again";
}

TEST_F(RefusalTest, AFullKernelIsOutOfDeviceMemory) {
  struct statvfs shm {};
  const bool limited =
      statvfs("/dev/shm", &shm) == 0 && shm.f_blocks != 0 && Bytes{shm.f_blocks * shm.f_frsize} < 8_TiB;
  open({.physical_size = 16_TiB});
  const BrokenHeap small("00", "/dev/shm", O_TMPFILE | O_RDWR);
  if (!limited || !small.usable()) GTEST_SKIP() << "no small tmpfs here";
  PhysicalId id{77};
  const Result<void> created = backend_->create_physical({8_TiB, 0, {}}, {&id, 1});
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error(), (Error{ErrorCode::out_of_device_memory, ENOSPC}));
  EXPECT_EQ(backend_->budget(0)->usage, 0_B);
}

TEST_F(RefusalTest, R7_MemoryThatTheKernelDoesNotTakeBackStaysWithItsIds) {
  open({});
  const std::vector<PhysicalId> ids = create(3, at(0));
  {
    const BrokenHeap broken("00");
    const Result<void> destroyed = backend_->destroy_physical(ids);
    ASSERT_FALSE(destroyed);
    EXPECT_EQ(destroyed.error(), (Error{ErrorCode::driver_error, ENODEV}));
  }
  EXPECT_EQ(backend_->budget(0)->usage, kPage * 3);
  bind(0, ids[1]);
  unbind(0);
  destroy(ids);
}

TEST_F(RefusalTest, R7_C16_AMappingThatIsRefusedInTheMiddleOfABatchTakesAllBack) {
  open({.heaps = kHeaps}, 8);
  const PhysicalId stays = create_in(0, 0);
  const PhysicalId comes = create_in(0, 1);
  const PhysicalId refused = create_in(1, 2);
  bind(0, stays);
  bind(4, stays);
  ASSERT_TRUE(backend_->set_access(at(4), kPage, Access::read));
  write(0, std::byte{8});
  const std::uint64_t mappings = backend_->mappings_held();
  const std::vector<BindOp> batch = {{at(1), kPage, comes, {}},
                                     {at(0), kPage, {}, {}},
                                     {at(4), kPage, {}, {}},
                                     {at(0), kPage, comes, {}},
                                     {at(2), kPage, refused, {}}};
  {
    const BrokenHeap broken("01");
    const auto point = submit(batch);
    ASSERT_FALSE(point);
    EXPECT_EQ(point.error(), (Error{ErrorCode::driver_error, ENODEV}));
  }
  EXPECT_EQ(read(0), std::byte{8});
  EXPECT_EQ(read(4), std::byte{8});
  EXPECT_EQ(kernel_maps(at(4), at(5)).at(0).permissions, "r--s") << "its access is what it was";
  EXPECT_EQ(backend_->mappings_held(), mappings);
  EXPECT_EQ(kernel_mappings(reservation_), mappings);
  destroy({refused});
  EXPECT_EQ(refusal({{at(1), kPage, {}, {}}}), ErrorCode::wrong_state);
  unbind(0);
  unbind(4);
  destroy({stays, comes});
}

TEST_F(RefusalTest, WhatCannotBeTakenBackLosesTheDevice) {
  open({});
  const PhysicalId id = settle(0);
  {
    const BrokenHeap broken("00");
    const auto point = submit({{at(0), kPage, {}, {}}, {at(3), kPage, id, {}}});
    ASSERT_FALSE(point);
    EXPECT_EQ(point.error(), (Error{ErrorCode::device_lost, ENODEV}));
  }
  EXPECT_EQ(refusal({}), ErrorCode::device_lost) << "for good";
  EXPECT_EQ(backend_->completed({}).error().code, ErrorCode::device_lost);
  EXPECT_EQ(backend_->wait({}, 0).error().code, ErrorCode::device_lost);
  EXPECT_EQ(backend_->copy({}, {}).error().code, ErrorCode::device_lost);
  EXPECT_EQ(backend_->release(reservation_).error().code, ErrorCode::device_lost);
}

TEST_F(RefusalTest, ALateRefusalLosesTheDevice) {
  open({.bind_latency_ns = 1'000'000});
  const PhysicalId id = create(1, at(0))[0];
  const auto point = submit({{at(0), kPage, id, {}}});
  ASSERT_TRUE(point);
  const BrokenHeap broken("00");
  const Result<void> waited = backend_->wait(*point, kForever);
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error(), (Error{ErrorCode::device_lost, ENODEV}));
}

TEST_F(RefusalTest, R7_AReservationWhoseMemoryIsRefusedIsNone) {
  auto backend = cpu::Backend::create({.physical_size = 16_MiB, .reserve_commits = true}).value();
  {
    const BrokenHeap broken("00");
    const auto reservation = backend->reserve({1_MiB, {}, {}, 0});
    ASSERT_FALSE(reservation);
    EXPECT_EQ(reservation.error(), (Error{ErrorCode::out_of_device_memory, ENODEV}));
    EXPECT_EQ(backend->budget(0)->usage, 0_B);
    EXPECT_EQ(backend->mappings_held(), 0U);
  }
  const auto reservation = backend->reserve({16_MiB, {}, {}, 0});
  ASSERT_TRUE(reservation);
  const BrokenHeap broken("00");
  EXPECT_EQ(backend->release(*reservation).error(), (Error{ErrorCode::driver_error, ENODEV}));
  EXPECT_EQ(backend->budget(0)->usage, 16_MiB);
}

}  // namespace
}  // namespace vaspace::test
