#include "sub_buffer_pools.hpp"

#include <algorithm>

#include "heap/budget_scope.hpp"

namespace vaspace::vulkan {

namespace {

constexpr std::uint32_t kTransfer = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
// What geometry is read as: one pool for all of it.
constexpr std::uint32_t kMesh = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_INDEX_BUFFER_BIT |
                                VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;

// Slots for what is small, 4 KiB included, the size that is asked for most; all else is best fit in one
// arena, so that little of what a pool holds is set aside for a size that nobody asks for just now.
constexpr std::array<SizeClass, 5> kSubBufferClasses{{
    {512_B, 2_MiB, Strategy::slab},
    {1_KiB, 2_MiB, Strategy::slab},
    {2_KiB, 4_MiB, Strategy::slab},
    {4_KiB, 8_MiB, Strategy::slab},
    {kMaxBytes, 32_MiB, Strategy::object},
}};

constexpr Bytes kSharedPool = 256_MiB;
// A pool that holds little keeps little: its buffers grow with it.
constexpr Bytes kFirstShared = 256_KiB;

std::uint32_t usage_of_pool(std::uint32_t usage) noexcept {
  const std::uint32_t plain = usage & ~(kTransfer | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT);
  return usage | kTransfer | ((plain & ~kMesh) == 0 && plain != 0 ? kMesh : 0);
}

}  // namespace

// Memory behind sparse buffers passes the heap's gate, by the budget policy of who allocates.
struct SubBufferPools::Gate {
  static SubBufferPools& of(void* pools) noexcept { return *static_cast<SubBufferPools*>(pools); }

  static Result<void> enter(void* pools, std::uint32_t memory_type, Bytes size) noexcept {
    return of(pools).heap_.enter_guest(memory_type, size, BudgetScope::current());
  }
  static void refused(void* pools, std::uint32_t memory_type, Bytes size) noexcept {
    of(pools).heap_.guest_step(memory_type, size, GuestStep::refused);
  }
  static void taken(void* pools, std::uint32_t memory_type, Bytes size) noexcept {
    of(pools).heap_.guest_step(memory_type, size, GuestStep::taken);
  }
  static void leaving(void* pools, std::uint32_t memory_type, Bytes size) noexcept {
    of(pools).heap_.guest_step(memory_type, size, GuestStep::leaving);
  }
  static void left(void* pools, std::uint32_t memory_type, Bytes size) noexcept {
    of(pools).sparse_releases_.fetch_add(1, std::memory_order_relaxed);
    of(pools).heap_.guest_step(memory_type, size, GuestStep::left);
  }
};

MemoryGate SubBufferPools::gate() noexcept {
  return {.user = this,
          .enter = &Gate::enter,
          .refused = &Gate::refused,
          .taken = &Gate::taken,
          .leaving = &Gate::leaving,
          .left = &Gate::left};
}

SubBufferKey SubBufferPools::widened(const SubBufferKey& key) noexcept {
  SubBufferKey wide = key;
  wide.usage = usage_of_pool(key.usage);
  return wide;
}

SubBufferPools::~SubBufferPools() {
  for (HostObject<SubBufferPool>& pool : pools_)
    pool.reset();
}

// Told as memory of the heap is: of a sub-buffer, what Buffer::memory() says, by name.
LeakHandler SubBufferPools::leak_handler() noexcept {
  if (config_.on_leak.on_leak == nullptr) return {};
  return {.user = &config_.on_leak, .on_leak = [](void* user, const AllocationInfo& leaked) noexcept {
            const HeapLeakHandler& handler = *static_cast<const HeapLeakHandler*>(user);
            const Allocation& range = leaked.allocation;
            handler.on_leak(handler.user,
                            {.allocation = {.address = range.address, .size = range.size, .id = range.id},
                             .used = leaked.used,
                             .name = leaked.name,
                             .user_data = leaked.user_data});
          }};
}

bool SubBufferPools::sparse_for(const SubBufferKey& key) const noexcept {
  const DeviceFeatures& features = backend_.config().features;
  return !key.is_in_blocks() && key.intent() == Intent::device && key.mapping() == Mapping::none &&
         config_.sparse.queue != nullptr && config_.sparse_memory_objects != 0 && features.sparse_binding &&
         features.sparse_residency_buffer && features.timeline_semaphore && sparse_pools_ < kMaxSparsePools;
}

Result<void> SubBufferPools::open_sparse(SubBufferPool& pool, const HeapRequest& like) noexcept {
  SparseConfig sparse;
  sparse.device = backend_.config();
  sparse.device.account = &backend_.account();
  sparse.gate = gate();
  sparse.device.max_memory_objects = config_.sparse_memory_objects;
  sparse.allowance = &sparse_objects_;
  sparse.sparse = config_.sparse;
  sparse.transfer = config_.transfer;
  sparse.families = config_.families;
  sparse.usage = pool.key.usage;
  sparse.page_size = config_.sparse_page;
  auto backend = SparseBackend::create(sparse);
  if (!backend) return fail(backend.error());
  pool.sparse = std::move(*backend);
  HeapRequest bound = like;
  bound.requirements.memory_type_bits = pool.sparse->memory_type_bits();
  const auto ranking = heap_.choose(bound);
  if (!ranking) return fail(ranking.error());
  pool.sparse_buffers =
      make_host_object<SparseBuffers>(config_.host, *pool.sparse, pool.table, (*ranking)[0]);
  if (!pool.sparse_buffers) return fail(ErrorCode::out_of_host_memory);
  auto arena =
      ThreadSafeArenaAllocator::create(*pool.sparse_buffers, {.memory_type = (*ranking)[0],
                                                              .retain = config_.retain,
                                                              .retain_percent = config_.retain_percent,
                                                              .host = config_.host,
                                                              .on_misuse = config_.on_misuse,
                                                              .on_leak = leak_handler()});
  if (!arena) return fail(arena.error());
  pool.arena.emplace(std::move(*arena));
  return {};
}

Result<void> SubBufferPools::open(SubBufferPool& pool) noexcept {
  HeapRequest like;
  like.requirements = {.size = 64_KiB};
  like.intent = pool.key.intent();
  like.mapping = pool.key.mapping();
  like.coherent = pool.key.coherent();
  if (sparse_for(pool.key)) {
    const auto opened = open_sparse(pool, like);
    if (opened) ++sparse_pools_;
    // Without sparse pages there are shared buffers; without host memory there is nothing, for now (R7).
    const bool again = !opened && (opened.error().code == ErrorCode::out_of_host_memory ||
                                   opened.error().code == ErrorCode::device_lost);
    if (opened || again) return opened;
    pool.arena.reset();
    pool.sparse_buffers.reset();
    pool.sparse.reset();
  }
  const auto ranking = heap_.choose(like);
  if (!ranking) return fail(ranking.error());
  const std::uint32_t memory_type = (*ranking)[0];
  const DeviceProfile& profile = backend_.profile();
  SharedBuffersConfig shared;
  shared.usage = pool.key.usage;
  shared.intent = pool.key.intent();
  shared.mapping = pool.key.mapping();
  shared.coherent = pool.key.coherent();
  // Blocks grow to an eighth of this: more would be mostly empty, because larger buffers are none of the
  // pools'.
  shared.memory_size = std::min(profile.heaps[profile.memory_types[memory_type].heap].size, kSharedPool);
  shared.families = config_.families;
  shared.host = config_.host;
  pool.shared = make_host_object<SharedBuffers>(config_.host, calls_, heap_, pool.table, shared);
  if (!pool.shared) return fail(ErrorCode::out_of_host_memory);
  auto arena = ThreadSafeArenaAllocator::create(*pool.shared, {.classes = kSubBufferClasses,
                                                               .first_block = kFirstShared,
                                                               .retain = config_.retain,
                                                               .retain_percent = config_.retain_percent,
                                                               .host = config_.host,
                                                               .on_misuse = config_.on_misuse,
                                                               .on_leak = leak_handler()});
  if (!arena) return fail(arena.error());
  pool.arena.emplace(std::move(*arena));
  return {};
}

Result<std::uint32_t> SubBufferPools::add(const SubBufferKey& key) noexcept {
  const std::lock_guard lock(adding_);
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (serves(pools_[i]->key, key)) return i;
  }
  if (count == kMaxPools) return fail(ErrorCode::out_of_space);
  auto pool = make_host_object<SubBufferPool>(config_.host, widened(key), config_.host);
  if (!pool) return fail(ErrorCode::out_of_host_memory);
  if (const auto opened = open(*pool); !opened) return fail(opened.error());
  pools_[count] = std::move(pool);
  count_.store(count + 1, std::memory_order_release);
  return count;
}

void SubBufferPools::collect() noexcept {
  for (std::uint32_t i = 0; i < count(); ++i)
    pools_[i]->arena->collect();
}

void SubBufferPools::flush() noexcept {
  for (std::uint32_t i = 0; i < count(); ++i)
    pools_[i]->arena->flush();
}

}  // namespace vaspace::vulkan
