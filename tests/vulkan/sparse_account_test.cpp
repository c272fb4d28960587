// V4 and V30: one account of memory objects and of sparse address space for all backends on a device, claimed
// before the driver is asked. The simulated driver reports whoever passes either.
#include <atomic>
#include <barrier>
#include <cstdlib>
#include <limits>
#include <thread>

#include "vulkan/sparse_fixture.hpp"

namespace vaspace::test {
namespace {

class AccountTest : public SparseTest {
 protected:
  // A plain backend, and a sparse one that counts with it.
  void open_both(const DeviceWish& wish) {
    open(wish);
    vulkan::BackendConfig plain_config = gpu->config();
    plain_config.host = host.allocator();
    plain = vulkan::Backend::create(plain_config).value();
    config.device = plain->config();
    create();
  }
  HostObject<vulkan::SparseBackend> another(bool residency = true) {
    vulkan::SparseConfig second = config;
    second.device.features.sparse_residency_buffer = residency;
    auto made = vulkan::SparseBackend::create(second);
    EXPECT_TRUE(made) << to_string(made.error().code);
    return std::move(*made);
  }
  void TearDown() override {
    if (plain) {
      backend.reset();
      EXPECT_EQ(plain->account().memory_objects(), 0U);
      EXPECT_EQ(plain->account().sparse(), 0_B);
      plain.reset();
    }
    SparseTest::TearDown();
  }
  std::uint64_t objects() { return plain->account().memory_objects(); }

  HostObject<vulkan::Backend> plain;
};

TEST(DeviceAccountTest, V4_V30_NothingWrapsAtTheEdges) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  vulkan::DeviceAccount account(2, Bytes{1000});
  EXPECT_TRUE(account.claim_sparse(Bytes{999}));
  EXPECT_FALSE(account.claim_sparse(Bytes{2}));
  EXPECT_FALSE(account.claim_sparse(Bytes{kMost}));
  EXPECT_FALSE(account.claim_sparse(Bytes{kMost - 998}));
  EXPECT_TRUE(account.claim_sparse(Bytes{1}));
  EXPECT_EQ(account.sparse(), Bytes{1000});
  {
    const vulkan::MemoryObjectClaim claimed(account);
    EXPECT_TRUE(claimed);
    EXPECT_TRUE(account.claim_memory_object());
    EXPECT_FALSE(vulkan::MemoryObjectClaim(account));
  }
  EXPECT_EQ(account.memory_objects(), 1U) << "what is not kept goes back";
  vulkan::DeviceAccount all(kMost, Bytes{kMost});
  EXPECT_TRUE(all.claim_sparse(Bytes{kMost}));
  EXPECT_FALSE(all.claim_sparse(Bytes{1}));
  EXPECT_FALSE(vulkan::DeviceAccount{}.claim_memory_object()) << "a device that has nothing";
}

TEST_F(AccountTest, V4_EveryPathCountsInOneAccount) {
  open_both({.profile = "count_64"});
  const auto second = another();
  const auto whole = another(false);
  EXPECT_EQ(objects(), 0U);
  const Reservation block = plain->reserve({.size = 64_KiB}).value();
  EXPECT_EQ(objects(), 1U);
  const auto ids = pages(1);
  EXPECT_EQ(objects(), 2U);
  PhysicalId id;
  ASSERT_TRUE(second->create_physical({.size = page()}, {&id, 1}));
  EXPECT_EQ(objects(), 3U);
  const Reservation filled = whole->reserve({.size = 1_MiB}).value();
  EXPECT_EQ(objects(), 4U);
  const Bytes unit = plain->host_pointer_alignment();
  void* const memory = std::aligned_alloc(unit.value, 65536);
  const std::uint32_t types = plain->host_pointer_types(memory).value();
  std::uint32_t type = 0;
  while ((types >> type & 1U) == 0)
    ++type;
  const ReservationRequest imported{.size = 64_KiB, .memory_type = type};
  const Reservation hosted = plain->import_host_pointer(memory, imported).value();
  EXPECT_EQ(objects(), 5U);

  std::vector<Reservation> rest;
  for (;;) {
    const auto made = plain->reserve({.size = 64_KiB});
    if (!made) {
      EXPECT_EQ(made.error(), (Error{ErrorCode::out_of_address_space, 0}));
      break;
    }
    rest.push_back(*made);
  }
  EXPECT_EQ(objects(), 64U);
  // None is left, whoever asks, and the driver is not asked.
  const std::uint64_t calls = TestDevice::control().call_count("vkAllocateMemory");
  const std::size_t many = backend->held().value / page().value + 1;
  std::vector<PhysicalId> more(many);
  const auto no_page = backend->create_physical({.size = page()}, more);
  ASSERT_FALSE(no_page);
  EXPECT_EQ(no_page.error(), (Error{ErrorCode::out_of_device_memory, 0}));
  EXPECT_EQ(whole->reserve({.size = 64_KiB}).error(), (Error{ErrorCode::out_of_address_space, 0}));
  EXPECT_EQ(plain->import_host_pointer(memory, imported).error(),
            (Error{ErrorCode::out_of_address_space, 0}));
  EXPECT_EQ(TestDevice::control().call_count("vkAllocateMemory"), calls);
  EXPECT_EQ(objects(), 64U) << "what was refused was given back";

  EXPECT_TRUE(plain->release(rest.back()));
  rest.pop_back();
  EXPECT_TRUE(backend->create_physical({.size = page()}, more)) << "and is anybody's";
  EXPECT_EQ(objects(), 64U);
  EXPECT_TRUE(backend->destroy_physical(more));
  EXPECT_TRUE(backend->destroy_physical(ids));
  EXPECT_TRUE(second->destroy_physical({&id, 1}));
  EXPECT_TRUE(whole->release(filled));
  EXPECT_TRUE(plain->release(hosted));
  EXPECT_TRUE(plain->release(block));
  EXPECT_EQ(objects(), rest.size()) << "the others end with their backend";
  for (const Reservation& each : rest)
    EXPECT_TRUE(plain->release(each));
  std::free(memory);
}

TEST_F(AccountTest, V30_TheSumIsOverAllBackendsOfTheDevice) {
  open_both({.profile = "tiny"});  // 256 MiB of sparse address space
  const auto second = another();
  const vulkan::DeviceAccount& account = plain->account();
  const Reservation first = reserve(192_MiB);
  EXPECT_EQ(account.sparse(), 192_MiB);
  const std::uint64_t calls = TestDevice::control().call_count("vkCreateBuffer");
  EXPECT_EQ(second->reserve({.size = 128_MiB}).error(), (Error{ErrorCode::out_of_address_space, 0}));
  EXPECT_EQ(TestDevice::control().call_count("vkCreateBuffer"), calls) << "the driver is not asked";
  const Reservation other = second->reserve({.size = 64_MiB}).value();
  EXPECT_EQ(code(backend->reserve({.size = 64_KiB})), ErrorCode::out_of_address_space);
  EXPECT_EQ(code(second->reserve({.size = 64_KiB})), ErrorCode::out_of_address_space);
  // A third backend's probe is a sparse buffer too.
  EXPECT_EQ(code(vulkan::SparseBackend::create(config)), ErrorCode::out_of_address_space);
  EXPECT_TRUE(backend->release(first));
  EXPECT_EQ(account.sparse(), 64_MiB);
  // A buffer that the driver refuses has taken nothing.
  TestDevice::control().fail_call("vkCreateBuffer", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
  EXPECT_EQ(backend->reserve({.size = 64_MiB}).error(),
            (Error{ErrorCode::out_of_host_memory, VK_ERROR_OUT_OF_HOST_MEMORY}));
  EXPECT_EQ(account.sparse(), 64_MiB);
  EXPECT_TRUE(second->release(other));
}

// Rounds in which `threads` of them claim at the same moment; how many had it.
template <class Claim, class Back>
void race(int threads, int rounds, int expected, Claim&& claim, Back&& back) {
  std::barrier line(threads);
  std::atomic<int> had{0};
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      for (int round = 0; round < rounds; ++round) {
        line.arrive_and_wait();
        const auto mine = claim(t);
        if (mine) ++had;
        line.arrive_and_wait();
        if (t == 0) {
          EXPECT_EQ(had.exchange(0), expected) << "round " << round;
        }
        if (mine) back(t, *mine);
        line.arrive_and_wait();
      }
    });
  }
  for (std::thread& thread : all)
    thread.join();
}

TEST_F(AccountTest, V30_T1_ThreadsRaceForTheLastOfTheSparseAddressSpace) {
  open_both({.profile = "tiny", .validate = false});
  const auto second = another();
  race(
      4, 60, 2, [&](int t) { return (t % 2 == 0 ? backend : second)->reserve({.size = 96_MiB}); },
      [&](int t, const Reservation& mine) { EXPECT_TRUE((t % 2 == 0 ? backend : second)->release(mine)); });
}

TEST_F(AccountTest, V4_T1_ThreadsRaceForTheLastMemoryObjects) {
  open_both({.profile = "count_64", .validate = false});
  std::vector<Reservation> taken;
  for (int i = 0; i < 62; ++i)
    taken.push_back(plain->reserve({.size = 64_KiB}).value());
  const auto whole = another(false);
  struct Mine {
    Reservation reservation{};
    PhysicalId page{};
  };
  race(
      4, 60, 2,
      [&](int t) -> Result<Mine> {
        Mine mine;
        if (t == 0) {
          const auto made = backend->create_physical({.size = 64_KiB}, {&mine.page, 1});
          if (!made) {
            EXPECT_EQ(made.error(), (Error{ErrorCode::out_of_device_memory, 0}));
            return fail(made.error());
          }
          return mine;
        }
        const auto made = t == 1 ? whole->reserve({.size = 64_KiB}) : plain->reserve({.size = 64_KiB});
        if (!made) {
          EXPECT_EQ(made.error(), (Error{ErrorCode::out_of_address_space, 0}));
          return fail(made.error());
        }
        mine.reservation = *made;
        return mine;
      },
      [&](int t, const Mine& mine) {
        if (t == 0) {
          EXPECT_TRUE(backend->destroy_physical({&mine.page, 1}));
        } else if (t == 1) {
          EXPECT_TRUE(whole->release(mine.reservation));
        } else {
          EXPECT_TRUE(plain->release(mine.reservation));
        }
      });
  for (const Reservation& each : taken)
    EXPECT_TRUE(plain->release(each));
}

// As fast as threads can, with nobody's driver between.
TEST(DeviceAccountTest, V4_V30_T1_ThreadsClaimNoMoreThanThereIs) {
  constexpr std::uint64_t kLimit = 100;  // two of them are one too many
  vulkan::DeviceAccount account(1, Bytes{kLimit});
  std::atomic<std::uint64_t> bytes{0}, objects{0};
  std::atomic<int> passed{0};
  std::barrier line(4);
  std::vector<std::thread> all;
  for (std::uint64_t t = 0; t < 4; ++t) {
    all.emplace_back([&, size = Bytes{60 + t}] {
      line.arrive_and_wait();
      for (int i = 0; i < 1'500'000; ++i) {
        if (account.claim_sparse(size)) {
          if (bytes.fetch_add(size.value) + size.value > kLimit) ++passed;
          bytes.fetch_sub(size.value);
          account.give_back_sparse(size);
        }
        if (const vulkan::MemoryObjectClaim claimed(account); claimed) {
          if (objects.fetch_add(1) + 1 > 1) ++passed;
          objects.fetch_sub(1);
        }
      }
    });
  }
  for (std::thread& thread : all)
    thread.join();
  EXPECT_EQ(passed, 0);
  EXPECT_EQ(account.sparse(), 0_B);
  EXPECT_EQ(account.memory_objects(), 0U);
}

// What is given back has gone from the device before: the driver reports who is too early.
TEST_F(AccountTest, V4_V30_T1_ClaimsMeetReleases) {
  for (const char* profile : {"tiny", "count_64"}) {
    backend.reset();
    plain.reset();
    open_both({.profile = profile, .validate = false});
    const auto second = another();
    const auto whole = another(false);
    std::vector<Reservation> taken;
    for (int i = 0; i < 62 && std::string_view(profile) == "count_64"; ++i)
      taken.push_back(plain->reserve({.size = 64_KiB}).value());
    std::vector<std::thread> all;
    for (int t = 0; t < 4; ++t) {
      all.emplace_back([&, t] {
        vulkan::SparseBackend& mine = t == 0 ? *whole : t % 2 == 0 ? *backend : *second;
        for (int i = 0; i < 150; ++i) {
          PhysicalId id;
          if (t != 0 && mine.create_physical({.size = 64_KiB}, {&id, 1})) {
            EXPECT_TRUE(mine.destroy_physical({&id, 1}));
          }
          const auto made = mine.reserve({.size = t == 0 ? 1_MiB : 96_MiB});
          if (made) {
            EXPECT_TRUE(mine.release(*made));
          }
        }
      });
    }
    for (std::thread& thread : all)
      thread.join();
    for (const Reservation& each : taken)
      EXPECT_TRUE(plain->release(each));
    EXPECT_EQ(gpu->messages(), "");
  }
}

// V20: what was submitted is not taken down before the queue is done with it, though nobody could wait.
TEST_F(AccountTest, R7_V20_AWaitThatFailsLeavesItsBufferUntilTheBindIsDone) {
  open_both({.profile = "discrete_bar256", .validate = false});
  const auto whole = another(false);
  TestDevice::control().hold_queues(1);
  TestDevice::control().fail_call("vkWaitSemaphores", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
  TestDevice::control().fail_call("vkWaitSemaphoresKHR", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
  const auto refused = whole->reserve({.size = 1_MiB});
  TestDevice::control().clear_failures();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (Error{ErrorCode::out_of_host_memory, VK_ERROR_OUT_OF_HOST_MEMORY}));
  EXPECT_EQ(objects(), 1U) << "its memory is still bound to";
  EXPECT_EQ(plain->account().sparse(), 1_MiB);
  TestDevice::control().hold_queues(0);
  const auto made = whole->reserve({.size = 1_MiB});
  ASSERT_TRUE(made);
  EXPECT_TRUE(whole->release(*made));
  const auto again = whole->reserve({.size = 64_KiB});
  EXPECT_EQ(objects(), 1U) << "and has gone since";
  EXPECT_EQ(plain->account().sparse(), 64_KiB);
  EXPECT_TRUE(whole->release(*again));
  EXPECT_EQ(whole->held(), 0_B);
}

// V28: where the device promises that what is not bound reads as zero, nothing can be bound to be nothing.
TEST_F(SparseTest, V28_NullBindsReadZerosWhereTheDeviceIsStrict) {
  open_and_create("integrated");
  EXPECT_FALSE(backend->profile().capabilities.null_binds);
  const Reservation lax = reserve(64_KiB);
  const BindOp refused{.address = lax.address, .size = page(), .null = true};
  EXPECT_EQ(code(backend->bind({&refused, 1}, {})), ErrorCode::not_supported);
  EXPECT_TRUE(backend->release(lax));
  backend.reset();

  open_and_create("discrete_bar256");
  ASSERT_TRUE(backend->profile().capabilities.null_binds);
  EXPECT_FALSE(backend->profile().capabilities.replace);
  const Reservation r = reserve(1_MiB);
  const auto ids = pages(1);
  const Address second = r.address + page();
  const BindOp nothing{.address = second, .size = page(), .null = true};
  bind_now({put(r.address, ids[0], page()), nothing});
  EXPECT_EQ(code(bind({nothing})), ErrorCode::wrong_state) << "it is bound, to nothing";
  EXPECT_EQ(code(backend->release(r)), ErrorCode::wrong_state);
  gpu->run([&](VkCommandBuffer commands) {
    vkCmdFillBuffer(commands, buffer_at(r.address), 0, page().value, 0x01020304);
  });
  // What is copied from there is zeros.
  const CopyOp op{second, r.address, 4_KiB};
  const auto copied = backend->copy({&op, 1}, {});
  ASSERT_TRUE(copied);
  ASSERT_TRUE(backend->wait(*copied, kForever));
  const std::vector<std::uint32_t> words = gpu->words_of(buffer_at(r.address), 8_KiB);
  EXPECT_EQ(words[0], 0U);
  EXPECT_EQ(words[1023], 0U);
  EXPECT_EQ(words[1024], 0x01020304U);
  // V23: twice unbound in one call, with nothing bound between.
  bind_now({take(second, page()), take(r.address, page()),
            BindOp{.address = r.address, .size = page(), .null = true}, take(r.address, page()), nothing,
            take(second, page()), put(second, ids[0], page()), take(second, page())});
  EXPECT_TRUE(backend->destroy_physical(ids));
  EXPECT_TRUE(backend->release(r));
}

}  // namespace
}  // namespace vaspace::test
