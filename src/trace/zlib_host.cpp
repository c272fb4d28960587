#include "zlib_host.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vaspace::trace {

namespace {

// zlib does not say the size when it gives memory back, so it is kept in front.
constexpr std::size_t kFront = alignof(std::max_align_t);
static_assert(kFront >= sizeof(std::size_t));

void* allocate(void* opaque, unsigned items, unsigned size) {
  const HostAllocator& host = *static_cast<HostAllocator*>(opaque);
  const std::size_t bytes = kFront + std::size_t{items} * size;
  auto* memory = static_cast<std::byte*>(host.allocate(host.user, bytes, kFront));
  if (memory == nullptr) return nullptr;
  std::memcpy(memory, &bytes, sizeof bytes);
  return memory + kFront;
}

void deallocate(void* opaque, void* memory) {
  const HostAllocator& host = *static_cast<HostAllocator*>(opaque);
  auto* begin = static_cast<std::byte*>(memory) - kFront;
  std::size_t bytes = 0;
  std::memcpy(&bytes, begin, sizeof bytes);
  host.deallocate(host.user, begin, bytes, kFront);
}

}  // namespace

void use_host_memory(z_stream& stream, HostAllocator& host) noexcept {
  stream.zalloc = &allocate;
  stream.zfree = &deallocate;
  stream.opaque = &host;
}

}  // namespace vaspace::trace
