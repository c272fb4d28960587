// Memory set apart: strategies, limits, lives.
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

HeapRequest pooled(PoolId pool, Bytes size, ResourceKind kind = ResourceKind::linear) {
  HeapRequest request = request_for(size, Alignment{16}, Intent::device, kind);
  request.pool = pool;
  return request;
}

TEST(HeapPools, ALinearPoolStartsOverWhenAllIsFree) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  const PoolId pool = *heap.create_pool({.strategy = PoolStrategy::linear, .block_size = 1_MiB});
  EXPECT_EQ(device.held_objects(), 1U) << "its block is taken at once";
  for (int round = 0; round < 3; ++round) {
    std::vector<HeapAllocation> live;
    for (int i = 0; i < 4; ++i) {
      live.push_back(*heap.allocate(pooled(pool, 256_KiB)));
      EXPECT_EQ(live.back().offset, 256_KiB * static_cast<std::uint64_t>(i));
    }
    EXPECT_EQ(heap.allocate(pooled(pool, 16_B)).error().code, ErrorCode::out_of_space);
    heap.free(live[2]);
    EXPECT_EQ(heap.allocate(pooled(pool, 16_B)).error().code, ErrorCode::out_of_space);
    EXPECT_EQ(device.reserves(), 1U) << "no driver is asked for what a pool cannot have";
    live.erase(live.begin() + 2);
    heap.free(live);
  }
  EXPECT_EQ(heap.validate(), nullptr);
  EXPECT_TRUE(heap.destroy_pool(pool));
  EXPECT_EQ(device.held_objects(), 0U);
}

TEST(HeapPools, ARingReusesInOrder) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  const PoolId pool = *heap.create_pool({.strategy = PoolStrategy::ring, .block_size = 1_MiB});
  std::vector<HeapAllocation> frames;
  for (int i = 0; i < 100; ++i) {
    if (frames.size() == 3) {
      heap.free(frames.front());
      frames.erase(frames.begin());
    }
    frames.push_back(*heap.allocate(pooled(pool, 300_KiB)));
  }
  // Out of order: what is freed in the middle comes back with what is older.
  heap.free(frames[1]);
  EXPECT_EQ(heap.allocate(pooled(pool, 600_KiB)).error().code, ErrorCode::out_of_space);
  heap.free(frames[0]);
  const auto again = heap.allocate(pooled(pool, 300_KiB));
  ASSERT_TRUE(again);
  EXPECT_EQ(heap.destroy_pool(pool).error().code, ErrorCode::wrong_state);
  heap.free(*again);
  heap.free(frames[2]);
  EXPECT_TRUE(heap.destroy_pool(pool));
  EXPECT_EQ(heap.validate(), nullptr);
}

TEST(HeapPools, ASlabHasEqualSlots) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  const PoolId pool =
      *heap.create_pool({.strategy = PoolStrategy::slab, .block_size = 64_KiB, .slot_size = 4_KiB});
  std::vector<HeapAllocation> live;
  for (int i = 0; i < 40; ++i) {
    live.push_back(*heap.allocate(pooled(pool, Bytes{static_cast<std::uint64_t>(i) * 100 + 1})));
    EXPECT_EQ(live.back().offset.value % 4096, 0U);
  }
  EXPECT_EQ(heap.report(pool)->blocks, 3U);
  EXPECT_EQ(heap.report(pool)->used, 40 * 4_KiB);
  EXPECT_EQ(heap.allocate(pooled(pool, 5_KiB)).error().code, ErrorCode::too_large);
  HeapRequest aligned = pooled(pool, 1_KiB);
  aligned.requirements.alignment = Alignment{8192};
  for (int i = 0; i < 40; ++i) {
    const auto allocation = heap.allocate(aligned);
    if (!allocation) {
      EXPECT_EQ(allocation.error().code, ErrorCode::too_large) << "no new block has more of them";
      break;
    }
    EXPECT_EQ(allocation->offset.value % 8192, 0U);
    live.push_back(*allocation);
  }
  heap.free(live);
  EXPECT_TRUE(heap.destroy_pool(pool));
}

TEST(HeapPools, HoldNoMoreThanTheirLimit) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  const PoolId pool = *heap.create_pool({.memory_type = 1, .limit = 10_MiB, .name = "uploads"});
  std::vector<HeapAllocation> live;
  HeapRequest request = pooled(pool, 700_KiB);
  for (;;) {
    const auto next = heap.allocate(request);
    if (!next) {
      EXPECT_EQ(next.error().code, ErrorCode::out_of_space);
      break;
    }
    live.push_back(*next);
    ASSERT_LE(device.held(1), 10_MiB);
  }
  EXPECT_GE(live.size(), 10U);
  const auto report = heap.report(pool);
  EXPECT_EQ(report->name, "uploads");
  EXPECT_EQ(report->allocations, live.size());
  EXPECT_EQ(report->live, 700_KiB * live.size());
  EXPECT_LE(report->committed, 10_MiB);
  heap.free(live);
  EXPECT_TRUE(heap.destroy_pool(pool));
}

TEST(HeapPools, WhatDoesNotBelongIsRefused_V6_V14_V15) {
  DeviceShape shape = discrete();
  shape.types.push_back({.heap = 0, .device_local = true, .lazily_allocated = true});
  shape.types.push_back({.heap = 0, .device_local = true, .protected_memory = true});
  PlainDevice device(shape);
  auto heap = *SingleThreadedHeap::create(device, {.buffer_image_granularity = Alignment{1024}});
  const PoolId plain = *heap.create_pool({.memory_type = 0, .mixes_kinds = false});
  const auto why = [&](const HeapRequest& request) { return heap.allocate(request).error().code; };
  HeapRequest request = pooled(plain, 1_KiB);
  request.requirements.memory_type_bits = 0b10;
  EXPECT_EQ(why(request), ErrorCode::invalid_argument) << "V6";
  request = pooled(plain, 1_KiB);
  request.device_address = true;
  EXPECT_EQ(why(request), ErrorCode::invalid_argument) << "V9";
  request = pooled(plain, 1_KiB);
  request.dedicated = DedicatedWish::required;
  EXPECT_EQ(why(request), ErrorCode::invalid_argument);
  const auto first = heap.allocate(pooled(plain, 1_KiB));
  EXPECT_EQ(why(pooled(plain, 1_KiB, ResourceKind::optimal)), ErrorCode::invalid_argument) << "V1";
  EXPECT_EQ(why(pooled(plain, 1_KiB, ResourceKind::unknown)), ErrorCode::invalid_argument) << "V1";
  const PoolId lazy = *heap.create_pool({.memory_type = 3});
  EXPECT_EQ(why(pooled(lazy, 1_KiB)), ErrorCode::invalid_argument) << "V14";
  EXPECT_EQ(heap.create_pool({.memory_type = 4}).error().code, ErrorCode::not_supported) << "V15";
  EXPECT_EQ(heap.create_pool({.memory_type = 9}).error().code, ErrorCode::invalid_configuration);
  EXPECT_EQ(heap.create_pool({.strategy = PoolStrategy::ring}).error().code,
            ErrorCode::invalid_configuration);
  EXPECT_EQ(heap.create_pool({.strategy = PoolStrategy::slab, .slot_size = 100_B}).error().code,
            ErrorCode::invalid_configuration);
  EXPECT_EQ(heap.create_pool({.limit = 1_KiB}).error().code, ErrorCode::invalid_configuration);
  EXPECT_EQ(heap.create_pool({.intent = Intent::upload, .type_bits = 1}).error().code,
            ErrorCode::not_supported);
  heap.free(*first);
  EXPECT_TRUE(heap.destroy_pool(plain));
  EXPECT_EQ(heap.destroy_pool(plain).error().code, ErrorCode::stale_handle);
  EXPECT_EQ(why(pooled(plain, 1_KiB)), ErrorCode::stale_handle);
  EXPECT_EQ(heap.report(PoolId{7, 1}).error().code, ErrorCode::unknown_handle);
}

// A device with a small window of its own memory, which no block of the pool's fits into.
TEST(HeapPools, AChosenTypeHoldsABlock) {
  PlainDevice device(
      {.heaps = {{256_MiB, true}, {8_GiB, false}},
       .types = {{.heap = 0, .device_local = true},
                 {.heap = 1, .device_local = false, .host_visible = true, .host_coherent = true}}});
  auto heap = *Heap::create(device);
  const auto type_of = [&](Bytes block) {
    return heap.report(*heap.create_pool({.intent = Intent::device, .block_size = block}))->memory_type;
  };
  EXPECT_EQ(type_of(64_MiB), 0U);
  EXPECT_EQ(type_of(512_MiB), 1U);
}

// What kind it holds is what is in it: neither what was, nor what found no room.
TEST(HeapPools, AnEmptyOneIsOfNoKind_V1_R7) {
  PlainDevice device(unified(256_MiB));
  auto heap = *Heap::create(device, {.buffer_image_granularity = Alignment{1024}});
  const PoolId pool =
      *heap.create_pool({.memory_type = 0, .block_size = 1_MiB, .limit = 1_MiB, .mixes_kinds = false});
  const auto ask = [&](Bytes size, ResourceKind kind) {
    HeapRequest request = request_for(size, {}, Intent::device, kind);
    request.pool = pool;
    return heap.allocate(request);
  };
  EXPECT_FALSE(ask(2_MiB, ResourceKind::linear));
  const auto image = ask(512_KiB, ResourceKind::optimal);
  ASSERT_TRUE(image);
  EXPECT_EQ(ask(1_KiB, ResourceKind::linear).error().code, ErrorCode::invalid_argument);
  heap.free(*image);
  EXPECT_TRUE(ask(1_KiB, ResourceKind::linear));
}

TEST(HeapPools, AMappedPoolIsMappedAndItsMemoryItsOwn_V9_V10) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  const PoolId pool = *heap.create_pool(
      {.intent = Intent::upload, .mapping = Mapping::required, .device_address = true, .priority = 0.9F});
  const auto in = *heap.allocate(pooled(pool, 1_KiB));
  const auto out = *heap.allocate(request_for(1_KiB, {}, Intent::upload));
  EXPECT_NE(in.mapped, nullptr);
  EXPECT_NE(in.block, out.block);
  EXPECT_TRUE(device.objects()[in.block - 1].traits.device_address);
  EXPECT_NEAR(device.objects()[in.block - 1].traits.priority, 0.9F, 0.1F);
  heap.free(in);
  heap.free(out);
  EXPECT_TRUE(heap.destroy_pool(pool));
}

}  // namespace
}  // namespace vaspace::test
