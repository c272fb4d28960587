// What is freed keeps its place for whoever asks for the same again, and for nobody and nothing else.
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

class HeapKeptPlaces : public testing::Test {
 protected:
  // A size gets a place to be kept in when it comes back for the second time.
  HeapAllocation freed(const HeapRequest& request) {
    heap_.free(*heap_.allocate(request));
    const HeapAllocation last = *heap_.allocate(request);
    heap_.free(last);
    return last;
  }

  PlainDevice device_{unified(8_GiB)};
  [[nodiscard]] HeapConfig config() {
    HeapConfig config{.first_block = 8_MiB, .largest_block = 64_MiB};
    config.on_misuse = {&misuses_, [](void* seen, const Misuse& m) noexcept {
                          static_cast<std::vector<ErrorCode>*>(seen)->push_back(m.code);
                        }};
    config.on_leak.on_leak = [](void*, const HeapAllocationInfo&) noexcept {};
    return config;
  }

  std::vector<ErrorCode> misuses_;
  std::optional<Heap> made_ = *Heap::create(device_, config());
  Heap& heap_ = *made_;
  HeapAllocation floor_ = *heap_.allocate(request_for(100_KiB));  // the block stays
};

TEST_F(HeapKeptPlaces, TheSameAgainLiesAtTheSamePlaceUnderAnotherName_R6) {
  const HeapAllocation old = freed(request_for(1_MiB));
  const HeapAllocation wall = *heap_.allocate(request_for(300_KiB));
  const HeapAllocation again = *heap_.allocate(request_for(1_MiB));
  EXPECT_EQ(again.address, old.address);
  EXPECT_NE(again.id, old.id);
  EXPECT_EQ(heap_.try_free(old).error().code, ErrorCode::stale_handle);
  heap_.free(old);
  EXPECT_EQ(misuses_, std::vector<ErrorCode>{ErrorCode::stale_handle});
  EXPECT_TRUE(heap_.find(again));
  EXPECT_EQ(heap_.find(old).error().code, ErrorCode::stale_handle);
  heap_.free(again);
  heap_.free(wall);
  EXPECT_EQ(heap_.try_free(again).error().code, ErrorCode::stale_handle) << "while its place is kept";
  EXPECT_EQ(heap_.map(again).error().code, ErrorCode::stale_handle);
  EXPECT_EQ(heap_.retire(again, {}).error().code, ErrorCode::stale_handle);
  EXPECT_EQ(heap_.pin(again).error().code, ErrorCode::stale_handle);
  EXPECT_EQ(heap_.validate(), nullptr);
}

// Best fit takes the lowest of two holes of one size; the upper one is kept, and no hole.
TEST_F(HeapKeptPlaces, WhatIsAskedForOtherwiseLiesElsewhere) {
  const HeapRequest request = request_for(1_MiB);
  const HeapAllocation lower = *heap_.allocate(request);
  (void)*heap_.allocate(request_for(200_KiB));
  const HeapAllocation upper = *heap_.allocate(request);
  (void)*heap_.allocate(request_for(200_KiB));
  heap_.free(lower);  // the first of its size is not kept
  heap_.free(upper);
  HeapRequest aligned = request;
  aligned.requirements.alignment = Alignment{512};
  EXPECT_EQ(heap_.allocate(aligned)->address, lower.address);
  HeapRequest movable = request;
  movable.movable = true;
  EXPECT_NE(heap_.allocate(movable)->address, upper.address);
  HeapRequest shorter = request_for(1_MiB - Bytes{1});
  EXPECT_NE(heap_.allocate(shorter)->address, upper.address);
  EXPECT_EQ(heap_.allocate(request)->address, upper.address);
  EXPECT_EQ(heap_.validate(), nullptr);
}

TEST_F(HeapKeptPlaces, ReportAndCollectSeeThemAsFree) {
  const Bytes used = heap_.report().total.used;
  heap_.free(floor_);
  const auto none = heap_.report().total;
  EXPECT_EQ(none.empty_blocks, none.blocks);
  (void)freed(request_for(1_MiB));
  const auto after = heap_.report().total;
  EXPECT_EQ(after.used, 0_B);
  EXPECT_EQ(after.live, 0_B);
  EXPECT_EQ(after.allocations, 0U);
  EXPECT_EQ(after.empty_blocks, after.blocks);
  (void)freed(request_for(1_MiB));
  EXPECT_EQ(heap_.trim(), 0_B);
  EXPECT_EQ(device_.held_objects(), 0U);
  EXPECT_NE(used, 0_B);
}

// Two neighbours that are kept are one hole for what does not fit otherwise.
TEST_F(HeapKeptPlaces, GoBackBeforeABlockMoreIsAskedFor) {
  std::vector<HeapAllocation> all;
  while (device_.reserves() == 1)
    all.push_back(*heap_.allocate(request_for(1_MiB)));
  heap_.free(all.back());
  heap_.give_back_unused();
  const std::uint64_t reserves = device_.reserves();
  for (std::size_t i = 1; i < 4; ++i)
    heap_.free(all[i]);
  const HeapAllocation large = *heap_.allocate(request_for(2_MiB));
  EXPECT_EQ(device_.reserves(), reserves);
  EXPECT_EQ(large.block, floor_.block);
  EXPECT_EQ(heap_.validate(), nullptr);
}

TEST_F(HeapKeptPlaces, ABlockThatHoldsNothingElseCanBeEmptied_T3) {
  HeapRequest request = request_for(1_MiB);
  request.movable = true;
  heap_.free(floor_);
  std::vector<HeapAllocation> all;
  while (device_.reserves() < 3)
    all.push_back(*heap_.allocate(request));
  // One is left in the last block, one place is kept beside it.
  const HeapAllocation second = *heap_.allocate(request);
  ASSERT_EQ(second.block, all.back().block);
  heap_.free(all[0]);
  heap_.free(all[1]);
  heap_.free(second);
  std::vector<Move> moves(8);
  const auto planned = heap_.plan_moves({}, moves);
  ASSERT_EQ(planned.value_or(0), 1U);
  EXPECT_EQ(moves[0].source.id, all.back().id);
  // What is in a move is not kept when it is freed: its places are the move's.
  heap_.free(all.back());
  EXPECT_NE(heap_.allocate(request)->address, all.back().address) << "T3";
  EXPECT_TRUE(heap_.commit_move(moves[0]));
  EXPECT_EQ(heap_.validate(), nullptr);
}

// Maps and pins are counted in the record, which whoever comes next must not find.
TEST_F(HeapKeptPlaces, WhatWasMappedOrPinnedIsForgotten_V10) {
  const HeapRequest request = request_for(1_MiB);
  (void)freed(request);
  HeapAllocation mapped = *heap_.allocate(request);
  ASSERT_TRUE(heap_.map(mapped));
  heap_.free(mapped);
  const HeapAllocation after = *heap_.allocate(request);
  EXPECT_EQ(heap_.unmap(after).error().code, ErrorCode::wrong_state);
  heap_.free(after);
  HeapAllocation pinned = *heap_.allocate(request);
  ASSERT_TRUE(heap_.pin(pinned));
  heap_.free(pinned);
  const HeapAllocation next = *heap_.allocate(request);
  EXPECT_EQ(heap_.unpin(next).error().code, ErrorCode::wrong_state);
  heap_.free(next);
  EXPECT_EQ(heap_.trim(), 0_B + heap_.report().total.committed);
  EXPECT_EQ(device_.broken(), std::vector<std::string>{});
}

TEST_F(HeapKeptPlaces, AMappedPlaceIsForWhoWantsItMapped) {
  HeapRequest request = request_for(1_MiB);
  request.mapping = Mapping::required;
  const HeapAllocation seen = freed(request);
  ASSERT_NE(seen.mapped, nullptr);
  EXPECT_EQ((*heap_.allocate(request_for(1_MiB))).mapped, nullptr);
  const HeapAllocation again = *heap_.allocate(request);
  ASSERT_NE(again.mapped, nullptr);
  *again.mapped = std::byte{1};
}

TEST_F(HeapKeptPlaces, NamesAreNotInherited) {
  HeapRequest named = request_for(1_MiB);
  named.name = "first";
  named.user_data = 7;
  (void)freed(named);
  (void)freed(request_for(1_MiB));
  const HeapAllocation plain = *heap_.allocate(request_for(1_MiB));
  EXPECT_EQ(heap_.find(plain)->name, "");
  EXPECT_EQ(heap_.find(plain)->user_data, 0U);
  heap_.free(plain);
  const HeapAllocation with = *heap_.allocate(named);
  EXPECT_EQ(heap_.find(with)->name, "first");
  EXPECT_EQ(heap_.find(with)->user_data, 7U);
}

TEST_F(HeapKeptPlaces, CollectGivesThemBack) {
  auto strict = *Heap::create(device_, {.keep = 0_B, .keep_percent = 0});
  const std::uint64_t held = device_.held_objects();
  for (int i = 0; i < 2; ++i)
    strict.free(*strict.allocate(request_for(1_MiB)));
  EXPECT_EQ(device_.held_objects(), held + 1);
  strict.collect();
  EXPECT_EQ(device_.held_objects(), held);
}

TEST_F(HeapKeptPlaces, WhatIsFilledIsNotKept) {
  auto guarded = *Heap::create(device_, {.guards = {.fill = true}});
  HeapRequest request = request_for(1_MiB);
  request.mapping = Mapping::required;
  for (int i = 0; i < 3; ++i) {
    const HeapAllocation a = *guarded.allocate(request);
    EXPECT_EQ(a.mapped[0], std::byte{0xCD});
    a.mapped[0] = std::byte{1};
    guarded.free(a);
    EXPECT_EQ(a.mapped[0], std::byte{0xDD});
  }
}

// A random walk: whatever is kept, nothing overlaps and nothing is miscounted.
TEST_F(HeapKeptPlaces, AWalkOfFewSizes_V1_V7_R1) {
  Ledger ledger(device_, Alignment{1}, Alignment{1});
  std::vector<std::pair<HeapAllocation, HeapRequest>> live;
  Dice dice(5);
  for (int i = 0; i < 6000; ++i) {
    if (!live.empty() && dice.below(2) == 0) {
      const std::size_t at = dice.below(live.size());
      ledger.remove(live[at].first);
      heap_.free(live[at].first);
      live[at] = live.back();
      live.pop_back();
    } else {
      HeapRequest request =
          request_for(Bytes{(1 + dice.below(6)) * 200'000}, Alignment{std::uint64_t{256} << dice.below(3)});
      request.movable = dice.below(4) == 0;
      request.mapping = dice.below(4) == 0 ? Mapping::required : Mapping::none;
      const HeapAllocation made = *heap_.allocate(request);
      EXPECT_EQ(made.mapped != nullptr, request.mapping == Mapping::required);
      ledger.add(made, request);
      live.emplace_back(made, request);
    }
    if (i % 500 == 0) {
      ASSERT_EQ(heap_.validate(), nullptr);
      const HeapReport report = heap_.report();
      EXPECT_EQ(report.total.live, ledger.live() + floor_.size);
      EXPECT_EQ(report.total.allocations, ledger.count() + 1);
    }
    if (i % 700 == 0) heap_.collect();
  }
}

}  // namespace
}  // namespace vaspace::test
