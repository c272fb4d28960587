#include "memory_file.hpp"

#include <fcntl.h>
#include <iterator>
#include <map>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace vasim::cuda {
namespace {

void* at_address(std::uint64_t address) {
  return reinterpret_cast<void*>(address);
}

constexpr int kReserveFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

// The range that all pieces are cut from; free stretches by their begin, none touching another.
class Addresses {
 public:
  Addresses() {
    // As much as there is: a sanitizer leaves less.
    for (std::uint64_t size = kMost; size >= kLeast && free_.empty(); size /= 2) {
      void* const at = mmap(nullptr, size, PROT_NONE, kReserveFlags, -1, 0);
      if (at == MAP_FAILED) continue;
      const auto begin = reinterpret_cast<std::uint64_t>(at);
      const std::uint64_t aligned = (begin + kAligned - 1) / kAligned * kAligned;
      free_.emplace(aligned, begin + size - aligned);
    }
  }

  // 0: there is none. `hint` 0 means anywhere.
  [[nodiscard]] std::uint64_t take(std::uint64_t size, std::uint64_t alignment, std::uint64_t hint) {
    const std::lock_guard lock(mutex_);
    if (hint != 0 && hint % alignment == 0) {
      auto at = free_.upper_bound(hint);
      if (at != free_.begin() && fits(*--at, hint, size)) return cut(at, hint, size);
    }
    for (auto at = free_.begin(); at != free_.end(); ++at) {
      const std::uint64_t begin = (at->first + alignment - 1) / alignment * alignment;
      if (fits(*at, begin, size)) return cut(at, begin, size);
    }
    return 0;
  }
  void give(std::uint64_t begin, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    auto next = free_.lower_bound(begin);
    if (next != free_.end() && next->first == begin + size) {
      size += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == begin) {
        before->second += size;
        return;
      }
    }
    free_.emplace(begin, size);
  }

 private:
  using Free = std::map<std::uint64_t, std::uint64_t>;
  static constexpr std::uint64_t kMost = 1ULL << 40U;
  static constexpr std::uint64_t kLeast = 1ULL << 34U;
  static constexpr std::uint64_t kAligned = 1ULL << 30U;  // so that places are the same wherever it begins

  static bool fits(const Free::value_type& stretch, std::uint64_t begin, std::uint64_t size) {
    const std::uint64_t skip = begin - stretch.first;
    return begin >= stretch.first && skip <= stretch.second && size <= stretch.second - skip;
  }
  std::uint64_t cut(Free::iterator at, std::uint64_t begin, std::uint64_t size) {
    const auto [from, length] = *at;
    free_.erase(at);
    if (from != begin) free_.emplace(from, begin - from);
    if (from + length != begin + size) free_.emplace(begin + size, from + length - (begin + size));
    return begin;
  }

  std::mutex mutex_;
  Free free_;
};

// Pieces of it are alive until the process ends.
Addresses& addresses() {
  static Addresses* const all = new Addresses;
  return *all;
}

}  // namespace

std::uint64_t host_page() {
  static const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return page;
}

std::shared_ptr<MemoryFile> MemoryFile::create(const std::string& name, std::uint64_t size) {
  const int fd = memfd_create(name.c_str(), MFD_CLOEXEC);
  if (fd < 0) return nullptr;
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) {
    close(fd);
    return nullptr;
  }
  return adopt(fd, size);
}

std::shared_ptr<MemoryFile> MemoryFile::adopt(int fd, std::uint64_t size) {
  void* view = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (view == MAP_FAILED) {
    close(fd);
    return nullptr;
  }
  return std::shared_ptr<MemoryFile>(new MemoryFile(fd, static_cast<char*>(view), size));
}

MemoryFile::~MemoryFile() {
  munmap(view_, size_);
  close(fd_);
}

void MemoryFile::discard(std::uint64_t offset, std::uint64_t size) const {
  // Where the hole is refused the pages merely stay; the next owner of the range finds old contents, as on a
  // GPU.
  (void)fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(size));
}

AddressRange::AddressRange(AddressRange&& other) noexcept
    : begin_(std::exchange(other.begin_, 0)), size_(std::exchange(other.size_, 0)) {}

AddressRange& AddressRange::operator=(AddressRange&& other) noexcept {
  std::swap(begin_, other.begin_);
  std::swap(size_, other.size_);
  return *this;
}

AddressRange::~AddressRange() {
  if (size_ == 0) return;
  hide(begin_, size_);
  addresses().give(begin_, size_);
}

AddressRange AddressRange::reserve(std::uint64_t size, std::uint64_t alignment, std::uint64_t hint) {
  const std::uint64_t at = addresses().take(size, alignment, hint);
  return at == 0 ? AddressRange() : AddressRange(at, size);
}

bool AddressRange::show(std::uint64_t at, std::uint64_t size, const MemoryFile& file,
                        std::uint64_t offset) const {
  return mmap(at_address(at), size, PROT_NONE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file.fd(),
              static_cast<off_t>(offset)) != MAP_FAILED;
}

bool AddressRange::allow(std::uint64_t at, std::uint64_t size, bool read, bool write) const {
  return mprotect(at_address(at), size, (read ? PROT_READ : PROT_NONE) | (write ? PROT_WRITE : PROT_NONE)) ==
         0;
}

void AddressRange::hide(std::uint64_t at, std::uint64_t size) const {
  // A refusal (too many mappings in this process) would leave pages visible that the device no longer has:
  // that is harmless, for the file keeps them alive.
  (void)mmap(at_address(at), size, PROT_NONE, kReserveFlags | MAP_FIXED, -1, 0);
}

}  // namespace vasim::cuda
