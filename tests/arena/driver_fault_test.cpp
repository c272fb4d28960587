// R7: every kind of driver call refused once, and for good, at every n that a scenario reaches; everything
// compared after each operation.
#include <gtest/gtest.h>
#include <random>
#include <string>

#include "support/arena_fixture.hpp"
#include "support/arena_ops.hpp"
#include "support/arena_scale.hpp"

namespace vaspace::test {
namespace {

constexpr Call kCalls[] = {Call::reserve,          Call::release, Call::create_physical,
                           Call::destroy_physical, Call::bind,    Call::wait};
constexpr int kSteps = kSanitized ? 50 : 90;

// Mixed sizes, names, frees and giving back, on a device that is nearly too small.
std::string run_steps(VaDriver& driver) {
  std::mt19937_64 random(21);
  for (int i = 0; i < kSteps; ++i) {
    VaOp op = random_op(random, 21);
    if (i % 9 == 8) op = {i % 27 == 26 ? VaOpKind::flush : VaOpKind::collect};
    if (std::string wrong = driver.apply(op); !wrong.empty()) return wrong;
  }
  return driver.check_contents();
}

struct Outcome {
  std::string wrong;
  std::uint64_t refused = 0;  // driver calls
};

Outcome run(const Subject& subject, const Device& device, Call call, std::int64_t nth, Error error,
            bool forever) {
  Stage stage(subject, device, {.arena = {.retain = 128_KiB, .retain_percent = 1}, .exact_books = !forever});
  if (!stage.open()) return {"not created", 0};
  Outcome outcome;
  stage.faulty().fail_at(call, nth, error, forever);
  {
    VaDriver driver(stage);
    outcome.wrong = run_steps(driver);
    outcome.refused = stage.faulty().refused();
    stage.faulty().stop_failing();
    // Afterwards everything works.
    for (const Bytes size : {100_B, 30_KiB, 1_MiB}) {
      if (outcome.wrong.empty()) outcome.wrong = driver.apply({VaOpKind::allocate, size.value, 4});
    }
    if (outcome.wrong.empty()) outcome.wrong = driver.free_all([](std::size_t n) { return n / 2; });
    if (outcome.wrong.empty()) outcome.wrong = driver.apply({VaOpKind::flush});
    const AllocatorReport report = stage.va().report();
    if (outcome.wrong.empty() && report.retained != Bytes{}) outcome.wrong = "something is still retained";
    if (outcome.wrong.empty() && subject.arena && report.total.reserved != Bytes{})
      outcome.wrong = "something is still reserved";
  }
  stage.close();
  if (outcome.wrong.empty()) outcome.wrong = stage.left();
  return outcome;
}

void at_every_n(const Subject& subject, const Device& device, Error error, bool forever) {
  for (const Call call : kCalls) {
    std::uint64_t reached = 0;
    for (std::int64_t nth = 1; nth < 1000; ++nth) {
      const Outcome outcome = run(subject, device, call, nth, error, forever);
      ASSERT_EQ(outcome.wrong, "") << subject << ", " << device << ", call " << int(call) << ", n = " << nth;
      if (outcome.refused == 0) break;
      ++reached;
    }
    const bool makes_it = device.page != Bytes{} || call == Call::reserve || call == Call::release;
    const bool on_demand = subject.arena || (call != Call::reserve && call != Call::release);
    EXPECT_TRUE(reached > 1 || !makes_it || !on_demand) << "the scenario hardly makes call " << int(call);
  }
}

class DriverFaults : public testing::TestWithParam<Subject> {};
INSTANTIATE_TEST_SUITE_P(, DriverFaults, testing::ValuesIn(kSubjects), name_of_subject);

TEST_P(DriverFaults, R7_OnceAtEveryCallWithPages) {
  at_every_n(GetParam(), device_named("AddressPages").of_size(16_MiB), kInjected, false);
}
TEST_P(DriverFaults, R7_OnceAtEveryCallWhereReservingCommits) {
  at_every_n(GetParam(), device_named("AddressCommits").of_size(16_MiB), kInjected, false);
}
// What is answered by giving back first and trying again.
TEST_P(DriverFaults, R7_OutOfMemoryAtEveryCall) {
  at_every_n(GetParam(), device_named("AddressPages").of_size(16_MiB), {ErrorCode::out_of_device_memory, -2},
             false);
}
TEST_P(DriverFaults, R7_ForGoodFromEveryCallOnWithPages) {
  at_every_n(GetParam(), device_named("AddressPages").of_size(16_MiB), kInjected, true);
}
TEST_P(DriverFaults, R7_ForGoodFromEveryCallOnWhereReservingCommits) {
  at_every_n(GetParam(), device_named("AddressCommits").of_size(16_MiB), kInjected, true);
}

// With contents, on real memory: fewer n, as its pages take time.
TEST_P(DriverFaults, R7_ContentsSurviveEachKindOfRefusal) {
  const Device device = device_named("Cpu64KiB").of_size(16_MiB);
  for (const Call call : kCalls) {
    for (const std::int64_t nth : {1, 2, 3, 5, 8, 13, 21}) {
      const Outcome outcome = run(GetParam(), device, call, nth, kInjected, false);
      ASSERT_EQ(outcome.wrong, "") << GetParam() << ", call " << int(call) << ", n = " << nth;
    }
  }
}

}  // namespace
}  // namespace vaspace::test
