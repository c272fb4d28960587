#include "bench/tlsf.hpp"

#include "failed.hpp"

#ifdef VASPACE_BENCH_TLSF

#include <sys/mman.h>
#include <tlsf.h>

namespace vaspace::tools::bench {

namespace {

// Pages that are there once they are touched.
class LazyMemory {
 public:
  explicit LazyMemory(std::size_t bytes)
      : memory_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                       -1, 0)),
        bytes_(bytes) {
    if (memory_ == MAP_FAILED) throw Failed("no address space for TLSF");
  }
  LazyMemory(const LazyMemory&) = delete;
  LazyMemory& operator=(const LazyMemory&) = delete;
  ~LazyMemory() { ::munmap(memory_, bytes_); }
  [[nodiscard]] std::byte* begin() const { return static_cast<std::byte*>(memory_); }

 private:
  void* memory_;
  std::size_t bytes_;
};

class TlsfSubject {
 public:
  using Handle = void*;

  // A pool holds less than 4 GiB.
  explicit TlsfSubject(const Setup& setup)
      : memory_(setup.heap.value + kControl), tlsf_(tlsf_create(memory_.begin())) {
    for (std::uint64_t at = 0; at < setup.heap.value; at += kPool)
      tlsf_add_pool(tlsf_, memory_.begin() + kControl + at,
                    std::min<std::uint64_t>(kPool, setup.heap.value - at));
  }
  Handle allocate(std::uint32_t size, unsigned alignment_log2) {
    void* memory = tlsf_memalign(tlsf_, std::size_t{1} << alignment_log2, size);
    if (memory == nullptr) [[unlikely]]
      ++refused_;
    return memory;
  }
  void free(Handle memory) { tlsf_free(tlsf_, memory); }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  static constexpr std::uint64_t kControl = 64U << 10U, kPool = 1U << 30U;

  LazyMemory memory_;
  tlsf_t tlsf_;
  std::uint64_t refused_ = 0;
};

}  // namespace

bool have_tlsf() {
  return true;
}

std::unique_ptr<Session> make_tlsf(const Setup& setup) {
  return std::make_unique<SessionOf<TlsfSubject>>(setup);
}

}  // namespace vaspace::tools::bench

#else

namespace vaspace::tools::bench {

bool have_tlsf() {
  return false;
}

std::unique_ptr<Session> make_tlsf(const Setup&) {
  throw Failed("this vaspace was built without TLSF");
}

}  // namespace vaspace::tools::bench

#endif
