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

TEST(NodePool, IndicesAreDistinctAndPlacesNeverMove) {
  NodePool<Node> pool(default_host_allocator(), 7);
  std::set<std::uint32_t> seen;
  ASSERT_TRUE(pool.prepare(1));
  const std::uint32_t first = pool.acquire();
  const Node* place = &pool[first];
  seen.insert(first);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(pool.prepare(1));
    const std::uint32_t index = pool.acquire();
    ASSERT_NE(index, 0U);
    ASSERT_TRUE(seen.insert(index).second);
    EXPECT_EQ(pool[index].generation, 7U);
  }
  EXPECT_EQ(&pool[first], place);
  EXPECT_EQ(pool.size(), 5001U);
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
