// The way of most calls, and the pools.
#include <bit>
#include <cuda.h>
#include <utility>

#include "vaspace/frontends/cuda.hpp"

#include "backends/cuda/steps.hpp"
#include "in_registers.hpp"
#include "state.hpp"

namespace vaspace::cuda {
namespace {

// A stream's size classes share one arena until what they hold is worth so many pages: each has its own arena
// per stream, and a mostly empty page in each is what a small program would mostly hold.
constexpr std::uint64_t kEarnPages = 64;

// What is live at the end is the caller's word that nobody needs it; blocks of caches are none of its
// business.
void ignore_leak(void*, const AllocationInfo&) noexcept {}

}  // namespace

StreamAllocator::State::State(Backend& device, const StreamConfig& config, Bytes page) noexcept
    : device_(device),
      config_(config),
      classes_(config.host),
      store_(device, page, {this, &State::reclaim}, config.host),
      stuck_(config.host),
      stuck_pages_(config.host),
      released_(config.host),
      table_(config.host),
      pools_(config.host) {}

Result<void> StreamAllocator::State::open() noexcept {
  if (!is_laid_out_as_thought()) return fail(ErrorCode::invalid_configuration);
  if (Result<void> valid = validate_size_classes(config_.classes); !valid) return valid;
  if (config_.max_pools == 0 || config_.max_pools > (1U << 16U))
    return fail(ErrorCode::invalid_configuration);
  if (!classes_.reserve(config_.classes.size()) ||
      !table_.resize(std::bit_ceil(std::size_t{config_.max_pools} * 2), nullptr))
    return fail(ErrorCode::out_of_host_memory);
  for (const SizeClass& one : config_.classes)
    classes_.push_back_reserved(one);
  sizes_ = SlotSizes(classes_.span());
  if (config_.kind == MemoryKind::device) return {};
  Result<HostObject<PinnedBackend>> pinned = PinnedBackend::create(device_, {.host = config_.host});
  if (!pinned) return fail(pinned.error());
  pinned_ = std::move(*pinned);
  return {};
}

// Memory may be in use on streams that never allocated any: all of the device is waited for (C13). Where the
// device cannot say that it is idle (while a stream captures, for one), nothing is unmapped: the backend has
// it in its books, and waits again when it ends.
StreamAllocator::State::~State() {
  const bool idle = insist([&] { return device_.wait_idle(); }).has_value();
  if (idle) (void)take_back_stuck();
  for_each_pool([&](Pool& pool) {
    idle ? pool.pages.end() : pool.pages.abandon();
    HostDelete<Pool>{config_.host}(&pool);
  });
}

// No event of ours would order another context's work.
Result<void> StreamAllocator::State::check_own(Stream stream) noexcept {
  const Result<bool> own = device_.is_own(stream);
  if (!own) return fail(own.error());
  return *own ? Result<void>{} : fail(ErrorCode::invalid_argument, CUDA_ERROR_INVALID_CONTEXT);
}

Result<Pool*> StreamAllocator::State::make_pool(Stream stream, Tag tag, bool may_wait) noexcept {
  if (Pool* made = find_pool(stream, tag); made != nullptr) return made;
  // A tag that is new on a stream which was released is no way around.
  if (is_released(stream)) return fail(released());
  if (Result<void> own = check_own(stream); !own) return fail(own.error());
  const Result<Pool*> adopted = adopt_pool(stream, tag, true);
  if (!adopted || *adopted != nullptr) return adopted;
  if (pools_.size() >= config_.max_pools) {
    const Result<Pool*> behind = may_wait ? adopt_pool(stream, tag, false) : nullptr;
    return !behind || *behind != nullptr ? behind : fail(ErrorCode::out_of_space);
  }
  if (!pools_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  vaspace::Backend& memory = pinned_ != nullptr ? static_cast<vaspace::Backend&>(*pinned_) : device_;
  HostObject<Pool> pool = make_host_object<Pool>(config_.host, device_, memory, store_, stream, tag,
                                                 pools_.size(), pinned_ != nullptr, fence_, config_.host);
  if (pool == nullptr) return fail(ErrorCode::out_of_host_memory);
  if (Result<void> made = add_arena(*pool, 0); !made) return fail(made.error());
  const std::uint32_t suspended = suspension_of(tag);
  {
    const Pool::StateChange change(*pool);
    pool->suspended = suspended;
  }
  pool->park = config_.park != Bytes{} ? config_.park : Bytes{store_.page().value / 2};
  Pool* added = pool.release();
  pools_.push_back_reserved(added);
  enter_table(*added, stream, tag);
  return added;
}

// growing_ is held.
Result<void> StreamAllocator::State::add_arena(Pool& pool, std::uint32_t number) noexcept {
  ArenaConfig arena;
  arena.classes = classes_.span();
  arena.page_size = pinned_ != nullptr ? Bytes{} : store_.page();
  arena.granule = SlotSizes::kGranule;
  arena.earn = store_.page() * kEarnPages;
  arena.retain = Bytes{};
  arena.retain_percent = 0;
  arena.host = config_.host;
  arena.on_leak.on_leak = &ignore_leak;
  auto made = ThreadSafeArenaAllocator::create(pool.pages, arena);
  if (!made) return fail(made.error());
  pool.arenas[number].emplace(std::move(*made));
  pool.arena_count.store(number + 1, std::memory_order_release);
  return {};
}

// No pool is of a handle that names another stream, or none: only who finds none asks what it means.
Result<Pool*> StreamAllocator::State::pool_of(Stream named, Tag tag) noexcept {
  const Result<Stream> stream = known_stream(named);
  if (!stream) return fail(stream.error());
  if (Pool* pool = find_pool(*stream, tag); pool != nullptr) return pool;
  const std::lock_guard one_at_a_time(growing_);
  const Result<Pool*> made = make_pool(*stream, tag);
  // What was freed on it before it had a pool is its own at once.
  if (made) add_fresh(**made, take_strangers(*stream));
  return made;
}

Result<Address> StreamAllocator::State::allocate(const StreamRequest& request, Stream stream) noexcept {
  const Bytes size = sizes_.round(request.size);
  if (size == Bytes{}) return fail(ErrorCode::invalid_size, CUDA_ERROR_INVALID_VALUE);
  if (!request.alignment.valid()) return fail(ErrorCode::invalid_alignment, CUDA_ERROR_INVALID_VALUE);
  Pool* pool = find_pool(stream, request.tag);
  if (pool == nullptr) {
    const Result<Pool*> made = pool_of(stream, request.tag);
    if (!made) return fail(made.error());
    pool = *made;
  }
  {
    const WorkGuard guard(pool->lock);
    if (pool->closed || pool->suspended != 0)
      return fail(pool->closed ? released() : Error{ErrorCode::wrong_state});
    const Address parked = pool->take_parked(size, request.alignment, request.size);
    if (parked != Address{}) return in_registers(parked);
    ++pool->slow_calls;
  }
  const Result<Address> address = allocate_slow(*pool, request, size);
  const SpinGuard guard(pool->lock);
  --pool->slow_calls;
  return address;
}

Result<void> StreamAllocator::State::free(Address address, Stream stream) noexcept {
  Pool* pool = find_pool(stream, 0);
  return pool != nullptr ? free_on(*pool, address) : free_without_pool(address, stream);
}

Result<void> StreamAllocator::State::free_on(Pool& on, Address address) noexcept {
  on.lock.lock_at_work();
  if (!on.closed && !on.waits_always) {
    const std::uint32_t found = on.blocks.find(address);
    if (found != Block::kNone && on.blocks[found].state == Block::State::live) {
      park_there(on, found);
      return in_registers();
    }
  }
  on.lock.unlock();
  return free_elsewhere(on, address);
}

void StreamAllocator::State::park_there(Pool& pool, std::uint32_t number) noexcept {
  Block& block = pool.blocks[number];
  pool.pages.freed();
  pool.live -= block.asked;
  --pool.live_count;
  block.state = Block::State::parked;
  if (!pool.cache.push(pool.blocks, number, pool.cache_limit(pool.live))) return park_crowded(pool, number);
  pool.lock.unlock();
}

Result<HostObject<StreamAllocator>> StreamAllocator::create(Backend& backend,
                                                            const StreamConfig& config) noexcept {
  const Bytes page = config.page_size == Bytes{} ? backend.profile().page_sizes[0] : config.page_size;
  if (!backend.profile().offers_page(page)) return fail(ErrorCode::invalid_configuration);
  HostObject<State> state = make_host_object<State>(config.host, backend, config, page);
  if (state == nullptr) return fail(ErrorCode::out_of_host_memory);
  if (Result<void> opened = state->open(); !opened) return fail(opened.error());
  HostObject<StreamAllocator> allocator = make_host_object<StreamAllocator>(config.host, std::move(state));
  if (allocator == nullptr) return fail(ErrorCode::out_of_host_memory);
  return allocator;
}

StreamAllocator::StreamAllocator(HostObject<State> state) noexcept : state_(std::move(state)) {}
StreamAllocator::~StreamAllocator() = default;

Result<Address> StreamAllocator::allocate(const StreamRequest& request, Stream stream) noexcept {
  if (request.alignment.valid()) [[likely]] {
    const Address parked = state_->take_parked(request.size, request.alignment, request.tag, stream);
    if (parked != Address{}) [[likely]]
      return in_registers(parked);
  }
  return state_->allocate(request, stream);
}
Result<void> StreamAllocator::free(Address address, Stream stream) noexcept {
  if (state_->park(address, stream)) [[likely]]
    return in_registers();
  return state_->free(address, stream);
}
Result<Bytes> StreamAllocator::size_of(Address address) const noexcept {
  return state_->size_of(address);
}
Result<void> StreamAllocator::record_stream(Address address, Stream stream) noexcept {
  return state_->record_stream(address, stream);
}
Result<void> StreamAllocator::release_stream(Stream stream) noexcept {
  return state_->release_stream(stream);
}
Result<void> StreamAllocator::add_stream(Stream stream) noexcept {
  return state_->add_stream(stream);
}
Result<void> StreamAllocator::suspend(Suspend how, std::optional<Tag> tag) noexcept {
  return state_->suspend(how, tag);
}
Result<void> StreamAllocator::resume(std::optional<Tag> tag) noexcept {
  return state_->resume(tag);
}
void StreamAllocator::trim(bool wait) noexcept {
  state_->trim(wait);
}
StreamReport StreamAllocator::report() const noexcept {
  return state_->report();
}
const char* StreamAllocator::validate() const noexcept {
  return state_->validate();
}

}  // namespace vaspace::cuda
