#include "memory.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <unistd.h>

#include "driver.hpp"

namespace vasim {

void Memory::open_views() {
  device_ = Pages::of_file(file_, info.size, true);
  if (host_visible() && coherent()) host_ = Pages::of_file(file_, info.size, false);
  if (host_visible() && !coherent()) {
    host_ = Pages::anonymous(info.size, false);
    clean_ = Pages::anonymous(info.size, true);
  }
  // Many allocations must not end at the process's limit of descriptors.
  if (!info.exportable) file_.close();
  driver().memory_bytes += info.size;
}

void Memory::open_new() {
  file_ = File::memory(info.size);
  open_views();
}

void Memory::open_file(int file) {
  file_ = File(file);
  info.exportable = true;
  open_views();
}

void Memory::open_host(void* pages) {
  device_ = Pages::borrowed(pages, info.size);
  host_ = Pages::borrowed(pages, info.size);
  driver().memory_bytes += info.size;
}

void* Memory::map(VkDeviceSize offset, VkDeviceSize size) {
  mapped_begin_ = offset;
  mapped_end_ = offset + size;
  host_.allow(offset, size);
  return host_.data() + offset;
}

void Memory::unmap() {
  // A copy of the host's own must stay readable for a flush of another map: only the protection changes.
  host_.forbid();
  mapped_begin_ = mapped_end_ = 0;
}

VkDeviceSize Memory::flush(VkDeviceSize offset, VkDeviceSize size) {
  if (!clean_) return 0;
  VkDeviceSize lost = 0;
  const VkDeviceSize end = std::min(offset + size, info.size);
  for (VkDeviceSize at = offset; at < end; at += info.atom) {
    const std::size_t bytes = std::min(info.atom, end - at);
    std::byte* const host = host_.data() + at;
    if (std::memcmp(host, clean_.data() + at, bytes) == 0) continue;  // not dirty: caches write nothing back
    lost += unseen_.covered(at, at + bytes);
    std::memcpy(device_.data() + at, host, bytes);
    std::memcpy(clean_.data() + at, host, bytes);
    unseen_.remove(at, at + bytes);
  }
  return lost;
}

void Memory::invalidate(VkDeviceSize offset, VkDeviceSize size) {
  if (!clean_) return;
  const VkDeviceSize end = std::min(offset + size, info.size);
  if (offset >= end) return;
  std::memcpy(host_.data() + offset, device_.data() + offset, end - offset);
  std::memcpy(clean_.data() + offset, device_.data() + offset, end - offset);
  unseen_.remove(offset, end);
}

void Memory::written(VkDeviceSize offset, VkDeviceSize size) {
  if (clean_) unseen_.add(offset, offset + size);
}

void Memory::close() {
  if (!device_) return;
  host_.retire();
  host_ = Pages();
  clean_ = Pages();
  device_ = Pages();
  file_.close();
  driver().memory_bytes -= info.size;
}

}  // namespace vasim
