// Any thread may call; what the threads do together stays within the rules.
#include <atomic>
#include <thread>

#include "vulkan/fake_backend.hpp"

namespace vaspace::test {
namespace {

using ThreadTest = FakeBackend;

void in_threads(int count, const auto& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads)
    thread.join();
}

TEST_F(ThreadTest, T1_V4_ReservationsFromAllSides) {
  driver.limits.maxMemoryAllocationCount = 6;
  create();
  std::atomic<int> served{0}, refused{0};
  in_threads(4, [&](int) {
    for (int round = 0; round < 300; ++round) {
      const auto a = reserve(4_KiB);
      const auto b = reserve(8_KiB);
      for (const auto* each : {&a, &b}) {
        if (!*each) {
          EXPECT_EQ(each->error().code, ErrorCode::out_of_address_space);
          ++refused;
          continue;
        }
        ++served;
        std::byte* const data = backend->map((*each)->address, 16_B).value();
        data[0] = std::byte{1};
        EXPECT_TRUE(backend->budget(1));
        EXPECT_TRUE(backend->unmap((*each)->address, 16_B));
        EXPECT_TRUE(backend->release(**each));
      }
    }
  });
  EXPECT_EQ(served + refused, 4 * 300 * 2);
  EXPECT_EQ(driver.allocate_calls, driver.free_calls);
  EXPECT_EQ(backend->budget(1)->usage, 0_B);
}

TEST_F(ThreadTest, T1_V10_MapsOfOneObjectFromAllSides) {
  create();
  const Reservation made = reserve(4_KiB, FakeDriver::kCached).value();
  in_threads(4, [&](int thread) {
    const Address mine = made.address + Bytes{static_cast<std::uint64_t>(thread) * 1024};
    for (int round = 0; round < 500; ++round) {
      const auto data = backend->map(mine, 1_KiB);
      ASSERT_TRUE(data);
      (*data)[round] = std::byte{1};
      ASSERT_TRUE(backend->flush(mine, 1_KiB));
      ASSERT_TRUE(backend->unmap(mine, 1_KiB));
    }
  });
  EXPECT_EQ(driver.map_calls, driver.unmap_calls);
  EXPECT_EQ(code(backend->unmap(made.address, 1_KiB)), ErrorCode::wrong_state);
}

}  // namespace
}  // namespace vaspace::test
