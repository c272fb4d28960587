// Binds of the CPU backend that take the place of what is bound, that give less than full access, and that
// bind nothing: what the map algebra asks of it. R7.
#include <atomic>
#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "support/backend_cpu.hpp"
#include "support/faulty_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

class CpuReplace : public CpuTest {
 protected:
  // The backend goes before the host that it was opened with.
  void TearDown() override { backend_.reset(); }

  [[nodiscard]] BindOp over(std::uint64_t page, PhysicalId id, std::uint64_t pages = 1) const {
    return {.address = at(page), .size = kPage * pages, .physical = id, .replace = true};
  }
  [[nodiscard]] BindOp null(std::uint64_t page, std::uint64_t pages = 1, bool replace = false) const {
    return {.address = at(page), .size = kPage * pages, .null = true, .replace = replace};
  }

  TestHost host_;
};

// Whether `action` dies of a segmentation fault.
template <class Action>
bool faults(Action&& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    action();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

TEST_F(CpuReplace, TakesThePlaceOfWhatIsThere) {
  open({});
  const auto ids = create(4);
  for (std::uint64_t i = 0; i < 4; ++i) {
    bind(i, ids[i]);
    write(i, std::byte(10 + i));
  }
  EXPECT_EQ(refusal({over(1, ids[3])}), kOk) << "aliased, over one of them";
  EXPECT_EQ(read(1), std::byte(13));
  EXPECT_EQ(refusal({over(4, ids[0])}), kOk) << "over nothing";
  EXPECT_EQ(read(4), std::byte(10));
  EXPECT_EQ(refusal({{.address = at(5), .size = kPage, .replace = true}}), ErrorCode::invalid_argument);
  unbind(0, 5);
  destroy(ids);
}

TEST_F(CpuReplace, IsDeniedWhereItIsSwitchedOff) {
  open({.replace = false, .null_binds = false});
  EXPECT_FALSE(backend_->profile().capabilities.replace || backend_->profile().capabilities.null_binds);
  const auto ids = create(2);
  bind(0, ids[0]);
  EXPECT_EQ(refusal({over(0, ids[1])}), ErrorCode::not_supported);
  EXPECT_EQ(refusal({null(1)}), ErrorCode::not_supported);
  unbind(0);
  destroy(ids);
}

TEST_F(CpuReplace, ARefusedBatchPutsBackWhatItReplaced_R7) {
  TestHost& host = host_;
  open({.host = host.allocator()});
  const auto ids = create(3);
  bind(0, ids[0]);
  bind(1, ids[1]);
  write(0, std::byte{7});
  write(1, std::byte{8});
  const std::uint64_t mappings = backend_->mappings_held();
  EXPECT_EQ(refusal({over(0, ids[2], 1), {at(1), kPage, ids[2], {}}}), ErrorCode::wrong_state);
  EXPECT_EQ(read(0), std::byte{7});
  for (std::int64_t nth = 1; nth < 20; ++nth) {
    host.fail_at(nth);
    const ErrorCode code = refusal({over(0, ids[2]), null(2), over(1, ids[0])});
    host.fail_at(0);
    if (code == kOk) break;
    EXPECT_EQ(code, ErrorCode::out_of_host_memory);
    EXPECT_EQ(read(0), std::byte{7});
    EXPECT_EQ(read(1), std::byte{8});
    EXPECT_EQ(backend_->mappings_held(), mappings);
  }
  EXPECT_EQ(read(1), std::byte{7});
  EXPECT_EQ(read(2), std::byte{0});
  unbind(0, 3);
  destroy(ids);
}

TEST_F(CpuReplace, WhereBindsAreTakenWholeNoPartOfOneIsReplaced_C8) {
  open({.partial_unbind = false});
  PhysicalId two;
  ASSERT_TRUE(backend_->create_physical({kPage * 2, 0, {}}, {&two, 1}));
  const auto ids = create(1);
  bind(0, two, 2);
  EXPECT_EQ(refusal({over(0, ids[0])}), ErrorCode::not_supported);
  EXPECT_EQ(refusal({over(0, ids[0]), over(1, ids[0])}), ErrorCode::not_supported);
  unbind(0, 2);
  destroy({two, ids[0]});
}

TEST_F(CpuReplace, NullReadsZerosCostsNothingAndMerges) {
  open({});
  const Bytes before = *backend_->measured_physical();
  const std::uint64_t mappings = backend_->mappings_held();
  ASSERT_EQ(refusal({null(8, 8)}), kOk);
  ASSERT_EQ(refusal({null(16, 8)}), kOk);
  EXPECT_EQ(backend_->mappings_held(), mappings + 2) << "one run of zeros between two holes";
  for (std::uint64_t page = 8; page < 24; ++page)
    EXPECT_EQ(read(page), std::byte{0});
  EXPECT_EQ(*backend_->measured_physical(), before);
  EXPECT_TRUE(faults([&] { write(9, std::byte{1}); }));
  EXPECT_EQ(refusal({null(10)}), ErrorCode::wrong_state) << "bound already";
  EXPECT_FALSE(backend_->set_access(at(9), kPage, Access::read_write)) << "there is nothing to write to";
  const PhysicalId id = create(1)[0];
  ASSERT_EQ(refusal({over(12, id)}), kOk);
  write(12, std::byte{5});
  EXPECT_EQ(read(12), std::byte{5});
  ASSERT_EQ(refusal({null(12, 1, true)}), kOk);
  EXPECT_EQ(read(12), std::byte{0});
  unbind(8, 16);
  EXPECT_TRUE(faults([&] { (void)read(9); }));
  EXPECT_EQ(backend_->mappings_held(), mappings);
  destroy({id});
}

TEST_F(CpuReplace, WhatIsBoundForReadingFaultsWhenWritten) {
  open({});
  const PhysicalId id = create(1)[0];
  bind(0, id);
  write(0, std::byte{3});
  ASSERT_EQ(refusal({{.address = at(1), .size = kPage, .physical = id, .access = Access::read}}), kOk);
  EXPECT_EQ(read(1), std::byte{3});
  EXPECT_TRUE(faults([&] { write(1, std::byte{4}); }));
  unbind(0, 2);
  destroy({id});
}

TEST_F(CpuReplace, LaterBindsKeepTheirKind) {
  open({.bind_latency_ns = 2'000'000});
  const PhysicalId id = create(1)[0];
  bind(0, id);
  write(0, std::byte{3});
  wait(submit({null(1), {.address = at(2), .size = kPage, .physical = id, .access = Access::read}}));
  EXPECT_EQ(read(1), std::byte{0});
  EXPECT_EQ(read(2), std::byte{3});
  EXPECT_TRUE(faults([&] { write(2, std::byte{4}); }));
  wait(submit({{.address = at(0), .size = kPage * 3}}));
  destroy({id});
}

// To the thread sanitizer a remap is a write, and a read beside it a race; it is what is tested here.
__attribute__((no_sanitize("thread"))) bool all_are(const std::byte* begin, Bytes size, std::byte value) {
  for (std::uint64_t i = 0; i < size.value; i += 4096)
    if (*const_cast<const volatile std::byte*>(begin + i) != value) return false;
  return true;
}

// Two pages of equal content, one put in the other's place again and again: who reads sees that content.
TEST_F(CpuReplace, AReaderNeverMeetsAHole) {
  open({});
  const auto ids = create(2);
  for (const PhysicalId id : ids) {
    bind(0, id);
    std::memset(pointer(at(0)), 0x5a, kPage.value);
    unbind(0);
  }
  bind(0, ids[0]);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> reads{0};
  std::thread reader([&] {
    while (!stop.load()) {
      if (!all_are(pointer(at(0)), kPage, std::byte{0x5a})) return;
      reads.fetch_add(1);
    }
  });
  for (std::uint64_t i = 0; i < 2000 || reads.load() < 100; ++i)
    ASSERT_EQ(refusal({over(0, ids[i % 2])}), kOk);
  stop = true;
  reader.join();
  EXPECT_GE(reads.load(), 100U);
  unbind(0);
  destroy(ids);
}

}  // namespace
}  // namespace vaspace::test
