// Creation, addresses, what is where.
#include "vaspace/va/va_space.hpp"

#include <algorithm>
#include <utility>

#include "forever.hpp"

namespace vaspace {
namespace {

Result<Bytes> page_of(const DeviceProfile& profile, Bytes wanted) noexcept {
  if (!profile.capabilities.bind || profile.page_size_count == 0) return fail(ErrorCode::not_supported);
  if (wanted.value == 0) return profile.page_sizes[0];
  if (!profile.offers_page(wanted)) return fail(ErrorCode::invalid_argument);
  return wanted;
}

}  // namespace

VaSpace::VaSpace(Backend& backend, const Reservation& reservation, const PlanShape& shape,
                 const HostAllocator& host) noexcept
    : backend_(backend),
      reservation_(reservation),
      shape_(shape),
      host_(host),
      map_(host),
      torn_(host),
      ranges_(host),
      scratch_(host),
      in_flight_(host),
      heads_(host) {}

Result<HostObject<VaSpace>> VaSpace::create(Backend& backend, const VaSpaceConfig& config) noexcept {
  const DeviceProfile& profile = backend.profile();
  const Result<Bytes> page = page_of(profile, config.page_size);
  if (!page) return fail(page.error());
  if (!config.alignment.valid()) return fail(ErrorCode::invalid_alignment);
  const Alignment unit{std::max(*page, profile.reservation_granularity)};
  const std::optional<Bytes> size = checked_align_up(config.size, unit);
  if (config.size.value == 0 || !size) return fail(ErrorCode::invalid_size);

  ReservationRequest request;
  request.size = *size;
  request.alignment = std::max(config.alignment, Alignment{*page});
  request.hint = config.hint;
  const Result<Reservation> reservation = backend.reserve(request);
  if (!reservation) return fail(reservation.error());
  const PlanShape shape = PlanShape::of(profile, *page, config.rebind_rests);
  HostObject<VaSpace> space =
      make_host_object<VaSpace>(config.host, backend, *reservation, shape, config.host);
  if (space == nullptr) {
    (void)backend.release(*reservation);
    return fail(ErrorCode::out_of_host_memory);
  }
  if (!space->ranges_.open({reservation->address, reservation->size}, *page))
    return fail(ErrorCode::out_of_host_memory);
  return space;
}

// What the driver has of [at, end), which one mapping holds: the first part that is torn or not, as one.
VaSpace::Part VaSpace::part_at(std::uint64_t at, std::uint64_t end) const noexcept {
  const auto found = torn_.lower_bound(at);
  if (found == torn_.end() || (*found).begin >= end) return {end, false};
  const TornMap::Entry tear = *found;
  return tear.begin > at ? Part{tear.begin, false} : Part{std::min(tear.end, end), true};
}

VaSpace::~VaSpace() {
  for (const Head& head : heads_)
    (void)backend_.wait(head.point, va_detail::kForever);
  TimelinePoint last = last_;
  for (std::optional<MappedRange> range = next(begin()); range; range = next(range->end())) {
    for (std::uint64_t at = range->address.value; at < range->end().value;) {
      const Part part = part_at(at, range->end().value);
      const BindOp op{.address = Address{at}, .size = Bytes{part.end - at}};
      if (range->mapping.bound() && !part.torn)
        last = backend_.bind({&op, 1}, {&last, last == TimelinePoint{} ? 0U : 1U}).value_or(last);
      at = part.end;
    }
  }
  (void)backend_.wait(last, va_detail::kForever);
  (void)backend_.release(reservation_);
}

Result<AddressRange> VaSpace::allocate(const AddressRequest& request) noexcept {
  return ranges_.take(request, [this](Address at, Bytes size) { return behind_used(at, size); });
}

// The first that has some of the range.
std::optional<MappedRange> VaSpace::mapped_in(Address address, Bytes size) const noexcept {
  const std::optional<MappedRange> found = next(address);
  return found && found->address < address + size ? found : std::nullopt;
}

// Where something ends that is mapped in the range, or about to be.
std::optional<Address> VaSpace::behind_used(Address address, Bytes size) const noexcept {
  if (const std::optional<MappedRange> found = mapped_in(address, size)) return found->end();
  return in_flight_in(address.value, (address + size).value);
}

Result<void> VaSpace::free(Address address) noexcept {
  const Result<AddressRange> range = ranges_.find(address);
  if (!range) return fail(range.error());
  if (range->address != address) return fail(ErrorCode::interior_address);
  if (behind_used(range->address, range->size)) return fail(ErrorCode::wrong_state);
  (void)ranges_.give(address);
  return {};
}

std::optional<MappedRange> VaSpace::find(Address address) const noexcept {
  const auto found = map_.find(address.value);
  if (!found) return std::nullopt;
  return MappedRange{Address{found->begin}, Bytes{found->end - found->begin}, found->value};
}

std::optional<MappedRange> VaSpace::next(Address address) const noexcept {
  const auto found = map_.lower_bound(address.value);
  if (found == map_.end()) return std::nullopt;
  const AddressMap::Entry entry = *found;
  return MappedRange{Address{entry.begin}, Bytes{entry.end - entry.begin}, entry.value};
}

VaSpaceReport VaSpace::report() const noexcept {
  VaSpaceReport report;
  report.mappings = map_.size();
  report.handed_out = ranges_.taken_bytes();
  report.refused_rollbacks = refused_rollbacks_;
  for (const auto& entry : map_) {
    const Bytes size{entry.end - entry.begin};
    if (entry.value.has_memory()) report.memory += size;
    if (entry.value.backing == Backing::null) report.null += size;
    if (entry.value.backing == Backing::sparse) report.sparse += size;
  }
  for (const auto& tear : torn_)
    report.torn += Bytes{tear.end - tear.begin};
  return report;
}

const char* VaSpace::validate() const noexcept {
  if (const char* wrong = map_.validate()) return wrong;
  if (const char* wrong = torn_.validate()) return wrong;
  if (const char* wrong = ranges_.validate()) return wrong;
  for (const auto& entry : map_) {
    if (entry.begin < begin().value || entry.end > end().value) return "va space: a mapping leaves the space";
    if (entry.value.has_memory() != static_cast<bool>(entry.value.physical))
      return "va space: memory without an object, or an object without memory";
  }
  for (const auto& tear : torn_) {
    for (std::uint64_t at = tear.begin; at < tear.end;) {
      const auto mapped = map_.find(at);
      if (!mapped || !mapped->value.bound()) return "va space: what is torn is not mapped";
      at = mapped->end;
    }
  }
  return nullptr;
}

}  // namespace vaspace
