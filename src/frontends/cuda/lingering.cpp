#include "lingering.hpp"

namespace vaspace::cuda {

bool Lingering::reserve_more(std::size_t mappings) noexcept {
  const std::size_t all = mappings_.size() + mappings;
  return mappings_.reserve(all) && pages_.reserve(all) && unused_.reserve_more(all - unused_.size());
}

const Lingering::Page* Lingering::find(PhysicalId page) const noexcept {
  const auto* found = pages_.containing(page.value);
  return found == nullptr ? nullptr : &found->value;
}

void Lingering::set(PhysicalId page, const Page& to) noexcept {
  pages_.replace(page.value, {page.value, page.value + 1, to});
}

void Lingering::unlist(PhysicalId page) noexcept {
  const std::uint32_t place = find(page)->place;
  const PhysicalId last = unused_.back();
  unused_[place] = last;
  unused_.pop_back();
  Page moved = *find(last);
  moved.place = place;
  set(last, moved);
}

void Lingering::add(Address address, Bytes size, const Mapping& mapping, std::uint32_t holder) noexcept {
  mappings_.insert({address.value, (address + size).value, mapping});
  const Page* known = find(mapping.page);
  const std::uint32_t others = known == nullptr ? 0 : known->mappings;
  if (known == nullptr) pages_.insert({mapping.page.value, mapping.page.value + 1, {}});
  set(mapping.page, {others + 1, holder, 0});
}

std::size_t Lingering::take(std::span<PhysicalId> out) noexcept {
  std::size_t taken = 0;
  for (; taken < out.size() && !unused_.empty(); ++taken) {
    out[taken] = unused_.back();
    use(out[taken], kSomebody);
  }
  return taken;
}

void Lingering::use(PhysicalId page, std::uint32_t holder) noexcept {
  unlist(page);
  set(page, {find(page)->mappings, holder, 0});
}

void Lingering::hold(PhysicalId page, std::uint32_t holder) noexcept {
  const Page* known = find(page);
  if (known != nullptr) set(page, {known->mappings, holder, 0});
}

std::uint32_t Lingering::holder_of(PhysicalId page) const noexcept {
  return find(page)->holder;
}

bool Lingering::give(PhysicalId page) noexcept {
  const Page* known = find(page);
  if (known == nullptr) return false;
  set(page, {known->mappings, kNobody, static_cast<std::uint32_t>(unused_.size())});
  unused_.push_back_reserved(page);
  return true;
}

void Lingering::claim(Address address) noexcept {
  const PhysicalId page = at(address)->value.page;
  mappings_.erase(address.value);
  Page left = *find(page);
  --left.mappings;
  if (left.mappings == 0) {
    pages_.erase(page.value);
  } else {
    set(page, left);
  }
}

void Lingering::set_leaving(Address address, bool leaving) noexcept {
  Interval changed = *at(address);
  changed.value.leaving = leaving;
  mappings_.replace(address.value, changed);
}

PhysicalId Lingering::remove(Address address) noexcept {
  const PhysicalId page = at(address)->value.page;
  const Page last = *find(page);
  const bool free = last.mappings == 1 && last.holder == kNobody;
  if (free) unlist(page);
  claim(address);
  return free ? page : PhysicalId{};
}

}  // namespace vaspace::cuda
