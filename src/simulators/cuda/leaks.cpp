#include "leaks.hpp"

#include <dirent.h>
#include <string_view>
#include <unistd.h>

#include "text.hpp"

namespace vasim::cuda {
namespace {

// Descriptors that are open in this process on exported memory, less those of the simulator itself.
std::uint64_t open_exports(const Driver& driver) {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = readdir(folder)) {
    char target[128];
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    const ssize_t length = readlink(path.c_str(), target, sizeof target);
    if (length <= 0) continue;
    if (std::string_view(target, static_cast<std::size_t>(length)).find(kSharedName) !=
        std::string_view::npos)
      ++count;
  }
  closedir(folder);
  std::map<const MemoryFile*, bool> own;
  const auto note = [&](const std::shared_ptr<Physical>& physical) {
    if (physical != nullptr && physical->shareable()) own.emplace(&physical->file(), true);
  };
  for (const auto& [id, handle] : driver.handles)
    note(handle.physical);
  return count > own.size() ? count - own.size() : 0;
}

const char* rule_of(const MemoryHandle& handle) {
  if (handle.imported) return "C11";
  return handle.ever_mapped ? "C10" : "C16";
}

}  // namespace

std::uint64_t report_leaks(Driver& driver) {
  std::uint64_t count = 0;
  const auto left = [&](const char* rule, std::string object, const char* reason) {
    driver.reports.add({rule, std::move(object), reason, CUDA_SUCCESS});
    ++count;
  };
  for (const auto& [id, handle] : driver.handles) {
    if (handle.references != 0) {
      left(rule_of(handle), "handle " + range_text(id, handle.physical->size()),
           "left behind: never released");
    }
  }
  for (const auto& [begin, region] : driver.space.regions()) {
    if (region.kind == RegionKind::mapping)
      left(region.accessed ? "C17" : "C16", region_text(region), "left behind: never unmapped");
  }
  for (const auto& [begin, reservation] : driver.space.reservations())
    left("C17", "reservation " + range_text(begin, reservation.range.size()), "left behind: never freed");
  for (std::uint64_t open = open_exports(driver); open != 0; --open)
    left("C15", "file descriptor", "left behind: exported and never closed");
  return count;
}

}  // namespace vasim::cuda
