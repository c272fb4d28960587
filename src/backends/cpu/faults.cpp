#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <unistd.h>
#include <utility>

#include "vaspace/backends/cpu_faults.hpp"

namespace vaspace::cpu {
namespace {

// A process has one set of signal handlers, so this is one set too. A slot is written before `taken` and read
// after it.
struct Slot {
  std::atomic<bool> taken{false};
  FaultNamer namer{};
};
struct Handlers {
  std::mutex mutex;  // of installing
  std::size_t installed = 0;
  std::array<Slot, FaultReporter::kMost> slots{};
  struct sigaction before_segv {};
  struct sigaction before_bus {};
};
Handlers& handlers() noexcept {
  static Handlers all;
  return all;
}

void write_line(const char* text, std::size_t length) noexcept {
  const char lead[] = "vaspace: ";
  (void)!::write(STDERR_FILENO, lead, sizeof(lead) - 1);
  (void)!::write(STDERR_FILENO, text, length);
  (void)!::write(STDERR_FILENO, "\n", 1);
}

// The instruction is tried again under the handlers that were there before.
void on_fault(int, siginfo_t* info, void*) noexcept {
  Handlers& all = handlers();
  const Address address{reinterpret_cast<std::uintptr_t>(info->si_addr)};
  for (const Slot& slot : all.slots) {
    if (!slot.taken.load(std::memory_order_acquire)) continue;
    std::array<char, 256> text{};
    const std::size_t length = slot.namer.name(slot.namer.user, address, text);
    if (length != 0) write_line(text.data(), length);
  }
  (void)::sigaction(SIGSEGV, &all.before_segv, nullptr);
  (void)::sigaction(SIGBUS, &all.before_bus, nullptr);
}

int install_handlers(Handlers& all) noexcept {
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  (void)::sigemptyset(&action.sa_mask);
  if (::sigaction(SIGSEGV, &action, &all.before_segv) != 0) return errno;
  if (::sigaction(SIGBUS, &action, &all.before_bus) == 0) return 0;
  const int refusal = errno;
  (void)::sigaction(SIGSEGV, &all.before_segv, nullptr);
  return refusal;
}

}  // namespace

Result<FaultReporter> FaultReporter::install(const FaultNamer& namer) noexcept {
  Handlers& all = handlers();
  const std::scoped_lock lock(all.mutex);
  for (std::size_t i = 0; i < all.slots.size(); ++i) {
    Slot& slot = all.slots[i];
    if (slot.taken.load(std::memory_order_relaxed)) continue;
    if (all.installed == 0) {
      const int refusal = install_handlers(all);
      if (refusal != 0) return fail(ErrorCode::driver_error, refusal);
    }
    ++all.installed;
    slot.namer = namer;
    slot.taken.store(true, std::memory_order_release);
    return FaultReporter(i);
  }
  return fail(ErrorCode::out_of_space);
}

FaultReporter::FaultReporter(FaultReporter&& other) noexcept : slot_(std::exchange(other.slot_, kNone)) {}

FaultReporter& FaultReporter::operator=(FaultReporter&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

FaultReporter::~FaultReporter() {
  if (slot_ == kNone) return;
  Handlers& all = handlers();
  const std::scoped_lock lock(all.mutex);
  all.slots[slot_].taken.store(false, std::memory_order_release);
  if (--all.installed != 0) return;
  (void)::sigaction(SIGSEGV, &all.before_segv, nullptr);
  (void)::sigaction(SIGBUS, &all.before_bus, nullptr);
}

}  // namespace vaspace::cpu
