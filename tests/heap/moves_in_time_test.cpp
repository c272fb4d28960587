// A planning that runs out of time comes further the next time.
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

// The emptiest blocks cannot be emptied, and finding that out takes all the time there is.
TEST(HeapMovesInTime, BlocksThatAreTriedInVainDoNotKeepTheNextFromBeingEmptied) {
  PlainDevice device(unified(8_GiB));
  auto heap = *Heap::create(device, {.first_block = 8_MiB, .largest_block = 8_MiB});
  const auto make = [&](Bytes size) {
    HeapRequest request = request_for(size);
    request.movable = true;
    return *heap.allocate(request);
  };
  std::vector<HeapAllocation> pinned, walls;
  for (int i = 0; i < 3; ++i) {
    pinned.push_back(make(1_MiB));
    ASSERT_TRUE(heap.pin(pinned.back()));
    for (int n = 0; n < 2; ++n)
      walls.push_back(make(3_MiB + 512_KiB));
  }
  // Behind them one block that may be emptied into a fuller one.
  const HeapAllocation one = make(1536_KiB);
  walls.push_back(make(3_MiB));
  walls.push_back(make(3_MiB));
  const HeapAllocation fuller[] = {make(3_MiB), make(3_MiB)};
  ASSERT_EQ(walls.back().block, one.block);
  ASSERT_EQ(fuller[0].block, fuller[1].block);
  ASSERT_NE(fuller[0].block, one.block);
  heap.free(walls);
  int questions = 0;
  std::vector<Move> moves(8);
  const MoveBudget timed{.user = &questions,
                         .out_of_time = [](void* n) noexcept { return ++*static_cast<int*>(n) > 3; }};
  EXPECT_EQ(*heap.plan_moves(timed, moves), 0U);
  questions = 0;
  ASSERT_EQ(*heap.plan_moves(timed, moves), 1U);
  EXPECT_EQ(moves[0].source.id, one.id);
  EXPECT_EQ(moves[0].destination.block, fuller[0].block);
  EXPECT_TRUE(heap.commit_move(moves[0]));
  EXPECT_EQ(heap.validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
