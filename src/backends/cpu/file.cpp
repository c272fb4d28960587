#include "file.hpp"

#include <bit>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vaspace::cpu {
namespace {

int call_fallocate(int file, int mode, std::uint64_t offset, Bytes size) noexcept {
  for (;;) {
    if (::fallocate(file, mode, static_cast<off_t>(offset), static_cast<off_t>(size.value)) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

}  // namespace

HeapFile::~HeapFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> HeapFile::open(std::uint32_t heap) noexcept {
  char name[] = "vaspace-heap-00";
  name[sizeof(name) - 3] = static_cast<char>('0' + heap / 10);
  name[sizeof(name) - 2] = static_cast<char>('0' + heap % 10);
  descriptor_ = ::memfd_create(name, MFD_CLOEXEC);
  if (descriptor_ < 0) return fail(ErrorCode::io_error, errno);
  if (::ftruncate(descriptor_, static_cast<off_t>(kFileSize.value)) != 0)
    return fail(ErrorCode::io_error, errno);
  if (!offsets_.open(0, kFileSize.value)) return fail(ErrorCode::out_of_host_memory);
  return {};
}

bool HeapFile::take_home(Address near, Bytes size, std::size_t pieces) noexcept {
  return has_home(near, size) && offsets_.take_at(near.value, size, pieces);
}

std::uint64_t HeapFile::take_elsewhere(Bytes size, std::size_t pieces) noexcept {
  constexpr Bytes kLargestUseful = 2_MiB;  // where the kernel can use huge pages
  const Bytes natural{std::bit_floor(size.value)};
  const Alignment alignment{natural < kLargestUseful ? natural : kLargestUseful};
  const auto offset = offsets_.take_lowest(size, alignment, kElsewhere, pieces);
  assert(offset.has_value());  // kMaxHeapSize
  return *offset;
}

int HeapFile::take_memory(std::uint64_t offset, Bytes size) noexcept {
  const int refusal = call_fallocate(descriptor_, 0, offset, size);
  // Older kernels keep what they got before they ran out.
  if (refusal != 0) (void)give_memory(offset, size);
  return refusal;
}

int HeapFile::give_memory(std::uint64_t offset, Bytes size) noexcept {
  return call_fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
}

Result<Bytes> HeapFile::measured() const noexcept {
  constexpr std::uint64_t kBlock = 512;  // st_blocks counts in this, whatever st_blksize says
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) return fail(ErrorCode::io_error, errno);
  return Bytes{static_cast<std::uint64_t>(status.st_blocks) * kBlock};
}

}  // namespace vaspace::cpu
