#include "vaspace/arena/size_class.hpp"

#include <algorithm>
#include <bit>

namespace vaspace {

Result<void> validate_size_classes(std::span<const SizeClass> classes) noexcept {
  if (classes.empty() || classes.size() > kMaxSizeClasses) return fail(ErrorCode::invalid_configuration);
  Bytes below{};
  for (const SizeClass& c : classes) {
    const bool unlimited = c.max_size == kMaxBytes;
    const bool bad_slab = c.strategy == Strategy::slab && (c.max_size > 64_KiB || c.reservation == Bytes{});
    const bool too_small = !unlimited && c.reservation != Bytes{} && c.reservation < c.max_size;
    // Windows are powers of two, and 2^48 bytes of one class are more than any device has.
    const bool too_large = c.reservation > Bytes{std::uint64_t{1} << 48U};
    if (c.max_size <= below || bad_slab || too_small || too_large) {
      return fail(ErrorCode::invalid_configuration);
    }
    below = c.max_size;
  }
  // A slot of 64 KiB has no room to remember that all but one byte of it was not asked for.
  if (classes[0].strategy == Strategy::slab && classes[0].max_size == 64_KiB) {
    return fail(ErrorCode::invalid_configuration);
  }
  return {};
}

SizeClassIndex::SizeClassIndex(std::span<const SizeClass> classes) noexcept {
  max_.fill(kMaxBytes.value);
  alignment_.fill(kMaxBytes.value);
  for (std::size_t k = 0; k < classes.size(); ++k) {
    max_[k] = classes[k].max_size.value;
    if (classes[k].strategy == Strategy::slab) {
      alignment_[k] = std::uint64_t{1} << std::countr_zero(classes[k].max_size.value);
    }
  }
  // Behind the last class everything is too large.
  for (std::size_t k = classes.size(); k <= kMaxSizeClasses; ++k)
    max_[k] = kMaxBytes.value;
  for (unsigned width = 0; width <= 64; ++width) {
    const std::uint64_t smallest = width == 0 ? 1 : (std::uint64_t{1} << (width - 1)) + 1;
    std::size_t k = 0;
    while (k < classes.size() && max_[k] < smallest)
      ++k;
    first_[width] = static_cast<std::uint8_t>(k);
  }
}

std::uint32_t SizeClassIndex::choose_object(std::uint32_t k) const noexcept {
  while (k < kMaxSizeClasses && alignment_[k] != kMaxBytes.value)
    ++k;
  return k;
}

}  // namespace vaspace
