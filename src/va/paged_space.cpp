// Creation, acquire and release, figures.
#include "vaspace/va/paged_space.hpp"

#include <algorithm>
#include <utility>

#include "paged_space_inl.hpp"

namespace vaspace {
namespace {

struct PageSizes {
  Bytes small{};
  Bytes large{};
};

Result<PageSizes> page_sizes(const DeviceProfile& profile, const PagedSpaceConfig& config) noexcept {
  if (!profile.capabilities.bind || profile.page_size_count == 0) return fail(ErrorCode::not_supported);
  PageSizes sizes{config.small_page, config.large_page};
  if (sizes.small.value == 0) sizes.small = profile.page_sizes[0];
  if (sizes.large.value == 0)
    sizes.large = std::max(sizes.small, profile.page_sizes[profile.page_size_count - 1]);
  const bool offered = profile.offers_page(sizes.small) && profile.offers_page(sizes.large);
  const Alignment cell{config.cell};
  const bool cells = cell.valid() && config.cell <= Bytes{sizes.small.value / kCellsPerWord};
  if (!offered || sizes.large < sizes.small || !cells || !profile.pages_of(config.memory_type))
    return fail(ErrorCode::invalid_configuration);
  return sizes;
}

}  // namespace

PagedSpace::PagedSpace(HostObject<VaSpace> space, const PagedSpaceConfig& config, Bytes small,
                       Bytes large) noexcept
    : space_(std::move(space), config.host),
      backend_(space_->backend()),
      config_(config),
      small_(small),
      large_(large),
      cell_(config.cell),
      begin_(space_->begin()),
      books_(static_cast<std::uint32_t>((space_->end() - space_->begin() - large * kLanes) / small),
             static_cast<std::uint32_t>(large / small),
             static_cast<std::uint32_t>(small / (config.cell * kCellsPerWord)), config.host),
      budget_(config.budget),
      retain_(config.retain),
      small_pool_(backend_, small, config.memory_type, config.host),
      large_pool_(backend_, large, config.memory_type, config.host),
      lanes_{Lane(config.host), Lane(config.host), Lane(config.host), Lane(config.host)},
      step_lane_(config.host),
      sources_(config.host),
      buckets_(config.host),
      packer_(books_.words(), config.host) {
  const Capabilities& can = backend_.profile().capabilities;
  can_demote_ = can.copy && small != large && space_->shape().unit != PlanShape::Unit::whole;
  can_mesh_ = can.copy && can.aliasing;
  can_guard_ = config.guard && space_->shape().replace && can.set_access;
  Address staging = begin_ + small_ * books_.pages();
  step_lane_.staging = staging;
  for (Lane& lane : lanes_)
    lane.staging = staging = staging + large_;
}

Result<HostObject<PagedSpace>> PagedSpace::create(Backend& backend, const PagedSpaceConfig& config) noexcept {
  const Result<PageSizes> sizes = page_sizes(backend.profile(), config);
  if (!sizes) return fail(sizes.error());
  constexpr Bytes kMost{std::uint64_t{PageBooks::kNone - 1}};
  const std::optional<Bytes> size = checked_align_up(config.size, Alignment{sizes->large});
  const bool small_enough = size && *size / sizes->small < kMost.value;
  if (config.size.value == 0 || !small_enough) return fail(ErrorCode::invalid_size);
  Result<HostObject<VaSpace>> space = VaSpace::create(backend, {.size = *size + sizes->large * kLanes,
                                                                .alignment = Alignment{sizes->large},
                                                                .page_size = sizes->small,
                                                                .host = config.host});
  if (!space) return fail(space.error());
  HostObject<PagedSpace> made =
      make_host_object<PagedSpace>(config.host, std::move(*space), config, sizes->small, sizes->large);
  if (made == nullptr || !made->books_.open()) return fail(ErrorCode::out_of_host_memory);
  bool room = made->step_lane_.mask.resize(made->books_.words());
  for (Lane& lane : made->lanes_)
    room = room && lane.mask.resize(made->books_.words());
  if (!room) return fail(ErrorCode::out_of_host_memory);
  // What an acquire that fails has bound goes again in runs of so many; a lane guards a page at a time.
  if (!made->space_.keep_for_undo(kLanes, std::max(kBatch, made->books_.pages_per_block())))
    return fail(ErrorCode::out_of_host_memory);
  return made;
}

// The map unbinds what is bound; then nothing stands in the way of destroying what was behind it.
PagedSpace::~PagedSpace() {
  space_.reset();
  const auto free_stuck = [this](const Lane& lane) {
    if (lane.stuck) pool(lane.stuck_large).give({&lane.stuck, 1}, 0);
  };
  free_stuck(step_lane_);
  for (const Lane& lane : lanes_)
    free_stuck(lane);
  for (std::uint32_t i = 0; i < books_.frames(); ++i) {
    const PageBooks::Frame& frame = books_.frame(i);
    if (frame.physical) pool(frame.large).give({&frame.physical, 1}, 0);
  }
}

Result<PagedSpace::Span> PagedSpace::span_of(Address address, Bytes size) const noexcept {
  if (size.value == 0 || size.value > kMaxBytes.value - address.value) return fail(ErrorCode::invalid_size);
  if (address < begin() || address + size > end()) return fail(ErrorCode::unknown_address);
  const Alignment cell{cell_};
  if (!is_aligned(address, cell) || !is_aligned(size, cell)) return fail(ErrorCode::invalid_argument);
  const std::uint64_t first = (address - begin_) / cell_;
  const std::uint64_t last = (address + size - begin_) / cell_ - 1;
  const std::uint32_t cells = books_.cells();
  Span span;
  span.first_page = static_cast<std::uint32_t>(first / cells);
  span.first_cell = static_cast<std::uint32_t>(first % cells);
  span.last_page = static_cast<std::uint32_t>(last / cells);
  span.last_cell = static_cast<std::uint32_t>(last % cells) + 1;
  return span;
}

bool PagedSpace::all_live(const Span& span) const noexcept {
  bool all = true;
  each_page(span, [&](std::uint32_t page, std::uint32_t begin, std::uint32_t end) {
    all = all && books_.touched(page) && all_cells(books_.mask(page), begin, end);
  });
  return all;
}

bool PagedSpace::any_live(const Span& span) const noexcept {
  bool any = false;
  each_page(span, [&](std::uint32_t page, std::uint32_t begin, std::uint32_t end) {
    any = any || (books_.touched(page) && any_cell(books_.mask(page), begin, end));
  });
  return any;
}

Result<void> PagedSpace::acquire(Address address, Bytes size) noexcept {
  const Result<Span> span = span_of(address, size);
  if (!span) return fail(span.error());
  Lock lock(mutex_);
  if (!books_.touch(span->first_page, span->last_page)) return fail(ErrorCode::out_of_host_memory);
  if (any_live(*span)) return fail(ErrorCode::wrong_state);
  each_page(*span, [&](std::uint32_t page, std::uint32_t, std::uint32_t) { ++books_.page(page).claims; });
  Result<void> ready = make_ready(*span, lock);
  if (ready && any_live(*span)) ready = fail(ErrorCode::wrong_state);  // another's, meanwhile
  each_page(*span, [&](std::uint32_t page, std::uint32_t, std::uint32_t) {
    --books_.page(page).claims;
    if (!ready) enqueue_if_empty(page);
  });
  if (!ready) {
    lock.unlock();
    drop_empty(*span);
    return ready;
  }
  each_page(*span, [&](std::uint32_t page, std::uint32_t begin, std::uint32_t end) {
    change_frame(books_.page(page).frame, [&] { (void)books_.revive(page, begin, end); });
    live_cells_ += end - begin;
  });
  return {};
}

Result<void> PagedSpace::release(Address address, Bytes size) noexcept {
  const Result<Span> span = span_of(address, size);
  if (!span) return fail(span.error());
  const Lock lock(mutex_);
  if (!all_live(*span)) return fail(ErrorCode::wrong_state);
  each_page(*span, [&](std::uint32_t page, std::uint32_t begin, std::uint32_t end) {
    change_frame(books_.page(page).frame, [&] { (void)books_.retire(page, begin, end); });
    live_cells_ -= end - begin;
    enqueue_if_empty(page);
  });
  return {};
}

// Once for each page, and once for a large one when its last live page is gone.
void PagedSpace::enqueue_if_empty(std::uint32_t index) noexcept {
  PageBooks::Page& page = books_.page(index);
  if (page.live != 0 || page.frame == kNone || page.queued || page.busy || page.claims != 0) return;
  const PageBooks::Frame& frame = books_.frame(page.frame);
  if (frame.large && frame.live_pages != 0) return;
  page.queued = true;
  page.next_empty = kNone;
  if (empty_tail_ == kNone) {
    empty_head_ = index;
  } else {
    books_.page(empty_tail_).next_empty = index;
  }
  empty_tail_ = index;
  ++empty_count_;
}

// Out of its thread's hands; who waits is told by the caller.
void PagedSpace::set_free(std::uint32_t page) noexcept {
  books_.page(page).busy = false;
  enqueue_if_empty(page);
}

Bytes PagedSpace::held() const noexcept {
  return small_ * small_pool_.held() + large_ * large_pool_.held();
}

Bytes PagedSpace::pooled() const noexcept {
  return small_ * small_pool_.pooled() + large_ * large_pool_.pooled();
}

std::uint64_t PagedSpace::measure() const noexcept {
  const Lock lock(mutex_);
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < books_.frames(); ++i) {
    const PageBooks::Frame& frame = books_.frame(i);
    if (frame.physical) sum += frame.large ? 2ULL * frame.members : 1U;
  }
  return sum;
}

PagedSpaceReport PagedSpace::report() const noexcept {
  PagedSpaceReport report;
  report.mappings = space_.mappings();
  const Lock lock(mutex_);
  report.live = cell_ * live_cells_;
  report.committed = held();
  report.empty = empty_bytes_;
  report.guarded = guarded_;
  report.refused_by_driver = refused_ + small_pool_.refused() + large_pool_.refused();
  for (std::uint32_t i = 0; i < books_.frames(); ++i) {
    const PageBooks::Frame& frame = books_.frame(i);
    if (!frame.physical) continue;
    ++(frame.large ? report.large_pages : report.small_pages);
    if (!frame.large && frame.members > 1) report.meshed_pages += frame.members;
  }
  return report;
}

PagedSpace::Behind PagedSpace::behind(Address address) const noexcept {
  Behind behind;
  if (address < begin() || address >= end()) return behind;
  const auto index = static_cast<std::uint32_t>((address - begin_) / small_);
  const Lock lock(mutex_);
  if (!books_.touched(index)) return behind;
  const PageBooks::Page& page = books_.page(index);
  behind.live = cell_ * page.live;
  if (page.frame == kNone) return behind;
  const PageBooks::Frame& frame = books_.frame(page.frame);
  behind.bound = true;
  behind.large = frame.large;
  behind.frame = page.frame;
  behind.sharers = frame.large ? 1 : frame.members;
  return behind;
}

Bytes PagedSpace::floor(Bytes page) const noexcept {
  const Lock lock(mutex_);
  const std::uint64_t step = std::max<std::uint64_t>(page / small_, 1);
  Bytes sum{};
  for (std::uint64_t first = 0; first < books_.pages(); first += step) {
    bool live = false;
    for (std::uint64_t i = first; i < std::min<std::uint64_t>(first + step, books_.pages()); ++i) {
      const auto index = static_cast<std::uint32_t>(i);
      live = live || (books_.touched(index) && books_.page(index).live != 0);
    }
    if (live) sum += small_ * step;
  }
  return sum;
}

const char* PagedSpace::validate() const noexcept {
  if (const char* wrong = space_->validate()) return wrong;
  const Lock lock(mutex_);
  if (const char* wrong = books_.validate()) return wrong;
  Bytes empty{};
  std::uint64_t cells = 0;
  for (std::uint32_t i = 0; i < books_.frames(); ++i)
    empty += empty_of(i);
  for (std::uint32_t i = 0; i < books_.pages(); ++i) {
    if (!books_.touched(i)) continue;
    const PageBooks::Page& page = books_.page(i);
    cells += page.live;
    const std::optional<MappedRange> mapped = space_->find(address_of(i));
    if (page.busy) return "paged space: a page is in nobody's hands and busy";
    if (mapped.has_value() != (page.frame != kNone)) return "paged space: pages and map differ";
    if (page.frame == kNone) continue;
    const PageBooks::Frame& frame = books_.frame(page.frame);
    const Mapping here = mapped->mapping.advanced(address_of(i) - mapped->address);
    const Backing backing = page.guarded ? Backing::read_only_memory : Backing::memory;
    if (here != Mapping{frame.physical, frame.large ? offset_of(i) : Bytes{}, backing})
      return "paged space: another page is bound than the books say";
    const bool empty_page = page.live == 0 && (!frame.large || frame.live_pages == 0);
    if (empty_page && !page.queued && !frame.large) return "paged space: an empty page is not in the queue";
  }
  if (empty != empty_bytes_) return "paged space: empty pages are miscounted";
  return cells == live_cells_ ? nullptr : "paged space: live cells are miscounted";
}

}  // namespace vaspace
