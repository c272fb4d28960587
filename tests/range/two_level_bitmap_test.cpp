#include "vaspace/range/two_level_bitmap.hpp"

#include <gtest/gtest.h>
#include <random>
#include <set>

namespace vaspace::test {
namespace {

template <std::uint32_t kSize>
void equals_a_set(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  TwoLevelBitmap<kSize> bitmap;
  std::set<std::uint32_t> model;
  for (int i = 0; i < 20000; ++i) {
    const auto member = static_cast<std::uint32_t>(random() % kSize);
    switch (random() % 4) {
      case 0:
        bitmap.clear(member);
        model.erase(member);
        break;
      case 1: {
        const bool gone = random() % 2 == 0;
        bitmap.clear_if(member, gone);
        if (gone) model.erase(member);
        break;
      }
      default:
        if (i / 500 % 2 == 0) {  // fuller and emptier by turns
          bitmap.set(member);
          model.insert(member);
        } else {
          bitmap.clear(member);
          model.erase(member);
        }
    }
    ASSERT_EQ(bitmap.validate(), nullptr);
    const auto from = static_cast<std::uint32_t>(random() % (kSize + 1));
    const auto next = model.lower_bound(from);
    ASSERT_EQ(bitmap.find_from(from), next == model.end() ? bitmap.kNone : *next);
    ASSERT_EQ(bitmap.find_last(), model.empty() ? bitmap.kNone : *model.rbegin());
    ASSERT_EQ(bitmap.test(member), model.contains(member));
  }
  bitmap.reset();
  EXPECT_EQ(bitmap.find_from(0), bitmap.kNone);
}

TEST(TwoLevelBitmap, EqualsASet) {
  equals_a_set<1>(1);
  equals_a_set<64>(2);
  equals_a_set<528>(3);
  equals_a_set<4096>(4);
}

}  // namespace
}  // namespace vaspace::test
