// T2: no driver call is made under a lock that another thread's hot path needs. While any call is under way,
// another thread allocates and frees in every arena to completion.
#include <atomic>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "support/arena_fixture.hpp"
#include "support/arena_probe.hpp"

namespace vaspace::test {
namespace {

class HotPath : public testing::TestWithParam<VaCase> {
 protected:
  // A size of each arena below the large ones.
  static constexpr Bytes kSizes[] = {300_B, 700_B, 1500_B, 3_KiB, 20_KiB, 70'000_B};

  void open() {
    const auto& [subject, device] = GetParam();
    device_ = device.open();
    backend_.emplace(*device_, [this] { work(); });
    auto made =
        subject.make(*backend_, {.retain = {}, .retain_percent = 0, .host = default_host_allocator()});
    ASSERT_TRUE(made);
    va_ = std::move(*made);
    // The middle one of three neighbours lies on pages that the others keep.
    for (const Bytes size : kSizes) {
      keep(size);
      middle_.push_back(take(size));
      keep(size);
    }
  }
  void close() {
    for (const Allocation& allocation : kept_)
      va_->free(allocation);
    for (const Allocation& allocation : middle_)
      va_->free(allocation);
  }
  // The probe: through every arena, by handle and by address.
  void work() {
    for (Allocation& allocation : middle_) {
      const Bytes size = allocation.size;
      rounds_ % 2 == 0 ? va_->free(allocation) : va_->free(allocation.address);
      allocation = take(size);
    }
    ++rounds_;
  }
  Allocation take(Bytes size, Alignment alignment = {}) {
    const auto allocation = va_->allocate({size, alignment, {}, 0});
    if (!allocation) {
      ++refused_;
      return {};
    }
    return *allocation;
  }
  void keep(Bytes size) { kept_.push_back(take(size)); }

  std::shared_ptr<Backend> device_;
  std::optional<ProbeBackend> backend_;
  std::unique_ptr<Va> va_;
  std::vector<Allocation> middle_, kept_;
  std::atomic<int> rounds_{0}, refused_{0};
};

std::vector<Subject> threaded() {
  return {kSubjects[1], kSubjects[3]};
}
std::vector<Device> devices() {
  return {device_named("Address"), device_named("AddressPages"), device_named("AddressCommits")};
}
INSTANTIATE_TEST_SUITE_P(, HotPath,
                         testing::Combine(testing::ValuesIn(threaded()), testing::ValuesIn(devices())),
                         name_of);

TEST_P(HotPath, T2_OthersAllocateAndFreeUnderEveryDriverCall) {
  open();
  backend_->begin();
  std::vector<Allocation> mine;
  for (int round = 0; round < 3; ++round) {
    for (const Bytes size : {400_B, 600_B, 2_KiB, 4_KiB, 60_KiB, 1_MiB, 20_MiB, 40_MiB}) {
      for (int i = 0; i < 3; ++i)
        mine.push_back(take(size, round == 2 && size == 4_KiB ? Alignment{1_MiB} : Alignment{}));
    }
    (void)va_->can_allocate({Bytes{200U << 20U}, {}, {}, 0});
    (void)va_->report();
    while (mine.size() > static_cast<std::size_t>(round)) {
      va_->free(mine.back());
      mine.pop_back();
    }
    round % 2 == 0 ? va_->collect() : va_->flush();
    (void)va_->report();
  }
  for (const Allocation& allocation : mine)
    va_->free(allocation);
  va_->flush();
  backend_->end();
  EXPECT_EQ(backend_->held_up(), "") << "the other thread waited for the end of this call";
  EXPECT_EQ(backend_->probes(), rounds_);
  EXPECT_GE(rounds_, 6);
  EXPECT_EQ(refused_, 0);
  close();
  va_->flush();
  EXPECT_EQ(va_->live(), Bytes{});
  EXPECT_EQ(va_->validate(), nullptr);
  va_.reset();
}

}  // namespace
}  // namespace vaspace::test
