// The public classes over their core.
#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"

#include "arena/core_hot.hpp"

namespace vaspace {

template <class Policy>
BasicAllocator<Policy>::BasicAllocator(HostObject<AllocatorCore<Policy>> core) noexcept
    : core_(std::move(core)) {}
template <class Policy>
BasicAllocator<Policy>::BasicAllocator(BasicAllocator&& other) noexcept = default;
template <class Policy>
BasicAllocator<Policy>& BasicAllocator<Policy>::operator=(BasicAllocator&& other) noexcept = default;
template <class Policy>
BasicAllocator<Policy>::~BasicAllocator() = default;

template <class Policy>
Result<Allocation> BasicAllocator<Policy>::allocate(const AllocationRequest& request) noexcept {
  return core_->allocate(request);
}
template <class Policy>
void BasicAllocator<Policy>::free(const Allocation& allocation) noexcept {
  core_->free(allocation);
}
template <class Policy>
void BasicAllocator<Policy>::free(AllocationId id) noexcept {
  core_->free(id);
}
template <class Policy>
void BasicAllocator<Policy>::free(Address address) noexcept {
  const Result<void> freed = core_->try_free(address);
  if (!freed) [[unlikely]]
    core_->report_misuse(freed.error(), address.value);
}
template <class Policy>
Result<void> BasicAllocator<Policy>::try_free(const Allocation& allocation) noexcept {
  return core_->try_free(allocation);
}
template <class Policy>
Result<void> BasicAllocator<Policy>::try_free(AllocationId id) noexcept {
  return core_->try_free(id);
}
template <class Policy>
Result<void> BasicAllocator<Policy>::try_free(Address address) noexcept {
  return core_->try_free(address);
}
template <class Policy>
Result<AllocationInfo> BasicAllocator<Policy>::find(Address address) const noexcept {
  return core_->find(address);
}
template <class Policy>
bool BasicAllocator<Policy>::can_allocate(const AllocationRequest& request) const noexcept {
  return core_->can_allocate(request);
}
template <class Policy>
Result<AllocationShortfall> BasicAllocator<Policy>::explain(const AllocationRequest& request) noexcept {
  return core_->explain(request);
}
template <class Policy>
void BasicAllocator<Policy>::collect() noexcept {
  core_->collect();
}
template <class Policy>
void BasicAllocator<Policy>::flush() noexcept {
  core_->flush();
}
template <class Policy>
void BasicAllocator<Policy>::for_each(void (*visit)(void* user, const AllocationInfo& info) noexcept,
                                      void* user) const noexcept {
  core_->for_each(visit, user);
}
template <class Policy>
AllocatorReport BasicAllocator<Policy>::report() const noexcept {
  return core_->report();
}
template <class Policy>
Bytes BasicAllocator<Policy>::live() const noexcept {
  return core_->live();
}
template <class Policy>
Bytes BasicAllocator<Policy>::used() const noexcept {
  return core_->used();
}
template <class Policy>
Bytes BasicAllocator<Policy>::reserved() const noexcept {
  return core_->reserved();
}
template <class Policy>
Bytes BasicAllocator<Policy>::committed() const noexcept {
  return core_->committed();
}
template <class Policy>
const char* BasicAllocator<Policy>::validate() const noexcept {
  return core_->validate();
}

template <class Policy>
Result<BasicArenaAllocator<Policy>> BasicArenaAllocator<Policy>::create(Backend& backend,
                                                                        const ArenaConfig& config) noexcept {
  auto core = AllocatorCore<Policy>::create(backend, {.common = config, .name = "ArenaAllocator::free"});
  if (!core) return fail(core.error());
  return BasicArenaAllocator(std::move(*core));
}

template <class Policy>
Result<BasicDefaultAllocator<Policy>> BasicDefaultAllocator<Policy>::create(
    Backend& backend, const DefaultConfig& config) noexcept {
  static constexpr SizeClass kOne[] = {{kMaxBytes, {}, Strategy::object}};
  const ArenaConfig common{.classes = kOne,
                           .page_size = config.page_size,
                           .memory_type = config.memory_type,
                           .granule = config.granule,
                           .retain = config.retain,
                           .retain_percent = config.retain_percent,
                           .collect_step = config.collect_step,
                           .index_addresses = config.index_addresses,
                           .host = config.host,
                           .on_misuse = config.on_misuse,
                           .observer = config.observer,
                           .on_leak = config.on_leak};
  auto core = AllocatorCore<Policy>::create(
      backend,
      {.common = common, .fixed = true, .fixed_size = config.reservation, .name = "DefaultAllocator::free"});
  if (!core) return fail(core.error());
  return BasicDefaultAllocator(std::move(*core));
}

template class BasicAllocator<SingleThreaded>;
template class BasicAllocator<ThreadSafe>;
template class BasicArenaAllocator<SingleThreaded>;
template class BasicArenaAllocator<ThreadSafe>;
template class BasicDefaultAllocator<SingleThreaded>;
template class BasicDefaultAllocator<ThreadSafe>;

}  // namespace vaspace
