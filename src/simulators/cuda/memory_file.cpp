#include "memory_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace vasim::cuda {
namespace {

void* at_address(std::uint64_t address) {
  return reinterpret_cast<void*>(address);
}

constexpr int kReserveFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

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
  if (size_ != 0) munmap(at_address(begin_), size_);
}

AddressRange AddressRange::reserve(std::uint64_t size, std::uint64_t alignment, std::uint64_t hint) {
  if (hint != 0 && hint % alignment == 0) {
    void* at = mmap(at_address(hint), size, PROT_NONE, kReserveFlags | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == at_address(hint)) return {hint, size};
    if (at != MAP_FAILED) munmap(at, size);  // a kernel that does not know MAP_FIXED_NOREPLACE
  }
  const std::uint64_t padded = size + alignment - host_page();
  if (padded < size) return {};
  void* const begin = mmap(nullptr, padded, PROT_NONE, kReserveFlags, -1, 0);
  if (begin == MAP_FAILED) return {};
  const auto from = reinterpret_cast<std::uint64_t>(begin);
  const std::uint64_t at = (from + alignment - 1) / alignment * alignment;
  if (at != from) munmap(begin, at - from);
  if (from + padded != at + size) munmap(at_address(at + size), from + padded - (at + size));
  return {at, size};
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
