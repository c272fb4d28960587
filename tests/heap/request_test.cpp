// What a heap answers to what cannot be, and to handles that are not its own.
#include <limits>
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

struct Seen {
  std::vector<Misuse> misuses;
  MisuseHandler handler() {
    return {this, [](void* self, const Misuse& misuse) noexcept {
              static_cast<Seen*>(self)->misuses.push_back(misuse);
            }};
  }
};

class HeapRequests : public testing::Test {
 protected:
  PlainDevice device_{discrete()};
  Seen seen_;
  SingleThreadedHeap heap_ = *SingleThreadedHeap::create(device_, {.on_misuse = seen_.handler()});

  ErrorCode why(const HeapRequest& request) {
    const auto allocation = heap_.allocate(request);
    EXPECT_FALSE(allocation);
    EXPECT_EQ(heap_.validate(), nullptr);
    return allocation ? ErrorCode{} : allocation.error().code;
  }
};

TEST_F(HeapRequests, ImpossibleOnesGetTypedErrors_R8) {
  EXPECT_EQ(why(request_for(0_B)), ErrorCode::invalid_size);
  EXPECT_EQ(why(request_for(kMaxBytes)), ErrorCode::too_large);
  EXPECT_EQ(why(request_for(Bytes{std::uint64_t{1} << 63U})), ErrorCode::too_large);
  EXPECT_EQ(why(request_for(9_GiB)), ErrorCode::too_large);
  EXPECT_EQ(why(request_for(1_KiB, Alignment{0})), ErrorCode::invalid_alignment);
  EXPECT_EQ(why(request_for(1_KiB, Alignment{96})), ErrorCode::invalid_alignment);
  EXPECT_EQ(why(request_for(1_KiB, Alignment{std::uint64_t{1} << 63U})), ErrorCode::too_large);
  HeapRequest request = request_for(1_KiB);
  request.requirements.memory_type_bits = 0;
  EXPECT_EQ(why(request), ErrorCode::invalid_argument);
  request.requirements.memory_type_bits = 0x100;
  EXPECT_EQ(why(request), ErrorCode::invalid_argument);
  for (const float priority : {-0.1F, 1.1F, std::numeric_limits<float>::quiet_NaN()}) {
    request = request_for(1_KiB);
    request.priority = priority;
    EXPECT_EQ(why(request), ErrorCode::invalid_argument);
  }
  request = request_for(1_KiB);
  request.resource.type = MemoryTraits::Dedicated::buffer;
  request.dedicated = DedicatedWish::required;
  EXPECT_EQ(why(request), ErrorCode::invalid_argument) << "dedicated to a null resource";
  request = request_for(1_KiB);
  request.movable = request.device_address = true;
  EXPECT_EQ(why(request), ErrorCode::invalid_argument);
  request = request_for(1_KiB);
  request.pool = {3, 1};
  EXPECT_EQ(why(request), ErrorCode::unknown_handle);
  request = request_for(1_KiB);
  request.mapping = Mapping::required;
  request.requirements.memory_type_bits = 1;
  EXPECT_EQ(why(request), ErrorCode::not_supported);
  EXPECT_EQ(device_.held_objects(), 0U) << "nothing was taken for them";
}

TEST_F(HeapRequests, FeaturesThatAreOffAreNamedAsSuch) {
  struct Bare : ForwardingBackend {
    explicit Bare(Backend& next) : ForwardingBackend(next), bare(next.profile()) {
      bare.capabilities.device_address = bare.capabilities.external_memory = bare.capabilities.dedicated =
          false;
    }
    const DeviceProfile& profile() const noexcept override { return bare; }
    DeviceProfile bare;
  } bare(device_);
  auto heap = *SingleThreadedHeap::create(bare);
  HeapRequest request = request_for(1_KiB);
  request.device_address = true;
  EXPECT_EQ(heap.allocate(request).error().code, ErrorCode::not_supported);
  request = request_for(1_KiB);
  request.exportable = true;
  EXPECT_EQ(heap.allocate(request).error().code, ErrorCode::not_supported);
  EXPECT_EQ(heap.import_memory({.size = 64_KiB}, {}).error().code, ErrorCode::not_supported);
}

TEST_F(HeapRequests, ConfigurationsThatCannotBeAreRefused) {
  const auto refused = [&](const HeapConfig& config) {
    const auto heap = SingleThreadedHeap::create(device_, config);
    return !heap && heap.error().code == ErrorCode::invalid_configuration;
  };
  EXPECT_TRUE(refused({.buffer_image_granularity = Alignment{3}}));
  EXPECT_TRUE(refused({.buffer_image_granularity = Alignment{128_KiB}}));
  EXPECT_TRUE(refused({.non_coherent_atom = Alignment{0}}));
  EXPECT_TRUE(refused({.small = 1_MiB}));
  EXPECT_TRUE(refused({.first_block = 8_MiB, .largest_block = 4_MiB}));
  EXPECT_TRUE(refused({.keep_percent = 101}));
  EXPECT_TRUE(refused({.guards = {.margin = 1_MiB}}));
}

// Small ones have no record, large ones have: both are told.
TEST_F(HeapRequests, HandlesThatAreNotLiveAreToldAndChangeNothing_R6) {
  auto other = *SingleThreadedHeap::create(device_);
  for (const Bytes size : {512_B, 3_KiB, 60_KiB, 100_KiB, 200_MiB}) {
    SCOPED_TRACE(size.value);
    const auto mine = *heap_.allocate(request_for(size));
    const auto stays = *heap_.allocate(request_for(size));
    const auto foreign = *other.allocate(request_for(size));
    heap_.free(mine);
    EXPECT_EQ(heap_.try_free(mine).error().code, ErrorCode::stale_handle) << "a double free";
    EXPECT_TRUE(heap_.try_free(foreign).error().code == ErrorCode::unknown_handle ||
                heap_.try_free(foreign).error().code == ErrorCode::stale_handle);
    HeapAllocation reused = *heap_.allocate(request_for(size));
    EXPECT_FALSE(heap_.try_free(mine)) << "its slot is another's now";
    HeapAllocation elsewhere = reused;
    elsewhere.address += 256_B;
    elsewhere.offset += 256_B;
    EXPECT_FALSE(heap_.try_free(elsewhere));
    seen_.misuses.clear();
    heap_.free(mine);
    ASSERT_EQ(seen_.misuses.size(), 1U);
    EXPECT_STREQ(seen_.misuses[0].function, "Heap::free");
    EXPECT_EQ(seen_.misuses[0].subject, mine.id.bits());
    EXPECT_EQ(heap_.report().total.allocations, 2U);
    EXPECT_EQ(heap_.validate(), nullptr);
    heap_.free(stays);
    heap_.free(reused);
    other.free(foreign);
  }
  EXPECT_FALSE(heap_.try_free({}));
  HeapAllocation wild = *heap_.allocate(request_for(1_KiB));
  const HeapAllocation good = wild;
  wild.shelf = 60000;
  EXPECT_EQ(heap_.try_free(wild).error().code, ErrorCode::unknown_handle);
  wild.shelf = 7;
  EXPECT_EQ(heap_.try_free(wild).error().code, ErrorCode::unknown_handle);
  heap_.free(good);
}

TEST_F(HeapRequests, ABatchIsAllOrNone) {
  std::vector<HeapRequest> requests(20, request_for(100_KiB));
  std::vector<HeapAllocation> out(20);
  ASSERT_TRUE(heap_.allocate(requests, out));
  EXPECT_EQ(heap_.report().total.allocations, 20U);
  heap_.free(out);
  requests[17].requirements.memory_type_bits = 0;
  EXPECT_EQ(heap_.allocate(requests, out).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(heap_.report().total.allocations, 0U);
  for (const HeapAllocation& allocation : std::span(out).first(17))
    EXPECT_FALSE(allocation);
  EXPECT_EQ(heap_.allocate(requests, std::span(out).first(3)).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(heap_.validate(), nullptr);
}

// Nothing of it is left, on the device neither: small ones, large ones, memory objects, a ring's pieces.
TEST_F(HeapRequests, ABatchThatFailsLeavesNothing_R7) {
  const PoolId ring =
      *heap_.create_pool({.strategy = PoolStrategy::ring, .memory_type = 0, .block_size = 1_MiB});
  HeapRequest pooled = request_for(300_KiB);
  pooled.pool = ring;
  HeapRequest dedicated = request_for(1_MiB);
  dedicated.dedicated = DedicatedWish::required;
  dedicated.resource = {MemoryTraits::Dedicated::buffer, 3};
  HeapRequest impossible = request_for(1_KiB);
  impossible.requirements.memory_type_bits = 0;
  const std::vector<HeapRequest> requests{request_for(1_KiB), pooled, dedicated, request_for(300_KiB), pooled,
                                          dedicated,          pooled, impossible};
  std::vector<HeapAllocation> out(requests.size());
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(heap_.allocate(requests, out).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(heap_.report().total.allocations, 0U);
    EXPECT_EQ(heap_.report().dedicated, 0U) << "its memory objects went back";
    EXPECT_EQ(heap_.validate(), nullptr);
  }
  ASSERT_TRUE(heap_.allocate(std::span(requests).first(7), std::span(out).first(7)));
  heap_.free(std::span(out).first(7));
  EXPECT_TRUE(heap_.destroy_pool(ring));
  EXPECT_TRUE(seen_.misuses.empty());
}

TEST_F(HeapRequests, AMovedHeapIsTheHeap_R10) {
  const auto allocation = *heap_.allocate(request_for(100_KiB));
  SingleThreadedHeap moved = std::move(heap_);
  moved.free(allocation);
  heap_ = std::move(moved);
  EXPECT_EQ(heap_.report().total.allocations, 0U);
  EXPECT_TRUE(seen_.misuses.empty());
}

}  // namespace
}  // namespace vaspace::test
