#include "vaspace/base/result.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>
#include <type_traits>

namespace vaspace {
namespace {

static_assert(std::is_same_v<Result<int>, tl::expected<int, Error>>, "whatever the consumer's -std is");
static_assert(sizeof(Error) == 8 && std::is_trivially_copyable_v<Error>);

Result<int> half(int n) {
  if (n % 2 != 0) return fail(ErrorCode::invalid_argument, n);
  return n / 2;
}

TEST(Result, ValueOrTypedError) {
  EXPECT_EQ(half(8).value(), 4);
  const Result<int> odd = half(7);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error(), (Error{ErrorCode::invalid_argument, 7}));
  const Result<void> passed_on = fail(odd.error());
  EXPECT_EQ(passed_on.error(), odd.error());
  EXPECT_NE(odd.error(), (Error{ErrorCode::invalid_argument, 8}));
  EXPECT_EQ(Result<void>(fail(ErrorCode::timed_out)).error().native, 0);
}

TEST(Result, EveryCodeHasANameOfItsOwn) {
  std::set<std::string> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::io_error); ++code) {
    const std::string name = to_string(static_cast<ErrorCode>(code));
    EXPECT_NE(name, "unknown error") << code;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  EXPECT_STREQ(to_string(ErrorCode::stale_plan), "stale_plan");
  EXPECT_STREQ(to_string(static_cast<ErrorCode>(255)), "unknown error");
}

}  // namespace
}  // namespace vaspace
