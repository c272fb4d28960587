// The public class over its core.
#include "vaspace/heap/heap.hpp"

#include <utility>

#include "heap/heap_core.hpp"
#include "heap/heap_json.hpp"

namespace vaspace {

template <class Policy>
BasicHeap<Policy>::BasicHeap(HostObject<HeapCore<Policy>> core) noexcept : core_(std::move(core)) {}
template <class Policy>
BasicHeap<Policy>::BasicHeap(BasicHeap&& other) noexcept = default;
template <class Policy>
BasicHeap<Policy>& BasicHeap<Policy>::operator=(BasicHeap&& other) noexcept = default;
template <class Policy>
BasicHeap<Policy>::~BasicHeap() = default;

template <class Policy>
Result<BasicHeap<Policy>> BasicHeap<Policy>::create(Backend& backend, const HeapConfig& config) noexcept {
  if (Result<void> checked = HeapState::check(backend, config); !checked) return fail(checked.error());
  auto core = make_host_object<HeapCore<Policy>>(config.host, backend, config);
  if (!core) return fail(ErrorCode::out_of_host_memory);
  return BasicHeap(std::move(core));
}

template <class Policy>
Result<HeapAllocation> BasicHeap<Policy>::allocate(const HeapRequest& request) noexcept {
  return core_->allocate(request);
}
template <class Policy>
Result<HeapAllocation> BasicHeap<Policy>::allocate(const MemoryRequirements& needs,
                                                   const HeapRequest& request) noexcept {
  return core_->allocate(needs, request);
}
template <class Policy>
Result<void> BasicHeap<Policy>::allocate(std::span<const HeapRequest> requests,
                                         std::span<HeapAllocation> out) noexcept {
  return core_->allocate(requests, out);
}
template <class Policy>
void BasicHeap<Policy>::free(const HeapAllocation& allocation) noexcept {
  core_->free(allocation);
}
template <class Policy>
void BasicHeap<Policy>::free(std::span<const HeapAllocation> allocations) noexcept {
  for (const HeapAllocation& allocation : allocations)
    core_->free(allocation);
}
template <class Policy>
Result<void> BasicHeap<Policy>::try_free(const HeapAllocation& allocation) noexcept {
  return core_->try_free(allocation);
}
template <class Policy>
std::optional<Misuse> BasicHeap<Policy>::free_silently(const HeapAllocation& allocation) noexcept {
  return core_->free_silently(allocation);
}
template <class Policy>
Result<void> BasicHeap<Policy>::retire(const HeapAllocation& allocation,
                                       std::span<const TimelinePoint> points) noexcept {
  return core_->retire(allocation, points);
}
template <class Policy>
void BasicHeap<Policy>::collect() noexcept {
  core_->collect();
}
template <class Policy>
void BasicHeap<Policy>::give_back_unused() noexcept {
  core_->give_back_unused();
}
template <class Policy>
Bytes BasicHeap<Policy>::trim(Bytes target) noexcept {
  HeapState& state = core_->state();
  core_->collect();
  if (state.gate().committed() > target) core_->flush_shelves();
  state.give_back_blocks(target);
  return state.gate().committed();
}
template <class Policy>
Result<Bytes> BasicHeap<Policy>::trim_heap(std::uint32_t heap, Bytes target) noexcept {
  HeapState& state = core_->state();
  if (heap >= state.gate().profile().heap_count) return fail(ErrorCode::invalid_argument);
  core_->collect();
  if (state.gate().committed(heap) > target) core_->flush_shelves();
  state.give_back_blocks(heap, target);
  return state.gate().committed(heap);
}

template <class Policy>
Result<std::byte*> BasicHeap<Policy>::map(const HeapAllocation& allocation) noexcept {
  return core_->map(allocation);
}
template <class Policy>
Result<void> BasicHeap<Policy>::unmap(const HeapAllocation& allocation) noexcept {
  return core_->unmap(allocation);
}
template <class Policy>
Result<void> BasicHeap<Policy>::flush(const HeapAllocation& allocation, Bytes offset, Bytes size) noexcept {
  const MappedRange range{allocation, offset, size};
  return core_->state().synchronise({&range, 1}, HeapState::Sync::flush);
}
template <class Policy>
Result<void> BasicHeap<Policy>::invalidate(const HeapAllocation& allocation, Bytes offset,
                                           Bytes size) noexcept {
  const MappedRange range{allocation, offset, size};
  return core_->state().synchronise({&range, 1}, HeapState::Sync::invalidate);
}
template <class Policy>
Result<void> BasicHeap<Policy>::flush(std::span<const MappedRange> ranges) noexcept {
  return core_->state().synchronise(ranges, HeapState::Sync::flush);
}
template <class Policy>
Result<void> BasicHeap<Policy>::invalidate(std::span<const MappedRange> ranges) noexcept {
  return core_->state().synchronise(ranges, HeapState::Sync::invalidate);
}

template <class Policy>
Result<HeapAllocation> BasicHeap<Policy>::alias(const HeapAllocation& allocation) noexcept {
  return core_->state().alias(allocation, nullptr);
}
template <class Policy>
Result<HeapAllocation> BasicHeap<Policy>::alias(const HeapAllocation& allocation,
                                                const HeapRequest& wanted) noexcept {
  return core_->state().alias(allocation, &wanted);
}
template <class Policy>
Result<ExternalHandle> BasicHeap<Policy>::export_memory(const HeapAllocation& allocation) noexcept {
  const Result<Block*> block = core_->state().exportable_block(allocation);
  if (!block) return fail(block.error());
  return core_->state().gate().backend().export_reservation((*block)->reservation);
}
template <class Policy>
Result<ImportRequest> BasicHeap<Policy>::export_request(const HeapAllocation& allocation) const noexcept {
  const Result<Block*> block = core_->state().exportable_block(allocation);
  if (!block) return fail(block.error());
  return ImportRequest{.size = (*block)->size(),
                       .memory_type = (*block)->memory_type,
                       .resource = {.type = (*block)->traits.dedicated},
                       .device_address = (*block)->traits.device_address};
}
template <class Policy>
Result<HeapAllocation> BasicHeap<Policy>::import_memory(const ImportRequest& request,
                                                        ExternalHandle handle) noexcept {
  return core_->state().import(request, handle);
}

template <class Policy>
Result<HeapAllocation> BasicHeap<Policy>::import_host_pointer(const HostPointerRequest& request) noexcept {
  return core_->state().import(request);
}

template <class Policy>
Result<void> BasicHeap<Policy>::enter_guest(std::uint32_t memory_type, Bytes size,
                                            BudgetPolicy policy) noexcept {
  DeviceGate& gate = core_->state().gate();
  if (memory_type >= gate.profile().memory_type_count) return fail(ErrorCode::invalid_argument);
  return gate.enter_guest(memory_type, size, policy);
}
template <class Policy>
void BasicHeap<Policy>::guest_step(std::uint32_t memory_type, Bytes size, GuestStep step) noexcept {
  core_->state().gate().guest_step(memory_type, size, step);
}

template <class Policy>
Result<PoolId> BasicHeap<Policy>::create_pool(const PoolConfig& config) noexcept {
  return core_->state().create_pool(config);
}
template <class Policy>
Result<void> BasicHeap<Policy>::destroy_pool(PoolId pool) noexcept {
  return core_->state().pools().destroy(pool);
}
template <class Policy>
Result<PoolReport> BasicHeap<Policy>::report(PoolId pool) const noexcept {
  return core_->state().pools().report(pool);
}

template <class Policy>
Result<void> BasicHeap<Policy>::pin(const HeapAllocation& allocation) noexcept {
  return core_->pin(allocation, true);
}
template <class Policy>
Result<void> BasicHeap<Policy>::unpin(const HeapAllocation& allocation) noexcept {
  return core_->pin(allocation, false);
}
template <class Policy>
Result<std::uint32_t> BasicHeap<Policy>::plan_moves(const MoveBudget& budget, std::span<Move> out) noexcept {
  return core_->state().plan_moves(budget, out);
}
template <class Policy>
Result<HeapAllocation> BasicHeap<Policy>::commit_move(const Move& move,
                                                      std::span<const TimelinePoint> points) noexcept {
  return core_->state().commit_move(move, points);
}
template <class Policy>
Result<void> BasicHeap<Policy>::abandon_move(const Move& move,
                                             std::span<const TimelinePoint> points) noexcept {
  return core_->state().abandon_move(move, points);
}

template <class Policy>
Result<HeapAllocationInfo> BasicHeap<Policy>::find(const HeapAllocation& allocation) const noexcept {
  return core_->find(allocation);
}
template <class Policy>
Result<HeapBudget> BasicHeap<Policy>::budget(std::uint32_t heap) noexcept {
  return core_->state().gate().budget(heap);
}
template <class Policy>
Result<TypeRanking> BasicHeap<Policy>::choose(const HeapRequest& request) const noexcept {
  return core_->state().choose(request);
}
template <class Policy>
const HeapConfig& BasicHeap<Policy>::config() const noexcept {
  return core_->state().config();
}
template <class Policy>
Backend& BasicHeap<Policy>::backend() const noexcept {
  return core_->state().gate().backend();
}
template <class Policy>
HeapReport BasicHeap<Policy>::report() const noexcept {
  return core_->report();
}
template <class Policy>
void BasicHeap<Policy>::for_each(void (*visit)(void* user, const HeapAllocationInfo& info) noexcept,
                                 void* user) const noexcept {
  core_->for_each(visit, user);
}

template <class Policy>
Result<void> BasicHeap<Policy>::write_json(const TextSink& sink, bool detailed) const noexcept {
  const HeapState& state = core_->state();
  const HeapReport report = core_->report();
  JsonWriter json(sink);
  json.begin_object();
  json.member("schema", std::string_view("vaspace-heap-1"));
  write_report(json, state.gate().profile(), report);
  json.key("pools");
  json.begin_array();
  for (std::uint32_t i = 0; i < state.pools().size(); ++i) {
    if (const Result<PoolReport> pool = state.pools().report(state.pools().id_at(i))) write_pool(json, *pool);
  }
  json.end_array();
  if (detailed) {
    json.key("blocks");
    json.begin_array();
    state.gate().blocks().for_each([&](const Block& block) { write_block(json, block); });
    json.end_array();
    json.key("allocations");
    json.begin_array();
    core_->for_each(
        [](void* to, const HeapAllocationInfo& info) noexcept {
          write_allocation(*static_cast<JsonWriter*>(to), info);
        },
        &json);
    json.end_array();
  }
  json.end_object();
  if (!json.flush()) return fail(ErrorCode::io_error);
  return {};
}

template <class Policy>
Result<HeapAllocationInfo> BasicHeap<Policy>::check_corruption() const noexcept {
  return core_->state().check_corruption();
}
template <class Policy>
const char* BasicHeap<Policy>::validate() const noexcept {
  return core_->validate();
}

template class BasicHeap<SingleThreaded>;
template class BasicHeap<ThreadSafe>;

}  // namespace vaspace
