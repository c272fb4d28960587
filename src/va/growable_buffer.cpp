#include "vaspace/va/growable_buffer.hpp"

#include <utility>

#include "forever.hpp"

namespace vaspace {

GrowableBuffer::GrowableBuffer(HostObject<VaSpace> space, const GrowableBufferConfig& config) noexcept
    : space_(std::move(space)),
      pool_(space_->backend(), space_->page_size(), config.memory_type, config.host),
      pages_(config.host) {}

Result<HostObject<GrowableBuffer>> GrowableBuffer::create(Backend& backend,
                                                          const GrowableBufferConfig& config) noexcept {
  Result<HostObject<VaSpace>> space =
      VaSpace::create(backend, {.size = config.max_size, .page_size = config.page_size, .host = config.host});
  if (!space) return fail(space.error());
  HostObject<GrowableBuffer> made = make_host_object<GrowableBuffer>(config.host, std::move(*space), config);
  if (made == nullptr) return fail(ErrorCode::out_of_host_memory);
  return made;
}

GrowableBuffer::~GrowableBuffer() {
  space_.reset();
  pool_.give(pages_.span(), 0);
}

Result<void> GrowableBuffer::resize(Bytes size) noexcept {
  if (size > max_size()) return fail(ErrorCode::too_large);
  const Bytes page = space_->page_size();
  const std::size_t wanted = align_up(size, Alignment{page}) / page;
  if (wanted > pages_.size()) {
    const Result<void> grown = grow(wanted);
    if (!grown) return grown;
  } else {
    shrink(wanted);
  }
  size_ = size;
  return {};
}

Result<void> GrowableBuffer::grow(std::size_t pages) noexcept {
  const std::size_t before = pages_.size();
  // Taking it back must not fail for want of host memory.
  if (!space_->keep_for_undo(0, pages - before) || !pages_.resize(pages))
    return fail(ErrorCode::out_of_host_memory);
  const std::span<PhysicalId> fresh = pages_.span().subspan(before);
  const Result<void> taken = pool_.take(page_at(before), fresh);
  const auto forget = [&] {
    while (pages_.size() > before)
      pages_.pop_back();
  };
  if (!taken) {
    forget();
    return taken;
  }
  // All of them in one call of the driver.
  const Result<TimelinePoint> point = space_->map_pages(page_at(before), fresh);
  if (!point) {
    pool_.give(fresh, 0);
    forget();
    return fail(point.error());
  }
  const Result<void> done = space_->backend().wait(*point, va_detail::kForever);
  if (!done) shrink(before);
  return done;
}

// From the end: what the driver refuses stays, and so does all below it.
void GrowableBuffer::shrink(std::size_t pages) noexcept {
  const Bytes page = space_->page_size();
  if (pages_.size() <= pages) return;
  if (space_->unmap(page_at(pages), page * (pages_.size() - pages))) {
    (void)space_->backend().wait(space_->last_commit(), va_detail::kForever);
    pool_.give(pages_.span().subspan(pages), 0);
    while (pages_.size() > pages)
      pages_.pop_back();
    return;
  }
  while (pages_.size() > pages && space_->unmap(page_at(pages_.size() - 1), page)) {
    (void)space_->backend().wait(space_->last_commit(), va_detail::kForever);
    pool_.give({&pages_.back(), 1}, 0);
    pages_.pop_back();
  }
}

}  // namespace vaspace
