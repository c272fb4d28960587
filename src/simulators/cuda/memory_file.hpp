// Device memory is the pages of a memfd. This process sees them twice: through `view()`, which only the
// simulator uses, and, where a profile is unified, at device addresses.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace vasim::cuda {

[[nodiscard]] std::uint64_t host_page();

// A sparse file with its view. Pages are taken when first written and given back by `discard`.
class MemoryFile {
 public:
  // Null where the system refuses.
  [[nodiscard]] static std::shared_ptr<MemoryFile> create(const std::string& name, std::uint64_t size);
  // Takes `fd` over, also where it fails.
  [[nodiscard]] static std::shared_ptr<MemoryFile> adopt(int fd, std::uint64_t size);

  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile();

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] char* view() const { return view_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  void discard(std::uint64_t offset, std::uint64_t size) const;

 private:
  MemoryFile(int fd, char* view, std::uint64_t size) : fd_(fd), view_(view), size_(size) {}

  int fd_;
  char* view_;
  std::uint64_t size_;
};

// Address space of this process that nobody can touch: a device address is no host address. As a driver does,
// the simulator has one large range of its own and cuts pieces from it, each at the lowest place where it
// fits: where they lie beside each other does not depend on what else the process has mapped.
class AddressRange {
 public:
  AddressRange() = default;
  AddressRange(AddressRange&& other) noexcept;
  AddressRange& operator=(AddressRange&& other) noexcept;
  ~AddressRange();

  // Empty where the system refuses. `hint` 0 means anywhere; it is taken only if it is free and aligned.
  [[nodiscard]] static AddressRange reserve(std::uint64_t size, std::uint64_t alignment, std::uint64_t hint);

  [[nodiscard]] std::uint64_t begin() const { return begin_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

  // Unified profiles: the pages of a file appear, first without access; and disappear.
  [[nodiscard]] bool show(std::uint64_t at, std::uint64_t size, const MemoryFile& file,
                          std::uint64_t offset) const;
  [[nodiscard]] bool allow(std::uint64_t at, std::uint64_t size, bool read, bool write) const;
  void hide(std::uint64_t at, std::uint64_t size) const;

 private:
  AddressRange(std::uint64_t begin, std::uint64_t size) : begin_(begin), size_(size) {}

  std::uint64_t begin_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace vasim::cuda
