// What the operating system says about the CPU backend, read by the test and not through the library.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "vaspace/device/backend.hpp"

namespace vaspace::test {

// Descriptors of the heap files of this process, by their heap's number in two digits.
[[nodiscard]] inline std::multimap<std::string, int> heap_files() {
  std::multimap<std::string, int> found;
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) std::abort();
  while (const dirent* entry = readdir(directory)) {
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    char target[256] = {};
    if (readlink(path.c_str(), target, sizeof(target) - 1) < 0) continue;
    const std::string name = target;
    if (name.rfind("/memfd:vaspace-heap-", 0) != 0) continue;
    found.emplace(name.substr(20, 2), std::atoi(entry->d_name));
  }
  closedir(directory);
  return found;
}

// Memory behind all heap files of this process, from st_blocks.
[[nodiscard]] inline Bytes physical_in_heap_files() {
  Bytes sum{};
  for (const auto& [heap, descriptor] : heap_files()) {
    struct stat status {};
    if (fstat(descriptor, &status) != 0) std::abort();
    sum += Bytes{static_cast<std::uint64_t>(status.st_blocks) * 512};
  }
  return sum;
}

// Puts another file under the descriptor of a heap's, so that the kernel refuses what the backend asks of it:
// of /dev/null, neither memory nor mappings are to be had.
class BrokenHeap {
 public:
  // `heap` as it is named in heap_files(); the only backend of this process has it.
  explicit BrokenHeap(const std::string& heap, const char* by = "/dev/null", int flags = O_RDWR) {
    const int other = ::open(by, flags, 0600);
    descriptor_ = heap_files().find(heap)->second;
    kept_ = dup(descriptor_);
    usable_ = other >= 0 && dup2(other, descriptor_) == descriptor_;
    if (other >= 0) close(other);
  }
  BrokenHeap(const BrokenHeap&) = delete;
  BrokenHeap& operator=(const BrokenHeap&) = delete;
  ~BrokenHeap() {
    dup2(kept_, descriptor_);
    close(kept_);
  }
  // False where `by` could not be opened.
  [[nodiscard]] bool usable() const { return usable_; }

 private:
  int descriptor_ = -1;
  int kept_ = -1;
  bool usable_ = false;
};

// A line of /proc/self/maps.
struct KernelMapping {
  Address begin{};
  Address end{};
  std::string permissions;  // as there: "rw-s"
};

// Calls `visit` with those that lie in [begin, end), at least in part. Keeps none of them.
template <class Visit>
void each_kernel_mapping(Address begin, Address end, const Visit& visit) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    char* rest = nullptr;
    const Address first{std::strtoull(line.c_str(), &rest, 16)};
    const Address last{std::strtoull(rest + 1, &rest, 16)};
    if (first < end && last > begin) visit(KernelMapping{first, last, std::string(rest + 1, 4)});
  }
}

[[nodiscard]] inline std::vector<KernelMapping> kernel_maps(Address begin, Address end) {
  std::vector<KernelMapping> found;
  each_kernel_mapping(begin, end, [&](const KernelMapping& mapping) { found.push_back(mapping); });
  return found;
}

[[nodiscard]] inline std::size_t kernel_mappings(const Reservation& within) {
  std::size_t count = 0;
  each_kernel_mapping(within.address, within.end(), [&](const KernelMapping&) { ++count; });
  return count;
}

}  // namespace vaspace::test
