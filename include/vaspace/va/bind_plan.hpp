// What a map or unmap will ask of the driver, worked out beforehand and touching nothing.
//
//   map            |------A------|--B--|
//   map C over           |--C--------|
//   unbinds              |xxxxxxxxxxx|            (or whole mappings, where the driver takes no parts)
//   binds                |--C--------|            (and the rests, where whole mappings had to go)
//   left rest      |--A--|
//   right rest                       |B|
//
// Always true: carried out in order, `unbinds` then `binds` make of the map that the plan was made for the
// one that it promises; ops of one list do not overlap and rise; what is already as it should be is in no
// list; `restores` is what undoes `unbinds`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "vaspace/base/host_array.hpp"
#include "vaspace/va/mapping.hpp"

namespace vaspace {

// Addresses that the driver has unbound although the map says otherwise (VaSpace::repair).
struct Torn {
  friend constexpr bool operator==(const Torn&, const Torn&) noexcept = default;
};
using TornMap = IntervalMap<Torn>;

// How plans look where they are carried out: from what the driver can do.
//
//   parts   an unbind takes any part of what is bound; a bind takes a range whole         Vulkan, CPU
//   pages   an unbind takes whole binds, so a bind takes a page each (C8)                 CUDA
//   whole   an unbind takes whole binds, and what it should not have taken is bound anew  no offsets either
//   (C4)
struct PlanShape {
  enum class Unit : std::uint8_t { parts, pages, whole };

  Unit unit = Unit::parts;
  Bytes page{};
  bool physical_offset = true;  // a bind may begin inside its object
  bool replace =
      false;  // one op unbinds and binds (BindOp::replace); not with `whole`, nor `pages` without aliasing
  bool one_call = true;  // unbinds and binds go to the driver together, and it does all or none

  // `rebind_rests`: `whole` rather than `pages`: fewer binds, but a rest is unbound for a moment.
  [[nodiscard]] static PlanShape of(const DeviceProfile& profile, Bytes page, bool rebind_rests) noexcept;
};

class BindPlan {
 public:
  explicit BindPlan(const HostAllocator& host) noexcept
      : unbinds_(host), binds_(host), restores_(host), pages_(host) {}

  [[nodiscard]] Address address() const noexcept { return address_; }
  [[nodiscard]] Bytes size() const noexcept { return size_; }
  // Nothing where it unmaps.
  [[nodiscard]] const std::optional<Mapping>& target() const noexcept { return target_; }

  [[nodiscard]] std::span<const BindOp> unbinds() const noexcept { return unbinds_.span(); }
  [[nodiscard]] std::span<const BindOp> binds() const noexcept { return binds_.span(); }
  [[nodiscard]] std::span<const BindOp> restores() const noexcept { return restores_.span(); }
  // What is left of mappings that reach over the ends of the range.
  [[nodiscard]] const std::optional<MappedRange>& left_rest() const noexcept { return left_rest_; }
  [[nodiscard]] const std::optional<MappedRange>& right_rest() const noexcept { return right_rest_; }
  // Whether a rest is unbound and bound anew: the device must not use it meanwhile.
  [[nodiscard]] bool rebinds_rests() const noexcept { return rebinds_rests_; }
  // Driver calls that carrying it out takes.
  [[nodiscard]] unsigned calls() const noexcept {
    const bool any = !unbinds_.empty() || !binds_.empty();
    return any ? (in_two_calls_ ? 2U : 1U) : 0U;
  }

 private:
  friend class PendingCommit;
  friend class Planner;
  friend class VaSpace;

  // Nothing yet, of a range.
  void start_over(Address address, Bytes size) noexcept;

  Address address_{};
  Bytes size_{};
  std::optional<Mapping> target_{};
  std::optional<MappedRange> left_rest_{};
  std::optional<MappedRange> right_rest_{};
  HostArray<BindOp> unbinds_;
  HostArray<BindOp> binds_;
  HostArray<BindOp> restores_;
  HostArray<PhysicalId> pages_;  // of a map of single pages, where `target_` is nothing
  bool rebinds_rests_ = false;
  bool in_two_calls_ = false;

  // Whose it is, and of which state.
  const void* space_ = nullptr;
  std::uint64_t reservation_ = 0;
  std::uint64_t epoch_ = 0;
  bool committed_ = false;
};

// Makes plans for [begin, end) of a map, which is page-aligned and lies in the space. Pure. O(log n + k) for
// k mappings and torn ranges in the range; `pages` adds the pages.
//
// Errors: wrong_state (unmapping what is not wholly mapped), not_supported (a bind inside an object that the
// driver cannot do, a right rest of one among them), out_of_host_memory.
class Planner {
 public:
  Planner(const AddressMap& map, const TornMap& torn, const PlanShape& shape) noexcept
      : map_(map), torn_(torn), shape_(shape) {}

  [[nodiscard]] Result<void> plan(std::uint64_t begin, std::uint64_t end,
                                  const std::optional<Mapping>& target, BindPlan& plan) const noexcept;

 private:
  using Entry = AddressMap::Entry;
  struct Piece;  // of the range: one mapping or hole, bound throughout or not
  struct Work;   // one plan under way

  [[nodiscard]] bool all_mapped(std::uint64_t begin, std::uint64_t end) const noexcept;
  [[nodiscard]] Piece piece_at(std::uint64_t at, std::uint64_t end) const noexcept;
  void note_rests(std::uint64_t begin, std::uint64_t end, BindPlan& plan) const noexcept;
  [[nodiscard]] Result<void> walk(Work& work, bool keep) const noexcept;
  [[nodiscard]] bool tears_beyond(const Work& work, const Piece& piece) const noexcept;
  [[nodiscard]] Result<void> unbind(Work& work, const Piece& piece) const noexcept;
  [[nodiscard]] Result<void> rebind(Work& work, std::uint64_t begin, std::uint64_t end,
                                    const Mapping& mapping) const noexcept;
  [[nodiscard]] Result<void> add_bind(HostArray<BindOp>& to, std::uint64_t begin, std::uint64_t end,
                                      const Mapping& mapping, bool replace) const noexcept;

  const AddressMap& map_;
  const TornMap& torn_;
  PlanShape shape_;
};

}  // namespace vaspace
