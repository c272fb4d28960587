// What all backends on one device hold together of what the device counts: memory objects (V4) and sparse
// address space (V30).
//
// Always true: neither count passes its limit, however many threads claim the last of it, and nothing wraps.
// What is held is claimed before the driver is asked for it, and given back after the driver has let go of
// it.
#pragma once

#include <atomic>
#include <cstdint>

#include "vaspace/base/units.hpp"

namespace vaspace::vulkan {

// Thread-safe; takes no lock.
class DeviceAccount {
 public:
  DeviceAccount() noexcept = default;  // of a device that has nothing
  DeviceAccount(std::uint64_t memory_objects, Bytes sparse_address_space) noexcept {
    set_limits(memory_objects, sparse_address_space);
  }
  DeviceAccount(const DeviceAccount&) = delete;
  DeviceAccount& operator=(const DeviceAccount&) = delete;

  // Before anything is claimed: maxMemoryAllocationCount, or as many as are meant for this process, and
  // sparseAddressSpaceSize.
  void set_limits(std::uint64_t memory_objects, Bytes sparse_address_space) noexcept {
    objects_.limit = memory_objects;
    sparse_.limit = sparse_address_space.value;
  }

  // One vkAllocateMemory, imports too. False: there is none left.
  [[nodiscard]] bool claim_memory_object() noexcept { return objects_.claim(1); }
  void give_back_memory_object() noexcept { objects_.give_back(1); }
  // The size of a sparse buffer or image, bound or not. False: so much is not left.
  [[nodiscard]] bool claim_sparse(Bytes size) noexcept { return sparse_.claim(size.value); }
  void give_back_sparse(Bytes size) noexcept { sparse_.give_back(size.value); }

  [[nodiscard]] std::uint64_t memory_objects() const noexcept { return objects_.now(); }
  [[nodiscard]] std::uint64_t memory_objects_left() const noexcept { return objects_.limit - objects_.now(); }
  [[nodiscard]] std::uint64_t max_memory_objects() const noexcept { return objects_.limit; }
  [[nodiscard]] Bytes sparse() const noexcept { return Bytes{sparse_.now()}; }
  [[nodiscard]] Bytes max_sparse() const noexcept { return Bytes{sparse_.limit}; }

 private:
  struct Count {
    std::uint64_t limit = 0;
    std::atomic<std::uint64_t> held{0};

    [[nodiscard]] std::uint64_t now() const noexcept { return held.load(std::memory_order_relaxed); }
    // held <= limit, so that the difference cannot wrap. Who takes what another gave back comes after that
    // one's call of the driver.
    [[nodiscard]] bool claim(std::uint64_t amount) noexcept {
      std::uint64_t before = now();
      do {
        if (amount > limit - before) return false;
      } while (!held.compare_exchange_weak(before, before + amount, std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
      return true;
    }
    void give_back(std::uint64_t amount) noexcept { held.fetch_sub(amount, std::memory_order_acq_rel); }
  };

  Count objects_;
  Count sparse_;
};

// A memory object that is claimed until the end of the scope, or for good.
class MemoryObjectClaim {
 public:
  explicit MemoryObjectClaim(DeviceAccount& account) noexcept
      : account_(account.claim_memory_object() ? &account : nullptr) {}
  MemoryObjectClaim(const MemoryObjectClaim&) = delete;
  MemoryObjectClaim& operator=(const MemoryObjectClaim&) = delete;
  ~MemoryObjectClaim() {
    if (account_ != nullptr) account_->give_back_memory_object();
  }

  [[nodiscard]] explicit operator bool() const noexcept { return account_ != nullptr; }
  void keep() noexcept { account_ = nullptr; }

 private:
  DeviceAccount* account_;
};

}  // namespace vaspace::vulkan
