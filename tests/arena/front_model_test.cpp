// The way a front is paused (src/arena/fronts.hpp), every interleaving of it: two threads that each have a
// store buffer, as processors with total store order do, and a kernel that can empty both.
//
//   owner, again and again:  in_hand = 1; light fence; paused? no: [uses the front]; in_hand = 0
//   pauser, again and again: paused = 1; heavy fence; in_hand == 0? [uses the front]; paused = 0
//
// What must hold: never do both use it; and each gets to use it in some interleaving.
#include <array>
#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <set>
#include <tuple>
#include <vector>

namespace vaspace::test {
namespace {

enum Cell : std::uint8_t { kInHand, kPaused, kCells };

struct Store {
  std::uint8_t cell = 0;
  std::uint8_t value = 0;
  auto operator<=>(const Store&) const = default;
};

// A thread: where it is in its program, and what it has stored that memory has not seen.
struct Thread {
  std::uint8_t at = 0;
  std::vector<Store> buffer;
  auto operator<=>(const Thread&) const = default;
};

struct State {
  std::array<std::uint8_t, kCells> memory{};
  Thread owner, pauser;
  auto operator<=>(const State&) const = default;
};

enum class Fences { none, heavy_without_kernel, asymmetric, symmetric };

class Model {
 public:
  explicit Model(Fences fences) : fences_(fences) {}

  void explore() {
    std::set<State> seen{State{}};
    std::deque<State> queue{State{}};
    while (!queue.empty()) {
      const State state = queue.front();
      queue.pop_front();
      const bool owner_uses = state.owner.at == kOwnerUses;
      const bool pauser_uses = state.pauser.at == kPauserUses;
      both_use_it_ |= owner_uses && pauser_uses;
      owner_used_it_ |= owner_uses;
      pauser_used_it_ |= pauser_uses;
      for (State& next : successors(state)) {
        if (seen.insert(next).second) queue.push_back(std::move(next));
      }
    }
    states_ = seen.size();
  }
  [[nodiscard]] bool both_use_it() const { return both_use_it_; }
  [[nodiscard]] bool each_uses_it() const { return owner_used_it_ && pauser_used_it_; }
  [[nodiscard]] std::size_t states() const { return states_; }

 private:
  static constexpr std::uint8_t kOwnerUses = 3, kPauserUses = 3;
  static constexpr std::size_t kBuffered = 4;

  static void store(Thread& thread, Cell cell, std::uint8_t value) { thread.buffer.push_back({cell, value}); }
  static std::uint8_t load(const State& state, const Thread& thread, Cell cell) {
    std::uint8_t value = state.memory[cell];
    for (const Store& own : thread.buffer) {
      if (own.cell == cell) value = own.value;
    }
    return value;
  }
  static void empty(State& state, Thread& thread) {
    for (const Store& own : thread.buffer)
      state.memory[own.cell] = own.value;
    thread.buffer.clear();
  }

  [[nodiscard]] std::vector<State> successors(const State& state) const {
    std::vector<State> next;
    // Memory sees the oldest store of either.
    for (Thread State::*thread : {&State::owner, &State::pauser}) {
      if ((state.*thread).buffer.empty()) continue;
      State after = state;
      const Store oldest = (after.*thread).buffer.front();
      (after.*thread).buffer.erase((after.*thread).buffer.begin());
      after.memory[oldest.cell] = oldest.value;
      next.push_back(std::move(after));
    }
    // A buffer holds so many; who would store more waits.
    if (state.owner.buffer.size() < kBuffered) {
      next.push_back(state);
      step_owner(next.back());
    }
    if (state.pauser.buffer.size() < kBuffered) {
      next.push_back(state);
      step_pauser(next.back());
    }
    return next;
  }
  void step_owner(State& state) const {
    Thread& owner = state.owner;
    switch (owner.at) {
      case 0:
        store(owner, kInHand, 1);
        owner.at = 1;
        break;
      case 1:  // light fence
        if (fences_ == Fences::symmetric) empty(state, owner);
        owner.at = 2;
        break;
      case 2:
        owner.at = load(state, owner, kPaused) == 0 ? kOwnerUses : 4;
        break;
      default:  // used, or paused
        store(owner, kInHand, 0);
        owner.at = 0;
        break;
    }
  }
  void step_pauser(State& state) const {
    Thread& pauser = state.pauser;
    switch (pauser.at) {
      case 0:
        store(pauser, kPaused, 1);
        pauser.at = 1;
        break;
      case 1:  // heavy fence
        if (fences_ != Fences::none) empty(state, pauser);
        if (fences_ == Fences::asymmetric) empty(state, state.owner);
        pauser.at = 2;
        break;
      case 2:
        if (load(state, pauser, kInHand) == 0) pauser.at = kPauserUses;
        break;
      default:
        store(pauser, kPaused, 0);
        pauser.at = 0;
        break;
    }
  }

  Fences fences_;
  bool both_use_it_ = false, owner_used_it_ = false, pauser_used_it_ = false;
  std::size_t states_ = 0;
};

Model explored(Fences fences) {
  Model model(fences);
  model.explore();
  return model;
}

TEST(FrontModel, NobodyElseHasAFrontThatIsInHand) {
  for (const Fences fences : {Fences::asymmetric, Fences::symmetric}) {
    const Model model = explored(fences);
    EXPECT_FALSE(model.both_use_it());
    EXPECT_TRUE(model.each_uses_it());
    EXPECT_GT(model.states(), 50U);
  }
}

// The model can fail: without the fence on either side, or with the pauser's alone, both have it.
TEST(FrontModel, BothHaveItWithoutTheFences) {
  EXPECT_TRUE(explored(Fences::none).both_use_it());
  EXPECT_TRUE(explored(Fences::heavy_without_kernel).both_use_it());
}

}  // namespace
}  // namespace vaspace::test
