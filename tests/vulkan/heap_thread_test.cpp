// Any thread may create, destroy, retire and collect, on resources of each other's (T1), and no driver call
// is made under a lock that alloc_buffer needs (T2: it goes on while another thread's page is being bound).
#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {
namespace {

class HeapThreads : public HeapTest {
 protected:
  static void in_threads(unsigned count, const auto& body) {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < count; ++i)
      threads.emplace_back([&body, i] { body(i); });
  }
};

TEST_F(HeapThreads, T1_ResourcesComeAndGoOnAllThreads) {
  open({.profile = "discrete_rebar", .settings = "delay_us=0..20", .validate = false});
  const TimelineId id = add_timeline();
  gpu->signal(timeline, 1);
  std::mutex mutex;
  std::vector<vulkan::Buffer> handed;
  in_threads(3, [&](unsigned thread) {
    for (std::uint32_t i = 0; i < 150; ++i) {
      auto range =
          heap->alloc_buffer(Bytes{1 + (i * 7919 + thread) % 70'000}, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
      ASSERT_TRUE(range) << to_string(range.error().code);
      auto buffer =
          heap->create_buffer({.size = Bytes{1 + i * 97}, .usage = kTransfer, .movable = i % 2 == 0});
      ASSERT_TRUE(buffer) << to_string(buffer.error().code);
      if (i % 3 == 0) {
        ASSERT_TRUE(heap->retire(std::move(*buffer), {id, 1}));
      }
      const std::lock_guard lock(mutex);
      handed.push_back(std::move(*range));
      if (*buffer) handed.push_back(std::move(*buffer));
      if (handed.size() > 50) handed.erase(handed.begin(), handed.begin() + 25);
      if (i % 16 == 0) heap->collect();
    }
  });
  handed.clear();
  heap->trim();
  EXPECT_EQ(heap->report().buffers, 0U);
  EXPECT_EQ(heap->report().sub_buffers, 0U);
  EXPECT_EQ(heap->report().memory.total.committed, 0_B);
  EXPECT_EQ(heap->report().sparse_held, 0_B);
  EXPECT_EQ(heap->validate(), nullptr);
}

// Every resource ends on its own thread, wherever in a move it is.
TEST_F(HeapThreads, T3_ResourcesEndWhileAnotherThreadMovesThem) {
  small = 0_B;
  block = 1_MiB;
  open({.profile = "discrete_bar256", .validate = false});
  const TimelineId id = add_timeline();
  gpu->signal(timeline, 1);
  std::atomic<unsigned> working{2};
  in_threads(3, [&](unsigned thread) {
    if (thread == 0) {
      std::vector<vulkan::ResourceMove> moves(8);
      for (std::uint32_t turn = 0; working != 0; ++turn) {
        const std::uint32_t count = heap->plan_moves({}, moves).value_or(0);
        const TimelinePoint done{id, 1};
        for (std::uint32_t i = 0; i < count; ++i) {
          if ((turn + i) % 4 == 0) {
            EXPECT_TRUE(heap->abandon_move(moves[i], {&done, 1}));
          } else {
            EXPECT_TRUE(heap->commit_move(moves[i], {&done, turn % 2}));
          }
        }
        heap->collect();
      }
      return;
    }
    std::vector<vulkan::Buffer> mine;
    for (std::uint32_t i = 0; i < 400; ++i) {
      auto made = heap->create_buffer({.size = 64_KiB, .usage = kTransfer, .movable = true});
      EXPECT_TRUE(made);
      if (!made) break;
      mine.push_back(std::move(*made));
      EXPECT_NE(mine.back().buffer(), VkBuffer{});
      if (mine.size() < 24) continue;
      vulkan::Buffer& one = mine[(i * 7) % mine.size()];
      if (i % 2 == 0) {
        EXPECT_TRUE(heap->retire(std::move(one), {id, 1}));
      }
      std::swap(one, mine.back());
      mine.pop_back();
    }
    mine.clear();
    --working;
  });
  heap->trim();
  EXPECT_EQ(heap->report().buffers, 0U);
  EXPECT_EQ(heap->report().retired, 0U);
  EXPECT_EQ(heap->report().memory.total.committed, 0_B);
  EXPECT_EQ(heap->validate(), nullptr);
}

TEST_F(HeapThreads, T1_ThreadsThatAskForTheSamePoolGetOne) {
  for (int round = 0; round < 5; ++round) {
    open({.profile = "no_sparse", .validate = false});
    std::atomic<unsigned> waiting{4};
    in_threads(4, [&](unsigned) {
      for (--waiting; waiting != 0;)
        std::this_thread::yield();
      EXPECT_TRUE(heap->alloc_buffer(1_KiB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT));
    });
    EXPECT_EQ(heap->report().sub_buffer_pools, 1U);
  }
}

// What two threads take of one size at the same time lies in windows of their own: their books share no line.
TEST_F(HeapThreads, T1_ThreadsHaveSlotsOfTheirOwn) {
  open({.profile = "no_sparse", .validate = false});
  constexpr std::uint32_t kUsage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
  std::atomic<unsigned> turn{0};
  std::array<std::uint64_t, 2> window{};
  in_threads(2, [&](unsigned thread) {
    while (turn != thread)
      std::this_thread::yield();
    const auto range = heap->alloc_buffer(4_KiB, kUsage).value();
    window[thread] = range.memory().address.value / (64_KiB).value;
    for (++turn; turn != 2;)
      std::this_thread::yield();
  });
  EXPECT_NE(window[0], window[1]);
}

// Threads count for themselves: who destroys is not who created, and more of them come than have places.
TEST_F(HeapThreads, T1_CountsAreOfAllThreads) {
  open({.profile = "discrete_bar256", .validate = false});
  std::mutex mutex;
  std::vector<vulkan::Buffer> all;
  in_threads(40, [&](unsigned) {
    for (int i = 0; i < 5; ++i) {
      auto made = heap->create_buffer({.size = 1_KiB, .usage = kTransfer}).value();
      const std::lock_guard lock(mutex);
      all.push_back(std::move(made));
    }
  });
  EXPECT_EQ(heap->report().buffers, 200U);
  in_threads(2, [&](unsigned thread) {
    for (std::size_t i = thread; i < 150; i += 2)
      all[i].reset();
  });
  EXPECT_EQ(heap->report().buffers, 50U);
  all.clear();
  EXPECT_EQ(heap->report().buffers, 0U);
}

TEST_F(HeapThreads, T2_SubBuffersOnBoundPagesDoNotWaitForAnothersBind) {
  open({.profile = "discrete_bar256", .validate = false});
  auto first = heap->alloc_buffer(1_KiB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT).value();
  const auto binds = [] { return TestDevice::control().call_count("vkQueueBindSparse"); };
  const std::uint64_t before = binds();
  TestDevice::control().hold_queues(1);
  std::atomic<bool> done{false};
  std::jthread large([&] {
    const auto made = heap->alloc_buffer(1_MiB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    EXPECT_TRUE(made);
    done = true;
  });
  while (binds() == before)
    std::this_thread::yield();
  // Slots of the page that is there already.
  std::promise<void> promise;
  std::future<void> went_on = promise.get_future();
  std::jthread others([&] {
    for (int i = 0; i < 200; ++i)
      EXPECT_TRUE(heap->alloc_buffer(1_KiB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT));
    promise.set_value();
  });
  EXPECT_EQ(went_on.wait_for(std::chrono::seconds(20)), std::future_status::ready) << "held up for good";
  EXPECT_FALSE(done) << "its pages are not bound yet";
  TestDevice::control().hold_queues(0);
}

}  // namespace
}  // namespace vaspace::test
