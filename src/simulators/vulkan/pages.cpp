#include "pages.hpp"

#include <deque>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace vasim {
namespace {

std::size_t whole_pages(std::size_t size) {
  return (size + page_size() - 1) / page_size() * page_size();
}

std::byte* mapped(std::size_t size, int protection, int flags, int file) {
  void* const data = mmap(nullptr, size, protection, flags | MAP_NORESERVE, file, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(data);
}

int protection_of(bool accessible) {
  return accessible ? PROT_READ | PROT_WRITE : PROT_NONE;
}

// Ranges that were host views: kept inaccessible, so that a stale pointer does not meet somebody else's
// memory.
class Graveyard {
 public:
  void bury(std::byte* data, std::size_t size) {
    const std::lock_guard lock(mutex_);
    ranges_.emplace_back(data, size);
    if (ranges_.size() <= kRanges) return;
    munmap(ranges_.front().first, ranges_.front().second);
    ranges_.pop_front();
  }

 private:
  static constexpr std::size_t kRanges = 256;

  std::mutex mutex_;
  std::deque<std::pair<std::byte*, std::size_t>> ranges_;
};

Graveyard& graveyard() {
  static Graveyard* const only = new Graveyard;
  return *only;
}

}  // namespace

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

File::File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

File::~File() {
  close();
}

void File::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

File File::memory(std::size_t size) {
  File file(memfd_create("vasim memory", MFD_CLOEXEC));
  if (!file || ftruncate(file.descriptor(), static_cast<off_t>(whole_pages(size))) != 0)
    throw std::bad_alloc();
  return file;
}

Pages::Pages(Pages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_), owned_(other.owned_) {}

Pages& Pages::operator=(Pages&& other) noexcept {
  if (this == &other) return *this;
  release();
  data_ = std::exchange(other.data_, nullptr);
  size_ = other.size_;
  owned_ = other.owned_;
  return *this;
}

Pages::~Pages() {
  release();
}

void Pages::release() {
  if (data_ != nullptr && owned_) munmap(data_, size_);
  data_ = nullptr;
}

Pages Pages::of_file(const File& file, std::size_t size, bool accessible) {
  Pages pages;
  pages.size_ = whole_pages(size);
  pages.data_ = mapped(pages.size_, protection_of(accessible), MAP_SHARED, file.descriptor());
  return pages;
}

Pages Pages::anonymous(std::size_t size, bool accessible) {
  Pages pages;
  pages.size_ = whole_pages(size);
  pages.data_ = mapped(pages.size_, protection_of(accessible), MAP_PRIVATE | MAP_ANONYMOUS, -1);
  return pages;
}

Pages Pages::borrowed(void* data, std::size_t size) {
  Pages pages;
  pages.data_ = static_cast<std::byte*>(data);
  pages.size_ = size;
  pages.owned_ = false;
  return pages;
}

void Pages::allow(std::size_t offset, std::size_t size) const {
  if (!owned_) return;
  const std::size_t begin = offset / page_size() * page_size();
  mprotect(data_ + begin, whole_pages(offset + size) - begin, PROT_READ | PROT_WRITE);
}

void Pages::forbid() const {
  if (owned_) mprotect(data_, size_, PROT_NONE);
}

void Pages::retire() {
  if (data_ == nullptr || !owned_) return;
  void* const kept =
      mmap(data_, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (kept != MAP_FAILED) graveyard().bury(std::exchange(data_, nullptr), size_);
}

}  // namespace vasim
