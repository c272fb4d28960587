// What a heap of plain blocks costs on recorded traces: calls of the driver, and memory beside what lives.
#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "vaspace/heap/heap.hpp"
#include "vaspace/trace/reader.hpp"

#include "plain_device.hpp"

namespace vaspace::test {
namespace {

struct Outcome {
  std::uint64_t allocations = 0;
  std::uint64_t reserves = 0;
  double peak = 0;  // committed / live, each at its own peak
  double mean = 0;  // over operations
};

// The memory types that the recording layer showed: device-local, host-visible, a window, cached.
DeviceShape recorded_device() {
  return {.heaps = {{8_GiB, true}, {8_GiB, false}, {256_MiB, true}},
          .types = {{.heap = 0, .device_local = true},
                    {.heap = 1, .device_local = false, .host_visible = true, .host_coherent = true},
                    {.heap = 2, .device_local = true, .host_visible = true, .host_coherent = true},
                    {.heap = 1,
                     .device_local = false,
                     .host_visible = true,
                     .host_coherent = true,
                     .host_cached = true}}};
}

// The least alignments of a device that is not the one of the recording.
struct Alignments {
  std::uint64_t buffers = 1;
  std::uint64_t images = 1;
};

HeapRequest request_of(const trace::Row& row, std::string_view flags, bool one_type,
                       const Alignments& least) {
  HeapRequest request;
  request.kind = row.kind == trace::Kind::image_optimal ? ResourceKind::optimal : ResourceKind::linear;
  const std::uint64_t aligned = request.kind == ResourceKind::optimal ? least.images : least.buffers;
  request.requirements = {Bytes{row.size}, Alignment{std::max(row.alignment, aligned)}, one_type ? 1U : ~0U};
  const std::size_t at = flags.find("mt=");
  const char type = at == std::string_view::npos ? '0' : flags[at + 3];
  if (type == '1') request.intent = Intent::upload;
  if (type == '2') request.intent = Intent::dynamic;
  if (type == '3') request.intent = Intent::readback;
  if (!one_type && type != '0' && row.kind != trace::Kind::image_optimal)
    request.mapping = Mapping::preferred;
  return request;
}

Outcome replay(const std::string& name, const DeviceShape& shape, Alignment granularity,
               const Alignments& least = {}) {
  PlainDevice device(shape);
  auto heap = SingleThreadedHeap::create(device, {.buffer_image_granularity = granularity});
  auto reader = trace::Reader::open((std::string(VASPACE_TRACES "/") + name).c_str());
  EXPECT_TRUE(heap && reader) << name;
  std::vector<HeapAllocation> live;
  Outcome outcome;
  std::uint64_t bytes = 0;
  std::uint64_t peak_bytes = 0;
  std::uint64_t peak_committed = 0;
  double sum_bytes = 0;
  double sum_committed = 0;
  for (trace::Row row; *reader->next(row);) {
    if (row.op == trace::Op::frame) continue;
    if (row.op == trace::Op::alloc) {
      ++outcome.allocations;
      const auto allocation =
          heap->allocate(request_of(row, reader->flags(), shape.types.size() == 1, least));
      EXPECT_TRUE(allocation) << to_string(allocation.error().code);
      if (!allocation) return outcome;
      live.resize(std::max<std::size_t>(live.size(), row.allocation + 1));
      live[row.allocation] = *allocation;
      bytes += row.size;
    } else {
      bytes -= live[row.allocation].size.value;
      heap->free(std::exchange(live[row.allocation], {}));
    }
    heap->collect();
    std::uint64_t committed = 0;
    for (std::uint32_t h = 0; h < shape.heaps.size(); ++h)
      committed += device.held(h).value;
    peak_bytes = std::max(peak_bytes, bytes);
    peak_committed = std::max(peak_committed, committed);
    sum_bytes += static_cast<double>(bytes);
    sum_committed += static_cast<double>(committed);
  }
  EXPECT_EQ(heap->validate(), nullptr);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
  for (const HeapAllocation& allocation : live)
    if (allocation) heap->free(allocation);
  EXPECT_EQ(heap->trim(), Bytes{});
  outcome.reserves = device.reserves();
  outcome.peak = static_cast<double>(peak_committed) / static_cast<double>(peak_bytes);
  outcome.mean = sum_committed / sum_bytes;
  std::printf(
      "%-32s g %5llu, %zu types: %5llu allocations, %3llu reserves (%.2f per 50), peak %.3f, mean %.3f\n",
      name.c_str(), static_cast<unsigned long long>(granularity.value), shape.types.size(),
      static_cast<unsigned long long>(outcome.allocations), static_cast<unsigned long long>(outcome.reserves),
      50.0 * static_cast<double>(outcome.reserves) / static_cast<double>(outcome.allocations), outcome.peak,
      outcome.mean);
  return outcome;
}

const char* const kRenderer[] = {"stk_lighthouse.res.csv.gz", "stk_hacienda.res.csv.gz",
                                 "stk_cocoa.res.csv.gz", "stk_lighthouse_demo.res.csv.gz"};

void expect_cheap(const Outcome& outcome) {
  EXPECT_LE(outcome.reserves * 50, outcome.allocations);
  EXPECT_LE(outcome.peak, 1.30);
  EXPECT_LE(outcome.mean, 2.2);
}

TEST(HeapTraces, ARendererOnADiscreteDevice) {
  for (const char* const name : kRenderer)
    expect_cheap(replay(name, recorded_device(), Alignment{1024}));
}

// Images at 64 KiB leave gaps that the recorded sizes, which are a software driver's, do not fill.
TEST(HeapTraces, ARendererWithACommonDevicesAlignments) {
  for (const char* const name : kRenderer) {
    const Outcome outcome =
        replay(name, recorded_device(), Alignment{1024}, {.buffers = 256, .images = 65536});
    EXPECT_LE(outcome.reserves * 50, outcome.allocations);
    EXPECT_LE(outcome.peak, 1.5);
    EXPECT_LE(outcome.mean, 2.2);
  }
}

TEST(HeapTraces, ARendererWhereKindsShareEverything) {
  for (const char* const name : kRenderer)
    expect_cheap(replay(name, recorded_device(), Alignment{1}));
}

TEST(HeapTraces, ARendererOnASoftwareDeviceOfOneType) {
  for (const char* const name : kRenderer)
    expect_cheap(replay(name, unified(), Alignment{64}));
}

TEST(HeapTraces, OtherProgramsStayWithinReason) {
  for (const char* const name : {"openarena_tour_zink.res.csv.gz", "glmark2uma_zink.res.csv.gz"}) {
    const Outcome outcome = replay(name, recorded_device(), Alignment{1024});
    EXPECT_LE(outcome.reserves * 50, outcome.allocations);
    EXPECT_LE(outcome.peak, 1.5);
  }
}

}  // namespace
}  // namespace vaspace::test
