// Memory that was somebody else's: imported by a file descriptor or a host pointer.
#include "heap/heap_state.hpp"

namespace vaspace {

using Lock = std::lock_guard<std::mutex>;

// The record is there before the driver is asked, so that nothing can fail after it.
template <class Take>
Result<HeapAllocation> HeapState::import_block(std::string_view name, std::uint64_t user_data, bool aliasable,
                                               Take&& take) noexcept {
  Note note(config_.host);
  if (!note.set(name, user_data)) return fail(ErrorCode::out_of_host_memory);
  const Result<std::uint32_t> index = prepare_record(!note.empty());
  if (!index) return fail(index.error());
  const Result<Block*> block = take();
  if (!block) {
    const Lock lock(mutex_);
    records_.give_up(*index);
    return fail(block.error());
  }
  exclusive_.fetch_add(1, std::memory_order_relaxed);
  const Record record{.kind = ResourceKind::unknown,
                      .aliasable = aliasable,
                      .memory_type = static_cast<std::uint8_t>((*block)->memory_type),
                      .cut = {.block = *block, .range = {.size = (*block)->size()}},
                      .size = (*block)->size()};
  return begin_record(*index, record, std::move(note));
}

// V17: size and type are the exporter's, and are passed on as they are.
Result<HeapAllocation> HeapState::import(const ImportRequest& request, ExternalHandle handle) noexcept {
  const DeviceProfile& profile = gate_.profile();
  if (request.size == Bytes{}) return fail(ErrorCode::invalid_size);
  if (request.memory_type >= profile.memory_type_count) return fail(ErrorCode::invalid_argument);
  if (!profile.capabilities.external_memory ||
      (request.device_address && !profile.capabilities.device_address))
    return fail(ErrorCode::not_supported);
  return import_block(request.name, request.user_data, false, [&] {
    return gate_.import({.size = request.size,
                         .memory_type = request.memory_type,
                         .traits = {.dedicated = request.resource.type,
                                    .resource = request.resource.handle,
                                    .device_address = request.device_address},
                         .policy = BudgetPolicy::may_exceed,
                         .exclusive = true},
                        handle);
  });
}

// V17. Host memory is nobody's device memory, but it is a memory object (V4), and drivers count it.
Result<HeapAllocation> HeapState::import(const HostPointerRequest& request) noexcept {
  Backend& backend = gate_.backend();
  const Bytes unit = backend.host_pointer_alignment();
  if (unit == Bytes{} || (request.device_address && !gate_.profile().capabilities.device_address))
    return fail(ErrorCode::not_supported);
  const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(request.pointer));
  if (address == 0) return fail(ErrorCode::invalid_argument);
  if (!is_aligned(address, Alignment{unit})) return fail(ErrorCode::invalid_alignment);
  if (request.size == Bytes{} || !is_aligned(request.size, Alignment{unit}))
    return fail(ErrorCode::invalid_size);
  const Result<std::uint32_t> types = backend.host_pointer_types(request.pointer);
  if (!types) return fail(types.error());
  const std::uint32_t bits = *types & request.memory_type_bits;
  if (bits == 0) return fail(ErrorCode::not_supported);
  const Result<TypeRanking> ranking = choose_memory_types(
      gate_.profile(), {.intent = request.intent, .type_bits = bits, .size = request.size}, config_.rules);
  if (!ranking) return fail(ranking.error());
  return import_block(request.name, request.user_data, true, [&] {
    return gate_.import({.size = request.size,
                         .memory_type = (*ranking)[0],
                         .traits = {.device_address = request.device_address},
                         .policy = request.budget,
                         .exclusive = true},
                        request.pointer);
  });
}

}  // namespace vaspace
