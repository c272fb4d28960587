// What a heap is made of, and the choice of a memory type.
#include "heap/heap_state.hpp"

#include <algorithm>

#include "vaspace/base/identity.hpp"

namespace vaspace {

bool is_no_room(ErrorCode code) noexcept {
  return code == ErrorCode::out_of_device_memory || code == ErrorCode::out_of_address_space ||
         code == ErrorCode::out_of_space || code == ErrorCode::out_of_mappings ||
         code == ErrorCode::driver_error;
}

bool is_worth_another_type(ErrorCode code) noexcept {
  return is_no_room(code) || code == ErrorCode::too_large || code == ErrorCode::not_supported;
}

HeapState::HeapState(Backend& backend, const HeapConfig& config) noexcept
    : config_(config),
      gate_(backend, config),
      spaces_(gate_, config_,
              {this, [](void* state) noexcept { static_cast<HeapState*>(state)->give_back_kept(); }}),
      pools_(gate_, spaces_, config_),
      retired_(backend, config.timelines, config.host),
      places_(config.host),
      records_(config.host, identity_of(this)),
      moves_(config.host) {
  for (std::uint32_t intent = 0; intent < kIntentCount; ++intent) {
    for (std::uint32_t rest = 0; rest < 6; ++rest) {
      const TypeRequest any{.intent = static_cast<Intent>(intent),
                            .mapping = static_cast<Mapping>(rest / 2),
                            .coherent = rest % 2 == 1};
      // Where no type serves, the ranking is empty, and choose() says why.
      rankings_[intent * 6 + rest] =
          choose_memory_types(backend.profile(), any, config.rules).value_or(TypeRanking{});
    }
  }
}

Result<void> HeapState::check(const Backend& backend, const HeapConfig& config) noexcept {
  const auto fits = [](Alignment alignment) { return alignment.valid() && Bytes{alignment.value} <= 64_KiB; };
  const bool sized = config.small <= 256_KiB && config.keep_percent <= 100 &&
                     config.guards.margin <= 64_KiB && backend.profile().memory_type_count != 0;
  const Alignment granularity{backend.profile().reservation_granularity};
  const bool blocks = config.largest_block == Bytes{} || config.largest_block >= config.first_block;
  if (!fits(config.buffer_image_granularity) || !fits(config.non_coherent_atom) || !sized || !blocks ||
      !granularity.valid() || config.host.allocate == nullptr || config.host.deallocate == nullptr)
    return fail(ErrorCode::invalid_configuration);
  return {};
}

Result<void> HeapState::check(const HeapRequest& request) const noexcept {
  const Bytes size = request.requirements.size;
  const Capabilities& can = gate_.profile().capabilities;
  if (size == Bytes{}) return fail(ErrorCode::invalid_size);
  if (!request.requirements.alignment.valid()) return fail(ErrorCode::invalid_alignment);
  if (size > Block::kLargest || Bytes{request.requirements.alignment.value} > Block::kLargest)
    return fail(ErrorCode::too_large);
  const bool named = request.resource.type == MemoryTraits::Dedicated::none || request.resource.handle != 0;
  // Contradictions: a pool has no memory object for one resource, and what others may name is not moved.
  const bool pooled = !request.pool || (request.dedicated != DedicatedWish::required && !request.exportable);
  const bool stays =
      !request.movable || (!request.device_address && !request.exportable && !request.aliasable);
  const bool hidden = request.intent != Intent::protected_device || request.mapping == Mapping::none;
  if (!(request.priority >= 0.0F && request.priority <= 1.0F) || !named || !pooled || !stays || !hidden)
    return fail(ErrorCode::invalid_argument);
  if ((request.device_address && !can.device_address) || (request.exportable && !can.external_memory))
    return fail(ErrorCode::not_supported);
  // Pages behind addresses are an arena allocator's affair.
  if (can.bind && (request.pool || request.dedicated == DedicatedWish::required || request.exportable ||
                   request.aliasable || request.movable))
    return fail(ErrorCode::not_supported);
  const bool bound_alone = request.dedicated != DedicatedWish::none && request.resource.handle != 0;
  if (request.exportable && config_.export_needs_dedicated && !bound_alone)
    return fail(ErrorCode::invalid_argument);
  return {};
}

Result<TypeRanking> HeapState::choose(const HeapRequest& request) const noexcept {
  TypeRanking chosen;
  for (const std::uint8_t type : ranking_of(request)) {
    if ((request.requirements.memory_type_bits >> type & 1U) != 0) chosen.types[chosen.count++] = type;
  }
  if (chosen.count != 0) return chosen;
  return choose_memory_types(gate_.profile(),
                             {.intent = request.intent,
                              .type_bits = request.requirements.memory_type_bits,
                              .mapping = request.mapping,
                              .coherent = request.coherent},
                             config_.rules);
}

Result<PoolId> HeapState::create_pool(const PoolConfig& config) noexcept {
  if (gate_.profile().capabilities.bind) return fail(ErrorCode::not_supported);
  if (config.memory_type != PoolConfig::kByIntent) return pools_.create(config, config.memory_type);
  const Result<TypeRanking> ranking = choose_memory_types(gate_.profile(),
                                                          {.intent = config.intent,
                                                           .type_bits = config.type_bits,
                                                           .mapping = config.mapping,
                                                           .size = config.block_size},
                                                          config_.rules);
  if (!ranking) return fail(ranking.error());
  return pools_.create(config, (*ranking)[0]);
}

void HeapState::collect_blocks() noexcept {
  give_back_kept();
  visit_spaces([](BlockSpace& space) { space.collect(); });
  gate_.release_leaving();
}

// What is lazily allocated counts as held by nobody (V14), and so goes back whatever the target.
template <class Held>
void HeapState::give_back_blocks_of(std::uint32_t heaps, Bytes target, Held&& held) noexcept {
  give_back_kept();
  gate_.release_leaving();
  visit_spaces([&](BlockSpace& space) {
    const MemoryType& type = gate_.profile().memory_types[space.config().memory_type];
    if ((heaps >> type.heap & 1U) == 0) return;
    const Bytes now = held();
    if (type.lazily_allocated) {
      (void)space.give_back(kMaxBytes);
    } else if (now > target) {
      (void)space.give_back(now - target);
    }
  });
}

void HeapState::give_back_blocks(Bytes target) noexcept {
  give_back_blocks_of(~0U, target, [this] { return gate_.committed(); });
}

void HeapState::give_back_blocks(std::uint32_t heap, Bytes target) noexcept {
  give_back_blocks_of(1U << heap, target, [=, this] { return gate_.committed(heap); });
}

}  // namespace vaspace
