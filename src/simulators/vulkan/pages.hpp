// Files of memory and mappings of them, owned.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vasim {

std::size_t page_size();

// A file descriptor.
class File {
 public:
  File() = default;
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  // A new memfd; bad_alloc where there is none.
  static File memory(std::size_t size);

  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] explicit operator bool() const { return descriptor_ >= 0; }
  void close();

 private:
  int descriptor_ = -1;
};

// A range of addresses with pages behind it.
class Pages {
 public:
  Pages() = default;
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;
  ~Pages();

  // bad_alloc where the system refuses.
  static Pages of_file(const File& file, std::size_t size, bool accessible);
  static Pages anonymous(std::size_t size, bool accessible);
  static Pages borrowed(void* data, std::size_t size);  // the caller's; never unmapped

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] explicit operator bool() const { return data_ != nullptr; }

  // Whole pages that the range touches.
  void allow(std::size_t offset, std::size_t size) const;
  void forbid() const;

  // Gives the pages back and keeps the addresses inaccessible until many others were retired after them.
  void retire();

 private:
  void release();

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;  // rounded up to pages
  bool owned_ = true;
};

}  // namespace vasim
