// Compaction by copying: what is planned, what becomes of it, and that it ends.
#include <algorithm>
#include <set>
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

struct Resource {
  HeapAllocation allocation;
  HeapRequest request;
};

class HeapMoves : public testing::Test {
 protected:
  static constexpr std::uint64_t kGranularity = 1024;

  HeapRequest movable(Bytes size, ResourceKind kind = ResourceKind::linear) const {
    HeapRequest request = request_for(size, Alignment{256}, Intent::device, kind);
    request.movable = true;
    return request;
  }
  Resource& make(const HeapRequest& request) {
    resources_.push_back({*heap_.allocate(request), request});
    return resources_.back();
  }
  // Many blocks, each nearly empty.
  void scatter(std::uint64_t seed = 1) {
    Dice dice(seed);
    for (int i = 0; i < 160; ++i)
      make(movable(Bytes{200'000 + dice.below(300'000)}, static_cast<ResourceKind>(dice.below(2))));
    for (std::size_t i = 0; i < resources_.size(); ++i) {
      if (i % 8 != 0) heap_.free(std::exchange(resources_[i].allocation, {}));
    }
    std::erase_if(resources_, [](const Resource& r) { return !r.allocation; });
    heap_.collect();
  }
  Resource& of(const Move& move) {
    for (Resource& r : resources_)
      if (r.allocation.id == move.source.id) return r;
    throw "a move of nobody's";
  }
  void expect_consistent() {
    ASSERT_EQ(heap_.validate(), nullptr);
    Ledger ledger(device_, Alignment{kGranularity}, Alignment{1});
    for (const Resource& r : resources_)
      ledger.add(r.allocation, r.request);
  }
  std::uint64_t squares() const {
    std::map<std::uint32_t, std::uint64_t> used;
    for (const Resource& r : resources_)
      used[r.allocation.block] += heap_.find(r.allocation)->used.value / 256;
    std::uint64_t sum = 0;
    for (const auto& [block, n] : used)
      sum += n * n;
    return sum;
  }
  void commit(const Move& move) {
    Resource& r = of(move);
    const auto now = heap_.commit_move(move);
    ASSERT_TRUE(now);
    EXPECT_EQ(now->id, r.allocation.id);
    EXPECT_EQ(now->address, move.destination.address);
    r.allocation = *now;
  }

  PlainDevice device_{unified()};
  SingleThreadedHeap heap_ = *SingleThreadedHeap::create(
      device_, {.buffer_image_granularity = Alignment{kGranularity}, .largest_block = 8_MiB, .keep = 0_B});
  std::vector<Resource> resources_;

  ~HeapMoves() override {
    for (const Resource& r : resources_)
      heap_.free(r.allocation);
  }
};

TEST_F(HeapMoves, EndByThemselvesAndGiveBlocksBack_V1) {
  scatter();
  const std::uint64_t before = device_.held_objects();
  ASSERT_GT(before, 8U);
  std::uint64_t measure = squares();
  int passes = 0;
  for (;; ++passes) {
    ASSERT_LT(passes, 1000);
    std::vector<Move> moves(3);
    const std::uint32_t planned = *heap_.plan_moves({.bytes = 1_MiB}, moves);
    if (planned == 0) break;
    Bytes bytes{};
    for (std::uint32_t i = 0; i < planned; ++i) {
      bytes += moves[i].source.size;
      commit(moves[i]);
      expect_consistent();
    }
    EXPECT_LE(bytes, 1_MiB);
    heap_.collect();
    const std::uint64_t now = squares();
    EXPECT_GT(now, measure) << "the measure rises with every pass";
    measure = now;
  }
  EXPECT_GT(passes, 2);
  EXPECT_LE(device_.held_objects(), before / 2);
  std::vector<Move> none(8);
  EXPECT_EQ(*heap_.plan_moves({}, none), 0U) << "and stays at rest";
}

// Never into a block that is emptier: what went there could come back, and so on for ever.
TEST_F(HeapMoves, GoToBlocksThatAreAtLeastAsFull) {
  for (const Bytes other : {1200_KiB, 200_KiB}) {
    SingleThreadedHeap heap = *SingleThreadedHeap::create(device_, {.largest_block = 8_MiB, .keep = 0_B});
    const HeapAllocation pinned = *heap.allocate(request_for(300_KiB));
    const HeapAllocation filler = *heap.allocate(request_for(1700_KiB));
    const HeapAllocation alone = *heap.allocate(movable(other));
    ASSERT_EQ(pinned.block, filler.block);
    ASSERT_NE(pinned.block, alone.block);
    heap.free(filler);
    std::vector<Move> moves(4);
    const std::uint32_t planned = *heap.plan_moves({}, moves);
    EXPECT_EQ(planned, other > 300_KiB ? 0U : 1U);
    HeapAllocation now = alone;
    for (std::uint32_t i = 0; i < planned; ++i)
      now = *heap.commit_move(moves[i]);
    EXPECT_EQ(now.block == pinned.block, planned == 1);
    heap.free(pinned);
    heap.free(now);
  }
}

TEST_F(HeapMoves, KeepToTheirBudgets) {
  scatter();
  std::vector<Move> moves(64);
  EXPECT_EQ(*heap_.plan_moves({.bytes = 0_B}, moves), 0U);
  EXPECT_EQ(*heap_.plan_moves({.moves = 0}, moves), 0U);
  EXPECT_EQ(*heap_.plan_moves({.moves = 2}, moves), 2U);
  for (std::uint32_t i = 0; i < 2; ++i)
    EXPECT_TRUE(heap_.abandon_move(moves[i]));
  int questions = 0;
  bool more = false;
  const MoveBudget timed{.user = &questions,
                         .out_of_time = [](void* n) noexcept { return ++*static_cast<int*>(n) > 12; },
                         .more_left = &more};
  const std::uint32_t planned = *heap_.plan_moves(timed, moves);
  EXPECT_GT(planned, 0U);
  EXPECT_EQ(questions, 13);
  EXPECT_TRUE(more);
  EXPECT_EQ(heap_.report().moves_open, planned);
  for (std::uint32_t i = 0; i < planned; ++i)
    EXPECT_TRUE(heap_.abandon_move(moves[i]));
  EXPECT_EQ(heap_.report().moves_open, 0U);
  expect_consistent();
}

// What is on its way out of a block leaves it for good; a plan that is given up leaves no trace.
TEST_F(HeapMoves, NoneGoesWhereAnotherLeaves) {
  scatter();
  std::vector<Move> moves(64), again(64);
  const std::uint32_t planned = *heap_.plan_moves({}, moves);
  ASSERT_GT(planned, 4U);
  std::set<std::uint32_t> left;
  for (std::uint32_t i = 0; i < planned; ++i)
    left.insert(moves[i].source.block);
  for (std::uint32_t i = 0; i < planned; ++i) {
    EXPECT_EQ(left.count(moves[i].destination.block), 0U);
    EXPECT_TRUE(heap_.abandon_move(moves[i]));
  }
  ASSERT_EQ(*heap_.plan_moves({}, again), planned);
  for (std::uint32_t i = 0; i < planned; ++i) {
    EXPECT_EQ(again[i].destination.address, moves[i].destination.address);
    EXPECT_TRUE(heap_.abandon_move(again[i]));
  }
  // A block that was being emptied is one to fill again.
  const Move last =
      *std::max_element(moves.begin(), moves.begin() + planned,
                        [](const Move& a, const Move& b) { return a.source.size < b.source.size; });
  const auto elsewhere = std::find_if(resources_.begin(), resources_.end(), [&](const Resource& r) {
    return r.allocation.block != last.source.block && r.allocation.size < last.source.size;
  });
  ASSERT_NE(elsewhere, resources_.end());
  const AllocationId alone = elsewhere->allocation.id;
  for (const Resource& r : resources_) {
    if (r.allocation.id != alone && r.allocation.block != last.source.block) heap_.free(r.allocation);
  }
  std::erase_if(resources_, [&](const Resource& r) {
    return r.allocation.id != alone && r.allocation.block != last.source.block;
  });
  ASSERT_EQ(*heap_.plan_moves({}, again), 1U);
  EXPECT_EQ(again[0].source.id, alone);
  EXPECT_EQ(again[0].destination.block, last.source.block);
  commit(again[0]);
  expect_consistent();
}

TEST_F(HeapMoves, PinnedMappedAliasedAndExposedOnesStay) {
  HeapRequest exposed = movable(300_KiB);
  exposed.movable = false;
  exposed.device_address = true;
  make(exposed);
  scatter();
  std::set<std::uint64_t> staying{resources_[0].allocation.id.bits()};
  for (std::size_t i = 1; i < resources_.size(); i += 2) {
    const HeapAllocation& a = resources_[i].allocation;
    staying.insert(a.id.bits());
    if (i % 4 == 1) {
      EXPECT_TRUE(heap_.pin(a));
    } else {
      EXPECT_TRUE(heap_.map(a));
    }
  }
  for (;;) {
    std::vector<Move> moves(16);
    const std::uint32_t planned = *heap_.plan_moves({}, moves);
    if (planned == 0) break;
    for (std::uint32_t i = 0; i < planned; ++i) {
      EXPECT_FALSE(staying.contains(moves[i].source.id.bits()));
      commit(moves[i]);
    }
  }
  const HeapAllocation& pinned = resources_[1].allocation;
  EXPECT_TRUE(heap_.unpin(pinned));
  EXPECT_EQ(heap_.unpin(pinned).error().code, ErrorCode::wrong_state);
  expect_consistent();
}

// The caller copies out of the source: neither place is anybody else's before the move is ended.
TEST_F(HeapMoves, AFreeMeanwhileIsLegalAndCancels_T3) {
  scatter();
  std::vector<Move> moves(16);
  const std::uint32_t planned = *heap_.plan_moves({}, moves);
  ASSERT_GT(planned, 3U);
  for (std::uint32_t i = 0; i < planned; ++i) {
    Resource& r = of(moves[i]);
    if (i % 2 == 0) {
      heap_.free(r.allocation);
      EXPECT_FALSE(heap_.try_free(r.allocation));
      resources_.erase(resources_.begin() + (&r - resources_.data()));
    }
  }
  ASSERT_EQ(heap_.validate(), nullptr);
  // What is allocated now goes elsewhere.
  for (int i = 0; i < 40; ++i) {
    const Resource& fresh = make(movable(100_KiB));
    for (std::uint32_t m = 0; m < planned; ++m) {
      for (const HeapAllocation& place : {moves[m].source, moves[m].destination}) {
        const bool apart = fresh.allocation.block != place.block || fresh.allocation.end() <= place.address ||
                           place.end() <= fresh.allocation.address;
        ASSERT_TRUE(apart);
      }
    }
  }
  for (std::uint32_t i = 0; i < planned; ++i) {
    if (i % 2 == 0 && i % 4 == 0) {
      const auto gone = heap_.commit_move(moves[i]);
      ASSERT_TRUE(gone);
      EXPECT_FALSE(*gone) << "it was freed";
    } else if (i % 2 == 0) {
      EXPECT_TRUE(heap_.abandon_move(moves[i]));
    } else {
      commit(moves[i]);
    }
    EXPECT_EQ(heap_.commit_move(moves[i]).error().code, ErrorCode::unknown_handle) << "a move ends once";
    ASSERT_EQ(heap_.validate(), nullptr);
  }
  expect_consistent();
}

TEST_F(HeapMoves, TheSourceComesBackWhenTheDeviceIsPastIt) {
  scatter();
  device_.timelines = {{1, 0}};
  std::vector<Move> moves(64);
  const std::uint32_t planned = *heap_.plan_moves({}, moves);
  ASSERT_GT(planned, 0U);
  const std::vector<TimelinePoint> points{{TimelineId{1}, 5}};
  const std::uint64_t held = device_.held_objects();
  for (std::uint32_t i = 0; i < planned; ++i) {
    Resource& r = of(moves[i]);
    r.allocation = *heap_.commit_move(moves[i], points);
  }
  EXPECT_EQ(heap_.report().retired, planned);
  heap_.collect();
  EXPECT_EQ(device_.held_objects(), held);
  device_.timelines[1] = 5;
  heap_.collect();
  EXPECT_LT(device_.held_objects(), held);
  expect_consistent();
}

// The copies never happen: everything is abandoned, and all is as it was.
TEST_F(HeapMoves, ALostDeviceInTheMiddleLeavesAllInPlace) {
  scatter();
  std::vector<Move> moves(32);
  const std::uint32_t planned = *heap_.plan_moves({}, moves);
  ASSERT_GT(planned, 4U);
  commit(moves[0]);
  device_.lost = true;
  const std::vector<TimelinePoint> points{{TimelineId{1}, 5}};
  for (std::uint32_t i = 1; i < planned; ++i)
    EXPECT_TRUE(heap_.abandon_move(moves[i], points));
  heap_.collect();
  EXPECT_EQ(heap_.report().retired, 0U);
  expect_consistent();
}

// A new resource at the same place as before would be read by who still holds the old handle.
TEST_F(HeapMoves, TheOldHandleIsNoHandleAfterwards_R6) {
  scatter();
  std::vector<Move> moves(1);
  ASSERT_EQ(*heap_.plan_moves({}, moves), 1U);
  const HeapAllocation old = of(moves[0]).allocation;
  commit(moves[0]);
  EXPECT_EQ(heap_.try_free(old).error().code, ErrorCode::unknown_handle);
  expect_consistent();
}

TEST_F(HeapMoves, WhatIsMappedStaysMapped_V10) {
  HeapRequest request = movable(300_KiB);
  request.mapping = Mapping::required;
  for (int i = 0; i < 120; ++i)
    make(request);
  for (std::size_t i = 0; i < resources_.size(); ++i) {
    if (i % 7 != 0) heap_.free(std::exchange(resources_[i].allocation, {}));
  }
  std::erase_if(resources_, [](const Resource& r) { return !r.allocation; });
  std::vector<Move> moves(64);
  const std::uint32_t planned = *heap_.plan_moves({}, moves);
  ASSERT_GT(planned, 0U);
  for (std::uint32_t i = 0; i < planned; ++i) {
    ASSERT_NE(moves[i].destination.mapped, nullptr);
    commit(moves[i]);
    EXPECT_EQ(of(moves[i]).allocation.mapped, moves[i].destination.mapped);
  }
  EXPECT_EQ(device_.broken(), std::vector<std::string>{});
}

// Two who copy share a heap: what is the other's, in the emptiest block and first in every order, takes
// nothing of a plan.
TEST_F(HeapMoves, EachMoverHasItsOwnPlans) {
  constexpr std::uint8_t kMine = 7;
  HeapRequest theirs = movable(100_KiB);
  for (int i = 0; i < 16; ++i)
    make(theirs);
  const Bytes block = device_.objects()[resources_[0].allocation.native - 1000].reservation.size;
  const HeapRequest fill = request_for(block - 16 * 100_KiB);
  const HeapAllocation filler = *heap_.allocate(fill);
  ASSERT_EQ(filler.block, resources_[0].allocation.block);
  HeapRequest mine = movable(300_KiB);
  mine.mover = kMine;
  for (int i = 0; i < 300; ++i)
    make(mine);
  heap_.free(filler);
  for (std::size_t i = 16; i < resources_.size(); ++i) {
    if (i % 4 != 0) heap_.free(std::exchange(resources_[i].allocation, {}));
  }
  std::erase_if(resources_, [](const Resource& r) { return !r.allocation; });
  heap_.collect();
  const std::uint64_t before = device_.held_objects();
  int passes = 0;
  for (bool more = true; more; ++passes) {
    ASSERT_LT(passes, 200);
    std::vector<Move> moves(4);
    const std::uint32_t planned =
        *heap_.plan_moves({.bytes = 1_MiB, .mover = kMine, .more_left = &more}, moves);
    for (std::uint32_t i = 0; i < planned; ++i) {
      EXPECT_EQ(of(moves[i]).request.mover, kMine);
      commit(moves[i]);
    }
    ASSERT_TRUE(planned != 0 || !more) << "more is said to be left, and none of it is planned";
    heap_.collect();
  }
  EXPECT_LE(device_.held_objects(), before * 2 / 3);
  expect_consistent();
  std::vector<Move> others(64);
  for (const Move& move : std::span(others).first(*heap_.plan_moves({}, others))) {
    EXPECT_EQ(of(move).request.mover, 0U);
    EXPECT_TRUE(heap_.abandon_move(move));
  }
}

// As a frontend keeps what it has retired: pinned, and freed later.
TEST_F(HeapMoves, PinnedOnesTakeNothingOfTheBudget) {
  scatter();
  std::vector<Move> first(1);
  ASSERT_EQ(*heap_.plan_moves({}, first), 1U);
  const std::uint32_t emptiest = first[0].source.block;
  ASSERT_TRUE(heap_.abandon_move(first[0]));
  for (const Resource& r : resources_) {
    if (r.allocation.block != emptiest) continue;
    ASSERT_TRUE(heap_.pin(r.allocation));
  }
  std::vector<Move> moves(2);
  const std::uint32_t planned = *heap_.plan_moves({}, moves);
  EXPECT_EQ(planned, 2U);
  for (std::uint32_t i = 0; i < planned; ++i) {
    EXPECT_NE(moves[i].source.block, emptiest);
    commit(moves[i]);
  }
  expect_consistent();
}

}  // namespace
}  // namespace vaspace::test
