// Why does an allocation fail? Every answer is an allocation that is made and freed again.
#include <algorithm>

#include "arena/core.hpp"

namespace vaspace {

namespace {

// What no other memory, size or place would change.
[[nodiscard]] bool is_final(ErrorCode code) noexcept {
  return code == ErrorCode::invalid_size || code == ErrorCode::invalid_alignment ||
         code == ErrorCode::out_of_host_memory;
}

}  // namespace

// What it takes from the device goes back, or the next try would find it.
template <class Policy>
Result<void> AllocatorCore<Policy>::try_out(const AllocationRequest& request) noexcept {
  const Bytes was_reserved = reserved();
  const Bytes was_committed = committed();
  const Result<Allocation> made = allocate(request);
  if (!made) return fail(made.error());
  free(made->id);
  if (reserved() > was_reserved || committed() > was_committed) flush();
  return {};
}

template <class Policy>
Bytes AllocatorCore<Policy>::largest_of(AllocationRequest request) noexcept {
  const Bytes most_bytes = std::min(request.size - Bytes{1}, device_size_);
  const Bytes step{std::max<std::uint64_t>(most_bytes.value / 64, 1)};
  std::uint64_t least = 0;
  std::uint64_t most = most_bytes / step;
  while (least < most) {
    const std::uint64_t steps = least + (most - least + 1) / 2;
    request.size = step * steps;
    const bool fits = try_out(request).has_value();
    (fits ? least : most) = fits ? steps : steps - 1;
  }
  return step * least;
}

// One of this configuration, but of that memory type, and unseen.
template <class Policy>
bool AllocatorCore<Policy>::another_serves(std::uint32_t memory_type,
                                           const AllocationRequest& request) noexcept {
  CoreConfig config = config_;
  config.common.memory_type = memory_type;
  config.common.observer = {};
  const auto another = create(backend_, config);
  return another && (*another)->try_out(request);
}

template <class Policy>
Result<AllocationShortfall> AllocatorCore<Policy>::explain(const AllocationRequest& request) noexcept {
  AllocationShortfall shortfall;
  const Result<void> tried = try_out(request);
  shortfall.fits = tried.has_value();
  if (tried) {
    shortfall.largest = request.size;
    return shortfall;
  }
  if (is_final(tried.error().code)) return fail(tried.error());
  shortfall.error = tried.error();
  flush();  // what is retained here is in nobody's way
  shortfall.largest = largest_of(request);
  AllocationRequest anywhere = request;
  anywhere.alignment = {};
  shortfall.alignment_helps = request.alignment != anywhere.alignment && try_out(anywhere);

  const std::uint32_t type = config_.common.memory_type;
  shortfall.another_helps = another_serves(type, request);
  const DeviceProfile& profile = backend_.profile();
  for (std::uint32_t other = 0; other < profile.memory_type_count && !shortfall.other_type_helps; ++other) {
    if (other == type || !another_serves(other, request)) continue;
    shortfall.other_type_helps = true;
    shortfall.other_type = other;
  }

  const Result<Budget> budget = backend_.budget(profile.memory_types[type].heap);
  if (budget) shortfall.left = budget->budget - std::min(budget->usage, budget->budget);
  const bool addresses = shortfall.error.code == ErrorCode::out_of_space || committed() == Bytes{};
  const Bytes held = addresses ? reserved() : committed();
  shortfall.in_holes = held - std::min(used(), held);
  return shortfall;
}

// What is defined here.
template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
