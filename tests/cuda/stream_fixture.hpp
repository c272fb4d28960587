// A stream allocator on a simulated device, with two streams.
#pragma once

#include "vaspace/frontends/cuda.hpp"

#include "cuda/simulated_device.hpp"

namespace vaspace::test {

class StreamTest : public CudaTest {
 protected:
  void start_streams(const std::string& profile = "default", cuda::StreamConfig config = {},
                     const std::string& more = "delay_us=0..50") {
    start(profile, cuda_config(), more);
    auto made = cuda::StreamAllocator::create(*backend_, config);
    ASSERT_TRUE(made) << code_of(made);
    streams_ = std::move(*made);
    a_ = stream();
    b_ = stream();
  }
  void TearDown() override {
    DRIVER(vasim_cuda_hold_streams)(0);
    streams_.reset();
    for (const cuda::Stream made : made_)
      if (made != nullptr) (void)backend_->destroy_stream(made);
    CudaTest::TearDown();
  }
  [[nodiscard]] cuda::Stream stream() {
    const auto made = backend_->make_stream();
    EXPECT_TRUE(made) << code_of(made);
    made_.push_back(made.value_or(nullptr));
    return made_.back();
  }
  // One that nothing was allocated on.
  [[nodiscard]] cuda::Stream unknown_stream() { return stream(); }
  [[nodiscard]] Address allocate(Bytes size, cuda::Stream on, cuda::Tag tag = 0) {
    const auto got = streams_->allocate({.size = size, .tag = tag}, on);
    EXPECT_TRUE(got) << code_of(got) << ' ' << (got ? 0 : got.error().native);
    return got.value_or(Address{});
  }
  void work_on(Address at, Bytes size, cuda::Stream on, int value = 1) {
    const auto put = backend_->fill(at, static_cast<std::byte>(value), size, on);
    EXPECT_TRUE(put) << code_of(put);
  }

  HostObject<cuda::StreamAllocator> streams_;
  cuda::Stream a_ = nullptr;
  cuda::Stream b_ = nullptr;
  std::vector<cuda::Stream> made_;
};

}  // namespace vaspace::test
