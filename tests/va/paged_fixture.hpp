// A paged space on real memory, with objects whose every byte is known.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "vaspace/backends/cpu.hpp"
#include "vaspace/va/paged_space.hpp"

#include "support/faulty_backend.hpp"
#include "support/host.hpp"
#include "support/random.hpp"

namespace vaspace::test {

// To the thread sanitizer a remap is a write of everything there, and a read beside it a race. It is none:
// the kernel shows the old page or the new, and both hold the same live bytes.
#define VASPACE_READS_BESIDE_REMAPS __attribute__((no_sanitize("thread")))

struct Thing {
  Address address{};
  Bytes size{};
  std::uint64_t seed = 0;

  [[nodiscard]] Address end() const { return address + size; }
  [[nodiscard]] volatile std::uint64_t* words() const {
    return reinterpret_cast<volatile std::uint64_t*>(static_cast<std::uintptr_t>(address.value));
  }
  [[nodiscard]] std::uint64_t count() const { return size.value / 8; }
  void fill() const {
    for (std::uint64_t i = 0; i < count(); ++i)
      words()[i] = seed * 0x9e3779b97f4a7c15ULL + i;
  }
  [[nodiscard]] VASPACE_READS_BESIDE_REMAPS bool intact() const {
    for (std::uint64_t i = 0; i < count(); ++i)
      if (words()[i] != seed * 0x9e3779b97f4a7c15ULL + i) return false;
    return true;
  }
};

// Calls back while a page is copied.
class CopyHook final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  std::function<void(const CopyOp&)> on_copy;
  Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    const Result<TimelinePoint> point = next().copy(ops, waits);
    if (on_copy) on_copy(ops.front());
    return point;
  }
};

class PagedTest : public testing::Test {
 protected:
  static constexpr Bytes kSmall = 64_KiB;
  static constexpr Bytes kLarge = 2_MiB;

  void open(PagedSpaceConfig config, cpu::BackendConfig device = {}) {
    space_.reset();
    faulty_.reset();
    if (device.physical_size == 4_GiB) device.physical_size = 1_GiB;
    auto made = cpu::Backend::create(device);
    ASSERT_TRUE(made);
    backend_ = std::move(*made);
    faulty_ = std::make_unique<FaultyBackend>(*backend_);
    if (config.size.value == 0) config.size = 64_MiB;
    auto space = PagedSpace::create(*faulty_, config);
    ASSERT_TRUE(space) << to_string(space.error().code);
    space_ = std::move(*space);
  }
  // After open(): another space, over a backend that stands before the device and ends before this test does.
  void open_over(Backend& backend, const PagedSpaceConfig& config) {
    space_.reset();
    auto space = PagedSpace::create(backend, config);
    ASSERT_TRUE(space) << to_string(space.error().code);
    space_ = std::move(*space);
  }
  void TearDown() override {
    if (space_ == nullptr) return;
    ASSERT_EQ(space_->validate(), nullptr);
    space_.reset();
    EXPECT_EQ(backend_->measured_physical()->value, 0U) << "everything went back";
  }

  [[nodiscard]] Address at(Bytes offset) const { return space_->begin() + offset; }
  [[nodiscard]] Bytes physical() const { return *backend_->measured_physical(); }
  [[nodiscard]] Thing thing(Bytes offset, Bytes size) { return {at(offset), size, ++seeds_}; }
  // Made live and filled.
  Thing put(Bytes offset, Bytes size) {
    const Thing made = thing(offset, size);
    const Result<void> acquired = space_->acquire(made.address, made.size);
    EXPECT_TRUE(acquired) << to_string(acquired.error().code);
    if (acquired) made.fill();
    return made;
  }
  void drop(const Thing& what) { EXPECT_TRUE(space_->release(what.address, what.size)); }

  // Objects of 4 to 64 KiB side by side over the whole space, freed at random until of every large page no
  // more than `percent` is live. `none` may be freed altogether.
  std::vector<Thing> churn(std::uint64_t percent, std::uint64_t seed = 1) {
    TestRandom random(seed);
    std::vector<Thing> all;
    const Bytes end = space_->end() - space_->begin();
    for (Bytes offset{}; offset + 64_KiB <= end;) {
      const Bytes size = 4_KiB + Bytes{256} * random.below(60 * 4 + 1);
      all.push_back(put(offset, size));
      offset += size;
    }
    const std::uint64_t blocks = end / kLarge;
    std::vector<std::uint64_t> live(blocks, 0);
    for (const Thing& t : all)
      live[(t.address - space_->begin()) / kLarge] += t.size.value;
    std::vector<Thing> kept;
    for (std::size_t i = all.size(); i > 1; --i)
      std::swap(all[i - 1], all[random.below(i)]);
    for (const Thing& t : all) {
      std::uint64_t& here = live[(t.address - space_->begin()) / kLarge];
      if (here - t.size.value >= kLarge.value * percent / 100) {
        here -= t.size.value;
        drop(t);
      } else {
        kept.push_back(t);
      }
    }
    return kept;
  }
  [[nodiscard]] static bool all_intact(const std::vector<Thing>& things) {
    for (const Thing& t : things)
      if (!t.intact()) return false;
    return true;
  }
  [[nodiscard]] static Bytes bytes_of(const std::vector<Thing>& things) {
    Bytes sum{};
    for (const Thing& t : things)
      sum += t.size;
    return sum;
  }

  TestHost host_;  // outlives what the test opens
  HostObject<cpu::Backend> backend_;
  std::unique_ptr<FaultyBackend> faulty_;
  HostObject<PagedSpace> space_;
  std::uint64_t seeds_ = 0;
};

// With codes to compare.
class PagedSpaceTest : public PagedTest {
 protected:
  [[nodiscard]] ErrorCode acquire(Address address, Bytes size) {
    const Result<void> done = space_->acquire(address, size);
    return done ? kDone : done.error().code;
  }
  [[nodiscard]] ErrorCode release(Address address, Bytes size) {
    const Result<void> done = space_->release(address, size);
    return done ? kDone : done.error().code;
  }
  static constexpr ErrorCode kDone = ErrorCode::malformed;  // that nothing here answers
};

}  // namespace vaspace::test
