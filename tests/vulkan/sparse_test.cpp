// Sparse buffers as address space, on devices that the simulated driver plays. It reports every broken rule,
// the layer every invalid call; no test passes with either.
#include "vulkan/sparse_fixture.hpp"

namespace vaspace::test {
namespace {

TEST_F(SparseTest, CapabilitiesAreProbed) {
  open_and_create("discrete_bar256");
  const DeviceProfile& profile = backend->profile();
  EXPECT_TRUE(profile.capabilities.bind && profile.capabilities.completes_later && profile.capabilities.copy);
  EXPECT_TRUE(profile.capabilities.partial_unbind && profile.capabilities.physical_offset);
  EXPECT_FALSE(profile.capabilities.reserve_commits || profile.capabilities.map ||
               profile.capabilities.aliasing);
  EXPECT_EQ(profile.page_sizes[0], 64_KiB);
  EXPECT_EQ(profile.page_sizes[1], 2_MiB);
}

TEST_F(SparseTest, ForgottenFeaturesAreNotSupported) {
  for (const char* feature : {"sparseBinding", "timelineSemaphore"}) {
    open({.profile = "discrete_bar256", .without = {feature}});
    config.sparse.queue = gpu->graphics;
    EXPECT_EQ(code(vulkan::SparseBackend::create(config)), ErrorCode::not_supported) << feature;
  }
  open({.profile = "discrete_bar256", .without = {"bufferDeviceAddress", "sparseResidencyAliased"}});
  config.aliasing = true;
  EXPECT_EQ(code(vulkan::SparseBackend::create(config)), ErrorCode::not_supported);
  config.aliasing = false;
  config.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  EXPECT_EQ(code(vulkan::SparseBackend::create(config)), ErrorCode::not_supported);
  open({.profile = "no_sparse"});
  config.sparse.queue = gpu->graphics;
  EXPECT_EQ(code(vulkan::SparseBackend::create(config)), ErrorCode::not_supported);
}

TEST_F(SparseTest, WrongConfigurationsAreRefused) {
  open({.profile = "discrete_rebar"});
  const vulkan::SparseConfig good = config;
  const auto refused = [&](auto change) {
    config = good;
    change();
    return code(vulkan::SparseBackend::create(config));
  };
  EXPECT_EQ(refused([&] { config.sparse.queue = nullptr; }), ErrorCode::invalid_configuration);
  EXPECT_EQ(refused([&] { config.usage = 0; }), ErrorCode::invalid_configuration);
  EXPECT_EQ(refused([&] { config.page_size = 3_B; }), ErrorCode::invalid_configuration);
}

TEST_F(SparseTest, V31_TheSparseQueueMayHaveAFamilyOfItsOwn) {
  open({.profile = "discrete_rebar"});
  EXPECT_NE(gpu->sparse_family, gpu->graphics_family);
  vulkan::SparseConfig wrong = config;
  wrong.sparse = {.queue = gpu->graphics, .family = gpu->graphics_family};
  EXPECT_EQ(code(vulkan::SparseBackend::create(wrong)), ErrorCode::invalid_configuration);
  wrong = config;
  wrong.transfer = {.queue = gpu->sparse, .family = gpu->sparse_family};
  EXPECT_EQ(code(vulkan::SparseBackend::create(wrong)), ErrorCode::invalid_configuration);
  create();
  const Reservation r = reserve(1_MiB);
  const auto ids = pages(2);
  bind_now({put(r.address, ids[0], page()), put(r.address + page(), ids[1], page())});
  bind_now({take(r.address, page() * 2)});
}

TEST_F(SparseTest, V19_V7_PagesAreWhatTheDeviceBinds) {
  open({.profile = "discrete_bar256"});
  config.page_size = 4_KiB;  // smaller than a sparse block
  create();
  EXPECT_EQ(page(), 64_KiB);
  const Reservation r = reserve(64_KiB * 3);
  const PhysicalId id = pages(1)[0];
  EXPECT_EQ(code(bind({put(r.address + 4_KiB, id, 64_KiB)})), ErrorCode::invalid_argument);
  EXPECT_EQ(code(bind({put(r.address, id, 4_KiB)})), ErrorCode::invalid_argument);
  EXPECT_EQ(code(backend->reserve({.size = 64_KiB * 3 + 1_B})), ErrorCode::invalid_size)
      << "the tail is a whole page";
  bind_now({put(r.address + 128_KiB, id, 64_KiB)});
  bind_now({take(r.address + 128_KiB, 64_KiB)});
}

TEST_F(SparseTest, V30_AddressSpaceIsCountedBoundOrNot) {
  open_and_create("tiny");  // 256 MiB of it
  const Reservation first = reserve(192_MiB);
  EXPECT_EQ(code(backend->reserve({.size = 128_MiB})), ErrorCode::out_of_address_space);
  const Reservation second = reserve(64_MiB);
  EXPECT_EQ(code(backend->reserve({.size = 64_KiB})), ErrorCode::out_of_address_space);
  EXPECT_TRUE(backend->release(first));
  EXPECT_TRUE(backend->release(reserve(128_MiB)));
  EXPECT_TRUE(backend->release(second));
  EXPECT_EQ(backend->memory_objects(), 0U);
}

TEST_F(SparseTest, V4_ManyPagesShareAMemoryObject) {
  open_and_create("count_64");
  const std::size_t count = 4096;  // 256 MiB, through at most 64 memory objects
  const std::vector<PhysicalId> ids = pages(count);
  EXPECT_LT(backend->memory_objects(), 64U);
  EXPECT_GE(backend->held(), page() * count);
  EXPECT_LE(backend->held().value, (page() * count).value * 11 / 10);
  EXPECT_EQ(usage(), page() * count);
  std::vector<PhysicalId> half(ids.begin(), ids.begin() + count / 2);
  EXPECT_TRUE(backend->destroy_physical(half));
  EXPECT_EQ(usage(), page() * (count / 2));
  EXPECT_TRUE(backend->destroy_physical({ids.data() + count / 2, count / 2}));
  EXPECT_EQ(backend->memory_objects(), 0U);
  EXPECT_EQ(backend->held(), 0_B);
}

TEST_F(SparseTest, V6_OnlyTypesThatTheBuffersCanHave) {
  open_and_create("discrete_bar256");
  std::uint32_t served = 0;
  for (std::uint32_t type = 0; type < backend->profile().memory_type_count; ++type) {
    PhysicalId id;
    const auto made = backend->create_physical({.size = page(), .memory_type = type}, {&id, 1});
    if (!made) {
      EXPECT_EQ(made.error().code, ErrorCode::not_supported);
      continue;
    }
    ++served;
    const Reservation r = reserve(64_KiB);
    bind_now({put(r.address, id, page())});
  }
  EXPECT_GT(served, 0U);
}

TEST_F(SparseTest, V9_DeviceAddressesOfWhatIsBoundLater) {
  open({.profile = "discrete_bar256"});
  config.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  create();
  EXPECT_TRUE(backend->profile().capabilities.device_address);
  const Reservation r = reserve(1_MiB);
  const std::uint64_t base = backend->device_address(r.address).value();
  EXPECT_NE(base, 0U);
  EXPECT_EQ(backend->device_address(r.address + 4097_B).value(), base + 4097);
  bind_now({put(r.address, pages(1)[0], page())});
  EXPECT_EQ(code(backend->device_address(r.end())), ErrorCode::unknown_address);
}

TEST_F(SparseTest, WithoutTheUsageThereIsNoDeviceAddress) {
  open_and_create("discrete_bar256");
  EXPECT_EQ(code(backend->device_address(reserve(64_KiB).address)), ErrorCode::not_supported);
}

TEST_F(SparseTest, V23_V24_V29_OneCallMovesAPageAndPutsAnotherInItsPlace) {
  open({.profile = "discrete_bar256", .settings = "delay_us=0..300"});
  create();
  const Reservation r = reserve(1_MiB);
  const Address a = r.address, b = r.address + page();
  const auto ids = pages(2);
  bind_now({put(a, ids[0], page())});
  bind_now({take(a, page()), put(b, ids[0], page()), put(a, ids[1], page()), take(b, page()),
            put(b + page(), ids[0], page())});
  bind_now({take(a, page()), take(b + page(), page())});
  EXPECT_TRUE(backend->destroy_physical(ids));
}

TEST_F(SparseTest, V27_PagesComeBackWhenTheUnbindIsDoneNotWhenItIsAskedFor) {
  open_and_create("discrete_bar256");
  const Reservation r = reserve(64_KiB);
  const auto ids = pages(1);
  bind_now({put(r.address, ids[0], page())});
  TestDevice::control().hold_queues(1);
  const TimelinePoint point = bind({take(r.address, page())}).value();
  EXPECT_FALSE(backend->completed(point).value());
  EXPECT_EQ(code(backend->destroy_physical(ids)), ErrorCode::wrong_state);
  EXPECT_EQ(code(backend->release(r)), ErrorCode::wrong_state);
  EXPECT_EQ(code(backend->wait(point, 1000)), ErrorCode::timed_out);
  TestDevice::control().hold_queues(0);
  EXPECT_TRUE(backend->wait(point, kForever));
  EXPECT_TRUE(backend->completed(point).value());
  EXPECT_TRUE(backend->destroy_physical(ids));
  EXPECT_TRUE(backend->release(r));
}

// V25: the application's commands wait for the bind, and the unbind for the commands.
TEST_F(SparseTest, V25_V26_UsesAndBindsWaitForEachOther) {
  open({.profile = "discrete_rebar", .settings = "delay_us=0..300", .validate = false});
  create();
  const VkSemaphore frames = gpu->timeline_semaphore();
  const TimelineId timeline = backend->add_timeline(frames).value();
  const Reservation r = reserve(1_MiB);
  const auto ids = pages(2);
  for (std::uint64_t frame = 1; frame <= 20; ++frame) {
    const PhysicalId id = ids[frame % 2];
    const TimelinePoint bound = bind({put(r.address, id, page())}).value();
    gpu->submit(
        [&](VkCommandBuffer commands) {
          vkCmdFillBuffer(commands, buffer_at(r.address), 0, page().value, 7);
        },
        {backend->timeline(), bound.value}, {frames, frame});
    EXPECT_TRUE(bind({take(r.address, page())}, {{timeline, frame}}));
  }
  EXPECT_TRUE(backend->wait({timeline, 20}, kForever));
  EXPECT_TRUE(backend->completed({timeline, 20}).value());
  EXPECT_FALSE(backend->completed({timeline, 21}).value());
  EXPECT_EQ(code(backend->wait({timeline, 21}, 10)), ErrorCode::timed_out);
  vkQueueWaitIdle(gpu->sparse);
  vkQueueWaitIdle(gpu->graphics);
  EXPECT_TRUE(backend->forget_timeline(timeline));
  EXPECT_EQ(code(backend->completed({timeline, 1})), ErrorCode::invalid_argument);
  EXPECT_EQ(code(bind({}, {{timeline, 1}})), ErrorCode::invalid_argument);
  vkDestroySemaphore(gpu->device, frames, nullptr);
}

TEST_F(SparseTest, V20_WithoutResidencyEverythingIsBoundBeforeItIsUsed) {
  open({.profile = "discrete_bar256", .without = {"sparseResidencyBuffer"}});
  create();
  EXPECT_TRUE(backend->profile().capabilities.reserve_commits);
  EXPECT_FALSE(backend->profile().capabilities.bind);
  const Reservation r = reserve(3_MiB);
  EXPECT_EQ(usage(), 3_MiB);
  EXPECT_EQ(backend->memory_objects(), 1U);
  gpu->run([&](VkCommandBuffer commands) {
    vkCmdFillBuffer(commands, buffer_at(r.address), 0, VK_WHOLE_SIZE, 1);
  });
  EXPECT_TRUE(backend->release(r));
  EXPECT_EQ(backend->memory_objects(), 0U);
  EXPECT_EQ(backend->held(), 0_B);
}

TEST_F(SparseTest, V28_NothingUnboundIsEverRead) {
  open_and_create("integrated");  // reads of holes give anything there
  const Reservation r = reserve(1_MiB);
  const auto ids = pages(2);
  bind_now({put(r.address, ids[0], page()), put(r.address + page() * 2, ids[1], page())});
  const CopyOp from_hole{r.address + page(), r.address, page()};
  const CopyOp good{r.address, r.address + page() * 2, page()};
  EXPECT_EQ(code(backend->copy({&from_hole, 1}, {})), ErrorCode::wrong_state);
  const auto point = backend->copy({&good, 1}, {});
  ASSERT_TRUE(point);
  EXPECT_TRUE(backend->wait(*point, kForever));
}

TEST_F(SparseTest, CopiesMoveWhatIsInThePages) {
  open_and_create("discrete_rebar");
  const Reservation r = reserve(1_MiB);
  const auto ids = pages(2, 2);  // visible to the host on this device
  bind_now({put(r.address, ids[0], page()), put(r.address + page(), ids[1], page())});
  gpu->run([&](VkCommandBuffer commands) {
    vkCmdFillBuffer(commands, buffer_at(r.address), 0, page().value, 0x01020304);
    vkCmdFillBuffer(commands, buffer_at(r.address), page().value, page().value, 0);
  });
  const CopyOp op{r.address, r.address + page(), 4_KiB};
  const auto copied = backend->copy({&op, 1}, {});
  ASSERT_TRUE(copied);
  // The copied page is read behind another address; the chain orders unbind and bind with the copy (V25).
  const Reservation other = reserve(64_KiB);
  bind_now({take(r.address + page(), page()), put(other.address, ids[1], page())});
  EXPECT_TRUE(backend->completed(*copied).value());
  const std::vector<std::uint32_t> words = gpu->words_of(buffer_at(other.address), 8_KiB);
  EXPECT_EQ(words[0], 0x01020304U);
  EXPECT_EQ(words[1023], 0x01020304U);
  EXPECT_EQ(words[1024], 0U);
}

TEST_F(SparseTest, R9_AddressesAreTheLowestFreeSlots) {
  open_and_create("discrete_bar256");
  std::vector<Reservation> made;
  for (std::uint64_t i = 0; i < 4; ++i) {
    made.push_back(reserve(64_KiB));
    EXPECT_EQ(made.back().address.value, (i + 1) << 40U);
  }
  EXPECT_TRUE(backend->release(made[1]));
  EXPECT_EQ(reserve(1_MiB).address, made[1].address);
}

TEST_F(SparseTest, QueuesAreLockedWhileTheyAreUsed) {
  open({.profile = "discrete_bar256"});
  static int depth = 0, held = 0;
  depth = held = 0;
  config.sparse.lock = [](void*) noexcept { held = std::max(held, ++depth); };
  config.sparse.unlock = [](void*) noexcept { --depth; };
  create();
  const Reservation r = reserve(64_KiB);
  bind_now({put(r.address, pages(1)[0], page())});
  EXPECT_EQ(held, 1);
  EXPECT_EQ(depth, 0);
}

}  // namespace
}  // namespace vaspace::test
