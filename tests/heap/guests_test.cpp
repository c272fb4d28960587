// V4, V16: memory that others take through a heap's gate, readings of the budget while memory is on its way,
// and who is asked to let go of memory that is short.
#include <functional>

#include "vaspace/device/forwarding_backend.hpp"

#include "ledger.hpp"

namespace vaspace::test {
namespace {

HeapRequest device_memory(Bytes size, BudgetPolicy policy = BudgetPolicy::within) {
  HeapRequest request = request_for(size);
  request.requirements.memory_type_bits = 1;
  request.dedicated = DedicatedWish::required;
  request.budget = policy;
  return request;
}

TEST(HeapGuests, PassTheGateAsTheHeapsOwn_V4_V16) {
  PlainDevice device(discrete(1_GiB));
  auto heap = SingleThreadedHeap::create(device, {.heap_limits = {64_MiB}, .max_memory_objects = 3});
  ASSERT_TRUE(heap->enter_guest(0, 40_MiB, BudgetPolicy::within));
  EXPECT_EQ(heap->budget(0)->committed, 40_MiB) << "before the driver is asked";
  heap->guest_step(0, 40_MiB, GuestStep::taken);
  EXPECT_EQ(heap->report().total.guests, 40_MiB);
  EXPECT_EQ(heap->report().memory_types[0].guests, 40_MiB);
  EXPECT_EQ(heap->report().total.committed, 40_MiB);
  EXPECT_EQ(heap->report().memory_objects, 1U);
  EXPECT_EQ(heap->validate(), nullptr);

  const Error full{ErrorCode::out_of_device_memory};
  EXPECT_EQ(heap->enter_guest(0, 25_MiB, BudgetPolicy::within).error(), full);
  EXPECT_EQ(heap->enter_guest(0, 25_MiB, BudgetPolicy::may_exceed).error(), full) << "a limit binds both";
  EXPECT_EQ(heap->allocate(device_memory(25_MiB, BudgetPolicy::may_exceed)).error(), full);
  EXPECT_EQ(heap->report().refused_by_budget, 4U) << "an allocation is tried twice";
  const auto own = heap->allocate(device_memory(24_MiB));
  ASSERT_TRUE(own);
  EXPECT_EQ(heap->enter_guest(0, 1_B, BudgetPolicy::may_exceed).error(), full);

  ASSERT_TRUE(heap->enter_guest(1, 1_MiB, BudgetPolicy::within)) << "another heap of the device";
  EXPECT_EQ(heap->enter_guest(1, 1_MiB, BudgetPolicy::may_exceed).error(),
            (Error{ErrorCode::out_of_address_space}))
      << "the fourth memory object (V4)";
  heap->guest_step(1, 1_MiB, GuestStep::refused);
  EXPECT_EQ(heap->report().memory_objects, 2U) << "the driver had none";
  EXPECT_EQ(heap->budget(1)->committed, 0_B);

  heap->guest_step(0, 40_MiB, GuestStep::leaving);
  EXPECT_EQ(heap->enter_guest(0, 1_MiB, BudgetPolicy::within).error(), full) << "it has not left yet";
  heap->guest_step(0, 40_MiB, GuestStep::left);
  EXPECT_EQ(heap->report().total.guests, 0_B);
  EXPECT_EQ(heap->report().memory_objects, 1U);
  EXPECT_EQ(heap->validate(), nullptr);
  EXPECT_EQ(heap->enter_guest(9, 1_MiB, BudgetPolicy::within).error().code, ErrorCode::invalid_argument);
  heap->free(*own);
  EXPECT_EQ(heap->trim(), 0_B);
}

TEST(HeapGuests, BudgetsBindThem_V16) {
  PlainDevice device(discrete(1_GiB));
  device.budget_share[0] = 64_MiB;
  device.foreign[0] = 50_MiB;
  auto heap = SingleThreadedHeap::create(device);
  EXPECT_EQ(heap->enter_guest(0, 15_MiB, BudgetPolicy::within).error().code, ErrorCode::out_of_device_memory);
  ASSERT_TRUE(heap->enter_guest(0, 14_MiB, BudgetPolicy::within));
  heap->guest_step(0, 14_MiB, GuestStep::refused);
  ASSERT_TRUE(heap->enter_guest(0, 100_MiB, BudgetPolicy::may_exceed));
  heap->guest_step(0, 100_MiB, GuestStep::refused);
  EXPECT_EQ(heap->validate(), nullptr);
}

// Things happen while the driver is asked.
class BusyDevice final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Result<Budget> read_budget(std::uint32_t heap) noexcept override {
    if (before) std::exchange(before, nullptr)();
    Result<Budget> answer = next().read_budget(heap);
    if (after) std::exchange(after, nullptr)();
    return answer;
  }
  std::function<void()> before, after;
};

// What is under way while the driver is asked may be counted twice for a while, never forgotten: another
// process has 20 MiB, a guest 10 MiB, and the driver knows of it whatever the gate does.
TEST(HeapGuests, AReadingForgetsNothingThatIsUnderWay_V16) {
  constexpr Bytes kGuest = 10_MiB;
  constexpr Bytes kOthers = 20_MiB;
  for (int when = 0; when < 6; ++when) {
    PlainDevice device(discrete(1_GiB));
    BusyDevice busy(device);
    device.foreign[0] = kOthers;
    auto heap = SingleThreadedHeap::create(busy);
    const auto enter = [&] { ASSERT_TRUE(heap->enter_guest(0, kGuest, BudgetPolicy::may_exceed)); };
    const auto step = [&](GuestStep to) { heap->guest_step(0, kGuest, to); };
    const auto driver_gives = [&] { device.foreign[0] += kGuest; };
    const auto driver_takes = [&] { device.foreign[0] -= kGuest; };
    const auto read = [&] {
      for (int i = 0; i < 40; ++i)
        heap->collect();
      return heap->budget(0)->usage;
    };
    (void)read();
    if (when == 0) {  // entered, and the driver has given it, but nobody has said so
      enter();
      driver_gives();
      EXPECT_GE(read(), kOthers + kGuest);
      step(GuestStep::taken);
    } else if (when == 1) {  // entered, and the driver gives it after it was asked
      enter();
      EXPECT_GE(read(), kOthers + kGuest);
      driver_gives();
      step(GuestStep::taken);
    } else if (when == 2) {  // all of it between the look at the books and the question
      busy.before = [&] {
        enter();
        driver_gives();
        step(GuestStep::taken);
      };
      (void)read();
    } else {
      enter();
      driver_gives();
      step(GuestStep::taken);
      (void)read();
      if (when == 3) {  // it has gone, but nobody has said so
        step(GuestStep::leaving);
        driver_takes();
        (void)read();
        step(GuestStep::left);
      } else {  // all of it within the question, before the driver answers or after
        const auto leave = [&] {
          step(GuestStep::leaving);
          driver_takes();
          step(GuestStep::left);
        };
        (when == 4 ? busy.before : busy.after) = leave;
        (void)read();
      }
    }
    const Bytes real = when < 3 ? kOthers + kGuest : kOthers;
    EXPECT_GE(heap->budget(0)->usage, real) << when;
    EXPECT_EQ(read(), real) << "and a quiet reading is exact, " << when;
    EXPECT_EQ(heap->validate(), nullptr) << when;
  }
}

TEST(HeapGuests, WhoHoldsUnusedMemoryLetsGoOfItFirst_V16) {
  struct Holder {
    SingleThreadedHeap* heap = nullptr;
    HeapAllocation unused{};
    int asked = 0;
  };
  for (const BudgetPolicy policy : {BudgetPolicy::within, BudgetPolicy::may_exceed}) {
    PlainDevice device(discrete(1_GiB));
    device.budget_share[0] = 64_MiB;
    Holder holder;
    HeapConfig config;
    config.on_pressure = {&holder, [](void* user) noexcept {
                            auto& it = *static_cast<Holder*>(user);
                            ++it.asked;
                            if (it.unused) it.heap->free(std::exchange(it.unused, {}));
                          }};
    auto heap = SingleThreadedHeap::create(device, config);
    holder.heap = &*heap;
    holder.unused = heap->allocate(device_memory(40_MiB)).value();
    EXPECT_EQ(holder.asked, 0);
    const auto more = heap->allocate(device_memory(30_MiB, policy));
    ASSERT_TRUE(more);
    EXPECT_EQ(holder.asked, 1);
    EXPECT_EQ(device.held(0), 30_MiB) << "before the budget is passed";
    heap->free(*more);
  }
}

// Host memory is imported in units of 4 KiB, as the second memory type only.
class HostPointerDevice final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Bytes host_pointer_alignment() const noexcept override { return 4_KiB; }
  Result<std::uint32_t> host_pointer_types(const void*) noexcept override {
    ++asked;
    return types;
  }
  Result<Reservation> import_host_pointer(void*, const ReservationRequest& request) noexcept override {
    return next().reserve(request);
  }
  std::uint32_t types = 0b10;
  int asked = 0;
};

TEST(HeapGuests, HostPointersAreWholeUnitsOfATypeThatBothHave_V17) {
  DeviceShape shape = discrete(1_GiB);
  shape.granularity = 4_KiB;
  PlainDevice plain(shape);
  EXPECT_EQ(
      SingleThreadedHeap::create(plain)->import_host_pointer({.pointer = &plain, .size = 4_KiB}).error(),
      (Error{ErrorCode::not_supported}));
  HostPointerDevice device(plain);
  auto heap = SingleThreadedHeap::create(device, {.max_memory_objects = 1});
  alignas(4096) static std::byte memory[4096 * 2];
  const auto code_of = [&](const HostPointerRequest& request) {
    return heap->import_host_pointer(request).error().code;
  };
  EXPECT_EQ(code_of({.size = 4_KiB}), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of({.pointer = memory + 64, .size = 4_KiB}), ErrorCode::invalid_alignment);
  EXPECT_EQ(code_of({.pointer = memory}), ErrorCode::invalid_size);
  EXPECT_EQ(code_of({.pointer = memory, .size = 5_KiB}), ErrorCode::invalid_size);
  EXPECT_EQ(device.asked, 0) << "before the driver is";
  EXPECT_EQ(code_of({.pointer = memory, .size = 4_KiB, .memory_type_bits = 0b101}), ErrorCode::not_supported);
  EXPECT_EQ(code_of({.pointer = memory, .size = 4_KiB, .intent = Intent::protected_device}),
            ErrorCode::not_supported);
  const auto imported = heap->import_host_pointer({.pointer = memory, .size = 8_KiB, .user_data = 7});
  ASSERT_TRUE(imported);
  EXPECT_EQ(imported->memory_type, 1U);
  EXPECT_EQ(imported->offset, 0_B);
  EXPECT_EQ(heap->find(*imported)->user_data, 7U);
  EXPECT_EQ(code_of({.pointer = memory, .size = 4_KiB}), ErrorCode::out_of_address_space) << "V4";
  EXPECT_EQ(heap->validate(), nullptr);
  heap->free(*imported);
  EXPECT_EQ(heap->trim(), 0_B);
}

TEST(HeapGuests, ImportsThatAreRefusedTakeNoRecord_R7) {
  PlainDevice device(discrete(1_GiB));
  auto heap = SingleThreadedHeap::create(device);
  const auto first = heap->allocate(device_memory(1_MiB));
  heap->free(*first);
  for (int i = 0; i < 50; ++i)
    EXPECT_FALSE(heap->import_memory({.size = 1_MiB, .name = "nothing"}, ExternalHandle{5}));
  const auto second = heap->allocate(device_memory(1_MiB));
  EXPECT_EQ(second->id.index, first->id.index);
  EXPECT_EQ(heap->report().total.allocations, 1U);
  heap->free(*second);
}

}  // namespace
}  // namespace vaspace::test
