#include "vaspace/heap/memory_intent.hpp"

#include <algorithm>

namespace vaspace {

namespace {

// The properties that MemoryType names, as Vulkan numbers them.
constexpr std::uint32_t kNamedNativeFlags = 0x3F;

[[nodiscard]] Bytes largest_device_heap(const DeviceProfile& profile) noexcept {
  Bytes largest{};
  for (std::uint32_t heap = 0; heap < profile.heap_count; ++heap) {
    if (profile.heaps[heap].device_local) largest = std::max(largest, profile.heaps[heap].size);
  }
  return largest;
}

[[nodiscard]] bool needs_host(const TypeRequest& request) noexcept {
  return request.mapping == Mapping::required || request.coherent || request.intent == Intent::upload ||
         request.intent == Intent::readback || request.intent == Intent::dynamic;
}

// What no ranking may contain, whatever is preferred.
[[nodiscard]] bool serves(const MemoryType& type, const TypeRequest& request,
                          const TypeRules& rules) noexcept {
  if ((type.native_flags & ~kNamedNativeFlags & ~rules.extra_native_flags) != 0) return false;
  if (type.protected_memory != (request.intent == Intent::protected_device)) return false;
  if (type.lazily_allocated && request.intent != Intent::transient_attachment) return false;
  if (needs_host(request) && !type.host_visible) return false;
  return !request.coherent || type.host_coherent;
}

// What is missed weighs more than what is too much: each weight is above the sum of those below it.
constexpr std::uint32_t kMuch = 64;
constexpr std::uint32_t kSome = 16;
constexpr std::uint32_t kLittle = 4;
constexpr std::uint32_t kTie = 1;

// Memory that the device alone touches: fast for the device; a window that the host could use is left to it;
// and cached memory costs the device snooping.
[[nodiscard]] std::uint32_t cost_for_device(const MemoryType& type, bool roomy, Mapping mapping) noexcept {
  std::uint32_t cost = type.device_local ? 0 : kMuch;
  if (mapping == Mapping::none) {
    if (type.host_visible) cost += type.device_local && !roomy ? kLittle : kTie;
    if (type.host_cached) cost += kTie;
    return cost;
  }
  if (!type.host_visible) cost += kSome;
  if (type.host_visible && type.device_local && !roomy) cost += mapping == Mapping::preferred ? 2 * kSome : 0;
  if (type.host_visible && !type.host_coherent) cost += kLittle;
  if (type.host_cached) cost += kTie;
  return cost;
}

[[nodiscard]] std::uint32_t cost_of(const MemoryType& type, bool roomy, const TypeRequest& request) noexcept {
  switch (request.intent) {
    case Intent::device:
    case Intent::protected_device:
      return cost_for_device(type, roomy, request.mapping);
    case Intent::transient_attachment:
      return (type.lazily_allocated ? 0 : 4 * kMuch) + cost_for_device(type, roomy, request.mapping);
    case Intent::upload:
      // Written once, in order, read once: write-combined memory of the host's, flushed by nobody.
      return (type.device_local ? kSome : 0) + (type.host_coherent ? 0 : kLittle) +
             (type.host_cached ? kTie : 0);
    case Intent::readback:
      // Uncached reads are some hundred times slower than what a missing invalidate saves.
      return (type.host_cached ? 0 : kMuch) + (type.device_local ? kSome : 0) +
             (type.host_coherent ? 0 : kTie);
    case Intent::dynamic:
      return (type.device_local ? 0 : kMuch) + (type.host_coherent ? 0 : kLittle) +
             (type.host_cached ? kTie : 0);
  }
  return 0;
}

}  // namespace

bool is_roomy_device_heap(const DeviceProfile& profile, std::uint32_t memory_type) noexcept {
  const MemoryType& type = profile.memory_types[memory_type];
  return type.device_local && profile.heaps[type.heap].size.value >= largest_device_heap(profile).value / 2;
}

Result<TypeRanking> choose_memory_types(const DeviceProfile& profile, const TypeRequest& request,
                                        const TypeRules& rules, std::span<const Bytes> room) noexcept {
  const std::uint64_t all = (std::uint64_t{1} << profile.memory_type_count) - 1;
  const std::uint64_t bits = request.type_bits & all;
  if (bits == 0) return fail(ErrorCode::invalid_argument);
  if (request.intent == Intent::protected_device && (!rules.protected_memory || needs_host(request)))
    return fail(ErrorCode::not_supported);
  TypeRanking ranking;
  std::array<std::uint32_t, kMaxMemoryTypes> costs{};
  ErrorCode why = ErrorCode::not_supported;
  for (std::uint32_t t = 0; t < profile.memory_type_count; ++t) {
    const MemoryType& type = profile.memory_types[t];
    if ((bits >> t & 1U) == 0 || !serves(type, request, rules)) continue;
    // A heap of no bytes is one that the device has not: some drivers list it all the same.
    const Bytes heap_size = profile.heaps[type.heap].size;
    if (heap_size == Bytes{} || request.size > heap_size) {
      if (why == ErrorCode::not_supported) why = ErrorCode::too_large;
      continue;
    }
    if (request.within_budget && type.heap < room.size() && room[type.heap] < request.size) {
      why = ErrorCode::out_of_device_memory;
      continue;
    }
    // Among equals the driver's own order stands: it lists what it prefers first.
    const std::uint32_t cost = cost_of(type, is_roomy_device_heap(profile, t), request);
    std::uint32_t at = ranking.count++;
    for (; at != 0 && costs[at - 1] > cost; --at) {
      costs[at] = costs[at - 1];
      ranking.types[at] = ranking.types[at - 1];
    }
    costs[at] = cost;
    ranking.types[at] = static_cast<std::uint8_t>(t);
  }
  if (ranking.count == 0) return fail(why);
  return ranking;
}

}  // namespace vaspace
