#include "kernel.hpp"

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace vaspace::cpu {
namespace {

static_assert(sizeof(void*) == 8 && sizeof(off_t) == 8, "addresses and file offsets are 64-bit");

constexpr int kReserveFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

int protection(Access access) noexcept {
  switch (access) {
    case Access::none:
      return PROT_NONE;
    case Access::read:
      return PROT_READ;
    case Access::read_write:
      return PROT_READ | PROT_WRITE;
  }
  return PROT_NONE;
}

Result<Address> map_anywhere(Bytes size, Address hint) noexcept {
  void* at = ::mmap(pointer(hint), size.value, PROT_NONE, kReserveFlags, -1, 0);
  if (at == MAP_FAILED) return fail(ErrorCode::out_of_address_space, errno);
  return Address{reinterpret_cast<std::uintptr_t>(at)};
}

// |--head--|--size, aligned--|--tail--|  ->  |--size, aligned--|
Result<Address> trim(Address begin, Bytes held, Bytes size, Alignment alignment) noexcept {
  const Address aligned = align_up(begin, alignment);
  const Bytes head = aligned - begin;
  const Bytes tail = held - head - size;
  int refusal = head.value == 0 ? 0 : release_addresses(begin, head);
  const Address left = refusal == 0 ? aligned : begin;
  if (refusal == 0 && tail.value != 0) refusal = release_addresses(aligned + size, tail);
  if (refusal == 0) return aligned;
  (void)release_addresses(left, begin + held - left);
  return fail(ErrorCode::out_of_address_space, refusal);
}

struct Mapping {
  int protection = PROT_NONE;
  int flags = 0;
  int file = -1;
  off_t offset = 0;
};

int map_at(Address address, Bytes size, const Mapping& what, Insist insist) noexcept {
  void* wanted = pointer(address);
  const auto map = [&](int placement) noexcept {
    return ::mmap(wanted, size.value, what.protection, what.flags | placement, what.file, what.offset);
  };
  if (map(MAP_FIXED) == wanted) return 0;
  if (errno != ENOMEM || insist == Insist::no) return errno;
  const int refusal = release_addresses(address, size);
  if (refusal != 0) return refusal;
  void* at = map(MAP_FIXED_NOREPLACE);
  if (at == wanted) return 0;
  if (at == MAP_FAILED) return errno;
  (void)::munmap(at, size.value);  // kernels before 4.17 take the flag for a hint
  return EEXIST;
}

}  // namespace

Result<Address> reserve_addresses(Bytes size, Alignment alignment, Address hint) noexcept {
  const Result<Address> first = map_anywhere(size, hint);
  if (!first || is_aligned(*first, alignment)) return first;
  (void)release_addresses(*first, size);
  const auto roomy = checked_add(size, Bytes{alignment.value} - host_page());
  if (!roomy) return fail(ErrorCode::out_of_address_space);
  const Result<Address> larger = map_anywhere(*roomy, Address{});
  return larger ? trim(*larger, *roomy, size, alignment) : larger;
}

int release_addresses(Address address, Bytes size) noexcept {
  return ::munmap(pointer(address), size.value) == 0 ? 0 : errno;
}

int map_file(Address address, Bytes size, int file, std::uint64_t offset, Access access,
             Insist insist) noexcept {
  return map_at(address, size, {protection(access), MAP_SHARED, file, static_cast<off_t>(offset)}, insist);
}

int map_nothing(Address address, Bytes size, Insist insist) noexcept {
  return map_at(address, size, {PROT_NONE, kReserveFlags, -1, 0}, insist);
}

int map_zeros(Address address, Bytes size, Insist insist) noexcept {
  return map_at(address, size, {PROT_READ, kReserveFlags, -1, 0}, insist);
}

int protect(Address address, Bytes size, Access access) noexcept {
  return ::mprotect(pointer(address), size.value, protection(access)) == 0 ? 0 : errno;
}

Error mapping_error(int refusal) noexcept {
  return {refusal == ENOMEM ? ErrorCode::out_of_mappings : ErrorCode::driver_error, refusal};
}

Bytes host_page() noexcept {
  return Bytes{static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
}

std::uint64_t host_max_mappings() noexcept {
  constexpr std::uint64_t kKernelDefault = 65530;
  const int file = ::open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  if (file < 0) return kKernelDefault;
  char text[32] = {};
  const ssize_t length = ::read(file, text, sizeof(text) - 1);
  ::close(file);
  const std::uint64_t limit = length > 0 ? std::strtoull(text, nullptr, 10) : 0;
  return limit != 0 ? limit : kKernelDefault;
}

std::uint64_t now_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

void sleep_until_ns(std::uint64_t moment) noexcept {
  timespec until{};
  until.tv_sec = static_cast<time_t>(moment / kNsPerSecond);
  until.tv_nsec = static_cast<long>(moment % kNsPerSecond);
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

}  // namespace vaspace::cpu
