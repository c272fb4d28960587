// Other people's allocators, where this machine has them.
//
// mimalloc is loaded at run time with its symbols kept to itself: linked, it would replace malloc for the
// whole command, and the library's own metadata with it.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>

#include "bench/setup.hpp"

namespace vaspace::tools::bench {

// Whether it was found when this was built, and can be loaded now.
[[nodiscard]] bool have_mimalloc();
// "2.0.9", or empty.
[[nodiscard]] std::string mimalloc_version();

// A heap of this process: sizes and alignments are real memory's.
class Mimalloc {
 public:
  using Handle = void*;

  // Throws Failed where there is none.
  explicit Mimalloc(const Setup& setup);
  Handle allocate(std::uint32_t size, unsigned alignment_log2) {
    void* memory = allocate_(size, std::size_t{1} << alignment_log2);
    if (memory == nullptr) [[unlikely]]
      ++refused_;
    return memory;
  }
  void free(Handle memory) { free_(memory); }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  void* (*allocate_)(std::size_t size, std::size_t alignment);
  void (*free_)(void* memory);
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace vaspace::tools::bench
