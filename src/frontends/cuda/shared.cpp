#include <cuda.h>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include "vaspace/frontends/cuda_shared.hpp"

#include "backends/cuda/steps.hpp"

namespace vaspace::cuda {

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : backend_(other.backend_),
      size_(std::exchange(other.size_, Bytes{})),
      range_(std::exchange(other.range_, Reservation{})),
      memory_(std::exchange(other.memory_, PhysicalId{})) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  if (this == &other) return *this;
  destroy();
  backend_ = other.backend_;
  size_ = std::exchange(other.size_, Bytes{});
  range_ = std::exchange(other.range_, Reservation{});
  memory_ = std::exchange(other.memory_, PhysicalId{});
  return *this;
}

Result<SharedMemory> SharedMemory::create(Backend& backend, Bytes size) noexcept {
  if (!backend.profile().capabilities.external_memory) return fail(ErrorCode::not_supported);
  const auto whole = checked_align_up(size, Alignment{backend.profile().reservation_granularity});
  if (size == Bytes{} || !whole) return fail(ErrorCode::invalid_size);
  SharedMemory shared(backend);
  shared.size_ = *whole;
  if (Result<void> created = backend.create_physical({.size = *whole}, {&shared.memory_, 1}); !created)
    return fail(created.error());
  if (Result<void> shown = shared.show(); !shown) return fail(shown.error());
  return shared;
}

// Until all of it succeeds the descriptor is the caller's: what the import closes is a copy.
Result<SharedMemory> SharedMemory::import(Backend& backend, ExternalHandle handle, Bytes size) noexcept {
  SharedMemory shared(backend);
  shared.size_ = size;
  const Result<Reservation> range = backend.reserve({.size = size});
  if (!range) return fail(range.error());
  shared.range_ = *range;
  const ExternalHandle copy{fcntl(handle.fd, F_DUPFD_CLOEXEC, 0)};
  if (copy.fd < 0) return fail(ErrorCode::invalid_argument, CUDA_ERROR_INVALID_VALUE);
  const Result<PhysicalId> memory = backend.import_physical({.size = size}, copy);
  if (!memory) {
    close(copy.fd);
    return fail(memory.error());
  }
  shared.memory_ = *memory;
  const BindOp op{.address = range->address, .size = size, .physical = *memory};
  if (const Result<TimelinePoint> bound = backend.bind({&op, 1}, {}); !bound) return fail(bound.error());
  close(handle.fd);
  return shared;
}

Result<void> SharedMemory::show() noexcept {
  const Result<Reservation> range = backend_->reserve({.size = size_});
  if (!range) return fail(range.error());
  range_ = *range;
  const BindOp op{.address = range_.address, .size = size_, .physical = memory_};
  const Result<TimelinePoint> bound = backend_->bind({&op, 1}, {});
  return bound ? Result<void>{} : Result<void>(fail(bound.error()));
}

Result<ExternalHandle> SharedMemory::export_handle() noexcept {
  return backend_->export_physical(memory_);
}

void SharedMemory::destroy() noexcept {
  if (range_.size != Bytes{}) {
    const BindOp op{.address = range_.address, .size = size_};
    // Where it was never bound there is nothing to undo.
    if (memory_) (void)insist([&] { return backend_->bind({&op, 1}, {}); });
    (void)insist([&] { return backend_->release(range_); });
  }
  if (memory_) (void)insist([&] { return backend_->destroy_physical({&memory_, 1}); });
  range_ = {};
  memory_ = {};
}

}  // namespace vaspace::cuda
