// V6, V14, V15: which memory type an intent gets, on every device there is a file of: the simulated driver's
// profiles, and what real devices report.
#include "vaspace/heap/memory_intent.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "device_files.hpp"
#include "memory_intent_table.hpp"

namespace vaspace::test {
namespace {

constexpr std::uint32_t kDeviceCoherentAmd = 0x40;
constexpr std::uint32_t kDeviceUncachedAmd = 0x80;

// "1 4 0", best first; empty where nothing serves.
std::string ranked(const DeviceProfile& profile, const TypeRequest& request, const TypeRules& rules = {}) {
  const auto ranking = choose_memory_types(profile, request, rules);
  std::string text;
  if (!ranking) return text;
  for (const std::uint8_t type : *ranking)
    text += (text.empty() ? "" : " ") + std::to_string(type);
  return text;
}

const std::vector<DeviceFile>& all_devices() {
  static const std::vector<DeviceFile> all = [] {
    std::vector<DeviceFile> devices = simulated_devices();
    const std::vector<DeviceFile> reported = reported_devices();
    devices.insert(devices.end(), reported.begin(), reported.end());
    return devices;
  }();
  return all;
}

DeviceProfile profile_of(std::string_view name) {
  for (const DeviceFile& device : all_devices())
    if (device.name == name) return device.profile;
  ADD_FAILURE() << "no file of " << name;
  return {};
}

std::vector<ExpectedRankings> whole_table() {
  std::vector<ExpectedRankings> rows(std::begin(kSimulatedDevices), std::end(kSimulatedDevices));
  rows.insert(rows.end(), std::begin(kReportedDevices), std::end(kReportedDevices));
  return rows;
}

struct Expected {
  TypeRequest request;
  std::string_view ranking;
};

std::vector<Expected> expected_of(const ExpectedRankings& row) {
  return {{{.intent = Intent::device}, row.device},
          {{.intent = Intent::device, .mapping = Mapping::preferred}, row.device_mapped_if_cheap},
          {{.intent = Intent::device, .mapping = Mapping::required}, row.device_mapped},
          {{.intent = Intent::upload}, row.upload},
          {{.intent = Intent::readback}, row.readback},
          {{.intent = Intent::dynamic}, row.dynamic},
          {{.intent = Intent::transient_attachment}, row.transient}};
}

std::string words_of(const TypeRequest& request) {
  return "intent " + std::to_string(static_cast<int>(request.intent)) + ", mapping " +
         std::to_string(static_cast<int>(request.mapping));
}

TEST(MemoryIntent, EveryDeviceHasARow) {
  const auto same_names = [](const std::vector<DeviceFile>& files, const auto& rows) {
    std::set<std::string> of_files, of_rows;
    for (const DeviceFile& device : files)
      of_files.insert(device.name);
    for (const ExpectedRankings& row : rows)
      of_rows.insert(std::string(row.device_name));
    EXPECT_EQ(of_files, of_rows);
  };
  same_names(simulated_devices(), kSimulatedDevices);
  same_names(reported_devices(), kReportedDevices);
}

TEST(MemoryIntent, RanksTheTypesOfEveryDevice_V6_V14_V15) {
  for (const ExpectedRankings& row : whole_table()) {
    SCOPED_TRACE(row.device_name);
    const DeviceProfile profile = profile_of(row.device_name);
    for (const Expected& expected : expected_of(row))
      EXPECT_EQ(ranked(profile, expected.request), expected.ranking) << words_of(expected.request);
  }
}

// What a resource is allowed shrinks, best type first: each time the next of the whole ranking is the best,
// until none is left.
TEST(MemoryIntent, FallsBackAlongTheRanking_V6) {
  for (const ExpectedRankings& row : whole_table()) {
    SCOPED_TRACE(row.device_name);
    const DeviceProfile profile = profile_of(row.device_name);
    for (Expected& expected : expected_of(row)) {
      std::string_view left = expected.ranking;
      while (!left.empty()) {
        const std::string_view best = left.substr(0, left.find(' '));
        left.remove_prefix(std::min(left.size(), best.size() + 1));
        expected.request.type_bits &= ~(1U << std::stoul(std::string(best)));
        EXPECT_EQ(ranked(profile, expected.request), left)
            << words_of(expected.request) << " without " << best;
      }
      EXPECT_FALSE(choose_memory_types(profile, expected.request));
    }
  }
}

TEST(MemoryIntent, WhatTheHostTouchesIsMappedWhateverIsAsked) {
  for (const DeviceFile& device : all_devices()) {
    for (const Intent intent : {Intent::upload, Intent::readback, Intent::dynamic}) {
      const std::string plain = ranked(device.profile, {.intent = intent});
      EXPECT_FALSE(plain.empty()) << device.name;
      for (const Mapping mapping : {Mapping::preferred, Mapping::required})
        EXPECT_EQ(ranked(device.profile, {.intent = intent, .mapping = mapping}), plain) << device.name;
    }
  }
}

// A slip in copying a report is seen where it makes a device that cannot be.
TEST(MemoryIntent, ReportsAreOfPossibleDevices) {
  for (const DeviceFile& device : reported_devices()) {
    SCOPED_TRACE(device.name);
    EXPECT_EQ(device.source.rfind("https://github.com/", 0), 0U) << "where was it published?";
    EXPECT_NE(device.driver, "");
    const DeviceProfile& profile = device.profile;
    bool local = false, coherent = false;
    for (std::uint32_t t = 0; t < profile.memory_type_count; ++t) {
      const MemoryType& type = profile.memory_types[t];
      ASSERT_LT(type.heap, profile.heap_count);
      EXPECT_EQ(type.device_local, profile.heaps[type.heap].device_local) << "type " << t;
      EXPECT_TRUE(type.host_visible || (!type.host_coherent && !type.host_cached)) << "type " << t;
      local = local || type.device_local;
      coherent = coherent || (type.host_visible && type.host_coherent);
    }
    EXPECT_TRUE(local && coherent) << "Vulkan promises a type of each";
    EXPECT_TRUE(device.most_allocations == 0 || device.most_allocations >= 4096);
    EXPECT_LE(device.buffer_image_granularity, 131072U);
    EXPECT_EQ(device.buffer_image_granularity & (device.buffer_image_granularity - 1), 0U);
    EXPECT_LE(device.non_coherent_atom, 256U);
    EXPECT_EQ(device.non_coherent_atom & (device.non_coherent_atom - 1), 0U);
  }
}

void keeps_its_promises(const DeviceProfile& profile, const TypeRequest& request,
                        const TypeRanking& ranking) {
  std::uint32_t seen = 0;
  for (const std::uint8_t t : ranking) {
    const MemoryType& type = profile.memory_types[t];
    EXPECT_EQ(seen >> t & 1U, 0U) << "twice";
    seen |= 1U << t;
    EXPECT_TRUE(!type.lazily_allocated || request.intent == Intent::transient_attachment) << "V14";
    EXPECT_EQ(type.protected_memory, request.intent == Intent::protected_device) << "V15";
    EXPECT_TRUE(!request.coherent || type.host_coherent);
    EXPECT_TRUE(request.mapping != Mapping::required || type.host_visible);
    EXPECT_EQ(type.native_flags & (kDeviceCoherentAmd | kDeviceUncachedAmd), 0U);
  }
}

// Every request, over every set of type bits: what a ranking promises holds, and it leaves nothing out.
TEST(MemoryIntent, KeepsItsPromisesForAllTypeBits_V6_V14_V15) {
  const TypeRules rules{.protected_memory = true};
  for (const DeviceFile& device : all_devices()) {
    const DeviceProfile& profile = device.profile;
    // Of more types every set would take long; FallsBackAlongTheRanking walks over those.
    const std::uint32_t sets = profile.memory_type_count <= 8 ? 1U << profile.memory_type_count : 0;
    for (std::uint32_t combination = 0; combination < kIntentCount * 3 * 2; ++combination) {
      TypeRequest request{.intent = static_cast<Intent>(combination / 6),
                          .mapping = static_cast<Mapping>(combination / 2 % 3),
                          .coherent = combination % 2 == 1};
      const TypeRanking whole = choose_memory_types(profile, request, rules).value_or(TypeRanking{});
      keeps_its_promises(profile, request, whole);
      for (std::uint32_t bits = 1; bits < sets; ++bits) {
        request.type_bits = bits;
        std::vector<std::uint8_t> expected;
        std::copy_if(whole.begin(), whole.end(), std::back_inserter(expected),
                     [&](std::uint8_t t) { return (bits >> t & 1U) != 0; });
        const TypeRanking some = choose_memory_types(profile, request, rules).value_or(TypeRanking{});
        ASSERT_EQ(std::vector<std::uint8_t>(some.begin(), some.end()), expected)
            << device.name << " bits " << bits;
      }
    }
  }
}

TEST(MemoryIntent, ProtectedMemoryOnlyWhereItIsEnabled_V15) {
  const DeviceProfile tiler = profile_of("mobile_tiler"), integrated = profile_of("integrated");
  const TypeRules on{.protected_memory = true};
  const auto why = [](const DeviceProfile& profile, const TypeRequest& request, const TypeRules& rules) {
    return choose_memory_types(profile, request, rules).error().code;
  };
  EXPECT_EQ(ranked(tiler, {.intent = Intent::protected_device}, on), "4");
  EXPECT_EQ(why(tiler, {.intent = Intent::protected_device}, {}), ErrorCode::not_supported);
  EXPECT_EQ(why(tiler, {.intent = Intent::protected_device, .mapping = Mapping::required}, on),
            ErrorCode::not_supported);
  EXPECT_EQ(why(integrated, {.intent = Intent::protected_device}, on), ErrorCode::not_supported);
}

TEST(MemoryIntent, TypesWithUnknownPropertiesOnlyWhereTheyAreEnabled) {
  const DeviceProfile amd = profile_of("amd_rx_6600");
  const TypeRules rules{.extra_native_flags = kDeviceCoherentAmd | kDeviceUncachedAmd};
  EXPECT_EQ(ranked(amd, {.intent = Intent::upload}, rules), "1 5 3 7 2 6");
  EXPECT_EQ(ranked(amd, {.intent = Intent::upload, .type_bits = 0xF0}), "");
}

TEST(MemoryIntent, ADeviceWithoutCachedMemoryReadsBackThroughWhatItHas) {
  DeviceProfile profile = profile_of("tiny");
  profile.memory_type_count = 2;
  EXPECT_EQ(ranked(profile, {.intent = Intent::readback}), "1");
}

// A driver for QNX lists a heap of no bytes (KhronosGroup/Vulkan-Tools issue 559); a pool of any size made
// there would never hold anything.
TEST(MemoryIntent, AHeapOfNoBytesServesNothing_V6) {
  DeviceProfile profile = profile_of("discrete_rebar");
  profile.heaps[0].size = 0_B;
  EXPECT_EQ(ranked(profile, {.intent = Intent::device}), "1 3");
  EXPECT_EQ(choose_memory_types(profile, {.type_bits = 0b0101}).error().code, ErrorCode::too_large);
}

TEST(MemoryIntent, WhatIsTooLargeForTheDevicesShareGoesToTheHosts_V6) {
  const DeviceProfile profile = profile_of("amd_integrated_512m");
  EXPECT_EQ(ranked(profile, {.size = 256_MiB}), "0 8 2 10 1 9 3 11");
  EXPECT_EQ(ranked(profile, {.size = 257_MiB}), "1 9 3 11");
  EXPECT_EQ(ranked(profile, {.intent = Intent::dynamic, .size = 257_MiB}), "1 9 3 11");
}

TEST(MemoryIntent, SaysWhyNothingServes_V6) {
  const DeviceProfile profile = profile_of("discrete_bar256");
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
  EXPECT_FALSE(is_roomy_device_heap(profile_of("discrete_bar256"), 4));
  EXPECT_FALSE(is_roomy_device_heap(profile_of("discrete_bar256"), 2));
  EXPECT_TRUE(is_roomy_device_heap(profile_of("discrete_rebar"), 2));
  EXPECT_TRUE(is_roomy_device_heap(profile_of("integrated"), 0));
  EXPECT_FALSE(is_roomy_device_heap(profile_of("nvidia_gtx_1650"), 4));
  EXPECT_TRUE(is_roomy_device_heap(profile_of("nvidia_rtx_3060_ti_rebar"), 5));
  EXPECT_TRUE(is_roomy_device_heap(profile_of("amd_integrated_512m"), 2));
}

}  // namespace
}  // namespace vaspace::test
