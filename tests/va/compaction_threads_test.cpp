// Compaction beside readers, writers, and threads that allocate and free. T1, T2, T3.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "paged_fixture.hpp"

namespace vaspace::test {
namespace {

class CompactionThreads : public PagedTest {
 protected:
  void compact_all() {
    while (!space_->compact({.pages = 8}).finished) {
    }
  }
};

TEST_F(CompactionThreads, ReadersSeeTheirBytesAtTheirAddressesThroughout) {
  open({.size = 16_MiB});
  const std::vector<Thing> things = churn(30);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> rounds{0};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        if (!all_intact(things)) wrong.fetch_add(1);
        rounds.fetch_add(1);
      }
    });
  }
  const Bytes before = physical();
  compact_all();
  (void)space_->trim(Bytes{});
  const std::uint64_t seen = rounds.load();
  while (rounds.load() < seen + 4)
    std::this_thread::yield();
  stop = true;
  for (std::thread& reader : readers)
    reader.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_LT(physical() * 2, before);
}

// A lock per page, which writers hold while they write and compaction while it moves that page.
struct PageLocks {
  Address begin{};
  Bytes page{};
  std::vector<std::mutex> locks;
  std::atomic<std::uint64_t> refused{0};

  explicit PageLocks(std::size_t pages) : locks(pages) {}
  [[nodiscard]] std::mutex& of(Address address) { return locks[(address - begin) / page]; }
  [[nodiscard]] WritePause pause() { return {this, &try_pause, &resume}; }
  static bool try_pause(void* user, Address address, Bytes) noexcept {
    auto& self = *static_cast<PageLocks*>(user);
    const bool locked = self.of(address).try_lock();
    if (!locked) self.refused.fetch_add(1);
    return locked;
  }
  static void resume(void* user, Address address, Bytes) noexcept {
    static_cast<PageLocks*>(user)->of(address).unlock();
  }
};

TEST_F(CompactionThreads, NoWriteIsLost) {
  PageLocks locks(256);
  open({.size = 16_MiB, .pause = locks.pause()});
  locks.begin = space_->begin();
  locks.page = kSmall;
  // A counter at the begin of every object, each object within one page.
  std::vector<Thing> things;
  TestRandom random(3);
  for (Bytes offset{}; offset < 16_MiB; offset += kSmall)
    if (random.below(3) != 0)
      things.push_back(put(offset + 4_KiB * random.below(8), 8_KiB + 4_KiB * random.below(6)));
  for (const Thing& t : things)
    for (std::uint64_t i = 0; i < 8; ++i)
      t.words()[i] = 0;
  std::atomic<bool> stop{false};
  std::vector<std::vector<std::uint64_t>> written(2, std::vector<std::uint64_t>(things.size(), 0));
  std::vector<std::thread> writers;
  for (std::size_t w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      TestRandom mine(w + 10);
      while (!stop.load()) {
        const std::size_t i = mine.below(things.size());
        const std::scoped_lock lock(locks.of(things[i].address));
        volatile std::uint64_t* words = things[i].words();
        words[w] = words[w] + 1;
        ++written[w][i];
      }
    });
  }
  for (int pass = 0; pass < 6; ++pass)
    compact_all();
  stop = true;
  for (std::thread& writer : writers)
    writer.join();
  for (std::size_t w = 0; w < 2; ++w)
    for (std::size_t i = 0; i < things.size(); ++i)
      ASSERT_EQ(things[i].words()[w], written[w][i]) << w << " " << i;
  EXPECT_GT(space_->report().meshed_pages, 0U);
}

TEST_F(CompactionThreads, T1_AllocatingAndFreeingGoOnBesideIt) {
  constexpr std::uint64_t kSlots = 512;
  constexpr std::uint64_t kThreads = 3;
  constexpr Bytes kSlot = 16_KiB;
  PageLocks locks(kSlots * kSlot.value / kSmall.value);
  open({.size = kSlot * kSlots, .retain = 256_KiB, .pause = locks.pause()});
  locks.begin = space_->begin();
  locks.page = kSmall;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> done{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      TestRandom mine(t + 1);
      std::vector<Thing> live(kSlots);
      for (std::uint64_t n = 0; n < 3000 || !stop.load(); ++n) {
        const std::uint64_t slot = mine.below(kSlots / kThreads) * kThreads + t;
        Thing& thing = live[slot];
        if (thing.size.value != 0) {
          if (!thing.intact()) wrong.fetch_add(1);
          if (!space_->release(thing.address, thing.size)) wrong.fetch_add(1);
          thing = {};
          continue;
        }
        thing = {at(kSlot * slot), 4_KiB + 4_KiB * mine.below(4), n + 1};
        const Result<void> acquired = space_->acquire(thing.address, thing.size);
        if (!acquired) {
          // A neighbour on the same page was being written.
          if (acquired.error().code != ErrorCode::timed_out) wrong.fetch_add(1);
          thing = {};
          continue;
        }
        const std::scoped_lock lock(locks.of(thing.address));
        thing.fill();
        done.fetch_add(1);
      }
      for (const Thing& thing : live) {
        if (thing.size.value == 0) continue;
        if (!thing.intact() || !space_->release(thing.address, thing.size)) wrong.fetch_add(1);
      }
    });
  }
  StepReport sum;
  for (int pass = 0; pass < 12 || sum.meshed + sum.demoted < 200; ++pass) {
    for (bool finished = false; !finished;) {
      const StepReport step = space_->compact({.pages = 4});
      finished = step.finished;
      sum.meshed += step.meshed;
      sum.demoted += step.demoted;
      (void)space_->collect();
      (void)space_->report();
    }
    (void)space_->promote({.pages = 2});
  }
  stop = true;
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_GT(done.load(), 1000U);
  EXPECT_GT(sum.meshed + sum.demoted, 0U);
  EXPECT_EQ(space_->report().live, Bytes{});
  (void)space_->trim(Bytes{});
  EXPECT_EQ(physical(), Bytes{});
}

// Counts objects that are held from the driver, and the most there ever were.
class HeldObjects final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  std::atomic<std::uint64_t> held{0};
  std::atomic<std::uint64_t> most{0};
  Result<void> create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept override {
    const Result<void> made = next().create_physical(request, out);
    if (!made) return made;
    const std::uint64_t now = held.fetch_add(out.size()) + out.size();
    for (std::uint64_t seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    return made;
  }
  Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override {
    held.fetch_sub(objects.size());
    const Result<void> gone = next().destroy_physical(objects);
    if (!gone) held.fetch_add(objects.size());
    return gone;
  }
};

// Threads that take turns at the last pages of a budget, pooled ones among them: it is never passed.
TEST_F(CompactionThreads, TheBudgetIsNotPassedByThoseWhoSeeTheSamePooledPage) {
  constexpr std::uint64_t kPages = 4;
  open({});
  HeldObjects objects(*faulty_);
  open_over(objects, {.size = 4_MiB, .large_page = kSmall, .budget = kSmall * kPages, .retain = kSmall * 2});
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> done{0};
  for (std::uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t n = 0; n < 1500; ++n) {
        const Address address = at(kSmall * (t * 8 + n % 8));
        if (!space_->acquire(address, kSmall)) continue;
        done.fetch_add(1);
        if (!space_->release(address, kSmall)) return;
        if (n % 5 == 0) (void)space_->collect();
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_GT(done.load(), 100U);
  EXPECT_LE(objects.most.load(), kPages);
  ASSERT_STREQ(space_->validate(), nullptr);
  space_.reset();
  EXPECT_EQ(objects.held.load(), 0U);
}

TEST_F(CompactionThreads, T3_WhatIsFreedWhileItMovesIsNotMoved) {
  open({});
  CopyHook hook(*faulty_);
  open_over(hook, {.size = 16_MiB});
  const Thing freed = put(64_KiB, 8_KiB);
  const Thing stays = put(256_KiB, 8_KiB);
  hook.on_copy = [&](const CopyOp& op) {
    if (op.source == freed.address)
      std::thread([&] { EXPECT_TRUE(space_->release(freed.address, freed.size)); }).join();
  };
  StepReport sum;
  for (bool finished = false; !finished;) {
    const StepReport step = space_->compact({});
    finished = step.finished;
    sum.cancelled += step.cancelled;
    sum.demoted += step.demoted;
  }
  hook.on_copy = nullptr;
  EXPECT_EQ(sum.cancelled, 1U);
  EXPECT_EQ(sum.demoted, 1U);
  EXPECT_TRUE(stays.intact());
  ASSERT_STREQ(space_->validate(), nullptr);
  while (!space_->compact({}).finished) {
  }
  (void)space_->trim(Bytes{});
  EXPECT_EQ(physical(), kSmall);
  ASSERT_STREQ(space_->validate(), nullptr);
  space_.reset();
}

// While one page is held in the middle of its move, whoever touches other pages goes on; who wants more of
// that page waits for it.
TEST_F(CompactionThreads, T2_OnlyWhoNeedsAMovingPageWaits) {
  open({});
  CopyHook hook(*faulty_);
  open_over(hook, {.size = 16_MiB});
  const Thing moving = put(64_KiB, 8_KiB);
  std::atomic<bool> beside{false};
  std::thread neighbour;
  hook.on_copy = [&](const CopyOp&) {
    if (beside.load() || neighbour.joinable()) return;
    EXPECT_TRUE(space_->acquire(at(1_MiB), 8_KiB)) << "another page of the same block";
    EXPECT_TRUE(space_->release(at(1_MiB), 8_KiB));
    neighbour = std::thread([&] {
      EXPECT_TRUE(space_->acquire(at(96_KiB), 8_KiB));
      beside = true;
    });
    for (int i = 0; i < 1000; ++i)
      std::this_thread::yield();
    EXPECT_FALSE(beside.load());
  };
  while (!space_->compact({}).finished) {
  }
  neighbour.join();
  EXPECT_TRUE(beside.load());
  EXPECT_TRUE(moving.intact());
  ASSERT_STREQ(space_->validate(), nullptr);
  hook.on_copy = nullptr;
  space_.reset();
}

}  // namespace
}  // namespace vaspace::test
