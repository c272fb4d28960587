// A device of a few pages, for tests of plans: every capability can be switched, every rule is checked, and
// any call can be made to fail.
//
// Always true: a refused bind has changed nothing; `fault` names the first rule that a caller broke which a
// real driver might not notice.
#pragma once

#include <cstdint>
#include <vector>

#include "vaspace/device/backend.hpp"

namespace vaspace::test {

struct ModelPage {
  PhysicalId physical{};
  std::uint64_t offset = 0;
  Access access = Access::none;
  bool null = false;
  std::uint64_t bind = 0;  // which bind put it there; 0: none

  [[nodiscard]] bool bound() const { return bind != 0; }
  [[nodiscard]] bool same(const ModelPage& other) const {
    return physical == other.physical && offset == other.offset && access == other.access &&
           null == other.null && bound() == other.bound();
  }
};

class ModelBackend final : public Backend {
 public:
  static constexpr Bytes kPage = 64_KiB;
  static constexpr Address kBase{1ULL << 40U};

  ModelBackend(std::uint64_t pages, const Capabilities& can) : pages_(pages) {
    profile_.heap_count = 1;
    profile_.heaps[0] = {1_GiB, true};
    profile_.memory_type_count = 1;
    profile_.page_size_count = 1;
    profile_.page_sizes[0] = kPage;
    profile_.reservation_granularity = kPage;
    profile_.capabilities = can;
    profile_.capabilities.bind = true;
  }

  // The nth bind from now (1 is the next) is refused, and `times` in all. 0: none is.
  void refuse(std::uint64_t nth, std::uint64_t times = 1) {
    first_refused_ = nth == 0 ? 0 : calls_ + nth;
    last_refused_ = nth == 0 ? 0 : calls_ + nth + times - 1;
  }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  [[nodiscard]] std::uint64_t ops() const { return ops_; }
  [[nodiscard]] const std::vector<ModelPage>& pages() const { return pages_; }
  [[nodiscard]] const char* fault() const { return fault_; }

  [[nodiscard]] const DeviceProfile& profile() const noexcept override { return profile_; }
  [[nodiscard]] Result<Budget> budget(std::uint32_t) noexcept override { return Budget{}; }
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override {
    if (request.size > kPage * pages_.size()) return fail(ErrorCode::out_of_address_space);
    reserved_ = true;
    return Reservation{kBase, request.size, 7};
  }
  [[nodiscard]] Result<void> release(const Reservation&) noexcept override {
    for (const ModelPage& page : pages_)
      if (page.bound()) fault_ = "released while something is bound";
    reserved_ = false;
    return {};
  }
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest&,
                                             std::span<PhysicalId>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId>) noexcept override { return {}; }

  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override {
    ++calls_;
    if (calls_ >= first_refused_ && calls_ <= last_refused_) return fail(ErrorCode::driver_error, 42);
    if (later() && point_ != 0 && !waits_for_last(waits)) fault_ = "a bind may overtake the one before (V24)";
    before_ = pages_;
    touched_.assign(pages_.size(), false);
    for (const BindOp& op : ops) {
      const ErrorCode code = apply(op);
      if (code == kDone) continue;
      pages_ = before_;
      return fail(code);
    }
    ops_ += ops.size();
    return TimelinePoint{TimelineId{}, ++point_};
  }
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp>,
                                           std::span<const TimelinePoint>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<bool> completed(TimelinePoint) noexcept override { return true; }
  [[nodiscard]] Result<void> wait(TimelinePoint, std::uint64_t) noexcept override { return {}; }

 private:
  static constexpr ErrorCode kDone = ErrorCode::malformed;  // that no bind answers

  [[nodiscard]] bool later() const { return profile_.capabilities.completes_later; }
  [[nodiscard]] bool waits_for_last(std::span<const TimelinePoint> waits) const {
    for (const TimelinePoint& point : waits)
      if (point.value == point_) return true;
    return false;
  }

  ErrorCode apply(const BindOp& op) {
    const std::uint64_t first = (op.address - kBase) / kPage;
    const std::uint64_t count = op.size / kPage;
    const bool inside = op.address >= kBase && first + count <= pages_.size() && count != 0;
    if (!reserved_ || !inside || op.address.value % kPage.value != 0 || op.size.value % kPage.value != 0)
      return ErrorCode::invalid_argument;
    for (std::uint64_t i = first; i < first + count; ++i) {
      if (touched_[i] && later() && profile_.capabilities.physical_offset)
        fault_ = "one batch touches a range twice (V23)";
      touched_[i] = true;
    }
    return op.binds() ? bind(op, first, count) : unbind(first, count);
  }

  ErrorCode unbind(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = first; i < first + count; ++i)
      if (!pages_[i].bound()) return ErrorCode::wrong_state;
    if (cuts(first) || cuts(first + count)) return ErrorCode::not_supported;
    for (std::uint64_t i = first; i < first + count; ++i)
      pages_[i] = {};
    return kDone;
  }
  [[nodiscard]] bool cuts(std::uint64_t at) const {
    if (profile_.capabilities.partial_unbind || at == 0 || at >= pages_.size()) return false;
    return pages_[at].bound() && pages_[at - 1].bind == pages_[at].bind;
  }

  ErrorCode bind(const BindOp& op, std::uint64_t first, std::uint64_t count) {
    const Capabilities& can = profile_.capabilities;
    if (op.replace && !can.replace) return ErrorCode::not_supported;
    if (op.null && (!can.null_binds || op.physical)) return ErrorCode::not_supported;
    if (op.access == Access::none || (op.access == Access::read && !op.null && !can.set_access))
      return ErrorCode::not_supported;
    if (op.offset.value != 0 && !can.physical_offset) return ErrorCode::not_supported;
    if (op.replace && (cuts(first) || cuts(first + count))) return ErrorCode::not_supported;
    for (std::uint64_t i = first; i < first + count; ++i) {
      if (pages_[i].bound() && !op.replace) return ErrorCode::wrong_state;
      pages_[i] = {};
    }
    ++binds_;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t offset = op.null ? 0 : op.offset / kPage + i;
      if (!op.null && !can.aliasing && in_use(op.physical, offset)) return ErrorCode::not_supported;
      pages_[first + i] = {op.physical, offset, op.access, op.null, binds_};
    }
    return kDone;
  }
  [[nodiscard]] bool in_use(PhysicalId physical, std::uint64_t offset) const {
    for (const ModelPage& page : pages_)
      if (page.bound() && page.physical == physical && page.offset == offset) return true;
    return false;
  }

  DeviceProfile profile_{};
  std::vector<ModelPage> pages_;
  std::vector<ModelPage> before_;
  std::vector<bool> touched_;
  bool reserved_ = false;
  const char* fault_ = nullptr;
  std::uint64_t calls_ = 0;
  std::uint64_t ops_ = 0;
  std::uint64_t binds_ = 0;
  std::uint64_t point_ = 0;
  std::uint64_t first_refused_ = 0;
  std::uint64_t last_refused_ = 0;
};

}  // namespace vaspace::test
