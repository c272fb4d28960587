// What a heap says of a request that it refuses: each piece of advice, followed, makes it succeed, and what
// is not advised does not.
#include "vaspace/heap/explain.hpp"

#include <memory>
#include <optional>
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

class HeapExplained : public testing::Test {
 protected:
  void open(const DeviceShape& shape, const HeapConfig& config = {}) {
    heap_.reset();
    device_ = std::make_unique<PlainDevice>(shape);
    heap_.emplace(SingleThreadedHeap::create(*device_, config).value());
  }
  void TearDown() override {
    heap_->free(live_);
    EXPECT_EQ(heap_->validate(), nullptr);
    heap_.reset();
    EXPECT_TRUE(device_->broken().empty());
  }
  void hold(const HeapRequest& request) { live_.push_back(heap_->allocate(request).value()); }
  bool gives(const HeapRequest& request) {
    const auto made = heap_->allocate(request);
    if (made) heap_->free(*made);
    (void)heap_->trim();
    return made.has_value();
  }
  HeapShortfall explained(const HeapRequest& request) {
    const std::uint64_t allocations = heap_->report().total.allocations;
    const auto answer = explain(*heap_, request);
    EXPECT_TRUE(answer);
    if (!answer) return {};
    EXPECT_EQ(heap_->report().total.allocations, allocations) << "nothing is left behind";
    EXPECT_EQ(gives(request), answer->fits);
    if (answer->fits) return *answer;
    HeapRequest other = request;
    other.requirements.size = answer->largest;
    EXPECT_TRUE(answer->largest == 0_B || gives(other));
    EXPECT_LT(answer->largest, request.requirements.size);
    other = request;
    other.budget = BudgetPolicy::may_exceed;
    EXPECT_EQ(gives(other), answer->budget_helps);
    other = request;
    other.dedicated = DedicatedWish::none;
    EXPECT_EQ(gives(other), answer->sharing_helps);
    other = request;
    other.pool = {};
    EXPECT_EQ(gives(other), answer->own_blocks_help);
    if (answer->other_type_helps) {
      other = request;
      other.requirements.memory_type_bits = 1U << answer->other_type;
      other.intent = answer->other_intent;
      EXPECT_TRUE(gives(other));
    }
    return *answer;
  }

  std::unique_ptr<PlainDevice> device_;
  std::optional<SingleThreadedHeap> heap_;
  std::vector<HeapAllocation> live_;
};

HeapRequest on_device(Bytes size) {
  HeapRequest request = request_for(size);
  request.requirements.memory_type_bits = 1;
  return request;
}

TEST_F(HeapExplained, ABudgetThatWouldBePassed) {
  open(discrete(1_GiB));
  device_->budget_share[0] = 64_MiB;
  HeapRequest request = on_device(48_MiB);
  request.budget = BudgetPolicy::within;
  hold(request);
  const HeapShortfall answer = explained(request);
  EXPECT_EQ(answer.error.code, ErrorCode::out_of_device_memory);
  EXPECT_TRUE(answer.budget_helps);
  EXPECT_FALSE(answer.other_type_helps);
  EXPECT_LT(answer.left, request.requirements.size);
  EXPECT_GE(answer.largest, 8_MiB);
}

TEST_F(HeapExplained, AnotherMemoryType) {
  // What the host writes is meant for memory that it sees, of which there is little.
  DeviceShape shape = discrete(1_GiB);
  shape.heaps[1].size = 16_MiB;
  open(shape);
  HeapRequest request = request_for(12_MiB);
  request.requirements.memory_type_bits = 0b011;
  request.intent = Intent::upload;
  hold(request);
  const HeapShortfall answer = explained(request);
  EXPECT_TRUE(answer.other_type_helps);
  EXPECT_EQ(answer.other_type, 0U);
  EXPECT_EQ(answer.other_intent, Intent::device);
  // Where the requirements allow no other, there is none.
  request.requirements.memory_type_bits = 0b010;
  EXPECT_FALSE(explained(request).other_type_helps);
}

TEST_F(HeapExplained, MemoryObjectsThatAreUsedUp) {
  DeviceShape shape = discrete(1_GiB);
  shape.max_objects = 3;
  open(shape, {.first_block = 16_MiB, .largest_block = 16_MiB});
  hold(on_device(1_MiB));
  HeapRequest request = on_device(1_MiB);
  request.dedicated = DedicatedWish::required;
  hold(request);
  hold(request);
  const HeapShortfall answer = explained(request);
  EXPECT_TRUE(answer.sharing_helps);
  EXPECT_FALSE(answer.budget_helps);
  EXPECT_GE(answer.in_holes, 8_MiB);
}

TEST_F(HeapExplained, APoolThatIsFull) {
  open(discrete(1_GiB));
  const PoolId pool = heap_->create_pool({.memory_type = 0, .block_size = 4_MiB, .limit = 4_MiB}).value();
  HeapRequest request = on_device(3_MiB);
  request.pool = pool;
  hold(request);
  const HeapShortfall answer = explained(request);
  EXPECT_TRUE(answer.own_blocks_help);
  EXPECT_FALSE(answer.sharing_helps);
}

TEST_F(HeapExplained, BadRequestsGetTheErrorsThatAllocateHas) {
  open(discrete(1_GiB));
  EXPECT_EQ(explain(*heap_, on_device(0_B)).error().code, ErrorCode::invalid_size);
  HeapRequest request = on_device(1_MiB);
  request.requirements.alignment = Alignment{3};
  EXPECT_EQ(explain(*heap_, request).error().code, ErrorCode::invalid_alignment);
  EXPECT_TRUE(explained(on_device(1_MiB)).fits);
}

}  // namespace
}  // namespace vaspace::test
