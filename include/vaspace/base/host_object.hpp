// One object in host memory, owned; the nothrow std::unique_ptr over a HostAllocator.
#pragma once

#include <memory>
#include <new>
#include <utility>

#include "vaspace/base/host_allocator.hpp"

namespace vaspace {

template <class T>
struct HostDelete {
  HostAllocator host{};
  void operator()(T* object) const noexcept {
    object->~T();
    host.deallocate(host.user, object, sizeof(T), alignof(T));
  }
};

template <class T>
using HostObject = std::unique_ptr<T, HostDelete<T>>;

// Null when the host allocator refuses; T's constructor must not throw.
template <class T, class... Args>
[[nodiscard]] HostObject<T> make_host_object(const HostAllocator& host, Args&&... args) noexcept {
  void* memory = host.allocate(host.user, sizeof(T), alignof(T));
  if (memory == nullptr) return HostObject<T>(nullptr, HostDelete<T>{host});
  return HostObject<T>(::new (memory) T(std::forward<Args>(args)...), HostDelete<T>{host});
}

}  // namespace vaspace
