// A buffer whose address never changes, whatever becomes of its size and whatever is refused. R7.
#include "vaspace/va/growable_buffer.hpp"

#include <cstring>
#include <gtest/gtest.h>

#include "vaspace/backends/cpu.hpp"

#include "support/faulty_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

constexpr Bytes kPage = 64_KiB;

class GrowableBufferTest : public testing::TestWithParam<bool> {
 protected:
  void open(const HostAllocator& host = default_host_allocator()) {
    buffer_.reset();
    cpu::BackendConfig config;
    config.physical_size = 4_MiB;
    config.partial_unbind = config.physical_offset = GetParam();
    auto made = cpu::Backend::create(config);
    ASSERT_TRUE(made);
    backend_ = std::move(*made);
    faulty_ = std::make_unique<FaultyBackend>(*backend_);
    auto buffer = GrowableBuffer::create(*faulty_, {.max_size = 1_GiB, .host = host});
    ASSERT_TRUE(buffer);
    buffer_ = std::move(*buffer);
  }
  void SetUp() override { open(); }
  void TearDown() override {
    buffer_.reset();
    EXPECT_EQ(physical(), Bytes{});
  }
  [[nodiscard]] Bytes physical() const { return *backend_->measured_physical(); }
  [[nodiscard]] unsigned char* bytes() const {
    return reinterpret_cast<unsigned char*>(static_cast<std::uintptr_t>(buffer_->address().value));
  }
  [[nodiscard]] bool holds(unsigned char value, Bytes size) const {
    for (std::uint64_t i = 0; i < size.value; i += 512)
      if (bytes()[i] != value) return false;
    return true;
  }

  TestHost host_;  // outlives what the test opens
  HostObject<cpu::Backend> backend_;
  std::unique_ptr<FaultyBackend> faulty_;
  HostObject<GrowableBuffer> buffer_;
};

TEST_P(GrowableBufferTest, KeepsItsAddressAndItsBytes) {
  const Address address = buffer_->address();
  EXPECT_EQ(physical(), Bytes{});
  ASSERT_TRUE(buffer_->resize(100_KiB));
  EXPECT_EQ(physical(), kPage * 2);
  std::memset(bytes(), 0x3c, (100_KiB).value);
  for (const Bytes size : {300_KiB, 2_MiB, 1_MiB, 101_KiB}) {
    ASSERT_TRUE(buffer_->resize(size));
    EXPECT_EQ(buffer_->address(), address);
    EXPECT_EQ(buffer_->size(), size);
    EXPECT_EQ(physical(), align_up(size, Alignment{kPage}));
    EXPECT_EQ(buffer_->committed(), physical());
    EXPECT_TRUE(holds(0x3c, 100_KiB));
  }
  ASSERT_TRUE(buffer_->resize(Bytes{}));
  EXPECT_EQ(physical(), Bytes{});
}

TEST_P(GrowableBufferTest, WhatCannotBeGrantedChangesNothing_R7) {
  ASSERT_TRUE(buffer_->resize(1_MiB));
  std::memset(bytes(), 0x77, (1_MiB).value);
  EXPECT_EQ(buffer_->resize(5_MiB).error().code, ErrorCode::out_of_device_memory);
  EXPECT_EQ(buffer_->resize(2_TiB).error().code, ErrorCode::too_large);
  for (std::int64_t nth = 1;; ++nth) {
    faulty_->fail_any_at(nth, {ErrorCode::driver_error, 9});
    const Result<void> grown = buffer_->resize(2_MiB);
    faulty_->stop_failing();
    if (grown) break;
    ASSERT_EQ(grown.error().code, ErrorCode::driver_error);
    ASSERT_EQ(buffer_->size(), 1_MiB);
    ASSERT_EQ(physical(), 1_MiB) << nth;
    ASSERT_TRUE(holds(0x77, 1_MiB));
  }
  EXPECT_TRUE(holds(0x77, 1_MiB));
}

TEST_P(GrowableBufferTest, WhatTheDriverWillNotUnbindStaysAndIsTriedAgain_R7) {
  ASSERT_TRUE(buffer_->resize(1_MiB));
  faulty_->fail_at(Call::bind, 1, {ErrorCode::out_of_mappings, 12}, true);
  ASSERT_TRUE(buffer_->resize(128_KiB));
  EXPECT_EQ(buffer_->size(), 128_KiB);
  EXPECT_EQ(buffer_->committed(), 1_MiB);
  faulty_->stop_failing();
  ASSERT_TRUE(buffer_->resize(128_KiB));
  EXPECT_EQ(buffer_->committed(), 128_KiB);
  EXPECT_EQ(physical(), 128_KiB);
}

// Pages that the driver did not take back are pooled; a growth that is refused gives them back once.
TEST_P(GrowableBufferTest, TwoRefusalsInARowPutNoPageInTwoPlaces_R7) {
  ASSERT_TRUE(buffer_->resize(256_KiB));
  faulty_->fail_at(Call::destroy_physical, 1, {ErrorCode::driver_error, 4}, true);
  ASSERT_TRUE(buffer_->resize(64_KiB));
  faulty_->fail_at(Call::create_physical, 1, {ErrorCode::driver_error, 4});
  ASSERT_FALSE(buffer_->resize(1_MiB));
  faulty_->stop_failing();
  ASSERT_EQ(buffer_->size(), 64_KiB);
  ASSERT_TRUE(buffer_->resize(2_MiB));
  for (std::uint64_t page = 0; page < 32; ++page)
    bytes()[page * kPage.value] = static_cast<unsigned char>(page);
  for (std::uint64_t page = 0; page < 32; ++page)
    ASSERT_EQ(bytes()[page * kPage.value], page);
  EXPECT_EQ(physical(), 2_MiB);
}

// The driver refuses in the middle and the host has nothing from then on: what was bound goes all the same.
TEST_P(GrowableBufferTest, AGrowthIsTakenBackWithoutHostMemory_R7) {
  for (std::int64_t nth = 1; nth < 30; ++nth) {
    open(host_.allocator());
    ASSERT_TRUE(buffer_->resize(64_KiB));
    host_.fail_forever(true);
    host_.fail_at(nth);
    const Result<void> grown = buffer_->resize(3_MiB);
    host_.fail_at(0);
    host_.fail_forever(false);
    if (grown) return;
    ASSERT_EQ(buffer_->committed(), 64_KiB) << nth;
    ASSERT_EQ(physical(), 64_KiB) << nth;
  }
}

TEST_P(GrowableBufferTest, WithoutHostMemoryNothingIsDone_R7) {
  TestHost& host = host_;
  open(host.allocator());
  ASSERT_TRUE(buffer_->resize(64_KiB));
  bytes()[0] = 5;
  for (std::int64_t nth = 1;; ++nth) {
    host.fail_at(nth);
    const Result<void> grown = buffer_->resize(1_MiB);
    host.fail_at(0);
    if (grown) break;
    ASSERT_EQ(grown.error().code, ErrorCode::out_of_host_memory);
    ASSERT_EQ(physical(), 64_KiB);
    ASSERT_EQ(bytes()[0], 5);
  }
}

INSTANTIATE_TEST_SUITE_P(WholeOrPartialUnbinds, GrowableBufferTest, testing::Bool());

}  // namespace
}  // namespace vaspace::test
