// What a map, a paged space and a growable buffer do on any backend that binds pages, looked at through the
// device: as the device reads and writes it. A backend joins by a VaCase.
//
// Include this in one source of a test program, and instantiate VaContract with every case; with those that
// bind parts of an object (physical_offset) VaOffsetsContract too, with the others VaWholeObjectsContract.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "vaspace/va/growable_buffer.hpp"
#include "vaspace/va/paged_space.hpp"

#include "support/faulty_backend.hpp"
#include "support/host.hpp"
#include "support/random.hpp"

namespace vaspace::test {

// A backend, and a device to look through. Bound memory only; done when it returns. Sizes are multiples of 4.
struct VaDevice {
  virtual ~VaDevice() = default;
  [[nodiscard]] virtual Backend& backend() = 0;
  virtual void fill(Address address, Bytes size, std::uint32_t word) = 0;
  [[nodiscard]] virtual std::uint32_t read(Address address) = 0;
};

struct VaCase {
  std::string name;  // letters and digits
  std::function<std::unique_ptr<VaDevice>(const HostAllocator& host)> make;
};

inline void PrintTo(const VaCase& a_case, std::ostream* out) {
  *out << a_case.name;
}

class VaContract : public testing::TestWithParam<VaCase> {
 protected:
  static constexpr std::uint64_t kForever = ~std::uint64_t{0};

  void SetUp() override {
    device_ = GetParam().make(host_.allocator());
    ASSERT_NE(device_, nullptr);
    faulty_ = std::make_unique<FaultyBackend>(device_->backend());
    page_ = profile().page_sizes[0];
    before_ = usage();
  }
  void TearDown() override {
    if (device_ == nullptr) return;
    EXPECT_EQ(usage(), before_) << "everything went back";
    faulty_.reset();
    device_.reset();
    EXPECT_EQ(host_.bytes(), 0);
  }
  [[nodiscard]] const DeviceProfile& profile() { return device_->backend().profile(); }
  [[nodiscard]] Bytes usage() { return device_->backend().budget(profile().memory_types[0].heap)->usage; }
  [[nodiscard]] Bytes used() { return usage() - before_; }
  [[nodiscard]] HostObject<VaSpace> space(std::uint64_t pages, bool rebind_rests = false) {
    auto made = VaSpace::create(
        *faulty_,
        {.size = page_ * pages, .page_size = page_, .rebind_rests = rebind_rests, .host = host_.allocator()});
    EXPECT_TRUE(made) << to_string(made.error().code);
    return made ? std::move(*made) : HostObject<VaSpace>{};
  }
  [[nodiscard]] HostObject<PagedSpace> paged(PagedSpaceConfig config) {
    config.host = host_.allocator();
    auto made = PagedSpace::create(*faulty_, config);
    EXPECT_TRUE(made) << to_string(made.error().code);
    return made ? std::move(*made) : HostObject<PagedSpace>{};
  }

  TestHost host_;
  std::unique_ptr<VaDevice> device_;
  std::unique_ptr<FaultyBackend> faulty_;
  Bytes page_{};
  Bytes before_{};
};

// ---- the map

// Objects of a page each, put, moved and taken away at random: what the device reads is what the array says.
TEST_P(VaContract, AMapIsWhatAnArrayOfPagesIs) {
  constexpr std::size_t kPages = 12;
  const auto map = space(kPages);
  std::vector<PhysicalId> objects(6);
  ASSERT_TRUE(faulty_->create_physical({.size = page_}, objects));
  std::vector<std::size_t> model(kPages, objects.size());  // none
  TestRandom random(7);
  const auto at = [&](std::size_t page) { return map->begin() + page_ * page; };
  for (int round = 0; round < 60; ++round) {
    const std::size_t page = random.below(kPages), object = random.below(objects.size());
    const auto held = std::find(model.begin(), model.end(), object);
    if (held != model.end() && random.below(2) == 0) {
      const std::size_t first = static_cast<std::size_t>(held - model.begin());
      const auto done = map->unmap(at(first), page_);
      ASSERT_TRUE(done && faulty_->wait(*done, kForever)) << round;
      model[first] = objects.size();
    } else if (held == model.end()) {
      const auto done = map->map({.address = at(page), .size = page_, .physical = objects[object]});
      ASSERT_TRUE(done && faulty_->wait(*done, kForever)) << round;
      model[page] = object;
      device_->fill(at(page), page_, static_cast<std::uint32_t>(100 + object));
    }
    ASSERT_EQ(map->validate(), nullptr);
    for (std::size_t i = 0; i < kPages; ++i) {
      const auto found = map->find(at(i));
      ASSERT_EQ(found.has_value(), model[i] != objects.size());
      if (!found) continue;
      EXPECT_EQ(found->mapping.physical, objects[model[i]]);
      EXPECT_EQ(device_->read(at(i)), 100 + model[i]) << "page " << i << ", round " << round;
    }
  }
  const auto end = map->plan_unmap(map->begin(), page_ * kPages);
  EXPECT_EQ(end.has_value(), std::find(model.begin(), model.end(), objects.size()) == model.end());
  for (std::size_t i = 0; i < kPages; ++i)
    if (model[i] != objects.size()) {
      ASSERT_TRUE(map->unmap(at(i), page_));
    }
  ASSERT_TRUE(faulty_->wait(map->last_commit(), kForever));
  EXPECT_TRUE(faulty_->destroy_physical(objects));
}

// Six pages of one object, each with its number in it; and an object of a page, to be mapped in their midst.
class VaSixPages : public VaContract {
 protected:
  void TearDown() override {
    map_.reset();
    VaContract::TearDown();
  }
  void open_six() {
    map_ = space(8);
    ASSERT_TRUE(faulty_->create_physical({.size = page_ * 6}, large_));
    ASSERT_TRUE(faulty_->create_physical({.size = page_}, small_));
    run(map_->map({.address = map_->begin(), .size = page_ * 6, .physical = large_[0]}));
    for (std::uint64_t i = 0; i < 6; ++i)
      device_->fill(map_->begin() + page_ * i, page_, static_cast<std::uint32_t>(i));
  }
  void close_six() {
    run(map_->unmap(map_->begin(), page_ * 6));
    EXPECT_TRUE(faulty_->destroy_physical(large_));
    EXPECT_TRUE(faulty_->destroy_physical(small_));
  }
  void run(const Result<TimelinePoint>& done) {
    ASSERT_TRUE(done) << to_string(done.error().code);
    ASSERT_TRUE(faulty_->wait(*done, kForever));
  }

  HostObject<VaSpace> map_;
  std::array<PhysicalId, 1> large_{}, small_{};
};

// C4: a right rest cannot be bound, so that nothing is done.
class VaWholeObjectsContract : public VaSixPages {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VaWholeObjectsContract);

TEST_P(VaWholeObjectsContract, AMapIntoTheMiddleIsRefused_C4) {
  ASSERT_FALSE(profile().capabilities.physical_offset);
  open_six();
  const auto into = map_->map({.address = map_->begin() + page_ * 2, .size = page_, .physical = small_[0]});
  ASSERT_FALSE(into);
  EXPECT_EQ(into.error().code, ErrorCode::not_supported);
  for (std::uint64_t i = 0; i < 6; ++i)
    EXPECT_EQ(device_->read(map_->begin() + page_ * i), i);
  close_six();
}

// A page of a larger object gives way to another, where the driver can bind what is left of it.
class VaOffsetsContract : public VaSixPages {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VaOffsetsContract);

TEST_P(VaOffsetsContract, AMapIntoTheMiddleKeepsTheRests_C8) {
  ASSERT_TRUE(profile().capabilities.physical_offset);
  open_six();
  run(map_->map({.address = map_->begin() + page_ * 2, .size = page_, .physical = small_[0]}));
  device_->fill(map_->begin() + page_ * 2, page_, 77);
  EXPECT_EQ(map_->mappings(), 3U);
  for (std::uint64_t i = 0; i < 6; ++i)
    EXPECT_EQ(device_->read(map_->begin() + page_ * i), i == 2 ? 77 : i);
  // Refused in the middle: all of it as before.
  for (std::int64_t nth = 1; nth < 4; ++nth) {
    faulty_->fail_at(Call::bind, nth, {ErrorCode::driver_error, 5});
    const auto back = map_->map({.address = map_->begin(), .size = page_ * 6, .physical = large_[0]});
    faulty_->stop_failing();
    if (back) break;
    EXPECT_EQ(back.error(), (Error{ErrorCode::driver_error, 5}));
    ASSERT_TRUE(faulty_->wait(map_->last_commit(), kForever));
    EXPECT_EQ(map_->report().torn, 0_B);
    for (std::uint64_t i = 0; i < 6; ++i)
      EXPECT_EQ(device_->read(map_->begin() + page_ * i), i == 2 ? 77 : i);
  }
  ASSERT_TRUE(faulty_->wait(map_->last_commit(), kForever));
  EXPECT_EQ(device_->read(map_->begin() + page_ * 2), 2U);
  EXPECT_EQ(map_->mappings(), 1U);
  close_six();
}

TEST_P(VaContract, R7_ARefusedCommitHasChangedNothing) {
  const auto map = space(4);
  std::vector<PhysicalId> objects(3);
  ASSERT_TRUE(faulty_->create_physical({.size = page_}, objects));
  for (std::uint64_t i = 0; i < 2; ++i)
    ASSERT_TRUE(map->map({.address = map->begin() + page_ * i, .size = page_, .physical = objects[i]}));
  ASSERT_TRUE(faulty_->wait(map->last_commit(), kForever));
  device_->fill(map->begin(), page_ * 2, 31);
  for (std::int64_t nth = 1; nth <= 2; ++nth) {
    faulty_->fail_at(Call::bind, nth, {ErrorCode::driver_error, 5});
    const auto over = map->map({.address = map->begin() + page_, .size = page_, .physical = objects[2]});
    faulty_->stop_failing();
    if (over) break;
    EXPECT_EQ(over.error(), (Error{ErrorCode::driver_error, 5}));
    ASSERT_TRUE(faulty_->wait(map->last_commit(), kForever));
    EXPECT_EQ(map->find(map->begin() + page_)->mapping.physical, objects[1]);
    EXPECT_EQ(map->report().torn, 0_B);
    EXPECT_EQ(device_->read(map->begin() + page_), 31U);
  }
  for (std::uint64_t i = 0; i < 2; ++i)
    ASSERT_TRUE(map->unmap(map->begin() + page_ * i, page_));
  ASSERT_TRUE(faulty_->wait(map->last_commit(), kForever));
  EXPECT_TRUE(faulty_->destroy_physical(objects));
}

// ---- pages that follow what is live

TEST_P(VaContract, PagesComeOnFirstUseAndGoWhenTheyAreEmpty) {
  const auto pages = paged({.size = 8_MiB, .large_first = false});
  const Address begin = pages->begin();
  EXPECT_EQ(used(), 0_B);
  const Bytes most = pages->small_page() * 2;
  ASSERT_TRUE(pages->acquire(begin + 512_B, most));
  EXPECT_EQ(used(), pages->small_page() * 3);
  device_->fill(begin + 512_B, most, 5);
  ASSERT_TRUE(pages->acquire(begin + most + 512_B, 4_KiB));
  EXPECT_EQ(used(), pages->small_page() * 3) << "there was room in the page";
  ASSERT_TRUE(pages->release(begin + 512_B, most));
  EXPECT_EQ(used(), pages->small_page() * 3) << "release makes no driver call";
  pages->trim(0_B);
  EXPECT_EQ(used(), pages->small_page()) << "no page without a live byte stays";
  ASSERT_TRUE(pages->acquire(begin + 512_B, most));
  device_->fill(begin + 512_B, most, 6);
  EXPECT_EQ(device_->read(begin + most), 6U);
  EXPECT_EQ(pages->validate(), nullptr);
}

// Every call of the driver refused in turn.
TEST_P(VaContract, R7_AnAcquireThatIsRefusedHasChangedNothing) {
  const auto pages = paged({.size = 8_MiB});
  const Bytes size = pages->small_page() * 2;
  ASSERT_TRUE(pages->acquire(pages->begin(), 4_KiB));
  device_->fill(pages->begin(), 4_KiB, 9);
  pages->trim(0_B);
  const Bytes held = used();
  bool refused = true;
  for (std::int64_t nth = 1; refused; ++nth) {
    ASSERT_LT(nth, 20);
    faulty_->fail_any_at(nth, {ErrorCode::driver_error, 5});
    const auto acquired = pages->acquire(pages->begin() + pages->large_page(), size);
    faulty_->stop_failing();
    refused = !acquired;
    if (acquired) {
      ASSERT_TRUE(pages->release(pages->begin() + pages->large_page(), size));
    }
    pages->trim(0_B);
    EXPECT_EQ(used(), held) << nth;
    EXPECT_EQ(pages->validate(), nullptr) << nth;
  }
  EXPECT_EQ(device_->read(pages->begin()), 9U);
}

// Objects all over the space, most of them freed; those that are left are where they were and what they were,
// and the device copied them, for nobody else can.
TEST_P(VaContract, CompactionKeepsAddressesAndBytes) {
  auto pages = paged({.size = 8_MiB});
  // Where no part of a large page can be bound anew, only small ones move.
  if (!pages->can_demote()) pages = paged({.size = 8_MiB, .large_page = page_});
  const Bytes step{pages->small_page().value / 4};
  struct Kept {
    Address address;
    Bytes size;
    std::uint32_t word;
  };
  std::vector<Kept> kept;
  std::uint64_t index = 0;
  for (Address at = pages->begin(); at + step <= pages->end(); at = at + step, ++index) {
    ASSERT_TRUE(pages->acquire(at, step));
    if (index % 3 != 0 || index / 4 % 2 != 0) continue;
    kept.push_back({at, step, static_cast<std::uint32_t>(1000 + index)});
    device_->fill(at, step, kept.back().word);
  }
  std::size_t next = 0;
  for (Address at = pages->begin(); at + step <= pages->end(); at = at + step) {
    if (next < kept.size() && kept[next].address == at) {
      ++next;
    } else {
      ASSERT_TRUE(pages->release(at, step));
    }
  }
  pages->trim(0_B);
  const Bytes before = used();
  std::uint64_t measure = pages->measure(), moved = 0;
  bool finished = false;
  while (!finished) {
    const StepReport report = pages->compact({.pages = 3});
    ASSERT_EQ(report.refused, 0U);
    ASSERT_LE(pages->measure(), measure);
    measure = pages->measure();
    moved += report.pages();
    finished = report.finished;
    ASSERT_EQ(pages->validate(), nullptr);
  }
  pages->trim(0_B);
  EXPECT_EQ(moved != 0, pages->can_demote() || pages->can_mesh());
  if (pages->can_demote() || pages->can_mesh()) {
    EXPECT_LT(used(), before);
  }
  if (!pages->can_mesh()) {
    EXPECT_EQ(used(), pages->floor(pages->small_page()));
  }
  for (const Kept& one : kept) {
    EXPECT_EQ(device_->read(one.address), one.word);
    EXPECT_EQ(device_->read(one.address + one.size - 4_B), one.word);
  }
}

// ---- a buffer that never moves

TEST_P(VaContract, ABufferGrowsAndShrinksInPlace) {
  auto made = GrowableBuffer::create(*faulty_, {.max_size = page_ * 64, .host = host_.allocator()});
  ASSERT_TRUE(made) << to_string(made.error().code);
  GrowableBuffer& buffer = **made;
  const Address address = buffer.address();
  ASSERT_TRUE(buffer.resize(page_ * 3));
  device_->fill(address, page_ * 3, 3);
  ASSERT_TRUE(buffer.resize(page_ * 20));
  device_->fill(address + page_ * 3, page_ * 17, 4);
  EXPECT_EQ(used(), page_ * 20);
  ASSERT_TRUE(buffer.resize(page_ * 5 - 4_B));
  EXPECT_EQ(used(), page_ * 5);
  EXPECT_EQ(device_->read(address + page_ * 2), 3U);
  EXPECT_EQ(device_->read(address + page_ * 4), 4U);
  bool refused = true;
  for (std::int64_t nth = 1; refused; ++nth) {
    ASSERT_LT(nth, 40);
    faulty_->fail_any_at(nth, {ErrorCode::driver_error, 5});
    refused = !buffer.resize(page_ * 9);
    faulty_->stop_failing();
    if (refused) {
      EXPECT_EQ(buffer.size(), page_ * 5 - 4_B);
    }
    ASSERT_TRUE(buffer.resize(page_ * 5));
    ASSERT_TRUE(buffer.resize(page_ * 5 - 4_B));
    EXPECT_EQ(used(), page_ * 5) << nth;
  }
  EXPECT_EQ(device_->read(address), 3U);
  EXPECT_EQ(buffer.address(), address);
  made->reset();
}

}  // namespace vaspace::test
