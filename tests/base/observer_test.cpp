#include "vaspace/base/observer.hpp"

#include <gtest/gtest.h>
#include <string>
#include <type_traits>
#include <vector>

namespace vaspace {
namespace {

// Off at no cost: two words, copied as such; asking whether it is on is a look at one of them; an event holds
// nothing that had to be allocated or that a destructor had to run for.
static_assert(sizeof(Observer) == 2 * sizeof(void*) && std::is_trivially_copyable_v<Observer>);
static_assert(std::is_trivially_destructible_v<Event> && std::is_trivially_copyable_v<Event>);
static_assert(noexcept(static_cast<bool>(Observer{})) && noexcept(Observer{}(Event{})));
static_assert(!std::is_convertible_v<Observer, bool>, "only asked in a condition");

struct HeardEvents {
  std::vector<Event> events;
  std::vector<std::string> names;

  static void hear(void* user, const Event& event) noexcept {
    auto& heard = *static_cast<HeardEvents*>(user);
    heard.events.push_back(event);
    heard.names.emplace_back(event.name);
  }
};

// How a layer speaks: nothing is built where nobody listens.
void speak(const Observer& observer, int& built) {
  if (observer) observer({.kind = EventKind::commit, .size = Bytes{static_cast<std::uint64_t>(++built)}});
}

TEST(Observer, OffBuildsNothing) {
  const Observer off;
  int built = 0;
  EXPECT_FALSE(off);
  speak(off, built);
  EXPECT_EQ(built, 0);
  off(Event{});
}

TEST(Observer, HearsWhatHappened) {
  HeardEvents heard;
  const Observer on{&heard, &HeardEvents::hear};
  EXPECT_TRUE(on);
  on({.kind = EventKind::allocate,
      .arena = 3,
      .address = Address{4096},
      .size = 2_KiB,
      .id = 9,
      .name = "mesh"});
  int built = 0;
  speak(on, built);
  ASSERT_EQ(heard.events.size(), 2U);
  EXPECT_EQ(heard.events[0].kind, EventKind::allocate);
  EXPECT_EQ(heard.events[0].arena, 3);
  EXPECT_EQ(heard.events[0].address, Address{4096});
  EXPECT_EQ(heard.events[0].size, 2_KiB);
  EXPECT_EQ(heard.events[0].id, 9U);
  EXPECT_EQ(heard.names[0], "mesh");
  EXPECT_EQ(heard.events[1].kind, EventKind::commit);
  EXPECT_EQ(built, 1);
}

}  // namespace
}  // namespace vaspace
