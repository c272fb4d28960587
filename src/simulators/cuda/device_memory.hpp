// How much memory a device has, who holds it, and which file ranges it is.
//
// used + free + taken = total, always. A physical allocation is whole pages in as few file ranges as there
// are; like a GPU's, it need not be contiguous, so that fragmentation never refuses one. Not synchronised.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "memory_file.hpp"

namespace vasim::cuda {

class DeviceMemory;

// Part of the name of a file that is shared with other processes.
inline constexpr std::string_view kSharedName = "vasim-cuda-shared-";

struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// Physical memory; it goes back to its device when nobody holds it any more.
class Physical {
 public:
  Physical(std::shared_ptr<MemoryFile> file, std::vector<Extent> extents, std::uint64_t size,
           DeviceMemory* owner, int device, bool own_file)
      : file_(std::move(file)),
        extents_(std::move(extents)),
        size_(size),
        owner_(owner),
        device_(device),
        own_file_(own_file) {}
  Physical(const Physical&) = delete;
  Physical& operator=(const Physical&) = delete;
  ~Physical();

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] int device() const { return device_; }
  [[nodiscard]] const MemoryFile& file() const { return *file_; }
  [[nodiscard]] const std::vector<Extent>& extents() const { return extents_; }
  // A file of its own, which another process can open.
  [[nodiscard]] bool shareable() const { return own_file_; }

 private:
  std::shared_ptr<MemoryFile> file_;
  std::vector<Extent> extents_;
  std::uint64_t size_;
  DeviceMemory* owner_;  // null: memory of another process
  int device_;
  bool own_file_;
};

class DeviceMemory {
 public:
  DeviceMemory(int device, std::uint64_t total);

  // False where the system refuses the file.
  [[nodiscard]] bool good() const { return file_ != nullptr; }
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] std::uint64_t free() const { return used_ + taken_ >= total_ ? 0 : total_ - used_ - taken_; }

  // What other processes hold. It may exceed what is free: then nothing is.
  void take(std::uint64_t bytes) { taken_ = bytes; }

  // `size` in whole pages. Null where less is free.
  [[nodiscard]] std::shared_ptr<Physical> allocate(std::uint64_t size, bool shareable);

 private:
  friend class Physical;
  void give_back(const Physical& physical);

  int device_;
  std::uint64_t total_;
  std::uint64_t used_ = 0;
  std::uint64_t taken_ = 0;
  std::shared_ptr<MemoryFile> file_;
  std::map<std::uint64_t, std::uint64_t> holes_;  // file offset -> size; never two side by side
};

// Memory of another process by its descriptor, which stays the caller's. The file of a shareable allocation
// is named for what it is, so that an importer can tell; null where it is none.
[[nodiscard]] std::shared_ptr<Physical> import_physical(int fd);

}  // namespace vasim::cuda
