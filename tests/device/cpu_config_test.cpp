// What the CPU backend makes of its configuration.
#include "support/backend_cpu.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

TEST_F(CpuTest, TheDefaultIsOneHeapOneVisibleTypeAndTwoPageSizes) {
  auto backend = cpu::Backend::create({}).value();
  const DeviceProfile& profile = backend->profile();
  EXPECT_STREQ(profile.name.data(), "cpu");
  ASSERT_EQ(profile.heap_count, 1U);
  EXPECT_EQ(profile.heaps[0].size, 4_GiB);
  ASSERT_EQ(profile.memory_type_count, 1U);
  EXPECT_TRUE(profile.memory_types[0].host_visible && profile.memory_types[0].host_coherent);
  ASSERT_EQ(profile.page_size_count, 2U);
  EXPECT_EQ(profile.page_sizes[0], 64_KiB);
  EXPECT_EQ(profile.page_sizes[1], 2_MiB);
  const Capabilities& can = profile.capabilities;
  EXPECT_TRUE(can.bind && can.partial_unbind && can.physical_offset && can.aliasing && can.host_addressable);
  EXPECT_FALSE(can.reserve_commits || can.completes_later || can.external_memory);
  EXPECT_GT(can.max_mappings, 1000U);
  EXPECT_LT(can.max_mappings, kUnlimited);
}

TEST_F(CpuTest, EachSwitchTurnsOffItsCapabilityAndNoOther) {
  const auto capabilities = [](const cpu::BackendConfig& config) {
    return cpu::Backend::create(config).value()->profile().capabilities;
  };
  const Capabilities cuda = capabilities({.partial_unbind = false, .physical_offset = false});
  EXPECT_TRUE(cuda.bind && cuda.aliasing);
  EXPECT_FALSE(cuda.partial_unbind || cuda.physical_offset);
  const Capabilities alone = capabilities({.aliasing = false});
  EXPECT_TRUE(alone.bind && alone.partial_unbind && alone.physical_offset);
  EXPECT_FALSE(alone.aliasing);
  const Capabilities vulkan = capabilities({.reserve_commits = true});
  EXPECT_TRUE(vulkan.reserve_commits && vulkan.map && vulkan.copy);
  EXPECT_FALSE(vulkan.bind || vulkan.partial_unbind || vulkan.physical_offset || vulkan.aliasing);
  EXPECT_TRUE(capabilities({.bind_latency_ns = 1}).completes_later);
  EXPECT_EQ(capabilities({.max_mappings = 7}).max_mappings, 7U);
}

TEST_F(CpuTest, BadConfigurationsAreRefused) {
  const std::array<Bytes, 1> tiny{Bytes{512}};
  const std::array<Bytes, 2> falling{2_MiB, 64_KiB};
  const std::array<Bytes, 1> odd{96_KiB};
  const std::array<MemoryHeap, 1> nothing{};
  const std::array<MemoryHeap, 1> beyond{MemoryHeap{257_TiB, true}};
  const std::array<MemoryHeap, 17> many{};
  const std::array<MemoryType, 1> homeless{MemoryType{.heap = 1}};
  const std::vector<cpu::BackendConfig> bad = {
      {.physical_size = Bytes{}},
      {.physical_size = 257_TiB},
      {.heaps = nothing},
      {.heaps = beyond},
      {.heaps = many},
      {.memory_types = homeless},
      {.page_sizes = tiny},
      {.page_sizes = falling},
      {.page_sizes = odd},
      {.page_sizes = falling, .reserve_commits = true},
  };
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const auto made = cpu::Backend::create(bad[i]);
    ASSERT_FALSE(made) << i;
    EXPECT_EQ(made.error().code, ErrorCode::invalid_configuration) << i;
  }
}

// Two heaps, three types, one of which the host does not see.
class HeapsTest : public CpuTest {
 protected:
  static constexpr std::array<MemoryHeap, 2> kHeaps{MemoryHeap{1_MiB, true}, MemoryHeap{2_MiB, false}};
  static constexpr std::array<MemoryType, 3> kTypes{MemoryType{.heap = 0},
                                                    MemoryType{.heap = 1, .host_visible = true},
                                                    MemoryType{.heap = 0, .host_visible = true}};

  [[nodiscard]] Bytes usage(std::uint32_t heap) { return backend_->budget(heap)->usage; }
};

TEST_F(HeapsTest, EachHeapIsCountedAndFilledByItself) {
  open({.heaps = kHeaps, .memory_types = kTypes});
  std::vector<PhysicalId> small(16);
  std::vector<PhysicalId> large(32);
  ASSERT_TRUE(backend_->create_physical({kPage, 0, at(0)}, {small.data(), 8}));
  ASSERT_TRUE(backend_->create_physical({kPage, 2, at(8)}, {small.data() + 8, 8}));
  EXPECT_EQ(usage(0), 1_MiB);
  EXPECT_EQ(usage(1), 0_B);
  PhysicalId more;
  EXPECT_EQ(backend_->create_physical({kPage, 2, {}}, {&more, 1}).error().code,
            ErrorCode::out_of_device_memory);
  ASSERT_TRUE(backend_->create_physical({kPage, 1, at(0)}, large)) << "the same home, in another file";
  EXPECT_EQ(usage(1), 2_MiB);
  EXPECT_EQ(backend_->measured_physical(), 3_MiB);
  EXPECT_EQ(physical_in_heap_files(), 3_MiB);

  std::vector<PhysicalId> all = small;
  all.insert(all.begin() + 5, large.begin(), large.end());  // in no good order
  destroy(all);
  EXPECT_EQ(usage(0), 0_B);
  EXPECT_EQ(usage(1), 0_B);
  EXPECT_EQ(physical_in_heap_files(), 0_B);
}

TEST_F(HeapsTest, NeighboursOfTwoHeapsAreTwoMappings) {
  open({.heaps = kHeaps, .memory_types = kTypes}, 2);
  PhysicalId first;
  PhysicalId second;
  ASSERT_TRUE(backend_->create_physical({kPage, 0, at(0)}, {&first, 1}));
  ASSERT_TRUE(backend_->create_physical({kPage, 1, at(1)}, {&second, 1}));
  wait(submit({{at(0), kPage, first, {}}, {at(1), kPage, second, {}}}));
  EXPECT_EQ(backend_->mappings_held(), 2U);
  EXPECT_EQ(kernel_mappings(reservation_), 2U);
}

TEST_F(HeapsTest, NeighboursOfTwoHeapsAreGivenBackEachToItsOwn) {
  open({.heaps = kHeaps, .memory_types = kTypes}, 2);
  std::vector<PhysicalId> ids(2);
  ASSERT_TRUE(backend_->create_physical({kPage, 0, at(0)}, {&ids[0], 1}));
  ASSERT_TRUE(backend_->create_physical({kPage, 1, at(1)}, {&ids[1], 1}));
  destroy(ids);
  EXPECT_EQ(physical_in_heap_files(), 0_B);
}

TEST_F(HeapsTest, V11_OnlyVisibleTypesAreMapped) {
  open({.heaps = kHeaps, .memory_types = kTypes});
  PhysicalId hidden;
  PhysicalId visible;
  ASSERT_TRUE(backend_->create_physical({kPage, 0, at(0)}, {&hidden, 1}));
  ASSERT_TRUE(backend_->create_physical({kPage, 2, at(1)}, {&visible, 1}));
  bind(0, hidden);
  bind(1, visible);
  EXPECT_EQ(backend_->map(at(0), kPage).error().code, ErrorCode::not_supported);
  EXPECT_EQ(backend_->map(at(0), kPage * 2).error().code, ErrorCode::not_supported);
  EXPECT_EQ(backend_->map(at(1), kPage), pointer(at(1)));
}

TEST_F(HeapsTest, ReservingCommitsInTheHeapOfItsType) {
  auto backend =
      cpu::Backend::create({.heaps = kHeaps, .memory_types = kTypes, .reserve_commits = true}).value();
  const auto hidden = backend->reserve({1_MiB, {}, {}, 0});
  const auto visible = backend->reserve({2_MiB, {}, {}, 1});
  ASSERT_TRUE(hidden && visible);
  EXPECT_EQ(backend->reserve({64_KiB, {}, {}, 2}).error().code, ErrorCode::out_of_device_memory);
  EXPECT_EQ(physical_in_heap_files(), 3_MiB);
  *pointer(hidden->end() - 1_B) = *pointer(visible->address) = std::byte{9};
  EXPECT_EQ(backend->map(hidden->address, 1_B).error().code, ErrorCode::not_supported);
  EXPECT_TRUE(backend->map(visible->address, 1_B));
  ASSERT_TRUE(backend->release(*hidden));
  EXPECT_EQ(physical_in_heap_files(), 2_MiB);
}

}  // namespace
}  // namespace vaspace::test
