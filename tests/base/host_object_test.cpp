#include "vaspace/base/host_object.hpp"

#include <cstdint>
#include <gtest/gtest.h>
#include <utility>

#include "support/host.hpp"

namespace vaspace {
namespace {

struct alignas(128) Counted {
  explicit Counted(int& count) noexcept : living(count) { ++living; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --living; }
  int& living;
};

TEST(HostObject, OwnsAndGivesBack) {
  test::TestHost host;
  int living = 0;
  {
    auto object = make_host_object<Counted>(host.allocator(), living);
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(object.get()) % 128, 0U);
    EXPECT_EQ(living, 1);
    auto other = std::move(object);
    EXPECT_EQ(living, 1);
    EXPECT_EQ(host.blocks(), 1);
  }
  EXPECT_EQ(living, 0);
  EXPECT_EQ(host.bytes(), 0);
}

TEST(HostObject, IsNullWhenTheHostRefuses_R7) {
  test::TestHost host;
  int living = 0;
  host.fail_at(1);
  EXPECT_EQ(make_host_object<Counted>(host.allocator(), living), nullptr);
  EXPECT_EQ(living, 0);
}

}  // namespace
}  // namespace vaspace
