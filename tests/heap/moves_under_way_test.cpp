// What happens to an allocation between the planning of its move and the passing of the move's points.
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

using Points = std::vector<TimelinePoint>;

HeapRequest movable(Bytes size, Mapping mapping = Mapping::none) {
  HeapRequest request = request_for(size, Alignment{256});
  request.movable = true;
  request.mapping = mapping;
  return request;
}

// One movable allocation alone in its block, and a block that is fuller and has room for it.
class HeapMovesUnderWay : public testing::Test {
 protected:
  struct Pair {
    HeapAllocation staying;
    HeapAllocation moving;
    Move move;
  };

  Pair plan(Bytes size = 300_KiB, Mapping mapping = Mapping::none) {
    Pair pair;
    pair.staying = *heap_.allocate(request_for(1_MiB));
    const HeapAllocation filler = *heap_.allocate(request_for(3_MiB));
    pair.moving = *heap_.allocate(movable(size, mapping));
    EXPECT_NE(pair.staying.block, pair.moving.block);
    heap_.free(filler);
    EXPECT_EQ(*heap_.plan_moves({}, {&pair.move, 1}), 1U);
    EXPECT_EQ(pair.move.source.id, pair.moving.id);
    return pair;
  }
  // Of the two blocks, what is taken of the room that the move has to do with.
  [[nodiscard]] bool is_taken(const HeapAllocation& place) {
    std::vector<HeapAllocation> probes;
    bool taken = true;
    for (int i = 0; i < 40 && taken; ++i) {
      probes.push_back(*heap_.allocate(request_for(place.size)));
      const HeapAllocation& probe = probes.back();
      taken = probe.native != place.native || probe.end() <= place.address || place.end() <= probe.address;
    }
    heap_.free(probes);
    return taken;
  }
  void expect_taken(const Pair& pair, bool source, bool destination, const char* when) {
    EXPECT_EQ(is_taken(pair.move.source), source) << when;
    EXPECT_EQ(is_taken(pair.move.destination), destination) << when;
    EXPECT_EQ(heap_.validate(), nullptr) << when;
  }
  void reach(std::uint32_t timeline, std::uint64_t value) {
    device_.timelines[timeline] = value;
    heap_.collect();
  }

  PlainDevice device_{unified()};
  SingleThreadedHeap heap_ = *SingleThreadedHeap::create(
      device_, {.first_block = 4_MiB, .largest_block = 8_MiB, .keep = 64_MiB, .keep_percent = 100});

  void SetUp() override { device_.timelines = {{1, 0}, {2, 0}}; }
  void TearDown() override {
    EXPECT_EQ(heap_.validate(), nullptr);
    EXPECT_EQ(device_.broken(), std::vector<std::string>{});
  }
};

// In every order of the points, on one timeline and on two: both places are nobody's until all have passed.
TEST_F(HeapMovesUnderWay, RetiredThenEndedKeepsBothPlacesUntilAllHasPassed_T3) {
  for (const bool commits : {true, false}) {
    for (const bool retire_first : {true, false}) {
      device_.timelines = {{1, 0}, {2, 0}};
      const Pair pair = plan();
      ASSERT_TRUE(heap_.retire(pair.moving, Points{at(retire_first ? 1 : 2, 5)}));
      const Points last{at(retire_first ? 2 : 1, 6), at(1, 1)};
      if (commits) {
        const auto gone = heap_.commit_move(pair.move, last);
        ASSERT_TRUE(gone);
        EXPECT_FALSE(*gone) << "it is retired";
      } else {
        ASSERT_TRUE(heap_.abandon_move(pair.move, last));
      }
      EXPECT_EQ(heap_.report().moves_open, 0U);
      heap_.collect();
      expect_taken(pair, true, true, "nothing has passed");
      reach(1, 6);
      expect_taken(pair, true, true, retire_first ? "the retire's have passed" : "the move's have passed");
      reach(2, 6);
      expect_taken(pair, false, false, "all have passed");
      EXPECT_EQ(heap_.report().retired, 0U);
      EXPECT_EQ(heap_.report().total.allocations, 1U);
      heap_.free(pair.staying);
      (void)heap_.trim();
    }
  }
}

// The copy writes the destination until 6, whatever the caller says who retires the allocation there.
TEST_F(HeapMovesUnderWay, CommittedThenRetiredWaitsForTheCopyToo_T3) {
  for (const bool retire_first : {true, false}) {
    device_.timelines = {{1, 0}, {2, 0}};
    const Pair pair = plan();
    const auto now = heap_.commit_move(pair.move, Points{at(retire_first ? 2 : 1, 6)});
    ASSERT_TRUE(now && *now);
    EXPECT_EQ(now->address, pair.move.destination.address);
    ASSERT_TRUE(heap_.retire(*now, Points{at(retire_first ? 1 : 2, 5)}));
    heap_.collect();
    expect_taken(pair, true, true, "nothing has passed");
    reach(1, 6);
    expect_taken(pair, true, true, "one of two has passed");
    reach(2, 6);
    expect_taken(pair, false, false, "all have passed");
    heap_.free(pair.staying);
    (void)heap_.trim();
  }
}

TEST_F(HeapMovesUnderWay, CommittedThenFreedWaitsForTheCopyToo_T3) {
  const Pair pair = plan();
  const HeapAllocation now = *heap_.commit_move(pair.move, Points{at(1, 6)});
  heap_.free(now);
  EXPECT_EQ(heap_.report().total.allocations, 1U) << "it is freed";
  heap_.collect();
  expect_taken(pair, true, true, "the copy is under way");
  reach(1, 6);
  expect_taken(pair, false, false, "it is done");
  heap_.free(pair.staying);
}

TEST_F(HeapMovesUnderWay, ACommitWithoutPointsOfWhatIsRetiredWaitsForTheRetire_T3) {
  const Pair pair = plan();
  ASSERT_TRUE(heap_.retire(pair.moving, Points{at(1, 5)}));
  EXPECT_FALSE(*heap_.commit_move(pair.move));
  heap_.collect();
  expect_taken(pair, true, true, "the retire's points have not passed");
  reach(1, 5);
  expect_taken(pair, false, false, "they have");
  heap_.free(pair.staying);
}

TEST_F(HeapMovesUnderWay, TheRetireMayPassBeforeTheCallerEndsTheMove_T3) {
  const Pair pair = plan();
  ASSERT_TRUE(heap_.retire(pair.moving, Points{at(1, 5)}));
  reach(1, 5);
  expect_taken(pair, true, true, "the move is open");
  EXPECT_FALSE(*heap_.commit_move(pair.move, Points{at(2, 6)}));
  expect_taken(pair, true, true, "the copy is under way");
  reach(2, 6);
  expect_taken(pair, false, false, "it is done");
  heap_.free(pair.staying);
}

// The host's pointer is into the source, and stays good.
TEST_F(HeapMovesUnderWay, AMapCancels_V10_T3) {
  const Pair pair = plan();
  std::byte* const mapped = *heap_.map(pair.moving);
  const auto stays = heap_.commit_move(pair.move, Points{at(1, 6)});
  ASSERT_TRUE(stays);
  EXPECT_FALSE(*stays) << "it was mapped meanwhile";
  EXPECT_EQ(heap_.find(pair.moving)->allocation.address, pair.moving.address);
  EXPECT_EQ(mapped, device_.objects()[pair.moving.native - 1000].memory.get() + pair.moving.offset.value);
  expect_taken(pair, true, true, "the copy may still write the destination");
  reach(1, 6);
  expect_taken(pair, true, false, "it lives where it was");
  // The counts are those of the source's block.
  EXPECT_EQ(device_.objects()[pair.move.destination.native - 1000].maps, 0U);
  EXPECT_TRUE(heap_.unmap(pair.moving));
  EXPECT_EQ(device_.objects()[pair.moving.native - 1000].maps, 0U);
  EXPECT_EQ(heap_.unmap(pair.moving).error().code, ErrorCode::wrong_state);
  Move again;
  ASSERT_EQ(*heap_.plan_moves({}, {&again, 1}), 1U) << "another plan moves it";
  const HeapAllocation now = *heap_.commit_move(again);
  ASSERT_TRUE(now);
  EXPECT_TRUE(heap_.map(now));
  EXPECT_TRUE(heap_.unmap(now));
  heap_.free(now);
  heap_.free(pair.staying);
}

TEST_F(HeapMovesUnderWay, APinCancels_T3) {
  const Pair pair = plan();
  ASSERT_TRUE(heap_.pin(pair.moving));
  ASSERT_TRUE(heap_.unpin(pair.moving));
  EXPECT_FALSE(*heap_.commit_move(pair.move)) << "whoever had it pinned may have noted where it is";
  expect_taken(pair, true, false, "it lives where it was");
  EXPECT_TRUE(heap_.try_free(pair.moving));
  heap_.free(pair.staying);
}

// It is in no plan until collect has seen the points of its last move, and the caller can tell.
TEST_F(HeapMovesUnderWay, OneMoveAtATime) {
  const Pair pair = plan();
  bool more = false;
  Move next;
  EXPECT_EQ(*heap_.plan_moves({.more_left = &more}, {&next, 1}), 0U);
  EXPECT_TRUE(more) << "a move is open";
  const HeapAllocation now = *heap_.commit_move(pair.move, Points{at(1, 6)});
  EXPECT_EQ(*heap_.plan_moves({.more_left = &more}, {&next, 1}), 0U);
  EXPECT_TRUE(more) << "its points have not passed";
  reach(1, 6);
  EXPECT_EQ(*heap_.plan_moves({.more_left = &more}, {&next, 1}), 0U);
  EXPECT_FALSE(more);
  heap_.free(now);
  heap_.free(pair.staying);
}

TEST_F(HeapMovesUnderWay, WhatIsRetiredIsNotPlanned) {
  Pair pair = plan();
  ASSERT_TRUE(heap_.abandon_move(pair.move));
  ASSERT_TRUE(heap_.retire(pair.moving, Points{at(1, 5)}));
  EXPECT_EQ(*heap_.plan_moves({}, {&pair.move, 1}), 0U);
  reach(1, 5);
  heap_.free(pair.staying);
}

// The largest comes first, and none of it fits: the others still go, then it alone.
TEST_F(HeapMovesUnderWay, ABudgetBelowTheLargestEndsNothing) {
  auto heap = *SingleThreadedHeap::create(
      device_, {.first_block = 16_MiB, .largest_block = 16_MiB, .keep = 0_B, .keep_percent = 0});
  const HeapAllocation staying = *heap.allocate(request_for(7_MiB));
  const std::vector<HeapAllocation> fillers{*heap.allocate(request_for(8_MiB)),
                                            *heap.allocate(request_for(1_MiB))};
  std::vector<HeapAllocation> live{*heap.allocate(movable(4_MiB)), *heap.allocate(movable(600_KiB)),
                                   *heap.allocate(movable(300_KiB))};
  heap.free(fillers);
  std::vector<Bytes> passes;
  bool more = true;
  for (int pass = 0; pass < 10; ++pass) {
    std::vector<Move> moves(8);
    const std::uint32_t planned = *heap.plan_moves({.bytes = 1_MiB, .more_left = &more}, moves);
    if (planned == 0) break;
    Bytes bytes{};
    for (std::uint32_t i = 0; i < planned; ++i) {
      bytes += moves[i].source.size;
      const HeapAllocation now = *heap.commit_move(moves[i]);
      for (HeapAllocation& a : live)
        if (a.id == now.id) a = now;
    }
    passes.push_back(bytes);
    heap.collect();
  }
  EXPECT_EQ(passes, (std::vector<Bytes>{900_KiB, 4_MiB}));
  EXPECT_FALSE(more);
  for (const HeapAllocation& a : live)
    EXPECT_EQ(a.block, staying.block);
  EXPECT_EQ(heap.report().total.blocks, 1U);
  std::vector<Move> none(1);
  EXPECT_EQ(*heap.plan_moves({.bytes = 0_B, .more_left = &more}, none), 0U);
  EXPECT_EQ(heap.validate(), nullptr);
  heap.free(live);
  heap.free(staying);
}

// The margin is where the allocation is.
TEST_F(HeapMovesUnderWay, GuardsGoAlong) {
  auto heap = *SingleThreadedHeap::create(
      device_, {.first_block = 4_MiB, .largest_block = 8_MiB, .guards = {.margin = 64_B, .fill = true}});
  const HeapAllocation staying = *heap.allocate(request_for(1_MiB));
  const HeapAllocation filler = *heap.allocate(request_for(2900_KiB));
  const HeapAllocation moving = *heap.allocate(movable(300_KiB, Mapping::required));
  ASSERT_NE(moving.block, staying.block);
  heap.free(filler);
  Move move;
  ASSERT_EQ(*heap.plan_moves({}, {&move, 1}), 1U);
  const HeapAllocation now = *heap.commit_move(move);
  EXPECT_FALSE(heap.check_corruption()->allocation);
  now.mapped[now.size.value] = std::byte{1};
  EXPECT_EQ(heap.check_corruption()->allocation.id, now.id);
  now.mapped[now.size.value] = std::byte{0xFD};
  heap.free(now);
  heap.free(staying);
}

}  // namespace
}  // namespace vaspace::test
