#include "live_ids.hpp"

#include <utility>

namespace vaspace::trace {

namespace {
constexpr std::size_t kFirstCells = 64;
}

std::size_t LiveIds::home(std::uint64_t id) const noexcept {
  std::uint64_t x = (id ^ (id >> 32U)) * 0x9e3779b97f4a7c15ULL;
  x ^= x >> 29U;
  return static_cast<std::size_t>(x) & (cells_.size() - 1);
}

std::size_t LiveIds::cell_of(std::uint64_t id) const noexcept {
  std::size_t cell = home(id);
  while (cells_[cell].taken && cells_[cell].id != id)
    cell = after(cell);
  return cell;
}

bool LiveIds::grow() noexcept {
  const std::size_t wanted = cells_.empty() ? kFirstCells : 2 * cells_.size();
  HostArray<Cell> old(cells_.host());
  if (!old.resize(wanted)) return false;
  std::swap(old, cells_);
  for (const Cell& cell : old.span()) {
    if (cell.taken) cells_[cell_of(cell.id)] = cell;
  }
  return true;
}

LiveIds::Insert LiveIds::insert(std::uint64_t id, std::uint32_t number) noexcept {
  if (!cells_.empty() && cells_[cell_of(id)].taken) return Insert::is_live;
  if (2 * (live_ + 1) > cells_.size() && !grow()) return Insert::no_memory;
  cells_[cell_of(id)] = {.id = id, .number = number, .taken = true};
  ++live_;
  return Insert::done;
}

std::optional<std::uint32_t> LiveIds::remove(std::uint64_t id) noexcept {
  if (cells_.empty()) return std::nullopt;
  const std::size_t cell = cell_of(id);
  if (!cells_[cell].taken) return std::nullopt;
  const std::uint32_t number = cells_[cell].number;
  close_gap(cell);
  --live_;
  return number;
}

// Moves back whatever follows without a free cell between and may stand at the gap: its home does not lie
// behind the gap on the way to where it stands.
void LiveIds::close_gap(std::size_t gap) noexcept {
  const std::size_t mask = cells_.size() - 1;
  for (std::size_t at = after(gap); cells_[at].taken; at = after(at)) {
    const std::size_t way_from_home = (at - home(cells_[at].id)) & mask;
    const std::size_t way_from_gap = (at - gap) & mask;
    if (way_from_home < way_from_gap) continue;
    cells_[gap] = cells_[at];
    gap = at;
  }
  cells_[gap].taken = false;
}

}  // namespace vaspace::trace
