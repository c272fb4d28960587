#include "vaspace/base/misuse.hpp"

#include <csignal>
#include <cstdint>
#include <gtest/gtest.h>
#include <string>

namespace vaspace {
namespace {

struct Heard {
  int calls = 0;
  ErrorCode code{};
  std::string function, detail;
  std::uint64_t subject = 0;

  static void hear(void* user, const Misuse& misuse) noexcept {
    auto& heard = *static_cast<Heard*>(user);
    ++heard.calls;
    heard.code = misuse.code;
    heard.function = misuse.function;
    heard.subject = misuse.subject;
    heard.detail = misuse.detail;
  }
};

TEST(Misuse, TheCallersHandlerHearsOfItAndReturns_R6) {
  Heard heard;
  const MisuseHandler handler{&heard, &Heard::hear};
  handler({ErrorCode::stale_handle, "ArenaAllocator::free", 42, "freed before"});
  EXPECT_EQ(heard.calls, 1);
  EXPECT_EQ(heard.code, ErrorCode::stale_handle);
  EXPECT_EQ(heard.function, "ArenaAllocator::free");
  EXPECT_EQ(heard.subject, 42U);
  EXPECT_EQ(heard.detail, "freed before");
}

TEST(MisuseDeathTest, TheDefaultHandlerSaysWhatAndAborts_R6) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const MisuseHandler handler;
  EXPECT_EXIT(handler({ErrorCode::stale_handle, "ArenaAllocator::free", 0x2a, "freed before"}),
              testing::KilledBySignal(SIGABRT),
              "^vaspace: ArenaAllocator::free: stale_handle: 0x2a: freed before\n$");
  EXPECT_EXIT(handler({ErrorCode::unknown_address, "Heap::free", 7, {}}), testing::KilledBySignal(SIGABRT),
              "^vaspace: Heap::free: unknown_address: 0x7\n$");
}

}  // namespace
}  // namespace vaspace
