// Where allocations of a heap lie: neighbours, types, memory objects.
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

template <class HeapType>
struct Live {
  HeapAllocation allocation;
  HeapRequest request;
};

struct Mix {
  std::uint64_t g = 1;
  std::uint64_t atom = 64;
  PoolId pool{};
  Bytes most = 300_KiB;
};

HeapRequest random_request(Dice& dice, const Mix& mix) {
  const Bytes size{1 + dice.below(std::uint64_t{1} << dice.below(20)) % mix.most.value};
  const Intent intents[] = {Intent::device, Intent::upload, Intent::readback, Intent::dynamic};
  HeapRequest request = request_for(size, Alignment{std::uint64_t{1} << dice.below(17)},
                                    mix.pool ? Intent::readback : intents[dice.below(4)],
                                    static_cast<ResourceKind>(dice.below(3)));
  request.movable = dice.below(4) == 0;
  request.aliasable = !request.movable && dice.below(8) == 0;
  request.pool = mix.pool;
  return request;
}

// Fills, frees in between, fills again: whatever the order, kinds keep apart.
template <class HeapType>
void mix_kinds(HeapType& heap, Ledger& ledger, Dice& dice, const Mix& mix, int rounds) {
  std::vector<Live<HeapType>> live;
  for (int i = 0; i < rounds; ++i) {
    if (!live.empty() && (live.size() > 120 || dice.below(5) < 2)) {
      const std::size_t which = dice.below(live.size());
      ledger.remove(live[which].allocation);
      heap.free(live[which].allocation);
      live[which] = live.back();
      live.pop_back();
      continue;
    }
    const HeapRequest request = random_request(dice, mix);
    const auto allocation = heap.allocate(request);
    if (!allocation) {
      ASSERT_TRUE(mix.pool) << to_string(allocation.error().code);
      continue;
    }
    ledger.add(*allocation, request);
    live.push_back({*allocation, request});
    if (i % 64 == 0) {
      ASSERT_EQ(heap.validate(), nullptr);
    }
    if (i % 16 == 0) heap.collect();
  }
  for (const auto& l : live) {
    ledger.remove(l.allocation);
    heap.free(l.allocation);
  }
}

TEST(HeapPlacing, KindsNeverShareAPageOfTheGranularity_V1_V2_V7_V13) {
  for (const std::uint64_t g :
       {std::uint64_t{1}, std::uint64_t{64}, std::uint64_t{1024}, std::uint64_t{65536}}) {
    for (const std::uint64_t atom : {std::uint64_t{1}, std::uint64_t{64}, std::uint64_t{256}}) {
      SCOPED_TRACE(testing::Message() << "g " << g << " atom " << atom);
      PlainDevice device(discrete(8_GiB, Bytes{atom}));
      auto heap = SingleThreadedHeap::create(
          device, {.buffer_image_granularity = Alignment{g}, .non_coherent_atom = Alignment{atom}});
      Ledger ledger(device, Alignment{g}, Alignment{atom});
      Dice dice(g + atom);
      mix_kinds(*heap, ledger, dice, {.g = g, .atom = atom}, 600);
      EXPECT_EQ(heap->trim(), Bytes{});
      EXPECT_EQ(device.held_objects(), 0U);
      EXPECT_EQ(device.broken(), std::vector<std::string>{});
    }
  }
}

TEST(HeapPlacing, NorInPoolsThatMixThem_V1_V2_V13) {
  for (const std::uint64_t g :
       {std::uint64_t{1}, std::uint64_t{64}, std::uint64_t{1024}, std::uint64_t{65536}}) {
    for (const PoolStrategy strategy :
         {PoolStrategy::object, PoolStrategy::slab, PoolStrategy::linear, PoolStrategy::ring}) {
      SCOPED_TRACE(testing::Message() << "g " << g << " strategy " << static_cast<int>(strategy));
      PlainDevice device(discrete(8_GiB, Bytes{64}));
      auto heap = SingleThreadedHeap::create(
          device, {.buffer_image_granularity = Alignment{g}, .non_coherent_atom = Alignment{64}});
      const auto pool = heap->create_pool({.strategy = strategy,
                                           .memory_type = 2,
                                           .block_size = 8_MiB,
                                           .slot_size = strategy == PoolStrategy::slab ? 4_KiB : 0_B});
      ASSERT_TRUE(pool) << to_string(pool.error().code);
      Ledger ledger(device, Alignment{g}, Alignment{64});
      Dice dice(g + 1);
      const Bytes most = strategy == PoolStrategy::slab ? 4_KiB : 300_KiB;
      mix_kinds(*heap, ledger, dice, {.g = g, .pool = *pool, .most = most}, 500);
      EXPECT_TRUE(heap->destroy_pool(*pool));
      EXPECT_EQ(device.held_objects(), 0U);
    }
  }
}

// Both orders, side by side, in the one block that there is.
TEST(HeapPlacing, BothOrdersSideBySide_V1) {
  for (const std::uint64_t g :
       {std::uint64_t{64}, std::uint64_t{1024}, std::uint64_t{4096}, std::uint64_t{65536}}) {
    PlainDevice device(unified());
    auto heap = SingleThreadedHeap::create(device, {.buffer_image_granularity = Alignment{g}});
    Ledger ledger(device, Alignment{g}, Alignment{1});
    for (int order = 0; order < 8; ++order) {
      for (int i = 0; i < 3; ++i) {
        const auto kind = (order >> i & 1) != 0 ? ResourceKind::optimal : ResourceKind::linear;
        const HeapRequest request = request_for(70001_B, Alignment{16}, Intent::device, kind);
        ledger.add(*heap->allocate(request), request);
      }
    }
    EXPECT_EQ(device.held_objects(), g <= 4096 ? 1U : 2U) << "kinds share blocks where that is cheap";
    HeapAllocation none;
    heap->for_each(
        [](void* h, const HeapAllocationInfo& i) noexcept {
          *static_cast<HeapAllocation*>(h) = i.allocation;
        },
        &none);
    EXPECT_TRUE(none);
    while (ledger.count() != 0) {
      HeapAllocation one;
      heap->for_each(
          [](void* h, const HeapAllocationInfo& i) noexcept {
            *static_cast<HeapAllocation*>(h) = i.allocation;
          },
          &one);
      ledger.remove(one);
      heap->free(one);
    }
  }
}

TEST(HeapPlacing, DedicatedMemoryIsTheResourcesAlone_V8) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  HeapRequest request = request_for(100000_B, Alignment{65536});
  request.dedicated = DedicatedWish::required;
  request.resource = {MemoryTraits::Dedicated::image, 77};
  request.kind = ResourceKind::optimal;
  const auto image = heap->allocate(request);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->offset, Bytes{});
  const auto& object = device.objects()[image->block - 1];
  EXPECT_EQ(object.traits.dedicated, MemoryTraits::Dedicated::image);
  EXPECT_EQ(object.traits.resource, 77U);
  EXPECT_EQ(object.reservation.size, 100000_B) << "what is dedicated has its resource's size";
  EXPECT_TRUE(heap->find(*image)->dedicated);
  // Nobody else ever comes into it.
  std::vector<HeapAllocation> others;
  for (int i = 0; i < 50; ++i)
    others.push_back(*heap->allocate(request_for(70_KiB)));
  for (const auto& other : others)
    EXPECT_NE(other.block, image->block);
  heap->free(others);
  // A free calls no driver (R7); collect gives the object back.
  const std::uint64_t before = device.releases();
  heap->free(*image);
  EXPECT_EQ(device.releases(), before);
  heap->collect();
  EXPECT_GT(device.releases(), before);
}

TEST(HeapPlacing, APreferenceIsWeighed_V8) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  HeapRequest request = request_for(1_MiB);
  request.dedicated = DedicatedWish::preferred;
  request.resource = {MemoryTraits::Dedicated::buffer, 5};
  const auto small = heap->allocate(request);
  EXPECT_FALSE(heap->find(*small)->dedicated) << "too small for a memory object of its own";
  request.requirements.size = 20_MiB;
  const auto large = heap->allocate(request);
  EXPECT_TRUE(heap->find(*large)->dedicated);
  heap->free(*small);
  heap->free(*large);
}

TEST(HeapPlacing, WhatIsAboveHalfOfABlockStandsAlone) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  const auto half = heap->allocate(request_for(128_MiB));
  const auto above = heap->allocate(request_for(128_MiB + 1_B));
  EXPECT_FALSE(heap->find(*half)->dedicated);
  EXPECT_TRUE(heap->find(*above)->dedicated);
  EXPECT_EQ(heap->find(*above)->used, 128_MiB + 64_KiB);
  heap->free(*half);
  heap->free(*above);
}

// It has a memory object to itself anyway: the driver is told whose it is.
TEST(HeapPlacing, WhatStandsAloneForItsSizeIsItsResources_V8) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  HeapRequest request = request_for(130_MiB + 100_B);
  request.resource = {MemoryTraits::Dedicated::buffer, 9};
  const auto traits_of_one = [&](const HeapRequest& wanted, SingleThreadedHeap& of) {
    const HeapAllocation made = *of.allocate(wanted);
    const auto& object = device.objects()[made.native - 1000];
    const MemoryTraits traits = object.traits;
    EXPECT_EQ(object.reservation.size == wanted.requirements.size,
              traits.dedicated != MemoryTraits::Dedicated::none);
    of.free(made);
    of.collect();
    return traits;
  };
  EXPECT_EQ(traits_of_one(request, *heap).dedicated, MemoryTraits::Dedicated::buffer);
  EXPECT_EQ(traits_of_one(request, *heap).resource, 9U);
  HeapRequest plain = request;
  plain.resource = {};
  EXPECT_EQ(traits_of_one(plain, *heap).dedicated, MemoryTraits::Dedicated::none) << "nobody's";
  HeapRequest aliasable = request;
  aliasable.aliasable = true;
  EXPECT_EQ(traits_of_one(aliasable, *heap).dedicated, MemoryTraits::Dedicated::none) << "several's";
  auto guarded = *SingleThreadedHeap::create(device, {.guards = {.margin = 64_B}});
  EXPECT_EQ(traits_of_one(request, guarded).dedicated, MemoryTraits::Dedicated::none) << "there is a margin";
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

TEST(HeapPlacing, NeverMoreMemoryObjectsThanTheDeviceAllows_V4) {
  DeviceShape shape = discrete();
  shape.max_objects = 8;
  PlainDevice device(shape);
  auto heap = SingleThreadedHeap::create(device, {.first_block = 4_MiB, .largest_block = 4_MiB, .keep = 0_B});
  std::vector<HeapAllocation> live;
  HeapRequest dedicated = request_for(1_MiB);
  dedicated.dedicated = DedicatedWish::required;
  for (int i = 0; i < 5; ++i)
    live.push_back(*heap->allocate(dedicated));
  // What would only like an object of its own shares one; what must have one is refused when there is none
  // left.
  HeapRequest preferred = request_for(1_MiB);
  preferred.dedicated = DedicatedWish::preferred;
  for (;;) {
    const auto next = heap->allocate(preferred);
    if (!next) {
      EXPECT_TRUE(next.error().code == ErrorCode::out_of_address_space) << to_string(next.error().code);
      break;
    }
    live.push_back(*next);
  }
  EXPECT_EQ(device.held_objects(), 8U);
  EXPECT_GE(live.size(), 5U + 1U + 2U * 4U);
  EXPECT_EQ(heap->allocate(dedicated).error().code, ErrorCode::out_of_address_space);
  EXPECT_EQ(heap->validate(), nullptr);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
  heap->free(live);
}

TEST(HeapPlacing, NoMemoryObjectIsLargerThanTheDeviceAllows_V5) {
  DeviceShape shape = discrete(256_MiB);
  shape.max_size = 16_MiB;
  PlainDevice device(shape);
  auto heap = SingleThreadedHeap::create(device);
  const auto most = heap->allocate(request_for(16_MiB));
  ASSERT_TRUE(most);
  EXPECT_EQ(heap->allocate(request_for(16_MiB + 1_B)).error().code, ErrorCode::too_large);
  HeapRequest only_device = request_for(1_GiB);
  only_device.requirements.memory_type_bits = 1;
  EXPECT_EQ(heap->allocate(only_device).error().code, ErrorCode::too_large);
  for (const auto& object : device.objects())
    EXPECT_LE(object.reservation.size, 16_MiB);
  heap->free(*most);
}

TEST(HeapPlacing, DeviceAddressesComeFromMemoryThatHasThem_V9) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  std::vector<HeapAllocation> live;
  for (const Bytes size : {256_B, 4_KiB, 100_KiB, 1_MiB, 200_MiB}) {
    for (const bool addressed : {false, true, false, true}) {
      HeapRequest request = request_for(size);
      request.device_address = addressed;
      live.push_back(*heap->allocate(request));
      EXPECT_EQ(device.objects()[live.back().block - 1].traits.device_address, addressed) << size.value;
    }
  }
  heap->free(live);
}

TEST(HeapPlacing, LazyMemoryIsForTransientAttachmentsAndCountsForNothing_V14) {
  DeviceShape shape = discrete();
  shape.types.push_back({.heap = 0, .device_local = true, .lazily_allocated = true});
  PlainDevice device(shape);
  auto heap = SingleThreadedHeap::create(device);
  const Bytes before = heap->budget(0)->usage;
  const auto attachment = heap->allocate(
      request_for(8_MiB, Alignment{4096}, Intent::transient_attachment, ResourceKind::optimal));
  ASSERT_TRUE(attachment);
  EXPECT_EQ(attachment->memory_type, 3U);
  EXPECT_EQ(heap->budget(0)->committed, Bytes{});
  EXPECT_EQ(heap->budget(0)->usage, before);
  HeapRequest only_lazy = request_for(8_MiB);
  only_lazy.requirements.memory_type_bits = 0b1000;
  EXPECT_EQ(heap->allocate(only_lazy).error().code, ErrorCode::not_supported);
  heap->free(*attachment);
}

TEST(HeapPlacing, ProtectedMemoryIsApart_V15) {
  DeviceShape shape = discrete();
  shape.types.push_back({.heap = 0, .device_local = true, .protected_memory = true});
  PlainDevice device(shape);
  auto off = SingleThreadedHeap::create(device);
  EXPECT_EQ(off->allocate(request_for(1_KiB, {}, Intent::protected_device)).error().code,
            ErrorCode::not_supported);
  auto heap = SingleThreadedHeap::create(device, {.rules = {.protected_memory = true}});
  const auto open = heap->allocate(request_for(1_KiB));
  const auto closed = heap->allocate(request_for(1_KiB, {}, Intent::protected_device));
  ASSERT_TRUE(open && closed);
  EXPECT_EQ(closed->memory_type, 3U);
  EXPECT_NE(open->block, closed->block);
  heap->free(*open);
  heap->free(*closed);
}

// The next best type, in the order of the ranking, when the best has no room.
TEST(HeapPlacing, FallsBackAlongTheRanking_V6) {
  PlainDevice device(discrete(32_MiB));
  auto heap = SingleThreadedHeap::create(device);
  std::vector<HeapAllocation> live;
  for (int i = 0; i < 40; ++i)
    live.push_back(*heap->allocate(request_for(1_MiB)));
  EXPECT_EQ(live.front().memory_type, 0U);
  EXPECT_EQ(live.back().memory_type, 1U);
  HeapRequest here = request_for(1_MiB);
  here.requirements.memory_type_bits = 1;
  EXPECT_EQ(heap->allocate(here).error(), (Error{ErrorCode::out_of_device_memory, -2}));
  heap->free(live.front());
  live.front() = *heap->allocate(request_for(1_MiB));
  EXPECT_EQ(live.front().memory_type, 0U) << "what was given back is found again";
  heap->free(live);
}

TEST(HeapPlacing, BlocksGrowFromSmallToLargeAndEmptyOnesAreKeptWithinACap) {
  PlainDevice device(discrete());
  auto heap = SingleThreadedHeap::create(device);
  const auto first = heap->allocate(request_for(100_KiB));
  EXPECT_EQ(device.held(0), 4_MiB) << "a small program stays small";
  std::vector<HeapAllocation> live;
  for (int i = 0; i < 200; ++i)
    live.push_back(*heap->allocate(request_for(1_MiB)));
  EXPECT_GT(device.objects().back().reservation.size, 16_MiB);
  EXPECT_LT(device.held(0), 240_MiB);
  const std::uint64_t releases = device.releases();
  heap->free(live);
  EXPECT_EQ(device.releases(), releases) << "free calls no driver";
  heap->collect();
  EXPECT_LE(device.held(0), 8_MiB);
  EXPECT_GE(device.held(0), 4_MiB) << "something is kept for the next";
  heap->free(*first);
  EXPECT_EQ(heap->trim(), Bytes{});
  EXPECT_EQ(device.held_objects(), 0U);
}

// The sequence of calls decides, and nothing else.
TEST(HeapPlacing, TheSameCallsGiveTheSamePlaces_R9) {
  std::vector<std::vector<std::uint64_t>> runs;
  for (int run = 0; run < 2; ++run) {
    PlainDevice device(discrete());
    auto heap = SingleThreadedHeap::create(device, {.buffer_image_granularity = Alignment{1024}});
    std::vector<std::uint64_t> addresses;
    std::vector<HeapAllocation> live;
    Dice dice(3);
    for (int i = 0; i < 400; ++i) {
      if (!live.empty() && dice.below(3) == 0) {
        const std::size_t which = dice.below(live.size());
        heap->free(live[which]);
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
      } else {
        live.push_back(*heap->allocate(random_request(dice, {})));
        addresses.push_back(live.back().address.value);
      }
      if (i % 50 == 0) heap->collect();
    }
    heap->free(live);
    runs.push_back(addresses);
  }
  EXPECT_EQ(runs[0], runs[1]);
}

}  // namespace
}  // namespace vaspace::test
