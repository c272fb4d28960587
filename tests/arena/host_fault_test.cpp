// R7: every request for host memory refused once, at every n that creation and a scenario reach.
#include <gtest/gtest.h>
#include <random>
#include <string>

#include "support/arena_fixture.hpp"
#include "support/arena_ops.hpp"

namespace vaspace::test {
namespace {

class HostFaults : public testing::TestWithParam<Subject> {};
INSTANTIATE_TEST_SUITE_P(, HostFaults, testing::ValuesIn(kSubjects), name_of_subject);

// Little of each, so that most requests for host memory are first ones of their kind.
constexpr SizeClass kTiny[] = {{256_B, 64_KiB, Strategy::slab},
                               {1_KiB, 128_KiB, Strategy::slab},
                               {40_KiB, 128_KiB},
                               {1_MiB, 4_MiB},
                               {kMaxBytes, {}}};

std::string run_many_steps(VaDriver& driver) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 250; ++i) {
    VaOp op = random_op(random, i % 7 == 0 ? 21 : 14);
    if (i % 50 == 49) op = {VaOpKind::flush};
    if (i % 30 == 29) op = {VaOpKind::allocate, 5000, 27};  // a reservation of its own
    if (std::string wrong = driver.apply(op); !wrong.empty()) return wrong;
  }
  return {};
}

void at_every_n(const Subject& subject, const Device& device, bool index_addresses) {
  std::uint64_t refusals = 0;
  std::int64_t nth = 1;
  for (; nth < 5000; ++nth) {
    Stage stage(subject, device, {.arena = {.classes = kTiny, .index_addresses = index_addresses}});
    stage.host().fail_at(nth);
    const Result<void> opened = stage.open();
    if (!opened) {
      ASSERT_EQ(opened.error().code, ErrorCode::out_of_host_memory) << nth;
      ASSERT_EQ(stage.left(), "") << nth;
      continue;
    }
    {
      VaDriver driver(stage);
      driver.expect_host_failures(true);
      ASSERT_EQ(run_many_steps(driver), "") << subject << ", " << device << ", n = " << nth;
      ASSERT_EQ(driver.free_all([](std::size_t n) { return n / 3; }), "") << "n = " << nth;
      refusals += driver.refusals();
    }
    const bool reached = stage.host().requests() >= nth;
    stage.close();
    ASSERT_EQ(stage.left(), "") << "n = " << nth;
    if (!reached) break;
  }
  EXPECT_GT(nth, subject.arena ? 60 : 20) << "the scenario hardly asks for anything";
  EXPECT_GT(refusals, 10U);
}

TEST_P(HostFaults, R7_AtEveryRequestWithPages) {
  at_every_n(GetParam(), device_named("AddressPages").of_size(64_MiB), false);
}
TEST_P(HostFaults, R7_AtEveryRequestWithPagesAndAnIndex) {
  at_every_n(GetParam(), device_named("AddressPages").of_size(64_MiB), true);
}
TEST_P(HostFaults, R7_AtEveryRequestWhereReservingCommits) {
  at_every_n(GetParam(), device_named("AddressCommits").of_size(64_MiB), false);
}

}  // namespace
}  // namespace vaspace::test
