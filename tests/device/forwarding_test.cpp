// The backends that stand in front of another: they count, refuse and hold back, and change nothing else.
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "vaspace/backends/cpu.hpp"
#include "vaspace/device/counting_backend.hpp"

#include "support/faulty_backend.hpp"
#include "support/gate_backend.hpp"

namespace vaspace::test {
namespace {

// A backend to stand in front of, with one page bound.
class ForwardingTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = cpu::Backend::create({.physical_size = 16_MiB});
    ASSERT_TRUE(made);
    real_ = std::move(*made);
  }
  static BindOp put(const Reservation& reservation, PhysicalId id) {
    return {reservation.address, 64_KiB, id, {}};
  }
  static BindOp take(const Reservation& reservation) { return {reservation.address, 64_KiB, {}, {}}; }

  // Every call once; what each answers.
  static std::vector<std::string> run_all(Backend& backend) {
    std::vector<std::string> answers;
    const auto note = [&](const auto& result) {
      answers.emplace_back(result ? "ok" : to_string(result.error().code));
    };
    const auto reservation = backend.reserve({128_KiB, {}, {}, 0});
    note(reservation);
    const Reservation r = reservation.value_or(Reservation{});
    std::vector<PhysicalId> ids(2);
    note(backend.create_physical({64_KiB, 0, r.address}, ids));
    const std::vector<BindOp> ops = {{r.address, 64_KiB, ids[0], {}},
                                     {r.address + 64_KiB, 64_KiB, ids[1], {}}};
    const auto point = backend.bind(ops, {});
    note(point);
    note(backend.completed(point.value_or(TimelinePoint{})));
    note(backend.wait(point.value_or(TimelinePoint{}), 0));
    const CopyOp copy{r.address, r.address + 64_KiB, 1_KiB};
    note(backend.copy({&copy, 1}, {}));
    note(backend.set_access(r.address, 64_KiB, Access::read_write));
    note(backend.map(r.address, 64_KiB));
    note(backend.flush(r.address, 64_KiB));
    note(backend.invalidate(r.address, 64_KiB));
    note(backend.unmap(r.address, 64_KiB));
    note(backend.locate(r.address));
    note(backend.export_physical(ids[0]));
    note(backend.import_physical({64_KiB, 0, {}}, {}));
    note(backend.export_reservation(r));
    note(backend.import_reservation({64_KiB, {}, {}, 0}, {}));
    note(backend.budget(0));
    note(backend.read_budget(0));
    note(backend.import_host_pointer(nullptr, {64_KiB, {}, {}, 0}));
    note(backend.host_pointer_types(nullptr));
    answers.push_back(std::to_string(backend.host_pointer_alignment().value));
    note(backend.measured_physical());
    const BindOp off{r.address, 128_KiB, {}, {}};
    note(backend.bind({&off, 1}, {}));
    note(backend.destroy_physical(ids));
    note(backend.release(r));
    return answers;
  }

  HostObject<cpu::Backend> real_;
};

TEST_F(ForwardingTest, EveryCallReachesTheOtherBackendAndItsAnswerComesBack) {
  ForwardingBackend forwarding(*real_);
  EXPECT_EQ(&forwarding.profile(), &real_->profile());
  EXPECT_EQ(run_all(forwarding), run_all(*real_));
  EXPECT_EQ(real_->budget(0)->usage, Bytes{});
}

TEST_F(ForwardingTest, EveryCallIsCountedOnceUnderItsName) {
  CountingBackend counting(*real_);
  EXPECT_EQ(run_all(counting), run_all(*real_));
  BackendCounts expected;
  expected.reserve = expected.release = expected.create_physical = expected.destroy_physical = 1;
  expected.objects_created = expected.objects_destroyed = 2;
  expected.bind = 2;
  expected.bound_ops = 2;
  expected.bound_bytes = expected.unbound_bytes = 128 * 1024;
  expected.unbound_ops = 1;
  expected.copy = 1;
  expected.copied_bytes = 1024;
  expected.set_access = expected.map = expected.unmap = expected.flush = expected.invalidate = 1;
  expected.export_physical = expected.import_physical = expected.locate = 1;
  expected.export_reservation = 1;
  expected.import_reservation = 2;  // from a file descriptor, and from a host pointer
  expected.budget = 2;              // the last reading, and a new one
  expected.measured_physical = expected.completed = expected.wait = 1;
  expected.failed = 6;  // locate, and both exports and all imports
  const BackendCounts counts = counting.counts();
  std::vector<std::pair<std::string, std::uint64_t>> got;
  std::vector<std::pair<std::string, std::uint64_t>> wanted;
  counts.each([&](const char* name, std::uint64_t n) { got.emplace_back(name, n); });
  expected.each([&](const char* name, std::uint64_t n) { wanted.emplace_back(name, n); });
  EXPECT_EQ(got, wanted);
  EXPECT_EQ(got.size() * sizeof(std::uint64_t), sizeof(BackendCounts)) << "each() leaves one out";
  counting.reset();
  EXPECT_EQ(counting.counts(), BackendCounts{});
}

TEST_F(ForwardingTest, AnObserverHearsOfWhatHappenedAndNotOfWhatWasTried) {
  std::vector<Event> events;
  const Observer observer{&events, [](void* user, const Event& event) noexcept {
                            static_cast<std::vector<Event>*>(user)->push_back(event);
                          }};
  CountingBackend counting(*real_, observer);
  EXPECT_FALSE(counting.reserve({1_B, {}, {}, 0}));
  EXPECT_FALSE(counting.release({}));
  const BindOp nowhere{Address{1U << 16U}, 64_KiB, {}, {}};
  EXPECT_FALSE(counting.bind({&nowhere, 1}, {}));
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(counting.counts().failed, 3U);
  EXPECT_EQ(counting.counts().unbound_ops, 0U);

  run_all(counting);
  std::vector<std::pair<EventKind, Bytes>> got;
  for (const Event& event : events)
    got.emplace_back(event.kind, event.size);
  const std::vector<std::pair<EventKind, Bytes>> wanted = {{EventKind::reserve, 128_KiB},
                                                           {EventKind::commit, 64_KiB},
                                                           {EventKind::commit, 64_KiB},
                                                           {EventKind::decommit, 128_KiB},
                                                           {EventKind::release, 128_KiB}};
  EXPECT_EQ(got, wanted);
}

// A backend that has memory for others, for what the CPU's denies.
class SharingBackend : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Result<ExternalHandle> export_reservation(const Reservation& reservation) noexcept override {
    return ExternalHandle{static_cast<int>(reservation.handle)};
  }
  Result<Reservation> import_reservation(const ReservationRequest& request,
                                         ExternalHandle handle) noexcept override {
    return Reservation{Address{64}, request.size, static_cast<std::uint64_t>(handle.fd)};
  }
};

TEST_F(ForwardingTest, ReservationsOfOthersPassWithTheirArguments) {
  SharingBackend sharing(*real_);
  std::vector<EventKind> events;
  const Observer observer{&events, [](void* user, const Event& event) noexcept {
                            static_cast<std::vector<EventKind>*>(user)->push_back(event.kind);
                          }};
  CountingBackend counting(sharing, observer);
  EXPECT_EQ(counting.export_reservation({Address{}, 1_MiB, 7})->fd, 7);
  const Reservation imported = counting.import_reservation({.size = 3_MiB}, {9}).value();
  EXPECT_EQ(imported.size, 3_MiB);
  EXPECT_EQ(imported.handle, 9U);
  EXPECT_EQ(counting.counts().export_reservation, 1U);
  EXPECT_EQ(counting.counts().import_reservation, 1U);
  EXPECT_EQ(events, std::vector{EventKind::reserve});
}

TEST_F(ForwardingTest, TraitsReachTheOtherBackend) {
  auto commits = cpu::Backend::create({.physical_size = 16_MiB, .reserve_commits = true});
  ASSERT_TRUE(commits);
  ForwardingBackend forwarding(**commits);
  ReservationRequest request{.size = 64_KiB};
  request.traits.exportable = true;
  EXPECT_EQ(forwarding.reserve(request).error().code, ErrorCode::not_supported) << "the profile denies it";
  request.traits = {};
  const auto reservation = forwarding.reserve(request);
  ASSERT_TRUE(reservation);
  EXPECT_TRUE(forwarding.release(*reservation));
}

TEST_F(ForwardingTest, AFaultyBackendRefusesTheNthCallOfItsKindAndNoOther) {
  FaultyBackend faulty(*real_);
  faulty.fail_at(Call::reserve, 2, {ErrorCode::out_of_address_space, 7});
  const auto first = faulty.reserve({64_KiB, {}, {}, 0});
  EXPECT_TRUE(first);
  EXPECT_TRUE(faulty.release(*first)) << "another kind";
  const auto second = faulty.reserve({64_KiB, {}, {}, 0});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), (Error{ErrorCode::out_of_address_space, 7}));
  EXPECT_TRUE(faulty.reserve({64_KiB, {}, {}, 0}));
  EXPECT_EQ(faulty.calls(Call::reserve), 3U);
  EXPECT_EQ(faulty.refused(), 1U);
}

TEST_F(ForwardingTest, AFaultyBackendRefusesAnyCallAndForEver) {
  FaultyBackend faulty(*real_);
  faulty.fail_any_at(2, {ErrorCode::driver_error, 1}, true);
  const auto reservation = faulty.reserve({64_KiB, {}, {}, 0});
  ASSERT_TRUE(reservation);
  EXPECT_FALSE(faulty.release(*reservation));
  EXPECT_FALSE(faulty.release(*reservation));
  EXPECT_FALSE(faulty.bind({}, {}));
  faulty.stop_failing();
  EXPECT_TRUE(faulty.release(*reservation)) << "the refused calls never arrived";
  EXPECT_EQ(faulty.calls(), 5U);
}

class GateTest : public ForwardingTest {
 protected:
  void SetUp() override {
    ForwardingTest::SetUp();
    gate_.emplace(*real_);
    reservation_ = gate_->reserve({64_KiB, {}, {}, 0}).value();
    ASSERT_TRUE(gate_->create_physical({64_KiB, 0, {}}, {&id_, 1}));
  }
  std::optional<GateBackend> gate_;
  Reservation reservation_;
  PhysicalId id_;
};

TEST_F(GateTest, ABindIsHeldUntilTheGateOpensWhileOthersPass) {
  gate_->hold_next_bind();
  Result<TimelinePoint> answer = fail(ErrorCode::malformed);
  const BindOp op = put(reservation_, id_);
  std::thread binder([&] { answer = gate_->bind({&op, 1}, {}); });
  gate_->wait_until_held();
  EXPECT_TRUE(gate_->bind({}, {})) << "only the first is held";
  EXPECT_TRUE(gate_->destroy_physical({})) << "other calls pass";
  EXPECT_TRUE(gate_->held());
  gate_->open();
  binder.join();
  EXPECT_TRUE(answer);
  EXPECT_EQ(gate_->release(reservation_).error().code, ErrorCode::wrong_state) << "bound";
}

TEST_F(GateTest, AHeldBindCanBeMadeToFail) {
  gate_->hold_next_bind_of(reservation_.address);
  EXPECT_TRUE(gate_->bind({}, {})) << "concerns another address";
  Result<TimelinePoint> answer = TimelinePoint{};
  const BindOp op = put(reservation_, id_);
  std::thread binder([&] { answer = gate_->bind({&op, 1}, {}); });
  gate_->wait_until_held();
  gate_->open_with({ErrorCode::out_of_mappings, 12});
  binder.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error(), (Error{ErrorCode::out_of_mappings, 12}));
  EXPECT_TRUE(gate_->release(reservation_)) << "never reached the backend behind";
}

}  // namespace
}  // namespace vaspace::test
