// Where the library's own metadata lives. A caller may bring another allocator; the tests bring one that
// counts and fails at the n-th request.
//
// Always true:
//  - Every byte of metadata comes through a HostAllocator, and allocate may answer nullptr at any request:
//  the
//    operation then fails with out_of_host_memory and its state is as it was (R7).
//  - deallocate gets the size and alignment that allocate got. No free() of an allocator of this library ever
//    calls allocate.
#pragma once

#include <cstddef>

namespace vaspace {

struct HostAllocator {
  void* user = nullptr;
  // Thread-safety: called from whatever threads use the allocator that holds it, from several at once where
  // that is a thread-safe one. Must not call back into it.
  void* (*allocate)(void* user, std::size_t size, std::size_t alignment) noexcept = nullptr;
  void (*deallocate)(void* user, void* memory, std::size_t size, std::size_t alignment) noexcept = nullptr;
};

// operator new(nothrow) and delete.
[[nodiscard]] HostAllocator default_host_allocator() noexcept;

}  // namespace vaspace
