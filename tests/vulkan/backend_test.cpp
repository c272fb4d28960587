// Reservations: limits, addresses, handles.
#include "vulkan/fake_backend.hpp"

namespace vaspace::test {
namespace {

using BackendTest = FakeBackend;

TEST_F(BackendTest, ProfileSaysWhatTheDeviceSays) {
  create();
  const DeviceProfile& profile = backend->profile();
  EXPECT_STREQ(profile.name.data(), "fake");
  EXPECT_EQ(profile.heap_count, 2U);
  EXPECT_EQ(profile.heaps[0].size, 64_MiB);
  EXPECT_TRUE(profile.heaps[0].device_local);
  EXPECT_FALSE(profile.heaps[1].device_local);
  EXPECT_EQ(profile.memory_type_count, 5U);
  EXPECT_TRUE(profile.memory_types[FakeDriver::kCoherent].host_coherent);
  EXPECT_FALSE(profile.memory_types[FakeDriver::kCached].host_coherent);
  EXPECT_TRUE(profile.memory_types[FakeDriver::kLazy].lazily_allocated);
  EXPECT_TRUE(profile.memory_types[FakeDriver::kProtected].protected_memory);
  EXPECT_EQ(profile.page_size_count, 0U);
  const Capabilities& can = profile.capabilities;
  EXPECT_TRUE(can.reserve_commits);
  EXPECT_TRUE(can.map);
  EXPECT_FALSE(can.bind);
  EXPECT_FALSE(can.copy);
  EXPECT_EQ(can.max_reservations, 4096U);
  EXPECT_EQ(can.max_reservation_size, 1_GiB);
}

TEST_F(BackendTest, V4_ObjectsStayWithinTheDevicesCount) {
  driver.limits.maxMemoryAllocationCount = 3;
  create();
  const auto a = reserve(1_KiB);
  const auto b = reserve(1_KiB);
  const auto c = reserve(1_KiB);
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(code(reserve(1_KiB)), ErrorCode::out_of_address_space);
  EXPECT_EQ(driver.allocate_calls, 3) << "the driver was not asked";
  ASSERT_TRUE(backend->release(*b));
  EXPECT_TRUE(reserve(1_KiB));
  EXPECT_EQ(code(reserve(1_KiB)), ErrorCode::out_of_address_space);
}

TEST_F(BackendTest, V4_RefusedObjectsDoNotCount) {
  driver.limits.maxMemoryAllocationCount = 1;
  create();
  for (int i = 0; i < 5; ++i) {
    driver.fail_call = 1;
    EXPECT_EQ(code(reserve(1_KiB)), ErrorCode::out_of_device_memory);
  }
  EXPECT_TRUE(reserve(1_KiB));
}

TEST_F(BackendTest, V4_TheCountCanBeLowered) {
  auto config = driver.config();
  config.max_memory_objects = 1;
  create(config);
  EXPECT_EQ(backend->profile().capabilities.max_reservations, 1U);
  EXPECT_TRUE(reserve(1_KiB));
  EXPECT_EQ(code(reserve(1_KiB)), ErrorCode::out_of_address_space);
}

TEST_F(BackendTest, V4_AnUnlimitedCountIsWhatAddressesCanName) {
  driver.limits.maxMemoryAllocationCount = ~0U;
  create();
  EXPECT_EQ(backend->profile().capabilities.max_reservations, (1U << 24U) - 1);
}

TEST_F(BackendTest, V5_SizesAreAboveZeroAndWithinTheLimits) {
  driver.max_allocation_size = 1U << 20U;
  create();
  EXPECT_EQ(backend->profile().capabilities.max_reservation_size, 1_MiB);
  EXPECT_TRUE(reserve(1_MiB));
  EXPECT_EQ(code(reserve(1_MiB + 256_B)), ErrorCode::out_of_address_space);
  EXPECT_EQ(code(reserve(0_B)), ErrorCode::invalid_size);
  EXPECT_EQ(code(reserve(1_KiB + 1_B)), ErrorCode::invalid_size);
  EXPECT_EQ(code(reserve(kMaxBytes)), ErrorCode::invalid_size);
  EXPECT_EQ(code(reserve(align_down(kMaxBytes, Alignment{256}))), ErrorCode::out_of_address_space);
  EXPECT_EQ(driver.allocate_calls, 1);
}

TEST_F(BackendTest, V5_NothingIsLargerThanItsHeap) {
  create();
  EXPECT_EQ(code(reserve(32_MiB + 256_B)), ErrorCode::out_of_device_memory);
  EXPECT_TRUE(reserve(32_MiB));
  EXPECT_EQ(driver.allocate_calls, 1);
}

TEST_F(BackendTest, V6_TheTypeAskedForIsTheTypeAllocated) {
  create();
  for (const std::uint32_t type : {FakeDriver::kDeviceLocal, FakeDriver::kCoherent, FakeDriver::kCached}) {
    const auto made = reserve(4_KiB, type);
    ASSERT_TRUE(made);
    EXPECT_EQ(object_at(made->address).type, type);
    EXPECT_EQ(object_at(made->address).size, 4096U);
  }
  EXPECT_EQ(code(reserve(4_KiB, 5)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(reserve(4_KiB, ~0U)), ErrorCode::invalid_argument);
}

TEST_F(BackendTest, V15_ProtectedMemoryNeedsAFeature) {
  create();
  EXPECT_EQ(code(reserve(4_KiB, FakeDriver::kProtected)), ErrorCode::not_supported);
  EXPECT_EQ(driver.allocate_calls, 0);
}

TEST_F(BackendTest, V9_DeviceAddressOnlyWhenAsked) {
  create();
  const ReservationRequest addressed{.size = 4_KiB, .memory_type = 1, .traits = {.device_address = true}};
  EXPECT_FALSE(backend->profile().capabilities.device_address);
  EXPECT_EQ(code(backend->reserve(addressed)), ErrorCode::not_supported)
      << "bufferDeviceAddress is not enabled";
  auto config = driver.config();
  config.features.buffer_device_address = true;
  create(config);
  EXPECT_TRUE(backend->profile().capabilities.device_address);
  EXPECT_EQ(object_at(reserve(4_KiB)->address).flags, 0U);
  EXPECT_EQ(object_at(backend->reserve(addressed)->address).flags, VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT);
}

TEST_F(BackendTest, V8_DedicatedMemoryNamesItsResourceAndHasItsSize) {
  create();
  const auto dedicated = [](MemoryTraits::Dedicated kind, std::uint64_t resource) {
    return ReservationRequest{
        .size = 1000_B, .memory_type = 1, .traits = {.dedicated = kind, .resource = resource}};
  };
  const auto buffer = backend->reserve(dedicated(MemoryTraits::Dedicated::buffer, 77));
  const auto image = backend->reserve(dedicated(MemoryTraits::Dedicated::image, 78));
  ASSERT_TRUE(buffer && image);
  EXPECT_EQ(object_at(buffer->address).size, 1000U) << "neither more nor less than the resource's";
  EXPECT_EQ(object_at(buffer->address).dedicated_buffer, 77U);
  EXPECT_EQ(object_at(buffer->address).dedicated_image, 0U);
  EXPECT_EQ(object_at(image->address).dedicated_image, 78U);
  EXPECT_EQ(backend->locate(image->address)->offset, 0_B);
  EXPECT_EQ(code(backend->reserve(dedicated(MemoryTraits::Dedicated::buffer, 0))),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code(reserve(1000_B)), ErrorCode::invalid_size) << "shared memory is cut in whole units";
  EXPECT_TRUE(backend->release(*buffer));
}

TEST_F(BackendTest, PriorityIsPassedOnWhereItIsEnabledAndClamped) {
  const ReservationRequest low{.size = 4_KiB, .memory_type = 1, .traits = {.priority = -3.0F}};
  create();
  EXPECT_EQ(object_at(backend->reserve(low)->address).priority, -1.0F) << "not chained";
  auto config = driver.config();
  config.features.memory_priority = true;
  create(config);
  EXPECT_EQ(object_at(backend->reserve(low)->address).priority, 0.0F);
  EXPECT_EQ(object_at(reserve(4_KiB)->address).priority, 0.5F);
}

TEST_F(BackendTest, V18_WithoutTheExtensionNothingIsExported) {
  create();
  EXPECT_FALSE(backend->profile().capabilities.external_memory);
  const ReservationRequest exportable{.size = 4_KiB, .memory_type = 1, .traits = {.exportable = true}};
  EXPECT_EQ(code(backend->reserve(exportable)), ErrorCode::not_supported);
  EXPECT_EQ(code(backend->export_reservation(*reserve(4_KiB))), ErrorCode::not_supported);
  EXPECT_EQ(code(backend->import_reservation({.size = 4_KiB, .memory_type = 1}, {3})),
            ErrorCode::not_supported);
  EXPECT_EQ(backend->host_pointer_alignment(), 0_B);
  EXPECT_EQ(code(backend->host_pointer_types(&driver)), ErrorCode::not_supported);
}

TEST_F(BackendTest, V15_ProtectedMemoryWhereTheFeatureIsOn) {
  auto config = driver.config();
  config.features.protected_memory = true;
  create(config);
  EXPECT_TRUE(reserve(4_KiB, FakeDriver::kProtected));
}

TEST_F(BackendTest, R8_AlignmentsAtTheEdges) {
  create();
  const auto aligned = [&](std::uint64_t alignment) {
    return backend->reserve({.size = 4_KiB, .alignment = Alignment{alignment}, .memory_type = 1});
  };
  EXPECT_EQ(code(aligned(0)), ErrorCode::invalid_alignment);
  EXPECT_EQ(code(aligned(3)), ErrorCode::invalid_alignment);
  EXPECT_EQ(code(aligned(~std::uint64_t{0})), ErrorCode::invalid_alignment);
  EXPECT_EQ(code(aligned(std::uint64_t{1} << 41U)), ErrorCode::out_of_address_space);
  const auto made = aligned(std::uint64_t{1} << 40U);
  ASSERT_TRUE(made);
  EXPECT_TRUE(is_aligned(made->address, Alignment{std::uint64_t{1} << 40U}));
  EXPECT_EQ(driver.allocate_calls, 1);
}

TEST_F(BackendTest, R9_AddressesAreTheLowestFreeSlots) {
  create();
  std::vector<Reservation> made;
  for (std::uint64_t i = 0; i < 5; ++i) {
    made.push_back(reserve(4_KiB).value());
    EXPECT_EQ(made.back().address.value, (i + 1) << 40U);
    EXPECT_EQ(made.back().size, 4_KiB);
  }
  ASSERT_TRUE(backend->release(made[3]));
  ASSERT_TRUE(backend->release(made[1]));
  EXPECT_EQ(reserve(4_KiB)->address, made[1].address);
  EXPECT_EQ(reserve(4_KiB)->address, made[3].address);
  EXPECT_EQ(reserve(4_KiB)->address.value, std::uint64_t{6} << 40U);
}

TEST_F(BackendTest, LocateTranslatesAddresses) {
  create();
  const Reservation a = reserve(4_KiB).value();
  const Reservation b = reserve(8_KiB).value();
  EXPECT_NE(backend->locate(a.address)->object, backend->locate(b.address)->object);
  EXPECT_EQ(backend->locate(b.address)->offset, 0_B);
  EXPECT_EQ(backend->locate(b.address + 8191_B)->offset, 8191_B);
  for (const Address nowhere : {Address{0}, Address{4096}, b.end(), a.end(), Address{~std::uint64_t{0}},
                                Address{std::uint64_t{3} << 40U}})
    EXPECT_EQ(code(backend->locate(nowhere)), ErrorCode::unknown_address) << nowhere.value;
  ASSERT_TRUE(backend->release(a));
  EXPECT_EQ(code(backend->locate(a.address)), ErrorCode::unknown_address);
}

TEST_F(BackendTest, R6_StaleReservationsChangeNothing) {
  create();
  const Reservation first = reserve(4_KiB).value();
  ASSERT_TRUE(backend->release(first));
  EXPECT_EQ(code(backend->release(first)), ErrorCode::invalid_argument) << "freed twice";
  const Reservation second = reserve(4_KiB).value();
  EXPECT_EQ(first.address, second.address);
  EXPECT_EQ(code(backend->release(first)), ErrorCode::invalid_argument) << "its slot was reused";
  EXPECT_EQ(driver.objects.size(), 1U);
  EXPECT_TRUE(backend->release(second));
}

TEST_F(BackendTest, R6_AlteredReservationsChangeNothing) {
  create();
  const Reservation made = reserve(4_KiB).value();
  auto altered = [&](auto change) {
    Reservation copy = made;
    change(copy);
    return code(backend->release(copy));
  };
  EXPECT_EQ(altered([](auto& r) { r.handle = 0; }), ErrorCode::invalid_argument);
  EXPECT_EQ(altered([](auto& r) { r.handle = ~std::uint64_t{0}; }), ErrorCode::invalid_argument);
  EXPECT_EQ(altered([](auto& r) { r.handle ^= std::uint64_t{1} << 16U; }), ErrorCode::invalid_argument);
  EXPECT_EQ(altered([](auto& r) { r.handle ^= std::uint64_t{1} << 40U; }), ErrorCode::invalid_argument);
  EXPECT_EQ(altered([](auto& r) { r.size = 8_KiB; }), ErrorCode::invalid_argument);
  EXPECT_EQ(altered([](auto& r) { r.address += 256_B; }), ErrorCode::invalid_argument);
  EXPECT_EQ(driver.free_calls, 0);
}

TEST_F(BackendTest, R6_ForeignReservationsChangeNothing) {
  create();
  FakeDriver other_driver;
  auto other = vulkan::Backend::create(other_driver.config()).value();
  const Reservation foreign = other->reserve({.size = 4_KiB, .memory_type = 1}).value();
  const Reservation own = reserve(4_KiB).value();
  EXPECT_EQ(foreign.address, own.address);
  EXPECT_EQ(code(backend->release(foreign)), ErrorCode::invalid_argument);
  EXPECT_EQ(driver.objects.size(), 1U);
  EXPECT_EQ(other_driver.objects.size(), 1U);
}

TEST_F(BackendTest, WhatIsMappedIsNotReleased) {
  create();
  const Reservation made = reserve(4_KiB).value();
  ASSERT_TRUE(backend->map(made.address, 1_B));
  EXPECT_EQ(code(backend->release(made)), ErrorCode::wrong_state);
  ASSERT_TRUE(backend->unmap(made.address, 1_B));
  EXPECT_TRUE(backend->release(made));
}

TEST_F(BackendTest, DestructionFreesWhatIsLeft) {
  create();
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(reserve(4_KiB));
  ASSERT_TRUE(backend->map(Address{std::uint64_t{1} << 40U}, 1_B));
  backend.reset();
  EXPECT_EQ(driver.free_calls, 10);
}

TEST_F(BackendTest, PagesBindsAndCopiesAreNotSupported) {
  create();
  PhysicalId page{};
  EXPECT_EQ(code(backend->create_physical({.size = 64_KiB}, {&page, 1})), ErrorCode::not_supported);
  EXPECT_EQ(code(backend->destroy_physical({&page, 1})), ErrorCode::not_supported);
  EXPECT_EQ(code(backend->bind({}, {})), ErrorCode::not_supported);
  EXPECT_EQ(code(backend->copy({}, {})), ErrorCode::not_supported);
  EXPECT_EQ(code(backend->measured_physical()), ErrorCode::not_supported);
}

TEST_F(BackendTest, OnlyTheDefaultPointHasPassed) {
  create();
  EXPECT_TRUE(backend->completed({}).value());
  EXPECT_TRUE(backend->wait({}, 0));
  EXPECT_EQ(code(backend->completed({TimelineId{}, 1})), ErrorCode::invalid_argument);
  EXPECT_EQ(code(backend->wait({TimelineId{1}, 0}, 0)), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace vaspace::test
