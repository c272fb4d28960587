// V6, V14, V15: which memory type an intent gets, on every device there is. The tables are those of the
// simulated driver's profiles, and of layouts that reports of real devices show.
#include "vaspace/heap/memory_intent.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace vaspace::test {
namespace {

constexpr std::uint32_t kDeviceCoherentAmd = 0x40;
constexpr std::uint32_t kDeviceUncachedAmd = 0x80;

// d: device-local, v: host-visible, c: coherent, k: cached, l: lazily allocated, p: protected, A:
// device-coherent, U: device-uncached.
MemoryType type(std::uint32_t heap, const std::string& flags) {
  const auto has = [&](char c) { return flags.find(c) != std::string::npos; };
  MemoryType t{.heap = heap,
               .device_local = has('d'),
               .host_visible = has('v'),
               .host_coherent = has('c'),
               .host_cached = has('k'),
               .lazily_allocated = has('l'),
               .protected_memory = has('p')};
  t.native_flags = (has('d') ? 1U : 0U) | (has('v') ? 2U : 0U) | (has('c') ? 4U : 0U) | (has('k') ? 8U : 0U) |
                   (has('l') ? 16U : 0U) | (has('p') ? 32U : 0U) | (has('A') ? kDeviceCoherentAmd : 0U) |
                   (has('U') ? kDeviceUncachedAmd : 0U);
  return t;
}

DeviceProfile device(const std::vector<MemoryHeap>& heaps, const std::vector<MemoryType>& types) {
  DeviceProfile profile;
  profile.heap_count = static_cast<std::uint32_t>(heaps.size());
  std::copy(heaps.begin(), heaps.end(), profile.heaps.begin());
  profile.memory_type_count = static_cast<std::uint32_t>(types.size());
  std::copy(types.begin(), types.end(), profile.memory_types.begin());
  return profile;
}

DeviceProfile discrete_bar256() {
  return device({{8_GiB, true}, {Bytes{6227162112}, false}, {Bytes{257949696}, true}},
                {type(1, ""), type(0, "d"), type(1, "vc"), type(1, "vck"), type(2, "dvc")});
}
DeviceProfile discrete_rebar() {
  return device({{16_GiB, true}, {16_GiB, false}},
                {type(0, "d"), type(1, "vc"), type(0, "dvc"), type(1, "vck")});
}
DeviceProfile integrated() {
  return device({{12_GiB, true}}, {type(0, "dvc"), type(0, "dvck")});
}
DeviceProfile mobile_tiler() {
  return device({{3_GiB, true}},
                {type(0, "d"), type(0, "dvc"), type(0, "dvk"), type(0, "dl"), type(0, "dp")});
}
DeviceProfile granularity_64k() {
  return device({{8_GiB, true}, {Bytes{6227162112}, false}, {Bytes{257949696}, true}},
                {type(1, ""), type(0, "d"), type(1, "vc"), type(1, "vk"), type(2, "dvc")});
}
DeviceProfile tiny() {
  return device({{48_MiB, true}, {16_MiB, false}}, {type(0, "d"), type(1, "vc"), type(1, "vk")});
}
DeviceProfile lavapipe() {
  return device({{8_GiB, true}}, {type(0, "dvck")});
}
DeviceProfile no_cached() {
  return device({{4_GiB, true}, {8_GiB, false}}, {type(0, "d"), type(1, "vc")});
}
// AMD's own driver lists every type twice more, device-coherent and uncached.
DeviceProfile amd_device_coherent() {
  return device({{8_GiB, true}, {16_GiB, false}, {256_MiB, true}},
                {type(0, "d"), type(1, "vc"), type(2, "dvc"), type(1, "vck"), type(0, "dAU"), type(1, "vcAU"),
                 type(2, "dvcAU"), type(1, "vckAU")});
}

struct Row {
  const char* name;
  DeviceProfile profile;
  std::vector<int> device, device_mapped_if_cheap, device_mapped, upload, readback, dynamic, transient;
};

std::vector<Row> table() {
  return {
      {"discrete, 256 MiB BAR",
       discrete_bar256(),
       {1, 4, 0, 2, 3},
       {1, 4, 2, 3, 0},
       {4, 2, 3},
       {2, 3, 4},
       {3, 2, 4},
       {4, 2, 3},
       {1, 4, 0, 2, 3}},
      {"discrete, resizable BAR",
       discrete_rebar(),
       {0, 2, 1, 3},
       {2, 0, 1, 3},
       {2, 1, 3},
       {1, 3, 2},
       {3, 1, 2},
       {2, 1, 3},
       {0, 2, 1, 3}},
      {"integrated", integrated(), {0, 1}, {0, 1}, {0, 1}, {0, 1}, {1, 0}, {0, 1}, {0, 1}},
      {"mobile tiler", mobile_tiler(), {0, 1, 2}, {1, 2, 0}, {1, 2}, {1, 2}, {2, 1}, {1, 2}, {3, 0, 1, 2}},
      {"granularity 64 KiB",
       granularity_64k(),
       {1, 4, 0, 2, 3},
       {1, 4, 2, 3, 0},
       {4, 2, 3},
       {2, 3, 4},
       {3, 2, 4},
       {4, 2, 3},
       {1, 4, 0, 2, 3}},
      {"tiny", tiny(), {0, 1, 2}, {0, 1, 2}, {1, 2}, {1, 2}, {2, 1}, {1, 2}, {0, 1, 2}},
      {"lavapipe", lavapipe(), {0}, {0}, {0}, {0}, {0}, {0}, {0}},
      {"no cached memory", no_cached(), {0, 1}, {0, 1}, {1}, {1}, {1}, {1}, {0, 1}},
      {"AMD, device-coherent types",
       amd_device_coherent(),
       {0, 2, 1, 3},
       {0, 2, 1, 3},
       {2, 1, 3},
       {1, 3, 2},
       {3, 1, 2},
       {2, 1, 3},
       {0, 2, 1, 3}},
  };
}

std::vector<int> ranked(const DeviceProfile& profile, const TypeRequest& request,
                        const TypeRules& rules = {}) {
  const auto ranking = choose_memory_types(profile, request, rules);
  if (!ranking) return {};
  return {ranking->begin(), ranking->end()};
}

TEST(MemoryIntent, RanksTheTypesOfEveryDevice_V6_V14_V15) {
  for (const Row& row : table()) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(ranked(row.profile, {.intent = Intent::device}), row.device);
    EXPECT_EQ(ranked(row.profile, {.intent = Intent::device, .mapping = Mapping::preferred}),
              row.device_mapped_if_cheap);
    EXPECT_EQ(ranked(row.profile, {.intent = Intent::device, .mapping = Mapping::required}),
              row.device_mapped);
    EXPECT_EQ(ranked(row.profile, {.intent = Intent::upload}), row.upload);
    EXPECT_EQ(ranked(row.profile, {.intent = Intent::readback}), row.readback);
    EXPECT_EQ(ranked(row.profile, {.intent = Intent::dynamic}), row.dynamic);
    EXPECT_EQ(ranked(row.profile, {.intent = Intent::transient_attachment}), row.transient);
  }
}

// Every request, over every set of type bits: what a ranking promises holds, and it leaves nothing out.
TEST(MemoryIntent, KeepsItsPromisesForAllTypeBits_V6_V14_V15) {
  for (const Row& row : table()) {
    const std::uint32_t all = (1U << row.profile.memory_type_count) - 1;
    for (std::uint32_t combination = 0; combination < kIntentCount * 3 * 2; ++combination) {
      TypeRequest request{.intent = static_cast<Intent>(combination / 6),
                          .mapping = static_cast<Mapping>(combination / 2 % 3),
                          .coherent = combination % 2 == 1};
      const TypeRules rules{.protected_memory = true};
      const std::vector<int> whole = ranked(row.profile, request, rules);
      for (std::uint32_t bits = 1; bits <= all; ++bits) {
        request.type_bits = bits;
        std::vector<int> expected;
        for (const int t : whole)
          if ((bits >> t & 1U) != 0) expected.push_back(t);
        ASSERT_EQ(ranked(row.profile, request, rules), expected) << row.name << " bits " << bits;
      }
      for (const int t : whole) {
        const MemoryType& type = row.profile.memory_types[static_cast<std::size_t>(t)];
        EXPECT_TRUE(!type.lazily_allocated || request.intent == Intent::transient_attachment) << "V14";
        EXPECT_EQ(type.protected_memory, request.intent == Intent::protected_device) << "V15";
        EXPECT_TRUE(!request.coherent || type.host_coherent);
        EXPECT_TRUE(request.mapping != Mapping::required || type.host_visible);
        EXPECT_EQ(type.native_flags & (kDeviceCoherentAmd | kDeviceUncachedAmd), 0U);
      }
    }
  }
}

TEST(MemoryIntent, ProtectedMemoryOnlyWhereItIsEnabled_V15) {
  EXPECT_EQ(ranked(mobile_tiler(), {.intent = Intent::protected_device}, {.protected_memory = true}),
            std::vector<int>{4});
  const auto off = choose_memory_types(mobile_tiler(), {.intent = Intent::protected_device});
  EXPECT_EQ(off.error().code, ErrorCode::not_supported);
  const auto seen =
      choose_memory_types(mobile_tiler(), {.intent = Intent::protected_device, .mapping = Mapping::required},
                          {.protected_memory = true});
  EXPECT_EQ(seen.error().code, ErrorCode::not_supported);
  EXPECT_EQ(
      choose_memory_types(integrated(), {.intent = Intent::protected_device}, {.protected_memory = true})
          .error()
          .code,
      ErrorCode::not_supported);
}

TEST(MemoryIntent, TypesWithUnknownPropertiesOnlyWhereTheyAreEnabled) {
  const TypeRules rules{.extra_native_flags = kDeviceCoherentAmd | kDeviceUncachedAmd};
  EXPECT_EQ(ranked(amd_device_coherent(), {.intent = Intent::upload}, rules),
            (std::vector<int>{1, 5, 3, 7, 2, 6}));
  EXPECT_EQ(ranked(amd_device_coherent(), {.intent = Intent::upload, .type_bits = 0xF0}), std::vector<int>{});
}

TEST(MemoryIntent, SaysWhyNothingServes_V6) {
  const DeviceProfile profile = discrete_bar256();
  const auto why = [&](const TypeRequest& request, std::span<const Bytes> room = {}) {
    return choose_memory_types(profile, request, {}, room).error().code;
  };
  EXPECT_EQ(why({.type_bits = 0}), ErrorCode::invalid_argument);
  EXPECT_EQ(why({.type_bits = 0xFFFFFFE0}), ErrorCode::invalid_argument);
  EXPECT_EQ(why({.intent = Intent::upload, .type_bits = 0b00011}), ErrorCode::not_supported);
  EXPECT_EQ(why({.type_bits = 0b00010, .size = 9_GiB}), ErrorCode::too_large);
  const std::vector<Bytes> room{1_MiB, 64_MiB, 0_B};
  EXPECT_EQ(why({.type_bits = 0b00010, .size = 2_MiB, .within_budget = true}, room),
            ErrorCode::out_of_device_memory);
  const auto elsewhere = choose_memory_types(profile, {.size = 2_MiB, .within_budget = true}, {}, room);
  EXPECT_EQ(std::vector<int>(elsewhere->begin(), elsewhere->end()), (std::vector<int>{0, 2, 3}));
}

TEST(MemoryIntent, ASmallWindowIsNotRoomy) {
  EXPECT_FALSE(is_roomy_device_heap(discrete_bar256(), 4));
  EXPECT_FALSE(is_roomy_device_heap(discrete_bar256(), 2));
  EXPECT_TRUE(is_roomy_device_heap(discrete_rebar(), 2));
  EXPECT_TRUE(is_roomy_device_heap(integrated(), 0));
}

}  // namespace
}  // namespace vaspace::test
