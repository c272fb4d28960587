#include "vaspace/base/identity.hpp"

#include <cstdint>
#include <gtest/gtest.h>
#include <set>
#include <vector>

namespace vaspace {
namespace {

TEST(Identity, IsStableAndNeverZero_R6) {
  int state = 0;
  EXPECT_EQ(identity_of(&state), identity_of(&state));
  EXPECT_NE(identity_of(&state), 0U);
  EXPECT_NE(identity_of(nullptr), 0U);
}

TEST(Identity, NeighboursInMemoryDiffer_R6) {
  std::vector<std::uint64_t> states(1000);
  std::set<std::uint32_t> tags;
  std::set<std::uint32_t> low;
  for (const std::uint64_t& state : states) {
    tags.insert(identity_of(&state));
    low.insert(identity_of(&state) & 0xffffU);
  }
  EXPECT_EQ(tags.size(), states.size());
  EXPECT_GT(low.size(), 950U) << "the low 16 bits, one of which is set, are mixed too";
}

}  // namespace
}  // namespace vaspace
