#include "device_memory.hpp"

#include <algorithm>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "text.hpp"

namespace vasim::cuda {
namespace {

constexpr std::string_view kLinkHead = "/memfd:";

}  // namespace

Physical::~Physical() {
  if (owner_ != nullptr) owner_->give_back(*this);
}

DeviceMemory::DeviceMemory(int device, std::uint64_t total)
    : device_(device),
      total_(total),
      file_(MemoryFile::create("vasim-cuda-device-" + std::to_string(device), total)),
      holes_{{0, total}} {}

std::shared_ptr<Physical> DeviceMemory::allocate(std::uint64_t size, bool shareable) {
  if (size > free()) return nullptr;
  if (shareable) {
    auto file = MemoryFile::create(std::string(kSharedName) + std::to_string(device_), size);
    if (file == nullptr) return nullptr;
    auto physical = std::make_shared<Physical>(std::move(file), std::vector<Extent>{{0, size}}, size, this,
                                               device_, true);
    used_ += size;
    return physical;
  }
  // Holes sum up to at least what is free: shareable memory is counted, but lies elsewhere.
  std::vector<Extent> extents;
  auto hole = holes_.begin();
  for (std::uint64_t missing = size; missing != 0; ++hole) {
    extents.push_back({hole->first, std::min(missing, hole->second)});
    missing -= extents.back().size;
  }
  auto physical = std::make_shared<Physical>(file_, extents, size, this, device_, false);
  used_ += size;
  for (const Extent& extent : extents) {
    const auto first = holes_.begin();
    const Extent rest{first->first + extent.size, first->second - extent.size};
    auto node = holes_.extract(first);
    if (rest.size == 0) continue;
    node.key() = rest.offset;
    node.mapped() = rest.size;
    holes_.insert(std::move(node));
  }
  return physical;
}

void DeviceMemory::give_back(const Physical& physical) {
  used_ -= physical.size();
  if (physical.shareable()) return;
  for (const Extent& extent : physical.extents()) {
    file_->discard(extent.offset, extent.size);
    auto at = holes_.emplace(extent.offset, extent.size).first;
    const auto next = std::next(at);
    if (next != holes_.end() && at->first + at->second == next->first) {
      at->second += next->second;
      holes_.erase(next);
    }
    if (at == holes_.begin()) continue;
    const auto before = std::prev(at);
    if (before->first + before->second != at->first) continue;
    before->second += at->second;
    holes_.erase(at);
  }
}

std::shared_ptr<Physical> import_physical(int fd) {
  char link[128];
  const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), link, sizeof link);
  if (length <= 0) return nullptr;
  std::string_view name(link, static_cast<std::size_t>(length));
  if (!name.starts_with(kLinkHead)) return nullptr;
  name.remove_prefix(kLinkHead.size());
  if (!name.starts_with(kSharedName)) return nullptr;
  name.remove_prefix(kSharedName.size());
  const auto ordinal = parse_number(name.substr(0, name.find(' ')));
  struct stat status {};
  if (!ordinal || fstat(fd, &status) != 0) return nullptr;
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return nullptr;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  auto file = MemoryFile::adopt(own, size);
  if (file == nullptr) return nullptr;
  return std::make_shared<Physical>(std::move(file), std::vector<Extent>{{0, size}}, size, nullptr,
                                    static_cast<int>(*ordinal), true);
}

}  // namespace vasim::cuda
