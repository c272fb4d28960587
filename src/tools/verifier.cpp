#include "verifier.hpp"

#include <fmt/format.h>
#include <span>

#include "pattern.hpp"

namespace vaspace::tools {

namespace {

std::span<std::byte> memory_of(const Allocation& allocation) {
  return {reinterpret_cast<std::byte*>(allocation.address.value), allocation.size.value};
}

}  // namespace

void Verifier::begin(std::uint32_t number, const Allocation& allocation, const AllocationRequest& asked) {
  if (!is_aligned(allocation.address, asked.alignment)) {
    report(fmt::format("allocation {} at {:#x} is not aligned to {}", number, allocation.address.value,
                       asked.alignment.value));
  }
  if (allocation.size != asked.size) {
    report(fmt::format("allocation {} has {} bytes, {} were asked for", number, allocation.size.value,
                       asked.size.value));
  }
  on_begin(number, allocation);
}

void Verifier::report(const std::string& what) {
  if (errors_++ != 0) return;
  const std::lock_guard lock(mutex_);
  first_error_ = what;
}

std::string Verifier::first_error() const {
  const std::lock_guard lock(mutex_);
  return first_error_;
}

void PatternVerifier::on_begin(std::uint32_t number, const Allocation& allocation) {
  fill_pattern(memory_of(allocation), pattern_seed(number));
}

void PatternVerifier::on_end(std::uint32_t number, const Allocation& allocation) {
  const auto damage = find_damage(memory_of(allocation), pattern_seed(number));
  if (!damage) return;
  report(fmt::format("allocation {} at {:#x}: byte {} of {} was overwritten", number,
                     allocation.address.value, *damage, allocation.size.value));
}

void OverlapVerifier::on_begin(std::uint32_t number, const Allocation& allocation) {
  const std::lock_guard lock(mutex_);
  const auto other = live_.insert(allocation.address, allocation.size);
  if (!other) return;
  report(fmt::format("allocation {}, {} bytes at {:#x}, overlaps the one at {:#x}", number,
                     allocation.size.value, allocation.address.value, other->value));
}

void OverlapVerifier::on_end(std::uint32_t number, const Allocation& allocation) {
  const std::lock_guard lock(mutex_);
  if (live_.remove(allocation.address, allocation.size)) return;
  report(fmt::format("allocation {} at {:#x} is not among the live ones", number, allocation.address.value));
}

}  // namespace vaspace::tools
