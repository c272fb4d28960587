// A host allocator that counts what it gave and fails on demand.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "vaspace/base/host_allocator.hpp"

namespace vaspace::test {

// Always true: bytes() is what is held now; the fail_at-th request from now (1 is the next) answers nullptr,
// and with fail_forever all that follow it.
class TestHost {
 public:
  [[nodiscard]] HostAllocator allocator() noexcept { return {this, &allocate, &deallocate}; }

  void fail_at(std::int64_t nth) noexcept { countdown_ = nth; }
  void fail_forever(bool on) noexcept { forever_ = on; }
  [[nodiscard]] std::int64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::int64_t requests() const noexcept { return requests_; }
  [[nodiscard]] std::int64_t blocks() const noexcept { return blocks_; }

 private:
  static void* allocate(void* user, std::size_t size, std::size_t alignment) noexcept {
    auto& self = *static_cast<TestHost*>(user);
    ++self.requests_;
    const std::int64_t left = self.countdown_.load();
    if (left > 0 && self.countdown_.fetch_sub(1) == 1) {
      if (self.forever_) self.countdown_ = 1;
      return nullptr;
    }
    const HostAllocator host = default_host_allocator();
    void* memory = host.allocate(host.user, size, alignment);
    if (memory != nullptr) {
      self.bytes_ += static_cast<std::int64_t>(size);
      ++self.blocks_;
    }
    return memory;
  }
  static void deallocate(void* user, void* memory, std::size_t size, std::size_t alignment) noexcept {
    auto& self = *static_cast<TestHost*>(user);
    self.bytes_ -= static_cast<std::int64_t>(size);
    --self.blocks_;
    const HostAllocator host = default_host_allocator();
    host.deallocate(host.user, memory, size, alignment);
  }

  std::atomic<std::int64_t> bytes_{0}, requests_{0}, blocks_{0}, countdown_{0};
  std::atomic<bool> forever_{false};
};

}  // namespace vaspace::test
