// A sparse backend whose driver refuses, whose device is lost, that many threads use, and that an arena runs
// over.
#include <thread>

#include "vaspace/arena/arena_allocator.hpp"

#include "vulkan/sparse_fixture.hpp"

namespace vaspace::test {
namespace {

// All that can be asked of a backend once; false where something was refused. Nothing is left behind then.
bool scenario(vulkan::SparseBackend& backend, ErrorCode& error) {
  const auto failed = [&](const auto& result) {
    if (!result) error = result.error().code;
    return !result;
  };
  const auto r = backend.reserve({.size = 1_MiB});
  if (failed(r)) return false;
  std::vector<PhysicalId> ids(20);
  const auto made = backend.create_physical({.size = 64_KiB}, ids);
  bool good = !failed(made);
  if (good) {
    std::vector<BindOp> ops;
    for (std::uint64_t i = 0; i < 8; ++i)
      ops.push_back({r->address + 64_KiB * i, 64_KiB, ids[i], {}});
    const auto bound = backend.bind(ops, {});
    good = !failed(bound);
    if (bound) {
      const CopyOp copy{r->address, r->address + 64_KiB, 64_KiB};
      const auto copied = backend.copy({&copy, 1}, {});
      good = !failed(copied) && good;
      const BindOp off{r->address, 512_KiB, {}, {}};
      Result<TimelinePoint> unbound = backend.bind({&off, 1}, {});
      good = !failed(unbound) && good;
      if (!unbound) unbound = backend.bind({&off, 1}, {});
      if (!unbound) return false;
      if (!backend.wait(*unbound, kForever) && !backend.wait(*unbound, kForever)) return false;
    }
    // What cannot be asked whether it is done is not taken back yet.
    if (failed(backend.destroy_physical(ids))) {
      good = false;
      EXPECT_TRUE(backend.destroy_physical(ids));
    }
  }
  if (failed(backend.release(*r))) {
    good = false;
    EXPECT_TRUE(backend.release(*r));
  }
  EXPECT_EQ(backend.held(), 0_B);
  EXPECT_EQ(backend.budget(0)->usage, 0_B);
  return good;
}

// Without the layer, which takes a submit that was refused for one that is pending.
TEST_F(SparseTest, R7_EveryDriverCallRefusedOnce) {
  open({.profile = "discrete_bar256", .validate = false});
  int refused = 0;
  for (std::uint64_t n = 1; n < 200; ++n) {
    TestDevice::control().clear_failures();
    ASSERT_NE(TestDevice::control().fail_call("*", n, VK_ERROR_OUT_OF_DEVICE_MEMORY), 0);
    const std::uint64_t before = TestDevice::control().injected_count();
    auto made = vulkan::SparseBackend::create(config);
    ErrorCode error{};
    if (made) {
      const bool good = scenario(**made, error);
      if (!good) {
        EXPECT_EQ(error == ErrorCode::out_of_device_memory || error == ErrorCode::wrong_state, true)
            << to_string(error) << " at " << n;
      }
      made->reset();
    }
    const bool injected = TestDevice::control().injected_count() != before;
    refused += injected ? 1 : 0;
    EXPECT_EQ(host.bytes(), 0) << n;
    if (!injected) break;
  }
  TestDevice::control().clear_failures();
  EXPECT_GT(refused, 10);
}

TEST_F(SparseTest, ALostDeviceIsSaidSo) {
  open({.profile = "discrete_bar256", .validate = false});
  create();
  gpu_lost = true;
  const Reservation r = reserve(64_KiB);
  const auto ids = pages(1);
  TestDevice::control().lose_devices();
  const auto bound = bind({put(r.address, ids[0], page())});
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error(), (Error{ErrorCode::device_lost, VK_ERROR_DEVICE_LOST}));
  EXPECT_TRUE(backend->destroy_physical(ids)) << "it was never bound";
  EXPECT_TRUE(backend->release(r));
}

TEST_F(SparseTest, AnArenaAllocatorRunsOverIt) {
  open_and_create("discrete_bar256");
  {
    auto arena = ArenaAllocator::create(*backend, {.retain = {}, .host = host.allocator()});
    ASSERT_TRUE(arena) << to_string(arena.error().code);
    std::vector<Allocation> live;
    Bytes asked{};
    for (std::uint64_t i = 0; i < 400; ++i) {
      const auto made = arena->allocate({.size = Bytes{100 + i * 997 % 300'000}});
      ASSERT_TRUE(made) << to_string(made.error().code);
      live.push_back(*made);
      EXPECT_TRUE(backend->locate(made->address));
      if (i % 3 == 0) {
        arena->free(live[live.size() / 2]);
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(live.size() / 2));
        arena->collect();
      }
    }
    for (const Allocation& each : live)
      asked += each.size;
    EXPECT_GE(usage(), asked);
    for (const Allocation& each : live)
      arena->free(each);
    arena->flush();
    EXPECT_EQ(backend->held(), 0_B);
    EXPECT_EQ(arena->validate(), nullptr);
  }
  EXPECT_EQ(backend->memory_objects(), 0U);
}

TEST_F(SparseTest, T1_BindsFromAllSides) {
  open({.profile = "discrete_rebar", .settings = "delay_us=0..20", .validate = false});
  create();
  const auto work = [&](std::uint64_t seed) {
    for (std::uint64_t round = 0; round < 40; ++round) {
      const auto r = backend->reserve({.size = 256_KiB});
      ASSERT_TRUE(r);
      std::vector<PhysicalId> ids(1 + (seed + round) % 4);
      ASSERT_TRUE(backend->create_physical({.size = 64_KiB}, ids));
      std::vector<BindOp> ops;
      for (std::uint64_t i = 0; i < ids.size(); ++i)
        ops.push_back({r->address + 64_KiB * i, 64_KiB, ids[i], {}});
      ASSERT_TRUE(backend->bind(ops, {}));
      for (BindOp& op : ops)
        op.physical = {};
      const auto unbound = backend->bind(ops, {});
      ASSERT_TRUE(unbound);
      ASSERT_TRUE(backend->wait(*unbound, kForever));
      ASSERT_TRUE(backend->destroy_physical(ids));
      ASSERT_TRUE(backend->release(*r));
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 3; ++i)
    threads.emplace_back(work, i);
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(backend->held(), 0_B);
}

}  // namespace
}  // namespace vaspace::test
