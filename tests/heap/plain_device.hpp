// A device of plain memory objects with whatever heaps and memory types a test gives it, that checks the
// rules a driver would have checked, and remembers who broke them.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vaspace/device/backend.hpp"
#include "vaspace/device/forwarding_backend.hpp"
#include "vaspace/device/profile_checks.hpp"

namespace vaspace::test {

struct DeviceShape {
  std::vector<MemoryHeap> heaps{{8_GiB, true}};
  std::vector<MemoryType> types{{.heap = 0, .device_local = true}};
  Bytes atom{1};
  std::uint64_t max_objects = kUnlimited;
  Bytes max_size = kMaxBytes;
  Bytes granularity = 64_KiB;
};

// One heap, one type: device-local, host-visible and coherent.
inline DeviceShape unified(Bytes size = 8_GiB) {
  return {.heaps = {{size, true}},
          .types = {{.heap = 0, .device_local = true, .host_visible = true, .host_coherent = true}}};
}
// Device memory, host memory, host memory that is cached and not coherent.
inline DeviceShape discrete(Bytes device = 8_GiB, Bytes atom = Bytes{64}) {
  return {.heaps = {{device, true}, {8_GiB, false}},
          .types = {{.heap = 0, .device_local = true},
                    {.heap = 1, .device_local = false, .host_visible = true, .host_coherent = true},
                    {.heap = 1, .device_local = false, .host_visible = true, .host_cached = true}},
          .atom = atom};
}

// Addresses are (object + 1) << 40, as plain Vulkan's are. Host-visible memory is real once it is mapped.
class PlainDevice final : public Backend {
 public:
  struct Object {
    Reservation reservation{};
    std::uint32_t type = 0;
    MemoryTraits traits{};
    bool live = false;
    bool imported = false;
    std::uint32_t maps = 0;
    std::unique_ptr<std::byte[]> memory;
  };

  explicit PlainDevice(const DeviceShape& shape) : shape_(shape) {
    set_name(profile_, "plain");
    profile_.heap_count = static_cast<std::uint32_t>(shape.heaps.size());
    std::copy(shape.heaps.begin(), shape.heaps.end(), profile_.heaps.begin());
    profile_.memory_type_count = static_cast<std::uint32_t>(shape.types.size());
    std::copy(shape.types.begin(), shape.types.end(), profile_.memory_types.begin());
    profile_.reservation_granularity = shape.granularity;
    Capabilities& can = profile_.capabilities;
    can.reserve_commits = can.map = can.dedicated = can.device_address = can.external_memory = true;
    can.max_reservations = shape.max_objects;
    can.max_reservation_size = shape.max_size;
    held_.resize(shape.heaps.size());
    foreign.resize(shape.heaps.size());
    budget_share.resize(shape.heaps.size(), kMaxBytes);
  }

  // What a test turns.
  std::vector<Bytes> foreign;       // held by other processes
  std::vector<Bytes> budget_share;  // what the driver says; above the heap too
  bool lost = false;
  std::map<std::uint32_t, std::uint64_t> timelines;  // what has passed

  // What it has seen.
  [[nodiscard]] const std::vector<std::string>& broken() const { return broken_; }
  [[nodiscard]] std::uint64_t held_objects() const { return live_; }
  [[nodiscard]] Bytes held(std::uint32_t heap) const { return held_[heap]; }
  [[nodiscard]] const std::vector<Object>& objects() const { return objects_; }
  [[nodiscard]] std::uint64_t reserves() const { return reserves_; }
  [[nodiscard]] std::uint64_t releases() const { return releases_; }
  [[nodiscard]] std::uint64_t budget_questions() const { return budget_questions_; }
  [[nodiscard]] std::uint64_t maps() const { return maps_; }
  [[nodiscard]] std::uint64_t unmaps() const { return unmaps_; }
  [[nodiscard]] std::uint64_t questions() const { return questions_; }
  struct Flush {
    std::uint64_t object = 0;
    Bytes offset{};
    Bytes size{};
  };
  std::vector<Flush> flushes;

  const DeviceProfile& profile() const noexcept override { return profile_; }
  Result<Budget> budget(std::uint32_t heap) noexcept override {
    const std::lock_guard lock(mutex_);
    ++budget_questions_;
    return Budget{shape_.heaps[heap].size, budget_share[heap], held_[heap] + foreign[heap]};
  }
  Result<Reservation> reserve(const ReservationRequest& request) noexcept override {
    return make(request, false);
  }
  Result<void> release(const Reservation& reservation) noexcept override {
    const std::lock_guard lock(mutex_);
    Object* object = at(reservation.address);
    if (object == nullptr || object->reservation.size != reservation.size)
      return fail(ErrorCode::invalid_argument);
    if (object->maps != 0) {
      blame("released while it is mapped");
      return fail(ErrorCode::wrong_state);
    }
    object->live = false;
    object->memory.reset();
    held_[shape_.types[object->type].heap] -= reservation.size;
    --live_;
    ++releases_;
    return {};
  }
  Result<void> create_physical(const PhysicalRequest&, std::span<PhysicalId>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  Result<void> destroy_physical(std::span<const PhysicalId>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  Result<TimelinePoint> bind(std::span<const BindOp>, std::span<const TimelinePoint>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  Result<TimelinePoint> copy(std::span<const CopyOp>, std::span<const TimelinePoint>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  Result<std::byte*> map(Address address, Bytes size) noexcept override {
    const std::lock_guard lock(mutex_);
    Object* object = at(address);
    if (object == nullptr || address + size > object->reservation.end())
      return fail(ErrorCode::unknown_address);
    if (!shape_.types[object->type].host_visible) {
      blame("V11: maps what the host cannot see");
      return fail(ErrorCode::not_supported);
    }
    if (++object->maps > 1) blame("V10: mapped twice");
    if (!object->memory) object->memory.reset(new std::byte[object->reservation.size.value]);
    ++maps_;
    return object->memory.get() + (address - object->reservation.address).value;
  }
  Result<void> unmap(Address address, Bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    Object* object = at(address);
    if (object == nullptr || object->maps == 0) return fail(ErrorCode::wrong_state);
    --object->maps;
    ++unmaps_;
    return {};
  }
  Result<void> flush(Address address, Bytes size) noexcept override { return synchronise(address, size); }
  Result<void> invalidate(Address address, Bytes size) noexcept override {
    return synchronise(address, size);
  }
  Result<ExternalHandle> export_reservation(const Reservation& reservation) noexcept override {
    const std::lock_guard lock(mutex_);
    Object* object = at(reservation.address);
    if (object == nullptr || !object->traits.exportable) return fail(ErrorCode::not_supported);
    return ExternalHandle{static_cast<int>(object - objects_.data()) + 100};
  }
  Result<Reservation> import_reservation(const ReservationRequest& request,
                                         ExternalHandle handle) noexcept override {
    {
      const std::lock_guard lock(mutex_);
      const auto from = static_cast<std::size_t>(handle.fd - 100);
      if (handle.fd < 100 || from >= objects_.size() || !objects_[from].live)
        return fail(ErrorCode::invalid_argument);
      if (objects_[from].reservation.size != request.size || objects_[from].type != request.memory_type)
        blame("V17: imported with another size or type");
    }
    return make(request, true);
  }
  Result<NativeRange> locate(Address address) noexcept override {
    const std::lock_guard lock(mutex_);
    Object* object = at(address);
    if (object == nullptr) return fail(ErrorCode::unknown_address);
    return NativeRange{1000 + object->reservation.handle, address - object->reservation.address};
  }
  Result<bool> completed(TimelinePoint point) noexcept override {
    const std::lock_guard lock(mutex_);
    ++questions_;
    if (lost) return fail(ErrorCode::device_lost);
    const auto found = timelines.find(static_cast<std::uint32_t>(point.timeline));
    if (found == timelines.end()) return fail(ErrorCode::invalid_argument);
    return point.value <= found->second;
  }
  Result<void> wait(TimelinePoint, std::uint64_t) noexcept override {
    blame("a heap waits for the device");
    return {};
  }

 private:
  Result<Reservation> make(const ReservationRequest& request, bool imported) noexcept {
    const std::lock_guard lock(mutex_);
    if (const auto checked = check_reservation_request(profile_, request); !checked)
      return fail(checked.error());
    const std::uint32_t heap = shape_.types[request.memory_type].heap;
    if (live_ >= shape_.max_objects) {
      blame("V4: one memory object too many");
      return fail(ErrorCode::out_of_address_space);
    }
    if (request.size > shape_.heaps[heap].size ||
        held_[heap] + foreign[heap] + request.size > shape_.heaps[heap].size)
      return fail(ErrorCode::out_of_device_memory, -2);
    std::size_t i = 0;
    while (i < objects_.size() && objects_[i].live)
      ++i;
    if (i == objects_.size()) objects_.emplace_back();
    Object& object = objects_[i];
    object.reservation = {Address{(i + 1) << 40U}, request.size, i};
    object.type = request.memory_type;
    object.traits = request.traits;
    object.live = true;
    object.imported = imported;
    held_[heap] += request.size;
    ++live_;
    ++reserves_;
    return object.reservation;
  }
  Result<void> synchronise(Address address, Bytes size) noexcept {
    const std::lock_guard lock(mutex_);
    Object* object = at(address);
    if (object == nullptr) return fail(ErrorCode::unknown_address);
    const Bytes offset = address - object->reservation.address;
    const Bytes end = offset + size;
    if (object->maps == 0) {
      blame("V12: flushes what is not mapped");
      return fail(ErrorCode::wrong_state);
    }
    if (offset.value % shape_.atom.value != 0 ||
        (end.value % shape_.atom.value != 0 && end != object->reservation.size) ||
        end > object->reservation.size)
      blame("V12: flushes no whole atoms");
    flushes.push_back({1000 + object->reservation.handle, offset, size});
    return {};
  }
  Object* at(Address address) noexcept {
    const std::uint64_t i = (address.value >> 40U) - 1;
    return i < objects_.size() && objects_[i].live ? &objects_[i] : nullptr;
  }
  void blame(const char* what) { broken_.emplace_back(what); }

  DeviceShape shape_;
  DeviceProfile profile_{};
  mutable std::mutex mutex_;
  std::vector<Object> objects_;
  std::vector<Bytes> held_;
  std::vector<std::string> broken_;
  std::uint64_t live_ = 0;
  std::uint64_t reserves_ = 0;
  std::uint64_t releases_ = 0;
  std::uint64_t budget_questions_ = 0;
  std::uint64_t maps_ = 0;
  std::uint64_t unmaps_ = 0;
  std::uint64_t questions_ = 0;
};

}  // namespace vaspace::test
