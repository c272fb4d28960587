#include "heap/pool_table.hpp"

#include <algorithm>
#include <utility>

namespace vaspace {

PoolTable::~PoolTable() {
  for (const Pool& pool : pools_) {
    if (pool.space != nullptr) HostDelete<BlockSpace>{config_.host}(pool.space);
  }
}

Result<SpaceConfig> PoolTable::shape(const PoolConfig& config, std::uint32_t memory_type) const noexcept {
  const DeviceProfile& profile = gate_.profile();
  if (memory_type >= profile.memory_type_count || !(config.priority >= 0.0F && config.priority <= 1.0F))
    return fail(ErrorCode::invalid_configuration);
  const MemoryType& type = profile.memory_types[memory_type];
  if ((config.device_address && !profile.capabilities.device_address) ||
      (type.protected_memory && !config_.rules.protected_memory) ||
      (config.mapping == Mapping::required && !type.host_visible))
    return fail(ErrorCode::not_supported);
  const bool mixes = config.mixes_kinds && config_.buffer_image_granularity.value > 1;
  SpaceConfig shape{.strategy = config.strategy,
                    .granule = spaces_.granule(memory_type, mixes),
                    .memory_type = memory_type,
                    .traits = traits_of(
                        {.device_address = config.device_address, .priority = priority_of(config.priority)}),
                    .first_block = spaces_.first_block(memory_type),
                    .largest_block = spaces_.largest_block(memory_type),
                    .limit = config.limit,
                    .keep = config.keep,
                    .host = config_.host};
  const Alignment unit{std::max(profile.reservation_granularity.value, shape.granule.value)};
  if (config.block_size != Bytes{}) {
    const auto whole = checked_align_up(config.block_size, unit);
    if (!whole || *whole > Block::kLargest) return fail(ErrorCode::invalid_configuration);
    shape.fixed_block = *whole;
    shape.largest_block = std::max(shape.largest_block, *whole);
  }
  if (config.strategy == PoolStrategy::slab) {
    if (config.slot_size == Bytes{} || config.slot_size > 64_KiB ||
        !is_aligned(config.slot_size, Alignment{256}))
      return fail(ErrorCode::invalid_configuration);
    shape.slot_size = align_up(config.slot_size, shape.granule);
  }
  if (config.strategy == PoolStrategy::linear || config.strategy == PoolStrategy::ring) {
    if (config.block_size == Bytes{}) return fail(ErrorCode::invalid_configuration);
    if (shape.limit < shape.fixed_block) return fail(ErrorCode::invalid_configuration);
    shape.largest_block = shape.limit = shape.fixed_block;
    shape.keep = kMaxBytes;
  }
  if (shape.limit < std::max(shape.fixed_block, Bytes{unit.value}))
    return fail(ErrorCode::invalid_configuration);
  return shape;
}

Result<PoolId> PoolTable::create(const PoolConfig& config, std::uint32_t memory_type) noexcept {
  const Result<SpaceConfig> shaped = shape(config, memory_type);
  if (!shaped) return fail(shaped.error());
  auto space = BlockSpace::create(gate_, *shaped);
  if (!space) return fail(space.error());
  if (config.strategy == PoolStrategy::linear || config.strategy == PoolStrategy::ring) {
    if (Result<void> opened = (*space)->open(config.budget); !opened) return fail(opened.error());
  }
  return enter_table(config, memory_type, std::move(*space));
}

Result<PoolId> PoolTable::enter_table(const PoolConfig& config, std::uint32_t memory_type,
                                      HostObject<BlockSpace> space) noexcept {
  Note name(config_.host);
  if (!name.set(config.name, 0)) return fail(ErrorCode::out_of_host_memory);
  const std::lock_guard lock(mutex_);
  std::uint32_t index = 0;
  while (index < pools_.size() && pools_[index].space != nullptr)
    ++index;
  if (!names_.prepare(index) || (index == pools_.size() && !pools_.push_back({})))
    return fail(ErrorCode::out_of_host_memory);
  Pool& pool = pools_[index];
  pool = {.generation = pool.generation,
          .space = space.release(),
          .strategy = config.strategy,
          .mixes_kinds = config.mixes_kinds,
          .device_address = config.device_address,
          .mapped = config.mapping == Mapping::required,
          .memory_type = memory_type,
          .budget = config.budget};
  names_.put(index, std::move(name));
  return PoolId{index, pool.generation};
}

Result<std::uint32_t> PoolTable::find(PoolId id) const noexcept {
  if (id.index >= pools_.size() || id.generation == 0) return fail(ErrorCode::unknown_handle);
  const Pool& pool = pools_[id.index];
  if (pool.generation == id.generation && pool.space != nullptr) return id.index;
  return fail(id.generation < pool.generation ? ErrorCode::stale_handle : ErrorCode::unknown_handle);
}

Result<void> PoolTable::destroy(PoolId id) noexcept {
  BlockSpace* gone = nullptr;
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      const Result<std::uint32_t> index = find(id);
      if (!index) return fail(index.error());
      Pool& pool = pools_[*index];
      if (pool.allocations != 0) return fail(ErrorCode::wrong_state);
      if (pool.visitors == 0) {
        gone = std::exchange(pool.space, nullptr);
        ++pool.generation;
        names_.remove(*index);
        break;
      }
      unvisited_.wait(lock);
    }
  }
  HostDelete<BlockSpace>{config_.host}(gone);
  return {};
}

BlockSpace* PoolTable::begin_visit(std::uint32_t& index) noexcept {
  const std::lock_guard lock(mutex_);
  while (index < pools_.size() && pools_[index].space == nullptr)
    ++index;
  if (index >= pools_.size()) return nullptr;
  ++pools_[index].visitors;
  return pools_[index].space;
}

void PoolTable::end_visit(std::uint32_t index) noexcept {
  const std::lock_guard lock(mutex_);
  if (--pools_[index].visitors == 0) unvisited_.notify_all();
}

Result<Pool> PoolTable::enter(const HeapRequest& request) noexcept {
  const std::lock_guard lock(mutex_);
  const Result<std::uint32_t> index = find(request.pool);
  if (!index) return fail(index.error());
  Pool& pool = pools_[*index];
  const MemoryType& type = gate_.profile().memory_types[pool.memory_type];
  const bool typed = (request.requirements.memory_type_bits >> pool.memory_type & 1U) != 0;
  const bool transient = !type.lazily_allocated || request.intent == Intent::transient_attachment;
  const bool guarded = type.protected_memory == (request.intent == Intent::protected_device);
  const bool addressed = !request.device_address || pool.device_address;
  // Two of unknown kind may turn out as one of each.
  const bool sure = request.kind != ResourceKind::unknown || config_.buffer_image_granularity.value == 1;
  const bool kind_fits = pool.mixes_kinds || (sure && (!pool.has_kind || pool.kind == request.kind));
  const bool coherent = !request.coherent || type.host_coherent;
  if (!typed || !transient || !guarded || !addressed || !kind_fits || !coherent)
    return fail(ErrorCode::invalid_argument);
  pool.has_kind = true;
  pool.kind = request.kind;
  ++pool.allocations;
  pool.live += request.requirements.size;
  return pool;
}

void PoolTable::leave(std::uint32_t index, Bytes size) noexcept {
  const std::lock_guard lock(mutex_);
  Pool& pool = pools_[index];
  if (--pool.allocations == 0) pool.has_kind = false;  // empty, it is anybody's
  pool.live -= size;
}

PoolId PoolTable::id_at(std::uint32_t index) const noexcept {
  const std::lock_guard lock(mutex_);
  const Pool& pool = pools_[index];
  return pool.space != nullptr ? PoolId{index, pool.generation} : PoolId{};
}

Result<PoolReport> PoolTable::report(PoolId id) const noexcept {
  const std::lock_guard lock(mutex_);
  const Result<std::uint32_t> index = find(id);
  if (!index) return fail(index.error());
  const Pool& pool = pools_[*index];
  const SpaceFigures figures = pool.space->figures();
  const Note* name = names_.find(*index);
  return PoolReport{.strategy = pool.strategy,
                    .memory_type = pool.memory_type,
                    .blocks = figures.blocks,
                    .allocations = pool.allocations,
                    .live = pool.live,
                    .used = figures.used,
                    .committed = figures.committed,
                    .name = name == nullptr ? std::string_view{} : name->name()};
}

const char* PoolTable::validate() const noexcept {
  const char* wrong = nullptr;
  for_each([&](const BlockSpace& space) {
    if (wrong == nullptr) wrong = space.validate();
  });
  return wrong;
}

}  // namespace vaspace
