// Device memory: pages of a memfd that the device sees, and the host's view of them.
//
// The host's view is inaccessible unless it is mapped, also for a while after the memory was freed: a write
// through a stale pointer is a protection fault. In memory that is not coherent the host sees a copy of its
// own, which only a flush or an invalidation synchronises, atom by atom, as caches do.
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <vector>
#include <vulkan/vulkan_core.h>

#include "interval_set.hpp"
#include "objects.hpp"
#include "pages.hpp"

namespace vasim {

struct Resource;

struct MemoryInfo {
  VkDeviceSize size = 0;
  std::uint32_t type = 0;
  std::uint32_t heap = 0;
  VkMemoryPropertyFlags properties = 0;
  VkDeviceSize atom = 1;
  bool device_address = false;
  bool exportable = false;
  bool counted = true;             // against its heap
  std::uint64_t dedicated_to = 0;  // a buffer's or an image's handle
};

struct Memory : Object {
  static constexpr VkObjectType kType = VK_OBJECT_TYPE_DEVICE_MEMORY;

  explicit Memory(const MemoryInfo& its_info) : Object(kType), info(its_info) {}

  // Takes the pages: new ones, those of a file that was exported, or the caller's own. bad_alloc where there
  // are none.
  void open_new();
  void open_file(int file);
  void open_host(void* pages);

  [[nodiscard]] std::byte* device_bytes() const { return device_.data(); }
  [[nodiscard]] const File& file() const { return file_; }
  [[nodiscard]] bool coherent() const {
    return (info.properties & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) != 0;
  }
  [[nodiscard]] bool host_visible() const {
    return (info.properties & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
  }

  // The host's side; the ranges were checked.
  void* map(VkDeviceSize offset, VkDeviceSize size);
  void unmap();
  [[nodiscard]] bool mapped() const { return mapped_end_ > mapped_begin_; }
  [[nodiscard]] VkDeviceSize mapped_begin() const { return mapped_begin_; }
  [[nodiscard]] VkDeviceSize mapped_end() const { return mapped_end_; }
  // Bytes that the device had written and that the flush wrote over: a lost update (V13).
  VkDeviceSize flush(VkDeviceSize offset, VkDeviceSize size);
  void invalidate(VkDeviceSize offset, VkDeviceSize size);

  // The device wrote these bytes.
  void written(VkDeviceSize offset, VkDeviceSize size);

  // Lives after vkFreeMemory where a binding still refers to it.
  void close();

  MemoryInfo info;
  std::uint64_t address = 0;         // what shaders would see
  std::vector<Resource*> residents;  // bound as a whole, and not destroyed
  struct Release {
    VkDeviceSize offset, size;
    OperationId operation;
  };
  std::vector<Release> releases;         // ranges that sparse binds took away
  std::set<Resource*> sparse_residents;  // sparse resources that were bound to it, and live
  std::vector<OperationId> binders;      // sparse binds that put it somewhere or took it away

 private:
  void open_views();

  File file_;
  Pages device_;
  Pages host_;   // the same file where it is coherent, else the host's own copy
  Pages clean_;  // the host's copy as it was when it was last synchronised; a byte that differs is dirty
  IntervalSet unseen_;  // written by the device, not invalidated since
  VkDeviceSize mapped_begin_ = 0, mapped_end_ = 0;
};

}  // namespace vasim
