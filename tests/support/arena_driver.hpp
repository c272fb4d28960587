// Applies operations to a VA allocator and compares everything that can be seen from outside after each: what
// is live, where, at which alignment and with which contents; every figure; every event; every driver call.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <map>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "support/arena_books.hpp"
#include "support/arena_memory.hpp"
#include "support/arena_stage.hpp"

namespace vaspace::test {

enum class VaOpKind : std::uint8_t {
  allocate,
  allocate_named,
  free,
  free_stale,
  free_unknown,
  free_interior,
  find,
  collect,
  flush,
};
inline constexpr std::uint8_t kVaOpKinds = 9;

struct VaOp {
  VaOpKind kind{};
  std::uint64_t a = 0;  // a size, or which of the live or dead ones
  std::uint64_t b = 0;  // log2 of an alignment, or which way

  friend std::ostream& operator<<(std::ostream& out, const VaOp& op) {
    return out << "{" << int(op.kind) << ", " << op.a << ", " << op.b << "}";
  }
};

class VaDriver {
 public:
  struct Live {
    Allocation allocation{};
    Bytes used{};
    std::string name;
    std::uint64_t user_data = 0;
  };
  // What must be as before when a call fails (R7).
  struct Figures {
    Bytes live{}, used{}, reserved{}, committed{};
  };

  explicit VaDriver(Stage& stage)
      : stage_(stage), va_(stage.va()), device_(stage.device()), pages_(stage.device().page) {}

  // Empty, or what is wrong.
  std::string apply(const VaOp& op) {
    std::ostringstream wrong;
    perform(op, wrong);
    if (wrong.str().empty()) compare(wrong);
    if (wrong.str().empty()) return {};
    std::ostringstream all;
    all << op << " on " << stage_.subject() << ", " << device_ << ": " << wrong.str();
    return all.str();
  }
  // R5: in the order that `pick` says, then flush: nothing is left.
  template <class Pick>
  std::string free_all(Pick&& pick) {
    while (!live_.empty()) {
      if (std::string wrong = apply({VaOpKind::free, static_cast<std::uint64_t>(pick(live_.size())), 0});
          !wrong.empty())
        return wrong;
    }
    return apply({VaOpKind::flush});
  }
  // Contents of everything that lives.
  [[nodiscard]] std::string check_contents() const {
    for (const auto& [address, live] : live_) {
      if (device_.memory && !holds_pattern(live.allocation)) return "contents have changed";
    }
    return {};
  }

  [[nodiscard]] const std::map<std::uint64_t, Live>& live() const { return live_; }
  [[nodiscard]] const std::vector<Allocation>& dead() const { return dead_; }
  [[nodiscard]] Error last_error() const { return last_error_; }
  [[nodiscard]] std::uint64_t refusals() const { return refusals_; }
  [[nodiscard]] Bytes touched() const { return pages_.bytes(); }

 private:
  void perform(const VaOp& op, std::ostream& wrong) {
    switch (op.kind) {
      case VaOpKind::allocate:
        allocate({Bytes{op.a}, Alignment{std::uint64_t{1} << (op.b % 64)}, {}, 0}, wrong);
        break;
      case VaOpKind::allocate_named: {
        const std::string name = "n" + std::to_string(op.a) + std::string(op.b % 50, 'x');
        allocate({Bytes{op.a}, Alignment{std::uint64_t{1} << (op.b % 12)}, name, op.a + op.b}, wrong);
        break;
      }
      case VaOpKind::free:
        free(op.a, op.b, wrong);
        break;
      case VaOpKind::free_stale:
        free_stale(op.a, wrong);
        break;
      case VaOpKind::free_unknown:
        free_unknown(op.a, op.b, wrong);
        break;
      case VaOpKind::free_interior:
        free_interior(op.a, op.b, wrong);
        break;
      case VaOpKind::find:
        find(op.a, wrong);
        break;
      case VaOpKind::collect:
        va_.collect();
        break;
      case VaOpKind::flush:
        va_.flush();
        break;
    }
    if (op.kind == VaOpKind::collect || op.kind == VaOpKind::flush) given_back(op.kind, wrong);
  }

  [[nodiscard]] Figures figures() { return {va_.live(), va_.used(), va_.reserved(), va_.committed()}; }

  void allocate(const AllocationRequest& request, std::ostream& wrong) {
    const Figures before = figures();
    bool can = va_.can_allocate(request);
    if (!can && device_.commits && request.size.value % 2 == 0) {
      // A no may become a yes by flush, but a yes is what allocate says.
      va_.flush();
      can = va_.can_allocate(request);
    }
    const std::uint64_t refused = stage_.faulty().refused();
    const auto allocation = va_.allocate(request);
    if (!allocation) {
      ++refusals_;
      last_error_ = allocation.error();
      const bool disturbed = failing_host_ || stage_.faulty().refused() != 0;
      const bool injected = failing_host_ || stage_.faulty().refused() != refused;
      if (injected && !failing_host_ && !(allocation.error() == kInjected) &&
          !is_device_refusal(allocation.error().code))
        wrong << "the driver's error became " << to_string(allocation.error().code) << "; ";
      if (can && !injected && !is_device_refusal(allocation.error().code))
        wrong << "can_allocate said yes, allocate " << to_string(allocation.error().code) << "; ";
      if (!disturbed) refused_rightly(request, allocation.error(), wrong);
      unchanged(before, wrong);
      return;
    }
    const bool may_say_no = device_.commits && request.size.value % 2 != 0;
    if (!can && !may_say_no && stage_.faulty().refused() == 0)
      wrong << "can_allocate said no, allocate served it; ";
    adopt(*allocation, request, wrong);
  }
  [[nodiscard]] static bool is_device_refusal(ErrorCode code) {
    return code == ErrorCode::out_of_device_memory || code == ErrorCode::out_of_mappings ||
           code == ErrorCode::out_of_address_space || code == ErrorCode::out_of_host_memory;
  }
  // R3, R8: a refusal has a reason that can be seen from outside.
  void refused_rightly(const AllocationRequest& request, Error error, std::ostream& wrong) {
    if (request.size == Bytes{}) {
      if (error.code != ErrorCode::invalid_size) wrong << "size 0: " << to_string(error.code);
      return;
    }
    if (request.size > device_.physical) {
      if (error.code != ErrorCode::too_large) wrong << "beyond the device: " << to_string(error.code);
      return;
    }
    // The reservations of an arena are on demand, so where memory suffices nothing else may stand in the way.
    const bool plain = stage_.subject().arena && !device_.commits &&
                       Bytes{request.alignment.value} <= 1_GiB && error.code != ErrorCode::out_of_mappings;
    const Bytes need = align_up(request.size, Alignment{64_KiB}) + device_.page * 2;
    if (plain && pages_.bytes() + need <= device_.physical)
      wrong << "refused although the device has room: " << to_string(error.code);
  }
  void unchanged(const Figures& before, std::ostream& wrong) {
    const Figures after = figures();
    if (after.live != before.live || after.used != before.used) wrong << "a refusal changed live or used; ";
    if (!stage_.config().exact_books) return;
    if (after.reserved > before.reserved) wrong << "a refusal left more reserved; ";
    if (after.committed > before.committed) wrong << "a refusal left more committed; ";
  }

  void adopt(const Allocation& allocation, const AllocationRequest& request, std::ostream& wrong) {
    if (allocation.size != request.size) wrong << "another size than was asked for; ";
    if (!is_aligned(allocation.address, request.alignment)) wrong << "not aligned (R1); ";
    const auto found = va_.find(allocation.address);
    if (!found) {
      wrong << "not found at its address; ";
      return;
    }
    if (found->used < request.size) wrong << "used is less than was asked for; ";
    Live live{allocation, found->used, std::string(request.name), request.user_data};
    overlaps(live, wrong);
    pages_.add(allocation.address, live.used);
    if (device_.memory) write_pattern(allocation);
    live_bytes_ += request.size;
    used_bytes_ += live.used;
    live_[allocation.address.value] = live;
  }
  void overlaps(const Live& mine, std::ostream& wrong) const {
    const std::uint64_t begin = mine.allocation.address.value;
    const auto after = live_.lower_bound(begin);
    if (after != live_.end() && after->first - begin < mine.used.value) wrong << "overlaps the next (R1); ";
    if (after == live_.begin()) return;
    const auto before = std::prev(after);
    if (begin - before->first < before->second.used.value) wrong << "overlaps the one before (R1); ";
  }

  [[nodiscard]] std::map<std::uint64_t, Live>::iterator pick(std::uint64_t which) {
    return std::next(live_.begin(), static_cast<std::ptrdiff_t>(which % live_.size()));
  }
  // R7: by handle or address, with free or try_free: no driver call, no request for host memory.
  void free(std::uint64_t which, std::uint64_t way, std::ostream& wrong) {
    if (live_.empty()) return;
    const auto at = pick(which);
    const Live gone = at->second;
    if (device_.memory && !holds_pattern(gone.allocation)) wrong << "contents have changed; ";
    const BackendCounts calls = stage_.counting().counts();
    const std::int64_t requests = stage_.host().requests();
    const std::size_t misuses = stage_.misuses().size();
    Result<void> freed;
    if (way % 4 == 0) freed = va_.try_free(gone.allocation);
    if (way % 4 == 1) va_.free(gone.allocation);
    if (way % 4 == 2) freed = va_.try_free(gone.allocation.address);
    if (way % 4 == 3) va_.free(gone.allocation.address);
    if (!freed) wrong << "not freed: " << to_string(freed.error().code) << "; ";
    if (stage_.misuses().size() != misuses) wrong << "a good free is called misuse; ";
    if (!(stage_.counting().counts() == calls)) wrong << "free called the driver (R7); ";
    if (stage_.host().requests() != requests) wrong << "free asked for host memory (R7); ";
    pages_.remove(gone.allocation.address, gone.used);
    live_bytes_ -= gone.allocation.size;
    used_bytes_ -= gone.used;
    dead_.push_back(gone.allocation);
    live_.erase(at);
  }
  void refused_as(const Result<void>& freed, std::initializer_list<ErrorCode> codes, const char* what,
                  std::ostream& wrong) {
    if (freed) {
      wrong << what << " was freed (R6); ";
      return;
    }
    for (const ErrorCode code : codes)
      if (freed.error().code == code) return;
    wrong << what << ": " << to_string(freed.error().code) << "; ";
  }
  void free_stale(std::uint64_t which, std::ostream& wrong) {
    if (dead_.empty()) return;
    // Of a window that has gone away nothing more is known than that.
    refused_as(va_.try_free(dead_[which % dead_.size()]),
               {ErrorCode::stale_handle, ErrorCode::unknown_handle}, "a stale handle", wrong);
  }
  void free_unknown(std::uint64_t a, std::uint64_t b, std::ostream& wrong) {
    const auto index = static_cast<std::uint32_t>((a % 16) << 28U | (a * 7 % 5000));
    const Allocation nobodys{Address{b << 8U}, 1_B, {index, static_cast<std::uint32_t>(b)}};
    refused_as(va_.try_free(nobodys), {ErrorCode::stale_handle, ErrorCode::unknown_handle},
               "an unknown handle", wrong);
    const Address hole{dead_.empty() ? 64 + b : dead_[a % dead_.size()].address.value};
    const auto after = live_.upper_bound(hole.value);
    const bool inside =
        after != live_.begin() && hole.value < std::prev(after)->first + std::prev(after)->second.used.value;
    if (!inside)
      refused_as(va_.try_free(hole), {ErrorCode::unknown_address}, "an address where nothing lives", wrong);
  }
  void free_interior(std::uint64_t which, std::uint64_t into, std::ostream& wrong) {
    if (live_.empty()) return;
    const Live& live = pick(which)->second;
    if (live.used.value < 2) return;
    const Address inside = live.allocation.address + Bytes{1 + into % (live.used.value - 1)};
    refused_as(va_.try_free(inside), {ErrorCode::interior_address}, "an interior address", wrong);
    if (const auto found = va_.find(inside); found || found.error().code != ErrorCode::interior_address)
      wrong << "an interior address was found; ";
  }
  void find(std::uint64_t which, std::ostream& wrong) {
    if (live_.empty()) return;
    const Live& live = pick(which)->second;
    const auto found = va_.find(live.allocation.address);
    if (!found) {
      wrong << "not found: " << to_string(found.error().code);
      return;
    }
    if (!(found->allocation.id == live.allocation.id) || found->allocation.size != live.allocation.size)
      wrong << "found another; ";
    if (found->used != live.used || found->name != live.name || found->user_data != live.user_data)
      wrong << "found with another name, user data or used; ";
  }

  // What collect and flush leave (DESIGN, decision 9).
  void given_back(VaOpKind kind, std::ostream& wrong) {
    if (!stage_.config().exact_books || stage_.faulty().refused() != 0) return;
    const AllocatorReport report = va_.report();
    const ArenaConfig& config = stage_.config().arena;
    const bool all = kind == VaOpKind::flush;
    const Bytes keep =
        all ? Bytes{} : config.retain + Bytes{report.total.live.value / 100 * config.retain_percent};
    if (report.refused_by_driver == 0 && report.retained > keep)
      wrong << report.retained.value << " retained, allowed " << keep.value << "; ";
    if (!stage_.subject().arena || report.refused_by_driver != 0) return;
    for (std::uint32_t k = 0; k < report.arena_count; ++k) {
      if (report.arenas[k].reservations > report.arenas[k].live_allocations + report.arenas[k].parked)
        wrong << "an empty reservation in arena " << k << "; ";
    }
    if (all && live_.empty() && report.total.reserved != Bytes{}) wrong << "nothing lives, but is reserved; ";
  }

  void compare(std::ostream& wrong) {
    compare_books(stage_, {live_.size(), live_bytes_, used_bytes_, pages_.bytes(), refusals_}, wrong);
  }

 public:
  // The host allocator is told to fail: any refusal may be its.
  void expect_host_failures(bool on) { failing_host_ = on; }

 private:
  Stage& stage_;
  Va& va_;
  const Device& device_;
  TouchedPages pages_;
  std::map<std::uint64_t, Live> live_;
  std::vector<Allocation> dead_;
  Bytes live_bytes_{}, used_bytes_{};
  std::uint64_t refusals_ = 0;
  Error last_error_{};
  bool failing_host_ = false;
};

}  // namespace vaspace::test
