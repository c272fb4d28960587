#include "vaspace/base/host_allocator.hpp"

#include <new>

namespace vaspace {

HostAllocator default_host_allocator() noexcept {
  return {nullptr,
          [](void*, std::size_t size, std::size_t alignment) noexcept -> void* {
            return ::operator new (size, std::align_val_t{alignment}, std::nothrow);
          },
          // Without the size: clang 14 has no sized deallocation unless asked.
          [](void*, void* memory, std::size_t, std::size_t alignment) noexcept {
            ::operator delete (memory, std::align_val_t{alignment});
          }};
}

}  // namespace vaspace
