// Applies operations to a range allocator and to its oracle, and compares everything after each.
#pragma once

#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "vaspace/range/object_allocator.hpp"
#include "vaspace/range/range.hpp"
#include "vaspace/range/slab_allocator.hpp"

#include "support/oracle.hpp"

namespace vaspace::test {

enum class RangeOpKind : std::uint8_t {
  allocate,
  free,
  free_stale,
  free_unknown,
  extend,
  shrink,
  find_at,
  add_span,
  remove_span
};
inline constexpr std::uint8_t kRangeOpKinds = 9;

struct RangeOp {
  RangeOpKind kind{};
  std::uint64_t a = 0;  // a size, or which of the live or dead ones
  std::uint64_t b = 0;  // log2 of an alignment, or a size

  friend std::ostream& operator<<(std::ostream& out, const RangeOp& op) {
    return out << "{" << int(op.kind) << ", " << op.a << ", " << op.b << "}";
  }
};

// Eight bytes an operation: what the fuzzers decode. Sizes come out small, with some at the 64-bit edge.
inline std::vector<RangeOp> decode_range_ops(const std::uint8_t* data, std::size_t size) {
  std::vector<RangeOp> ops;
  for (; size >= 4; data += 4, size -= 4) {
    RangeOp op{RangeOpKind(data[0] % kRangeOpKinds), std::uint64_t{data[1]} | std::uint64_t{data[2]} << 8U,
               data[3]};
    if (op.kind == RangeOpKind::allocate) {
      op.a = data[0] >= 250 ? ~std::uint64_t{0} - op.a : op.a;
      op.b %= data[0] >= 240 ? 64 : 12;
    }
    ops.push_back(op);
  }
  return ops;
}

template <class A, class Oracle>
class RangeDriver {
 public:
  static constexpr bool kObject = requires(A a, RangeId id, Bytes n) { a.try_extend(id, n); };

  RangeDriver(A subject, Oracle oracle, Bytes span, bool tracks_requested)
      : subject_(std::move(subject)), oracle_(std::move(oracle)), span_(span), tracks_(tracks_requested) {
    spans_.push_back(0);
  }

  // Empty, or what is wrong.
  std::string apply(const RangeOp& op) {
    std::ostringstream wrong;
    switch (op.kind) {
      case RangeOpKind::allocate:
        allocate(op.a, std::uint64_t{1} << (op.b % 64), wrong);
        break;
      case RangeOpKind::free:
        free(op.a, wrong);
        break;
      case RangeOpKind::free_stale:
        free_stale(op.a, wrong);
        break;
      case RangeOpKind::free_unknown:
        free_unknown(op.a, op.b, wrong);
        break;
      case RangeOpKind::extend:
        extend(op.a, op.b, wrong);
        break;
      case RangeOpKind::shrink:
        shrink(op.a, op.b, wrong);
        break;
      case RangeOpKind::find_at:
        find_at(op.a, wrong);
        break;
      case RangeOpKind::add_span:
        add_span(wrong);
        break;
      case RangeOpKind::remove_span:
        remove_span(op.a, wrong);
        break;
    }
    if (wrong.str().empty()) compare(wrong);
    if (wrong.str().empty()) return {};
    std::ostringstream all;
    all << op << ": " << wrong.str() << "\n" << draw();
    return all.str();
  }

  std::string free_all() {
    while (!live_.empty()) {
      if (std::string wrong = apply({RangeOpKind::free, live_.size() / 2, 0}); !wrong.empty()) return wrong;
    }
    // R5: one free range per span (object) or an empty bitmap (slab), and the whole capacity again.
    const RangeReport report = subject_.report();
    if (report.used != Bytes{}) return "something is in use after everything was freed";
    if constexpr (kObject) {
      if (report.free_ranges != spans_.size()) return "more than one free range in a span after freeing all";
    }
    return {};
  }

  // Live ranges and holes in address order: |--3--|==5==|
  [[nodiscard]] std::string draw() const {
    std::map<std::uint64_t, std::pair<std::uint64_t, bool>> parts;
    for (const auto& [begin, size] : oracle_.live())
      parts[begin] = {size, true};
    if constexpr (requires { oracle_.holes(); }) {
      for (const auto& [begin, size] : oracle_.holes())
        parts[begin] = {size, false};
    }
    std::ostringstream out;
    for (const auto& [begin, part] : parts) {
      out << (part.second ? "|--" : "|==") << begin << "+" << part.first << (part.second ? "--" : "==");
    }
    return out.str() + "|";
  }

  [[nodiscard]] A& subject() { return subject_; }
  [[nodiscard]] const Oracle& oracle() const { return oracle_; }
  [[nodiscard]] std::size_t live() const { return live_.size(); }

 private:
  struct Live {
    RangeId id;
    std::uint64_t offset, requested;
  };

  void allocate(std::uint64_t size, std::uint64_t alignment, std::ostream& wrong) {
    const RangeRequest request{Bytes{size}, Alignment{alignment}};
    const auto expected = oracle_.find(size, alignment);
    if (subject_.can_allocate(request) != expected.has_value()) wrong << "can_allocate is wrong; ";
    const auto range = subject_.allocate(request);
    if (range.has_value() != expected.has_value()) {
      wrong << (range ? "was served where nothing fits (R1)" : "was refused although it fits (R3)");
      return;
    }
    if (!range) {
      const ErrorCode code = range.error().code;
      if (code != ErrorCode::invalid_size && code != ErrorCode::too_large &&
          code != ErrorCode::out_of_space) {
        wrong << "refused with " << to_string(code);
      }
      return;
    }
    if (range->offset.value != *expected) {
      wrong << "placed at " << range->offset.value << ", best is " << *expected << " (R4)";
    }
    if (range->size.value != oracle_.round(size)) wrong << "handed out " << range->size.value;
    (void)oracle_.allocate(size, alignment);
    live_.push_back({range->id, range->offset.value, size});
  }
  void free(std::uint64_t which, std::ostream& wrong) {
    if (live_.empty()) return;
    const std::size_t at = which % live_.size();
    const Live gone = live_[at];
    const auto freed = subject_.release(gone.id);
    if (!freed) {
      wrong << "a live range was not freed: " << to_string(freed.error().code);
      return;
    }
    if (freed->offset.value != gone.offset) wrong << "freed at another offset";
    if (tracks_ && freed->requested.value != gone.requested) wrong << "forgot what was asked for";
    oracle_.free(gone.offset);
    live_[at] = live_.back();
    live_.pop_back();
    dead_.push_back(gone.id);
  }
  void free_stale(std::uint64_t which, std::ostream& wrong) {
    if (dead_.empty()) return;
    const auto freed = subject_.try_free(dead_[which % dead_.size()]);
    if (freed)
      wrong << "a stale handle was freed (R6)";
    else if (freed.error().code != ErrorCode::stale_handle)
      wrong << to_string(freed.error().code) << " for stale";
  }
  void free_unknown(std::uint64_t index, std::uint64_t generation, std::ostream& wrong) {
    const RangeId id{static_cast<std::uint32_t>(index * 7), static_cast<std::uint32_t>(generation)};
    for (const Live& live : live_) {
      if (live.id == id) return;
    }
    if (subject_.try_free(id)) wrong << "an unknown handle was freed (R6)";
  }
  void extend(std::uint64_t which, std::uint64_t size, std::ostream& wrong) {
    if constexpr (kObject) {
      if (live_.empty()) return;
      Live& live = live_[which % live_.size()];
      const auto range = subject_.try_extend(live.id, Bytes{size});
      const bool fits = size != 0 && (oracle_.round(size) <= oracle_.live().at(live.offset) ||
                                      oracle_.extend(live.offset, size));
      if (range.has_value() != fits) wrong << "extend " << (fits ? "refused" : "served");
      if (fits) live.requested = std::max(live.requested, size);
    }
  }
  void shrink(std::uint64_t which, std::uint64_t size, std::ostream& wrong) {
    if constexpr (kObject) {
      if (live_.empty()) return;
      Live& live = live_[which % live_.size()];
      const auto range = subject_.shrink(live.id, Bytes{size});
      const bool fits = size != 0 && oracle_.round(size) <= oracle_.live().at(live.offset);
      if (range.has_value() != fits) wrong << "shrink " << (fits ? "refused" : "served");
      if (!fits) return;
      oracle_.shrink(live.offset, size);
      live.requested = size;
    }
  }
  void find_at(std::uint64_t offset, std::ostream& wrong) {
    const auto found = subject_.find_at(Offset{offset});
    auto after = oracle_.live().upper_bound(offset);
    const bool inside =
        after != oracle_.live().begin() && offset < std::prev(after)->first + std::prev(after)->second;
    const bool begin = inside && std::prev(after)->first == offset;
    if (begin != found.has_value()) wrong << "find_at(" << offset << ") is wrong";
    if (!found && inside != (found.error().code == ErrorCode::interior_address)) wrong << "interior is wrong";
  }
  void add_span(std::ostream& wrong) {
    if (spans_.size() >= 4) return;
    const auto begin = subject_.add_span(span_);
    if (!begin) {
      wrong << "add_span: " << to_string(begin.error().code);
      return;
    }
    oracle_.add_span(begin->value, span_.value);
    spans_.push_back(begin->value);
  }
  void remove_span(std::uint64_t which, std::ostream& wrong) {
    if (spans_.empty()) return;
    const std::size_t at = which % spans_.size();
    const bool empty = oracle_.span_is_empty(spans_[at]);
    const auto removed = subject_.remove_span(Offset{spans_[at]});
    if (removed.has_value() != empty) wrong << "remove_span " << (empty ? "refused" : "took a used span");
    if (!empty) return;
    oracle_.remove_span(spans_[at]);
    spans_.erase(spans_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void compare(std::ostream& wrong) {
    if (const char* sentence = subject_.validate(); sentence != nullptr) wrong << sentence << "; ";
    const RangeReport report = subject_.report();
    if (report.capacity.value != oracle_.capacity()) wrong << "capacity " << report.capacity.value << "; ";
    if (report.used.value != oracle_.used()) wrong << "used " << report.used.value << " (R2); ";
    if (report.largest_free.value != oracle_.largest_free()) wrong << "largest_free is wrong; ";
    if (report.free_ranges != oracle_.free_ranges()) wrong << "free ranges do not coalesce (R2); ";
    if (report.live != live_.size()) wrong << "live count is wrong; ";
    std::size_t seen = 0;
    subject_.for_each([&](const Range& range, Bytes) {
      ++seen;
      const auto live = oracle_.live().find(range.offset.value);
      if (live == oracle_.live().end() || live->second != range.size.value) wrong << "for_each is wrong; ";
    });
    if (seen != live_.size()) wrong << "for_each missed some; ";
    for (const Live& live : live_) {
      const auto found = subject_.find(live.id);
      if (!found || found->offset.value != live.offset) wrong << "a live handle is not found; ";
    }
  }

  A subject_;
  Oracle oracle_;
  Bytes span_;
  bool tracks_;
  std::vector<std::uint64_t> spans_;
  std::vector<Live> live_;
  std::vector<RangeId> dead_;
};

// The subjects of the contract suite: a new range allocator joins here.
struct ObjectSubject {
  static auto make(std::uint64_t units) {
    const Bytes capacity{units * 16};
    auto subject = ObjectAllocator::create({.capacity = capacity, .granule = Alignment{16}});
    BestFitOracle oracle(16, capacity.value);
    oracle.add_span(0, capacity.value);
    return RangeDriver<ObjectAllocator, BestFitOracle>(std::move(*subject), oracle, capacity, true);
  }
  static constexpr std::uint64_t kUnit = 16;
};
struct IndexedObjectSubject {
  static auto make(std::uint64_t units) {
    const Bytes capacity{units};
    auto subject = BasicObjectAllocator<VisitProbe>::create(
        {.capacity = capacity, .granule = Alignment{1}, .index_addresses = true});
    BestFitOracle oracle(1, capacity.value);
    oracle.add_span(0, capacity.value);
    return RangeDriver<BasicObjectAllocator<VisitProbe>, BestFitOracle>(std::move(*subject), oracle, capacity,
                                                                        true);
  }
  static constexpr std::uint64_t kUnit = 1;
};
struct SlabSubject {
  static auto make(std::uint64_t units) {
    const Bytes capacity{units * 64};
    auto subject = TrackedSlabAllocator::create({.slot_size = Bytes{64}, .capacity = capacity});
    SlotOracle oracle(64, capacity.value);
    oracle.add_span(0, capacity.value);
    return RangeDriver<TrackedSlabAllocator, SlotOracle>(std::move(*subject), oracle, capacity, true);
  }
  static constexpr std::uint64_t kUnit = 64;
};
struct OddSlabSubject {  // slots of no power of two, and capacity that is no multiple of them
  static auto make(std::uint64_t units) {
    const Bytes capacity{units * 48 + 40};
    auto subject = SlabAllocator::create({.slot_size = Bytes{48}, .capacity = capacity});
    SlotOracle oracle(48, capacity.value);
    oracle.add_span(0, capacity.value);
    return RangeDriver<SlabAllocator, SlotOracle>(std::move(*subject), oracle, capacity, false);
  }
  static constexpr std::uint64_t kUnit = 48;
};

}  // namespace vaspace::test
