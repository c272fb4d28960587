// Memory with two owners, in this process and between two.
#include <vector>

#include "ledger.hpp"
#include "support/faulty_backend.hpp"

namespace vaspace::test {
namespace {

TEST(HeapSharing, AliasedMemoryGoesBackWithItsLastOwner) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  HeapRequest request = request_for(300_KiB, Alignment{4096}, Intent::device, ResourceKind::unknown);
  request.aliasable = true;
  for (int order = 0; order < 6; ++order) {
    const HeapAllocation first = *heap.allocate(request);
    const HeapAllocation second = *heap.alias(first);
    const HeapAllocation third = *heap.alias(second);
    EXPECT_EQ(second.address, first.address);
    EXPECT_EQ(third.offset, first.offset);
    EXPECT_EQ(heap.report().total.live, 300_KiB) << "counted once";
    std::vector<HeapAllocation> all{first, second, third};
    const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 3; ++i) {
      const HeapAllocation& gone = all[static_cast<std::size_t>(orders[order][i])];
      heap.free(gone);
      EXPECT_EQ(heap.try_free(gone).error().code, ErrorCode::stale_handle);
      EXPECT_EQ(heap.report().total.live, i == 2 ? 0_B : 300_KiB);
      EXPECT_EQ(heap.validate(), nullptr);
    }
  }
  const HeapAllocation plain = *heap.allocate(request_for(300_KiB));
  EXPECT_EQ(heap.alias(plain).error().code, ErrorCode::not_supported);
  heap.free(plain);
  EXPECT_EQ(heap.alias(plain).error().code, ErrorCode::stale_handle);
  EXPECT_EQ(heap.trim(), 0_B);
}

// What is promised of the second is the memory's to keep, whoever the first one was.
TEST(HeapSharing, AnAliasIsMappedAndCoherentOrRefused_V11) {
  PlainDevice device(discrete());
  FaultyBackend faulty(device);
  auto heap = *SingleThreadedHeap::create(faulty, {.non_coherent_atom = Alignment{64}});
  HeapRequest request = request_for(300_KiB, Alignment{4096}, Intent::device, ResourceKind::unknown);
  request.aliasable = true;
  HeapRequest mapped = request_for(100_KiB);
  mapped.mapping = Mapping::required;
  HeapRequest coherent = request_for(100_KiB);
  coherent.coherent = true;
  for (std::uint32_t type = 0; type < 3; ++type) {
    SCOPED_TRACE(type);
    const MemoryType& memory_type = device.profile().memory_types[type];
    request.requirements.memory_type_bits = 1U << type;
    request.intent = type == 0 ? Intent::device : Intent::readback;
    for (const DedicatedWish wish : {DedicatedWish::none, DedicatedWish::required}) {
      request.dedicated = wish;
      const HeapAllocation memory = *heap.allocate(request);
      ASSERT_EQ(memory.memory_type, type);
      ASSERT_EQ(memory.mapped, nullptr);
      if (memory_type.host_visible) {
        faulty.fail_at(Call::map, 1, {ErrorCode::driver_error, -5}, true);
        EXPECT_EQ(heap.alias(memory, mapped).error(), (Error{ErrorCode::driver_error, -5}));
        faulty.stop_failing();
      }
      const auto seen = heap.alias(memory, mapped);
      ASSERT_EQ(seen.has_value(), memory_type.host_visible);
      if (seen) {
        ASSERT_NE(seen->mapped, nullptr);
        seen->mapped[seen->size.value - 1] = std::byte{1};
        heap.free(*seen);
      } else {
        EXPECT_EQ(seen.error().code, ErrorCode::not_supported);
      }
      const auto flushless = heap.alias(memory, coherent);
      ASSERT_EQ(flushless.has_value(), memory_type.host_coherent);
      if (flushless) {
        heap.free(*flushless);
      } else {
        EXPECT_EQ(flushless.error().code, ErrorCode::not_supported);
      }
      EXPECT_EQ(heap.report().total.allocations, 1U);
      heap.free(memory);
      EXPECT_EQ(heap.validate(), nullptr);
    }
  }
  EXPECT_EQ(heap.trim(), 0_B);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

// A second resource may not lie in memory that was allocated for the first alone.
TEST(HeapSharing, WhatIsAliasableIsDedicatedOnlyWhereItMustBe_V8) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  HeapRequest request = request_for(20_MiB);
  request.aliasable = true;
  request.resource = {MemoryTraits::Dedicated::image, 7};
  for (const DedicatedWish wish : {DedicatedWish::none, DedicatedWish::preferred, DedicatedWish::required}) {
    request.dedicated = wish;
    const HeapAllocation memory = *heap.allocate(request);
    const bool must = wish == DedicatedWish::required;
    EXPECT_EQ(heap.find(memory)->dedicated, must);
    EXPECT_EQ(device.objects()[memory.native - 1000].traits.dedicated != MemoryTraits::Dedicated::none, must);
    const auto second = heap.alias(memory);
    EXPECT_EQ(second.has_value(), !must);
    if (second) {
      heap.free(*second);
    } else {
      EXPECT_EQ(second.error().code, ErrorCode::not_supported);
    }
    heap.free(memory);
  }
  EXPECT_EQ(heap.validate(), nullptr);
}

// An image may take the place of a buffer, so that neither kind of neighbour shares its pages.
TEST(HeapSharing, AliasableMemoryKeepsAwayFromEveryKind_V1) {
  for (const std::uint64_t granularity : {std::uint64_t{1024}, std::uint64_t{65536}}) {
    PlainDevice device(discrete());
    auto heap = *SingleThreadedHeap::create(device, {.buffer_image_granularity = Alignment{granularity}});
    Ledger ledger(device, Alignment{granularity}, Alignment{1});
    std::vector<HeapAllocation> live;
    for (int i = 0; i < 60; ++i) {
      HeapRequest request = request_for(Bytes{70'000 + static_cast<std::uint64_t>(i) * 100}, Alignment{256},
                                        Intent::device, static_cast<ResourceKind>(i % 2));
      request.aliasable = i % 3 == 0;
      live.push_back(*heap.allocate(request));
      if (request.aliasable) request.kind = ResourceKind::unknown;
      EXPECT_EQ(heap.find(live.back())->kind, request.kind);
      ledger.add(live.back(), request);
    }
    heap.free(live);
  }
}

TEST(HeapSharing, WhatIsToLieThereIsHeldAgainstTheMemory_V6_V7_V9) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  HeapRequest request = request_for(300_KiB, Alignment{4096});
  request.aliasable = true;
  const HeapAllocation plain = *heap.allocate(request);
  request.device_address = true;
  const HeapAllocation before = *heap.allocate(request);
  const HeapAllocation exposed = *heap.allocate(request);
  ASSERT_NE(exposed.offset, 0_B);
  HeapRequest wanted = request_for(200_KiB, Alignment{4096});
  wanted.name = "the other one";
  wanted.user_data = 12;
  const HeapAllocation second = *heap.alias(plain, wanted);
  EXPECT_EQ(second.address, plain.address);
  EXPECT_EQ(heap.find(second)->name, "the other one");
  EXPECT_EQ(heap.find(second)->user_data, 12U);
  const auto why = [&](const HeapRequest& r) { return heap.alias(plain, r).error().code; };
  HeapRequest wrong = wanted;
  wrong.device_address = true;
  EXPECT_EQ(why(wrong), ErrorCode::not_supported) << "V9";
  const auto addressed = heap.alias(exposed, wrong);
  EXPECT_TRUE(addressed);
  wrong = wanted;
  wrong.requirements.size = 301_KiB;
  EXPECT_EQ(why(wrong), ErrorCode::invalid_argument);
  wrong = wanted;
  wrong.requirements.memory_type_bits = 0b110;
  EXPECT_EQ(why(wrong), ErrorCode::invalid_argument) << "V6";
  wrong = wanted;
  wrong.requirements.alignment = Alignment{std::uint64_t{1} << 40U};
  EXPECT_EQ(heap.alias(exposed, wrong).error().code, ErrorCode::invalid_argument) << "V7";
  wrong = wanted;
  wrong.dedicated = DedicatedWish::required;
  EXPECT_EQ(why(wrong), ErrorCode::not_supported) << "V8";
  for (const HeapAllocation& a : {plain, second, before, exposed, *addressed})
    heap.free(a);
  EXPECT_EQ(heap.trim(), 0_B);
}

TEST(HeapSharing, AnImportHasTheExportersSizeAndType_V17) {
  PlainDevice device(discrete());
  auto exporter = *SingleThreadedHeap::create(device);
  auto importer = *SingleThreadedHeap::create(device);
  HeapRequest request = request_for(100_KiB);
  request.exportable = true;
  const HeapAllocation out = *exporter.allocate(request);
  EXPECT_TRUE(exporter.find(out)->dedicated) << "nobody else's bytes leave the process with it";
  const ExternalHandle handle = *exporter.export_memory(out);
  ImportRequest wanted = *exporter.export_request(out);
  EXPECT_EQ(wanted.size, device.objects()[out.block - 1].reservation.size);
  wanted.name = "from over there";
  const HeapAllocation in = *importer.import_memory(wanted, handle);
  EXPECT_EQ(in.size, wanted.size);
  EXPECT_EQ(in.offset, 0_B);
  EXPECT_EQ(importer.find(in)->name, "from over there");
  EXPECT_TRUE(device.objects()[in.native - 1000].imported);
  importer.free(in);
  exporter.free(out);
  EXPECT_EQ(importer.trim() + exporter.trim(), 0_B);
  EXPECT_EQ(device.held_objects(), 0U);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
  const HeapAllocation closed = *exporter.allocate(request_for(100_KiB));
  EXPECT_EQ(exporter.export_memory(closed).error().code, ErrorCode::not_supported);
  exporter.free(closed);
  EXPECT_EQ(importer.import_memory({.size = 0_B}, handle).error().code, ErrorCode::invalid_size);
  EXPECT_EQ(importer.import_memory({.size = 64_KiB, .memory_type = 77}, handle).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(importer.import_memory({.size = 64_KiB}, {}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(importer.validate(), nullptr);
}

TEST(HeapSharing, ExportsAreDedicatedWhereTheyMustBe_V18) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device, {.export_needs_dedicated = true});
  HeapRequest request = request_for(100_KiB);
  request.exportable = true;
  EXPECT_EQ(heap.allocate(request).error().code, ErrorCode::invalid_argument) << "dedicated to what?";
  request.dedicated = DedicatedWish::preferred;
  request.resource = {MemoryTraits::Dedicated::buffer, 42};
  const HeapAllocation out = *heap.allocate(request);
  EXPECT_EQ(device.objects()[out.block - 1].traits.resource, 42U);
  EXPECT_TRUE(device.objects()[out.block - 1].traits.exportable);
  EXPECT_EQ(heap.export_request(out)->resource.type, MemoryTraits::Dedicated::buffer);
  heap.free(out);
}

}  // namespace
}  // namespace vaspace::test
