// R7: what fails leaves everything as it was, at every driver call and every request for host memory.
#include "vulkan/fake_backend.hpp"

namespace vaspace::test {
namespace {

using FailureTest = FakeBackend;

TEST_F(FailureTest, R7_EveryRefusalCarriesTheDriversNumber) {
  create();
  const Reservation made = reserve(4_KiB, FakeDriver::kCached).value();
  const struct {
    VkResult result;
    ErrorCode code;
  } kCases[] = {{VK_ERROR_OUT_OF_HOST_MEMORY, ErrorCode::out_of_host_memory},
                {VK_ERROR_OUT_OF_DEVICE_MEMORY, ErrorCode::out_of_device_memory},
                {VK_ERROR_TOO_MANY_OBJECTS, ErrorCode::out_of_address_space},
                {VK_ERROR_DEVICE_LOST, ErrorCode::device_lost},
                {VK_ERROR_MEMORY_MAP_FAILED, ErrorCode::driver_error},
                {VK_ERROR_UNKNOWN, ErrorCode::driver_error}};
  for (const auto& each : kCases) {
    const Error expected{each.code, each.result};
    const auto refuse = [&] {
      driver.fail_call = 1;
      driver.fail_with = each.result;
    };
    refuse();
    EXPECT_EQ(reserve(4_KiB).error(), expected);
    refuse();
    EXPECT_EQ(backend->map(made.address, 1_B).error(), expected);
    EXPECT_EQ(code(backend->unmap(made.address, 1_B)), ErrorCode::wrong_state) << "it was never mapped";
    ASSERT_TRUE(backend->map(made.address, 1_B));
    refuse();
    EXPECT_EQ(backend->flush(made.address, 1_B).error(), expected);
    refuse();
    EXPECT_EQ(backend->invalidate(made.address, 1_B).error(), expected);
    ASSERT_TRUE(backend->unmap(made.address, 1_B));
  }
}

// Six reservations and maps; answers how far it came. What was reserved before a refusal stays good.
int scenario(vulkan::Backend& backend) {
  for (int step = 0; step < 6; ++step) {
    const auto made = backend.reserve({.size = 4_KiB, .memory_type = FakeDriver::kCached});
    if (!made) return step;
    const auto mapped = backend.map(made->address, 4_KiB);
    if (!mapped) return step;
    if (!backend.flush(made->address, 4_KiB)) return step;
    if (!backend.unmap(made->address, 4_KiB)) return step;
  }
  return 6;
}

TEST_F(FailureTest, R7_ADriverThatRefusesTheNthCall) {
  int refused = 0;
  for (int n = 1;; ++n) {
    create();
    driver.fail_call = n;
    const int reached = scenario(*backend);
    if (driver.fail_call > 0) {  // past the last call
      EXPECT_EQ(reached, 6);
      break;
    }
    ++refused;
    EXPECT_EQ(reached, (n - 1) / 3);
    // The step that was refused leaves either nothing (reserve) or its reservation.
    const auto left = static_cast<std::size_t>(reached + ((n - 1) % 3 == 0 ? 0 : 1));
    EXPECT_EQ(driver.objects.size(), left);
    EXPECT_EQ(reserve(4_KiB)->address.value, (std::uint64_t{left} + 1) << 40U);
  }
  EXPECT_EQ(refused, 18);
}

TEST_F(FailureTest, R7_AHostThatRefusesTheNthRequest) {
  bool done = false;
  for (int n = 1; !done; ++n) {
    const auto at_first = host.requests();
    host.fail_at(n);
    auto config = driver.config();
    config.host = host.allocator();
    auto made = vulkan::Backend::create(config);
    EXPECT_EQ(made.has_value(), host.requests() - at_first < n) << "no refusal is overlooked";
    if (!made) {
      EXPECT_EQ(made.error(), (Error{ErrorCode::out_of_host_memory, 0}));
      continue;
    }
    const auto before = host.requests();
    int served = 0;
    for (int i = 0; i < 20; ++i) {
      const auto got = (*made)->reserve({.size = 4_KiB, .memory_type = 1});
      if (got) {
        EXPECT_EQ(got->address.value, std::uint64_t(++served) << 40U);
      } else {
        EXPECT_EQ(got.error(), (Error{ErrorCode::out_of_host_memory, 0}));
        EXPECT_EQ(driver.objects.size(), static_cast<std::size_t>(served));
      }
    }
    done = served == 20;
    EXPECT_GE(served, 19);
    EXPECT_GT(host.requests(), before);
  }
}

TEST_F(FailureTest, R7_ReleaseAsksForNoHostMemory) {
  create();
  std::vector<Reservation> made;
  for (int i = 0; i < 50; ++i)
    made.push_back(reserve(4_KiB).value());
  const auto before = host.requests();
  for (const Reservation& each : made)
    ASSERT_TRUE(backend->release(each));
  EXPECT_EQ(host.requests(), before);
}

}  // namespace
}  // namespace vaspace::test
