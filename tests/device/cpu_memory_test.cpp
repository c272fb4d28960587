// That the memory of the CPU backend is real: read, written, shared, faulting and given back.
#include <csetjmp>
#include <csignal>

#include "support/backend_cpu.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

// NOLINTBEGIN: a signal handler has nothing but globals.
sigjmp_buf g_back;
void jump_back(int) {
  siglongjmp(g_back, 1);
}
// NOLINTEND

// Whether touching `at` faults.
bool faults(volatile std::byte* at, bool writing) {
  struct sigaction action {};
  struct sigaction segv {};
  struct sigaction bus {};
  action.sa_handler = &jump_back;
  sigaction(SIGSEGV, &action, &segv);
  sigaction(SIGBUS, &action, &bus);
  bool faulted = false;
  if (sigsetjmp(g_back, 1) == 0) {
    if (writing) {
      *at = std::byte{1};
    } else {
      (void)static_cast<std::byte>(*at);
    }
  } else {
    faulted = true;
  }
  sigaction(SIGSEGV, &segv, nullptr);
  sigaction(SIGBUS, &bus, nullptr);
  return faulted;
}

TEST_F(CpuTest, WhatIsBoundIsMemoryAndWhatIsNotFaults) {
  open({});
  EXPECT_TRUE(faults(pointer(at(0)), false)) << "a reservation is no memory";
  const PhysicalId id = settle(0);
  for (std::uint64_t i = 0; i < kPage.value; i += 4096)
    pointer(at(0))[i] = static_cast<std::byte>(i / 4096);
  for (std::uint64_t i = 0; i < kPage.value; i += 4096)
    EXPECT_EQ(pointer(at(0))[i], static_cast<std::byte>(i / 4096));
  EXPECT_TRUE(faults(pointer(at(1)), false));
  unbind(0);
  EXPECT_TRUE(faults(pointer(at(0)), false));
  EXPECT_TRUE(faults(pointer(at(0)), true));
  bind(5, id);
  EXPECT_EQ(pointer(at(5))[4096], std::byte{1}) << "contents belong to the page, not to the address";
}

TEST_F(CpuTest, V29_OnePageAtTwoAddressesIsOnePage) {
  open({});
  const PhysicalId id = settle(0);
  bind(9, id);
  write(0, std::byte{17});
  EXPECT_EQ(read(9), std::byte{17});
  write(9, std::byte{18});
  EXPECT_EQ(read(0), std::byte{18});
  EXPECT_EQ(physical_in_heap_files(), kPage);
  unbind(0);
  EXPECT_EQ(read(9), std::byte{18});
}

TEST_F(CpuTest, AnOffsetIsAnOffset) {
  open({});
  PhysicalId wide;
  ASSERT_TRUE(backend_->create_physical({kPage * 4, 0, {}}, {&wide, 1}));
  bind(0, wide, 4);
  for (std::uint64_t i = 0; i < 4; ++i)
    write(i, static_cast<std::byte>(i));
  wait(submit({{at(10), kPage * 2, wide, kPage * 2}}));
  EXPECT_EQ(read(10), std::byte{2});
  EXPECT_EQ(read(11), std::byte{3});
}

TEST_F(CpuTest, V27_PhysicalMemoryReallyFallsWhenPagesAreDestroyed) {
  open({});
  const Bytes before = physical_in_heap_files();
  EXPECT_EQ(before, 0_B) << "a reservation costs none";
  const std::vector<PhysicalId> ids = create(16, at(0));
  EXPECT_EQ(physical_in_heap_files(), kPage * 16) << "taken before it is touched";
  for (std::uint64_t i = 0; i < 16; ++i) {
    bind(i, ids[i]);
    write(i, std::byte{1});
  }
  unbind(0, 16);
  EXPECT_EQ(physical_in_heap_files(), kPage * 16) << "unbound is not given back";
  destroy({ids[3], ids[4], ids[9]});
  EXPECT_EQ(physical_in_heap_files(), kPage * 13);
  EXPECT_EQ(backend_->measured_physical(), kPage * 13);
  EXPECT_EQ(backend_->budget(0)->usage, kPage * 13);
  backend_.reset();
  EXPECT_EQ(physical_in_heap_files(), 0_B);
}

TEST_F(CpuTest, ANewPageIsZeroAlsoWhereAnotherWas) {
  open({});
  const PhysicalId id = settle(0);
  write(0, std::byte{77});
  unbind(0);
  destroy({id});
  settle(0);
  EXPECT_EQ(read(0), std::byte{0});
}

TEST_F(CpuTest, LargePagesAreMemoryToo) {
  const std::array<Bytes, 1> large{2_MiB};
  open({.page_sizes = large}, 128);
  PhysicalId id;
  ASSERT_TRUE(backend_->create_physical({2_MiB, 0, at(32)}, {&id, 1}));
  bind(32, id, 32);
  write(32, std::byte{5});
  write(63, std::byte{5});
  EXPECT_TRUE(faults(pointer(at(31)), false));
  EXPECT_TRUE(faults(pointer(at(64)), false));
  EXPECT_EQ(physical_in_heap_files(), 2_MiB);
}

TEST_F(CpuTest, C6_AccessIsWhatItSays) {
  open({});
  settle(0);
  settle(1);
  write(0, std::byte{3});
  write(1, std::byte{3});
  ASSERT_TRUE(backend_->set_access(at(0), kPage, Access::read));
  EXPECT_EQ(read(0), std::byte{3});
  EXPECT_TRUE(faults(pointer(at(0)), true));
  EXPECT_FALSE(faults(pointer(at(1)), true));
  ASSERT_TRUE(backend_->set_access(at(0), kPage * 2, Access::none));
  EXPECT_TRUE(faults(pointer(at(0)), false));
  EXPECT_TRUE(faults(pointer(at(1)), false));
  ASSERT_TRUE(backend_->set_access(at(0), kPage * 2, Access::read_write));
  EXPECT_FALSE(faults(pointer(at(0)), true));
  unbind(0);
  settle(0);
  EXPECT_FALSE(faults(pointer(at(0)), true)) << "a new bind can be written";
}

TEST_F(CpuTest, CopiesRespectAccess) {
  open({});
  settle(0);
  settle(1);
  const CopyOp op{at(0), at(1), kPage};
  ASSERT_TRUE(backend_->set_access(at(1), kPage, Access::read));
  EXPECT_EQ(backend_->copy({&op, 1}, {}).error().code, ErrorCode::wrong_state);
  ASSERT_TRUE(backend_->set_access(at(1), kPage, Access::read_write));
  ASSERT_TRUE(backend_->set_access(at(0), kPage, Access::read));
  EXPECT_TRUE(backend_->copy({&op, 1}, {}));
  ASSERT_TRUE(backend_->set_access(at(0), kPage, Access::none));
  EXPECT_EQ(backend_->copy({&op, 1}, {}).error().code, ErrorCode::wrong_state);
}

TEST_F(CpuTest, CommittedReservationsAreMemoryAtOnce) {
  auto backend = cpu::Backend::create({.physical_size = 16_MiB, .reserve_commits = true}).value();
  const auto reservation = backend->reserve({8_MiB, Alignment{4_MiB}, {}, 0});
  ASSERT_TRUE(reservation);
  EXPECT_EQ(physical_in_heap_files(), 8_MiB);
  *pointer(reservation->address) = *pointer(reservation->end() - 1_B) = std::byte{1};
  ASSERT_TRUE(backend->release(*reservation));
  EXPECT_EQ(physical_in_heap_files(), 0_B);
  EXPECT_TRUE(faults(pointer(reservation->address), false));
}

}  // namespace
}  // namespace vaspace::test
