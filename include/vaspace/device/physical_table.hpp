// The physical objects that a backend has given out, by generational id.
//
// Always true: an id names one object for ever, so that a stale id and a double destroy are detected; `bound`
// is the sum of the bytes of all bindings of the object.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace {

struct PhysicalObject {
  std::uint64_t place = 0;  // where it lies in its heap: the backend's own (a file offset)
  std::uint64_t key = 0;    // [key, key + size) belongs to this object alone, over all heaps and for ever
  Bytes size{};
  Bytes bound{};
  std::uint64_t last_use = 0;  // the timeline value at which its last bind or unbind is done
  std::uint32_t memory_type = 0;
  std::uint32_t generation = 0;
  std::uint32_t next_free = 0;
  bool live = false;
};

// Externally synchronised. Pointers are valid until the next add(). O(1) per call.
class PhysicalTable {
 public:
  explicit PhysicalTable(const HostAllocator& host) noexcept : objects_(host) {}

  // Room for `more` further objects. False: no host memory.
  [[nodiscard]] bool reserve(std::size_t more) noexcept;
  // The caller has reserved the room.
  PhysicalId add(std::uint64_t place, Bytes size, std::uint32_t memory_type) noexcept;
  // Of a live id.
  void remove(PhysicalId id) noexcept;
  // The live object of this id, or null.
  [[nodiscard]] PhysicalObject* find(PhysicalId id) noexcept;

  // Takes the object out of find()'s sight while its backend destroys it, and puts it back if that failed.
  // Both of an id that add() gave out and remove() has not seen.
  void hide(PhysicalId id) noexcept { objects_[slot_of(id)].live = false; }
  void show(PhysicalId id) noexcept { objects_[slot_of(id)].live = true; }

  [[nodiscard]] static std::uint32_t slot_of(PhysicalId id) noexcept {
    return static_cast<std::uint32_t>(id.value) - 1;
  }
  [[nodiscard]] PhysicalObject& operator[](std::uint32_t slot) noexcept { return objects_[slot]; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  HostArray<PhysicalObject> objects_;
  std::size_t count_ = 0;
  std::uint32_t free_ = kNone;
  std::uint64_t next_key_ = 0;
};

// Checks what every backend checks of a request for objects. Errors: not_supported, invalid_size,
// invalid_argument, out_of_device_memory (the sum passes 2^64 - 1). Answers the sum of the objects' sizes.
[[nodiscard]] Result<Bytes> check_physical_request(const DeviceProfile& profile,
                                                   const PhysicalRequest& request,
                                                   std::size_t count) noexcept;

// Hides all of `ids`, or answers why not and hides none: unknown_handle, wrong_state for what is bound or was
// used after `done`.
[[nodiscard]] Result<void> hide_unused(PhysicalTable& objects, std::span<const PhysicalId> ids,
                                       std::uint64_t done) noexcept;

}  // namespace vaspace
