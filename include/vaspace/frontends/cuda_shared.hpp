// Device memory that processes share, by file descriptor.
//
//   process A   create ─► export_handle ─► fd ──(a socket)──► import   process B
//
// Always true: each side has addresses of its own for the same bytes; the memory lives until the last side
// and the last descriptor are gone (C10, C11). Who writes when is the processes' to order.
#pragma once

#include "vaspace/backends/cuda.hpp"

namespace vaspace::cuda {

// Externally synchronised.
class SharedMemory {
 public:
  // `backend` was made with `exportable`, and outlives this. The size is rounded up to pages. Errors:
  // not_supported (the device cannot export, C14), invalid_size, or what reserving and creating answer.
  [[nodiscard]] static Result<SharedMemory> create(Backend& backend, Bytes size) noexcept;
  // What another process exported; `size` is its size(). The descriptor is closed when this succeeds (C15).
  [[nodiscard]] static Result<SharedMemory> import(Backend& backend, ExternalHandle handle,
                                                   Bytes size) noexcept;

  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  // Nothing on the device uses it through these addresses any more (C13).
  ~SharedMemory() { destroy(); }

  // A new descriptor, the caller's to pass on and to close.
  [[nodiscard]] Result<ExternalHandle> export_handle() noexcept;
  [[nodiscard]] Address address() const noexcept { return range_.address; }
  [[nodiscard]] Bytes size() const noexcept { return size_; }

 private:
  explicit SharedMemory(Backend& backend) noexcept : backend_(&backend) {}
  // Puts the memory behind addresses of its own.
  [[nodiscard]] Result<void> show() noexcept;
  void destroy() noexcept;

  Backend* backend_;
  Bytes size_{};
  Reservation range_{};
  PhysicalId memory_{};
};

}  // namespace vaspace::cuda
