#include "live_ids.hpp"

#include <gtest/gtest.h>
#include <map>
#include <rapidcheck/gtest.h>

#include "support/host.hpp"

namespace vaspace::trace {
namespace {

// Few ids, many collisions and wraps; the same answers as a std::map.
RC_GTEST_PROP(LiveIds, AnswersLikeAMap, ()) {
  LiveIds ids(default_host_allocator());
  std::map<std::uint64_t, std::uint32_t> oracle;
  const auto steps = *rc::gen::container<std::vector<std::pair<bool, std::uint8_t>>>(
      rc::gen::arbitrary<std::pair<bool, std::uint8_t>>());
  std::uint32_t number = 0;
  for (const auto& [insert, choice] : steps) {
    const std::uint64_t id = std::uint64_t{choice % 97U} << (choice % 3U * 20U);
    if (insert) {
      const bool is_new = oracle.emplace(id, number).second;
      RC_ASSERT(ids.insert(id, number) == (is_new ? LiveIds::Insert::done : LiveIds::Insert::is_live));
      ++number;
    } else {
      const auto found = oracle.find(id);
      const auto removed = ids.remove(id);
      RC_ASSERT(removed.has_value() == (found != oracle.end()));
      if (removed) RC_ASSERT(*removed == found->second);
      if (removed) oracle.erase(found);
    }
    RC_ASSERT(ids.size() == oracle.size());
  }
  for (const auto& [id, expected] : oracle)
    RC_ASSERT(ids.remove(id) == expected);
}

TEST(LiveIds, ManyIdsInOrderAndOut) {
  LiveIds ids(default_host_allocator());
  for (std::uint32_t i = 0; i < 100000; ++i)
    ASSERT_EQ(ids.insert(std::uint64_t{i} << 12U, i), LiveIds::Insert::done);
  for (std::uint32_t i = 0; i < 100000; i += 2)
    ASSERT_EQ(ids.remove(std::uint64_t{i} << 12U), i);
  for (std::uint32_t i = 0; i < 100000; ++i) {
    const auto removed = ids.remove(std::uint64_t{i} << 12U);
    ASSERT_EQ(removed.has_value(), i % 2 == 1) << i;
  }
  EXPECT_EQ(ids.size(), 0U);
}

TEST(LiveIds, NoMemoryChangesNothing) {
  test::TestHost host;
  LiveIds ids(host.allocator());
  for (std::uint32_t i = 0; i < 32; ++i)
    ASSERT_EQ(ids.insert(i, i), LiveIds::Insert::done);
  host.fail_at(1);
  EXPECT_EQ(ids.insert(32, 32), LiveIds::Insert::no_memory);
  EXPECT_EQ(ids.insert(31, 99), LiveIds::Insert::is_live);
  EXPECT_EQ(ids.size(), 32U);
  EXPECT_EQ(ids.insert(32, 32), LiveIds::Insert::done);
  for (std::uint32_t i = 0; i <= 32; ++i)
    EXPECT_EQ(ids.remove(i), i);
}

}  // namespace
}  // namespace vaspace::trace
