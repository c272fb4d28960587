#include "vaspace/va/address_ranges.hpp"

#include <algorithm>

namespace vaspace {
namespace {

bool crosses(std::uint64_t begin, Bytes size, Bytes boundary) noexcept {
  if (boundary.value == 0) return false;
  return (begin ^ (begin + size.value - 1)) >= boundary.value;
}

}  // namespace

bool AddressRanges::open(AddressRange space, Bytes page) noexcept {
  space_ = space;
  page_ = page;
  return holes_.open(space.address.value, space.end().value);
}

Result<AddressRanges::Wanted> AddressRanges::check(const AddressRequest& request) const noexcept {
  if (!request.alignment.valid()) return fail(ErrorCode::invalid_alignment);
  const bool bounded = request.boundary.value != 0;
  if (bounded && !Alignment{request.boundary}.valid()) return fail(ErrorCode::invalid_alignment);
  const std::optional<Bytes> size = checked_align_up(request.size, Alignment{page_});
  if (request.size.value == 0 || !size) return fail(ErrorCode::invalid_size);
  if (*size > space_.size || (bounded && *size > request.boundary)) return fail(ErrorCode::too_large);

  const Wanted wanted{*size, std::max(request.alignment, Alignment{page_}), request.boundary};
  if (!request.at) return wanted;
  const Address at = *request.at;
  if (at < space_.address || at >= space_.end() || *size > space_.end() - at)
    return fail(ErrorCode::unknown_address);
  if (!is_aligned(at, wanted.alignment) || crosses(at.value, *size, wanted.boundary))
    return fail(ErrorCode::invalid_argument);
  return wanted;
}

// Of the aligned places of a hole only the first, and the first at or behind a boundary, can be the lowest
// that crosses none: the range is not larger than what lies between two.
std::optional<std::uint64_t> AddressRanges::lowest(const Wanted& wanted, std::uint64_t from) noexcept {
  for (;;) {
    const auto begin = holes_.take_lowest(wanted.size, wanted.alignment, from);
    if (!begin) return std::nullopt;
    holes_.give(*begin, wanted.size);
    if (!crosses(*begin, wanted.size, wanted.boundary)) return begin;
    from = align_up(*begin + 1, Alignment{wanted.boundary});
  }
}

Result<AddressRange> AddressRanges::take_at(Address address, Bytes size) noexcept {
  if (!holes_.take_at(address.value, size)) return fail(ErrorCode::out_of_space);
  const AddressRange range{address, size};
  (void)taken_.assign(address.value, range.end().value, address.value);  // prepared
  bytes_ += size;
  return range;
}

Result<AddressRange> AddressRanges::give(Address address) noexcept {
  const Result<AddressRange> range = find(address);
  if (!range) return range;
  if (range->address != address) return fail(ErrorCode::interior_address);
  (void)taken_.erase(range->address.value, range->end().value);  // a whole interval
  holes_.give(range->address.value, range->size);
  bytes_ -= range->size;
  return range;
}

Result<AddressRange> AddressRanges::find(Address address) const noexcept {
  const auto found = taken_.find(address.value);
  if (!found) return fail(ErrorCode::unknown_address);
  return AddressRange{Address{found->begin}, Bytes{found->end - found->begin}};
}

std::optional<AddressRange> AddressRanges::first_in(AddressRange range) const noexcept {
  const auto found = taken_.lower_bound(range.address.value);
  if (found == taken_.end() || (*found).begin >= range.end().value) return std::nullopt;
  return AddressRange{Address{(*found).begin}, Bytes{(*found).end - (*found).begin}};
}

const char* AddressRanges::validate() const noexcept {
  if (const char* wrong = taken_.validate()) return wrong;
  if (!holes_.validate()) return "address ranges: the holes are out of order";
  Bytes sum{};
  std::uint64_t last = space_.address.value;
  for (const auto& taken : taken_) {
    if (taken.begin < last || taken.end > space_.end().value)
      return "address ranges: a range leaves the space";
    if (taken.begin > last && !holes_.is_free(last, Bytes{taken.begin - last}))
      return "address ranges: what is not taken is no hole";
    if (taken.value != taken.begin) return "address ranges: two ranges became one";
    sum += Bytes{taken.end - taken.begin};
    last = taken.end;
  }
  return sum == bytes_ ? nullptr : "address ranges: bytes are miscounted";
}

}  // namespace vaspace
