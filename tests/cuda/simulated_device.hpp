// A device of the simulated driver: restarted with a profile, and asked at the end for what it reports and
// what it still holds. Only the tests know the simulator; the library loads it like any driver.
#pragma once

#include <cstdlib>
#include <dirent.h>
#include <gtest/gtest.h>
#include <string>

#include "vaspace/backends/cuda.hpp"

#include "simulators/cuda/driver_api.hpp"
#include "support/host.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VASPACE_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VASPACE_TEST_SANITIZED 1
#endif
#endif

namespace vaspace::test {

// How often, where once is not enough: less of it in slow builds.
constexpr int cuda_cycles(int count) {
#ifdef VASPACE_TEST_SANITIZED
  return count / 20;
#else
  return count;
#endif
}

inline std::string cuda_reports() {
  std::string text;
  vasim_cuda_report report;
  for (std::size_t i = 0; DRIVER(vasim_cuda_report_at)(i, &report) == 0; ++i)
    text += std::string(report.rule) + ": " + report.object + ": " + report.reason + "\n";
  return text;
}

// Descriptors of this process (C15).
inline std::size_t open_files() {
  std::size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr)
    ++count;
  closedir(directory);
  return count;
}

inline std::uint64_t cuda_live(vasim_cuda_kind kind) {
  return DRIVER(vasim_cuda_live)(kind);
}

inline std::uint64_t cuda_calls(const char* function = nullptr) {
  return DRIVER(vasim_cuda_calls)(function);
}

inline void restart_cuda(const std::string& profile, const std::string& more = "") {
  ASSERT_EQ(DRIVER(vasim_cuda_restart)(("quiet=1;profile=" + profile + ";" + more).c_str()), 0);
}

// What the driver holds: all of it is to be as before after whatever failed (C16).
struct CudaHeld {
  std::uint64_t handles = cuda_live(VASIM_CUDA_HANDLES);
  std::uint64_t mappings = cuda_live(VASIM_CUDA_MAPPINGS);
  std::uint64_t reservations = cuda_live(VASIM_CUDA_RESERVATIONS);
  std::uint64_t host_memory = cuda_live(VASIM_CUDA_HOST_MEMORY);

  friend bool operator==(const CudaHeld&, const CudaHeld&) = default;
  friend std::ostream& operator<<(std::ostream& out, const CudaHeld& held) {
    return out << held.handles << " handles, " << held.mappings << " mappings, " << held.reservations
               << " reservations, " << held.host_memory << " pinned";
  }
};

inline cuda::BackendConfig cuda_config(TestHost* host = nullptr) {
  cuda::BackendConfig config;
  config.driver = VASIM_CUDA_LIBRARY;
  if (host != nullptr) config.host = host->allocator();
  return config;
}

template <class T>
[[nodiscard]] std::string code_of(const Result<T>& result) {
  return result ? "ok" : to_string(result.error().code);
}

class CudaTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kForever = ~std::uint64_t{0};

  void start(const std::string& profile = "default", cuda::BackendConfig config = cuda_config(),
             const std::string& more = "delay_us=0..50") {
    backend_.reset();
    restart_cuda(profile, more);
    config.driver = VASIM_CUDA_LIBRARY;
    auto made = cuda::Backend::create(config);
    ASSERT_TRUE(made) << to_string(made.error().code) << ' ' << made.error().native;
    backend_ = std::move(*made);
    page_ = backend_->profile().page_sizes[0];
  }
  void TearDown() override {
    backend_.reset();
    EXPECT_EQ(cuda_reports(), "");
    EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U) << cuda_reports();
    EXPECT_EQ(DRIVER(vasim_cuda_restart)("quiet=1"), 0);
  }

  [[nodiscard]] Reservation reserve(std::uint64_t pages, Address hint = {}) {
    const auto reserved = backend_->reserve({page_ * pages, {}, hint, 0});
    EXPECT_TRUE(reserved) << code_of(reserved);
    return reserved.value_or(Reservation{});
  }
  [[nodiscard]] PhysicalId create(std::uint64_t pages = 1) {
    PhysicalId id;
    const auto created = backend_->create_physical({page_ * pages, 0, {}}, {&id, 1});
    EXPECT_TRUE(created) << code_of(created);
    return id;
  }
  [[nodiscard]] Result<void> bind(Address at, PhysicalId id, std::uint64_t pages = 1) {
    const BindOp op{.address = at, .size = page_ * pages, .physical = id};
    const auto point = backend_->bind({&op, 1}, {});
    return point ? Result<void>{} : Result<void>(fail(point.error()));
  }
  [[nodiscard]] Result<void> unbind(Address at, std::uint64_t pages = 1) { return bind(at, {}, pages); }
  [[nodiscard]] Result<void> destroy(PhysicalId id) { return backend_->destroy_physical({&id, 1}); }
  // A byte of device memory, once all work is over.
  [[nodiscard]] int read(Address at) {
    std::byte value{};
    const auto idle = backend_->wait_idle();
    const auto copied = backend_->copy_to_host(&value, at, Bytes{1});
    return idle && copied ? std::to_integer<int>(value) : -1;
  }

  HostObject<cuda::Backend> backend_;
  Bytes page_{};
};

}  // namespace vaspace::test
