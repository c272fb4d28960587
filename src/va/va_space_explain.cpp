// Why are addresses refused? Every answer is an allocation that is made and taken back.
#include "vaspace/va/va_space.hpp"

namespace vaspace {

Result<bool> VaSpace::would_give(const AddressRequest& request, bool mapped_counts) noexcept {
  const Result<AddressRange> given =
      ranges_.take(request, [&](Address at, Bytes size) -> std::optional<Address> {
        return mapped_counts ? behind_used(at, size) : std::nullopt;
      });
  if (given) {
    (void)ranges_.give(given->address);
    return true;
  }
  if (given.error().code != ErrorCode::out_of_space) return fail(given.error());
  return false;
}

Result<AddressShortfall> VaSpace::explain(const AddressRequest& request) noexcept {
  const Result<bool> fits = would_give(request, true);
  if (!fits) return fail(fits.error());
  AddressShortfall shortfall;
  shortfall.fits = *fits;
  shortfall.free = end() - begin() - ranges_.taken_bytes();

  // What is smaller fits wherever what is larger does.
  const Bytes page = shape_.page;
  std::uint64_t least = 0;
  std::uint64_t most = align_up(request.size, Alignment{page}) / page;
  while (least < most) {
    const std::uint64_t pages = least + (most - least + 1) / 2;
    AddressRequest smaller = request;
    smaller.size = page * pages;
    const Result<bool> given = would_give(smaller, true);
    if (!given) return fail(given.error());
    (*given ? least : most) = *given ? pages : pages - 1;
  }
  shortfall.largest = page * least;
  if (shortfall.fits) return shortfall;

  AddressRequest other = request;
  other.alignment = Alignment{};
  shortfall.alignment_helps = would_give(other, true).value_or(false);
  other.boundary = Bytes{};
  shortfall.both_help = would_give(other, true).value_or(false);
  other = request;
  other.boundary = Bytes{};
  shortfall.boundary_helps = would_give(other, true).value_or(false);
  other = request;
  other.at.reset();
  shortfall.elsewhere_helps = request.at && would_give(other, true).value_or(false);
  shortfall.unmapping_helps = would_give(request, false).value_or(false);
  if (!request.at) return shortfall;
  const Bytes size = align_up(request.size, Alignment{page});
  shortfall.in_the_way = ranges_.first_in({*request.at, size});
  shortfall.mapped_in_the_way = mapped_in(*request.at, size);
  return shortfall;
}

}  // namespace vaspace
