// What the arena allocators of a heap take for their backend.
//
//   SliceDevice: a small device inside a block space. Its profile says a few MiB, so that an arena allocator
//   asks
//                for slices of half a MiB and cuts its windows out of them; each slice is a piece of a block,
//                and its address is {block, offset}.
//   PageDevice:  the real backend, where pages are bound; every page passes the gate.
//
// Always true of a slice: it is aligned to its size, so that V1 holds between the arenas that have slices in
// one block; releasing it never calls the driver.
#pragma once

#include "vaspace/device/forwarding_backend.hpp"

#include "heap/block_space.hpp"

namespace vaspace {

class SliceDevice final : public ForwardingBackend {
 public:
  // The largest power of two of which a space's largest block holds four, at most 512 KiB.
  [[nodiscard]] static Bytes slice_of(Bytes largest_block) noexcept;

  SliceDevice(DeviceGate& gate, BlockSpace& space) noexcept;

  [[nodiscard]] const DeviceProfile& profile() const noexcept override { return profile_; }
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  [[nodiscard]] Result<Bytes> measured_physical() noexcept override { return fail(ErrorCode::not_supported); }
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;

 private:
  struct Slice {
    Cut cut{};
    std::uint32_t next_free = 0;
  };

  [[nodiscard]] Result<std::uint32_t> claim() noexcept;
  void vacate(std::uint32_t index) noexcept;

  BlockSpace& space_;
  DeviceProfile profile_;
  std::mutex mutex_;  // of what follows
  HostArray<Slice> slices_;
  std::uint32_t first_free_ = 0;  // index + 1
};

class PageDevice final : public ForwardingBackend {
 public:
  PageDevice(DeviceGate& gate, std::uint32_t memory_type) noexcept
      : ForwardingBackend(gate.backend()), gate_(gate), memory_type_(memory_type) {}

  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override;
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override;

 private:
  DeviceGate& gate_;
  std::uint32_t memory_type_;
  std::atomic<std::uint64_t> page_{0};  // all objects of an arena allocator have one size
};

}  // namespace vaspace
