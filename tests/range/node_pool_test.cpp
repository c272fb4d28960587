#include "vaspace/range/node_pool.hpp"

#include <gtest/gtest.h>
#include <set>
#include <vector>

#include "support/host.hpp"

namespace vaspace::test {
namespace {

struct Node {
  std::uint32_t generation;
  std::uint32_t next;
};

TEST(NodePool, IndicesAreDistinctAndNodesKeepWhatTheyHoldAcrossGrowth) {
  NodePool<Node> pool(default_host_allocator(), 7);
  std::set<std::uint32_t> seen;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    ASSERT_TRUE(pool.prepare(1));
    const std::uint32_t index = pool.acquire();
    ASSERT_NE(index, 0U);
    ASSERT_TRUE(seen.insert(index).second);
    ASSERT_TRUE(pool.knows(index));
    EXPECT_EQ(pool[index].generation, 7U);
    pool[index].generation = 100 + index;
  }
  EXPECT_EQ(pool.size(), 5000U);
  for (const std::uint32_t index : seen)
    ASSERT_EQ(pool[index].generation, 100 + index);
}

// P10: by high-water mark, an eighth above what is used.
TEST(NodePool, MemoryFollowsUse) {
  TestHost host;
  NodePool<Node> pool(host.allocator(), 1);
  EXPECT_EQ(host.bytes(), 0);
  for (std::int64_t i = 1; i <= 20000; ++i) {
    ASSERT_TRUE(pool.prepare(1));
    (void)pool.acquire();
    ASSERT_LE(host.bytes(), static_cast<std::int64_t>(sizeof(Node)) * (i * 9 / 8 + 64));
  }
}

TEST(NodePool, R6_AGenerationOutlivesItsUse) {
  NodePool<Node> pool(default_host_allocator(), 1);
  ASSERT_TRUE(pool.prepare(1));
  const std::uint32_t index = pool.acquire();
  pool[index].generation = 41;
  pool.release(index);
  ASSERT_TRUE(pool.prepare(1));
  EXPECT_EQ(pool.acquire(), index);
  EXPECT_EQ(pool[index].generation, 41U);
}

// R7: what was prepared cannot fail, and a failed prepare changes nothing.
TEST(NodePool, R7_PreparedNodesNeedNoHostMemory) {
  TestHost host;
  NodePool<Node> pool(host.allocator(), 1);
  EXPECT_EQ(pool.size(), 0U);
  ASSERT_TRUE(pool.prepare(600));
  const auto requests = host.requests();
  for (int i = 0; i < 600; ++i)
    (void)pool.acquire();
  EXPECT_EQ(host.requests(), requests);
  host.fail_at(1);
  EXPECT_FALSE(pool.prepare(1000));
  EXPECT_EQ(pool.size(), 600U);
  EXPECT_TRUE(pool.prepare(1000));
  for (int i = 0; i < 1000; ++i)
    (void)pool.acquire();
  EXPECT_EQ(pool.size(), 1600U);
}

}  // namespace
}  // namespace vaspace::test
