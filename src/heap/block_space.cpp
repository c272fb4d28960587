#include "heap/block_space.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace vaspace {

namespace {

// A smaller block may still be had.
[[nodiscard]] bool worth_less(ErrorCode code) noexcept {
  return code == ErrorCode::out_of_device_memory || code == ErrorCode::driver_error ||
         code == ErrorCode::too_large;
}

// Rounded down; of less than 2^32.
[[nodiscard]] std::uint64_t square_root(std::uint64_t n) noexcept {
  std::uint64_t root = 0;
  for (std::uint64_t bit = 1U << 15U; bit != 0; bit /= 2) {
    if ((root + bit) * (root + bit) <= n) root += bit;
  }
  return root;
}

}  // namespace

BlockSpace::BlockSpace(DeviceGate& gate, const SpaceConfig& config, Cutter&& cutter) noexcept
    : gate_(gate),
      config_(config),
      window_bits_(static_cast<unsigned>(std::countr_zero(cutter.window().value))),
      cutter_(std::move(cutter)),
      entries_(config.host) {}

Result<HostObject<BlockSpace>> BlockSpace::create(DeviceGate& gate, const SpaceConfig& config) noexcept {
  auto cutter = Cutter::create({.strategy = config.strategy,
                                .granule = config.granule,
                                .window = config.largest_block,
                                .slot_size = config.slot_size,
                                .host = config.host});
  if (!cutter) return fail(cutter.error());
  auto space = make_host_object<BlockSpace>(config.host, gate, config, std::move(*cutter));
  if (!space) return fail(ErrorCode::out_of_host_memory);
  return space;
}

BlockSpace::~BlockSpace() {
  for (const Entry& entry : entries_) {
    if (entry.block != nullptr) gate_.release(*entry.block);
  }
}

Result<Cut> BlockSpace::take_locked(RangeRequest request) noexcept {
  const Result<Range> range = cutter_.allocate(request);
  if (!range) return fail(range.error());
  const std::uint32_t window = window_of(range->offset);
  Entry& entry = entries_[window];
  if (entry.used == Bytes{}) empty_ -= entry.block->size();
  entry.used += range->size;
  used_ += range->size;
  return Cut{entry.block, *range, range->offset - Offset{std::uint64_t{window} << window_bits_}};
}

Result<Cut> BlockSpace::take_present(RangeRequest request) noexcept {
  const std::lock_guard lock(mutex_);
  return take_locked(request);
}

Result<Cut> BlockSpace::take(RangeRequest request, BudgetPolicy policy) noexcept {
  for (bool asked = config_.on_full.give_back == nullptr;;) {
    const Result<Cut> cut = take_present(request);
    if (cut || cut.error().code != ErrorCode::out_of_space) return cut;
    if (!std::exchange(asked, true)) {
      config_.on_full.give_back(config_.on_full.user);
      continue;
    }
    const std::lock_guard one_at_a_time(growing_);
    {
      const std::lock_guard lock(mutex_);
      if (cutter_.can_allocate(request)) continue;
    }
    if (Result<void> grown = grow(request, policy); !grown) return fail(grown.error());
  }
}

Result<void> BlockSpace::open(BudgetPolicy policy) noexcept {
  const std::lock_guard one_at_a_time(growing_);
  return grow({Bytes{1}, {}}, policy);
}

void BlockSpace::give(const Cut& cut) noexcept {
  const std::lock_guard lock(mutex_);
  cutter_.release(cut.range);
  Entry& entry = entries_[window_of(cut.range.offset)];
  entry.used -= cut.range.size;
  used_ -= cut.range.size;
  if (entry.used == Bytes{}) empty_ += entry.block->size();
}

// Half of the last block is unused in the mean, and every block is a call of the driver: with blocks that
// grow as the square root of what is held, the one stays a falling share of all, and the calls rise as
// slowly.
Bytes BlockSpace::size_of_next(Bytes need) const noexcept {
  if (config_.fixed_block != Bytes{}) return std::max(config_.fixed_block, need);
  const Alignment step{std::max((1_MiB).value, config_.granule.value)};
  // Twice the root, in MiB: 4 where 4 are held, 8 where 16 are, 16 where 64 are, ... 256 where 16 GiB are.
  const Bytes root = 2 * square_root(committed_ / 1_KiB) * 32_KiB;
  const Bytes rounded = std::min(align_up(need, step), config_.largest_block);
  return std::max({std::min(std::max(root, config_.first_block), config_.largest_block), rounded, need});
}

Result<void> BlockSpace::grow(RangeRequest request, BudgetPolicy policy) noexcept {
  const Alignment unit{std::max(gate_.profile().reservation_granularity.value, config_.granule.value)};
  const Bytes need = align_up(request.size, unit);
  if (need > config_.largest_block) return fail(ErrorCode::too_large);
  // Another block has no more such slots than those that are there.
  const std::uint64_t natural = config_.slot_size.value & (~config_.slot_size.value + 1);
  const bool slab = config_.strategy == PoolStrategy::slab;
  if (slab && (request.size > config_.slot_size || request.alignment.value > natural))
    return fail(ErrorCode::too_large);
  Bytes want;
  Bytes room;
  {
    const std::lock_guard lock(mutex_);
    want = align_up(size_of_next(need), unit);
    room = config_.limit > committed_ ? config_.limit - committed_ : Bytes{};
  }
  if (config_.fixed_block == Bytes{}) want = std::max(need, std::min(want, align_down(room, unit)));
  if (want > room) return fail(ErrorCode::out_of_space);
  for (;;) {
    const Result<Block*> block = gate_.reserve(
        {.size = want, .memory_type = config_.memory_type, .traits = config_.traits, .policy = policy});
    if (block) {
      const Result<void> entered = enter(**block);
      if (!entered) gate_.release(**block);
      return entered;
    }
    if (want <= need || config_.fixed_block != Bytes{} || !worth_less(block.error().code))
      return fail(block.error());
    want = std::max(need, align_up(Bytes{want.value / 2}, unit));
  }
}

Result<void> BlockSpace::enter(Block& block) noexcept {
  const std::lock_guard lock(mutex_);
  if (!entries_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const Result<Offset> begin = cutter_.add_span(block.size());
  if (!begin) {
    const bool numbered = begin.error().code == ErrorCode::too_large;  // no window is left
    return fail(numbered ? Error{ErrorCode::out_of_space} : begin.error());
  }
  const std::uint32_t window = window_of(*begin);
  if (window == entries_.size()) entries_.push_back_reserved({});
  entries_[window] = {&block, Bytes{}};
  block.window = window;
  committed_ += block.size();
  empty_ += block.size();
  return {};
}

Bytes BlockSpace::kept() const noexcept {
  return std::max(config_.keep, Bytes{used_.value / 100 * config_.keep_percent});
}

// The largest empty block, where more than `keep` bytes of them are held. It leaves the space.
Block* BlockSpace::take_empty(Bytes keep) noexcept {
  if (empty_ <= keep) return nullptr;
  std::uint32_t best = ~std::uint32_t{0};
  for (std::uint32_t window = 0; window < entries_.size(); ++window) {
    const Entry& entry = entries_[window];
    if (entry.block == nullptr || entry.used != Bytes{}) continue;
    if (best == ~std::uint32_t{0} || entry.block->size() > entries_[best].block->size()) best = window;
  }
  if (best == ~std::uint32_t{0}) return nullptr;
  if (!cutter_.remove_span(Offset{std::uint64_t{best} << window_bits_})) return nullptr;
  Block* block = std::exchange(entries_[best].block, nullptr);
  committed_ -= block->size();
  empty_ -= block->size();
  return block;
}

void BlockSpace::collect() noexcept {
  for (;;) {
    Block* block = nullptr;
    {
      const std::lock_guard lock(mutex_);
      block = take_empty(kept());
    }
    if (block == nullptr) return;
    gate_.release(*block);
  }
}

Bytes BlockSpace::give_back(Bytes enough) noexcept {
  Bytes given{};
  while (given < enough) {
    Block* block = nullptr;
    {
      const std::lock_guard lock(mutex_);
      block = take_empty(Bytes{});
    }
    if (block == nullptr) return given;
    given += block->size();
    gate_.release(*block);
  }
  return given;
}

SpaceFigures BlockSpace::figures() const noexcept {
  const std::lock_guard lock(mutex_);
  SpaceFigures figures{.committed = committed_, .used = used_};
  for (const Entry& entry : entries_) {
    if (entry.block == nullptr) continue;
    ++figures.blocks;
    figures.empty_blocks += entry.used == Bytes{} ? 1 : 0;
  }
  return figures;
}

Bytes BlockSpace::used_in(const Block& block) const noexcept {
  const std::lock_guard lock(mutex_);
  return entries_[block.window].used;
}

const char* BlockSpace::validate() const noexcept {
  const std::lock_guard lock(mutex_);
  if (const char* wrong = cutter_.validate(); wrong != nullptr) return wrong;
  Bytes committed{};
  Bytes empty{};
  Bytes used{};
  for (const Entry& entry : entries_) {
    if (entry.block == nullptr) continue;
    if (!entry.block->live) return "a block of a space is nobody's";
    if (entry.used > entry.block->size()) return "more is used in a block than it has";
    committed += entry.block->size();
    used += entry.used;
    if (entry.used == Bytes{}) empty += entry.block->size();
  }
  if (committed != committed_ || empty != empty_ || used != used_) return "a space's bytes are miscounted";
  if (committed > config_.limit) return "a space is above its limit";
  return nullptr;
}

}  // namespace vaspace
