// What a busy stream's emptied pages leave behind: a mapping stays until the stream has passed (C13), but the
// page is used again on the same stream at once, behind another address. Two addresses of one page are legal,
// and a stream's work is in order: what it did through the old address is over before what it does through
// the new one begins.
//
//   old address ──┐            until the stream has passed
//                 ├──► page
//   new address ──┘            given out again on the same stream
//
// Always true: a mapping that lingers is behind no address of the arena's; a page of which something lingers
// is unused, or some page of the arena's holds it; it is anybody's only when nothing of it lingers. Books
// only: no driver call, and only reserve() asks for host memory. Externally synchronised.
#pragma once

#include <optional>

#include "vaspace/device/backend.hpp"
#include "vaspace/device/interval_treap.hpp"

namespace vaspace::cuda {

class Lingering {
 public:
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};
  static constexpr std::uint32_t kSomebody = kNobody - 1;  // who has taken it and has no number yet

  struct Mapping {
    PhysicalId page{};
    TimelinePoint until{};  // the stream has passed all use of it
    bool leaving = false;   // somebody is just unmapping or claiming it
  };
  using Interval = IntervalTreap<Mapping>::Interval;

  explicit Lingering(const HostAllocator& host) noexcept : mappings_(host), pages_(host), unused_(host) {}

  // Room for so many further mappings. False: no host memory.
  [[nodiscard]] bool reserve_more(std::size_t mappings) noexcept;

  [[nodiscard]] std::size_t mappings() const noexcept { return mappings_.size(); }
  [[nodiscard]] std::size_t unused() const noexcept { return unused_.size(); }
  [[nodiscard]] const Interval* at(Address address) const noexcept {
    return mappings_.containing(address.value);
  }
  [[nodiscard]] const Interval* next(std::uint64_t from) const noexcept { return mappings_.ceiling(from); }

  // The arena has let go of the address; the page is its `holder`'s, by a number, as before. Its room is
  // reserved.
  void add(Address address, Bytes size, const Mapping& mapping, std::uint32_t holder) noexcept;
  // Takes unused pages, newest first: how many. hold() says by whom.
  [[nodiscard]] std::size_t take(std::span<PhysicalId> out) noexcept;
  // The unused page has a holder.
  void use(PhysicalId page, std::uint32_t holder) noexcept;
  // Of any page that is used: whoever has it now.
  void hold(PhysicalId page, std::uint32_t holder) noexcept;
  // Of one of which something lingers: kNobody: it is unused.
  [[nodiscard]] std::uint32_t holder_of(PhysicalId page) const noexcept;
  // A page is not used any more. False: nothing of it lingers, it is none of these.
  [[nodiscard]] bool give(PhysicalId page) noexcept;
  // The address is the arena's again, with the page that lingers there, which has a holder.
  void claim(Address address) noexcept;

  void set_leaving(Address address, bool leaving) noexcept;
  // It was unmapped. The page, where it is unused and nothing of it lingers any more: it is anybody's.
  [[nodiscard]] PhysicalId remove(Address address) noexcept;

 private:
  struct Page {
    std::uint32_t mappings = 0;
    std::uint32_t holder = kNobody;
    std::uint32_t place = 0;  // in unused_, where nobody holds it
  };
  [[nodiscard]] const Page* find(PhysicalId page) const noexcept;
  void set(PhysicalId page, const Page& to) noexcept;
  void unlist(PhysicalId page) noexcept;  // from unused_

  IntervalTreap<Mapping> mappings_;  // by address
  IntervalTreap<Page> pages_;        // by number: those of which something lingers
  HostArray<PhysicalId> unused_;
};

}  // namespace vaspace::cuda
