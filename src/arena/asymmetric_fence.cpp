#include "arena/asymmetric_fence.hpp"

#ifdef __linux__
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace vaspace {

namespace {

#ifdef __linux__
bool membarrier(int command) noexcept {
  return syscall(__NR_membarrier, command, 0U, 0) == 0;
}
bool register_process() noexcept {
  return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}
void interrupt_threads() noexcept {
  while (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
    if (errno == ENOMEM || errno == EAGAIN || errno == EINTR) continue;
    // Taken away since it was registered, by a filter of system calls say: nothing would be safe without it.
    std::fputs("vaspace: membarrier is refused after it was granted\n", stderr);
    std::abort();
  }
}
#else
bool register_process() noexcept {
  return false;
}
void interrupt_threads() noexcept {}
#endif

}  // namespace

AsymmetricFence::AsymmetricFence() noexcept : light_is_free_(register_process()) {}

void AsymmetricFence::heavy() const noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (light_is_free_) interrupt_threads();
}

}  // namespace vaspace
