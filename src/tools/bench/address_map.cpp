#include "bench/address_map.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>

#include "vaspace/va/bind_plan.hpp"

#include "bench/clock.hpp"
#include "bench/figures.hpp"
#include "bench/random.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr std::uint64_t kPage = 65536;
constexpr std::uint32_t kFewest = 1'000;
constexpr std::uint32_t kBatch = 256;

std::uint32_t most_of(const Amount& amount) {
  return amount.thorough ? 1'000'000 : 10 * kFewest;
}

// Every other page, each to an object of its own.
constexpr std::uint64_t address_of(std::uint64_t i) {
  return (1ULL << 40U) + i * 2 * kPage;
}
Mapping mapping_of(std::uint64_t i) {
  return {PhysicalId{i + 1}, {}, Backing::memory};
}

struct Row {
  std::uint64_t begin, end;
  Mapping mapping;
};

// Both hold the same mappings. Each step answers what it found, so that nothing of it can be left out.
class Maps {
 public:
  explicit Maps(std::uint32_t count) {
    flat_.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      refused_ += map_.assign(address_of(i), address_of(i) + kPage, mapping_of(i)) ? 0 : 1;
      flat_.push_back({address_of(i), address_of(i) + kPage, mapping_of(i)});
    }
  }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

  [[gnu::noinline]] std::uint64_t look_up(std::span<const std::uint32_t> which) {
    std::uint64_t sum = 0;
    for (const std::uint32_t i : which) {
      const auto found = map_.find(address_of(i));
      sum += found ? found->value.physical.value : 0;
    }
    return sum;
  }
  [[gnu::noinline]] std::uint64_t look_up_flat(std::span<const std::uint32_t> which) {
    std::uint64_t sum = 0;
    for (const std::uint32_t i : which) {
      const std::uint64_t at = address_of(i);
      const auto above = std::upper_bound(flat_.begin(), flat_.end(), at,
                                          [](std::uint64_t a, const Row& row) { return a < row.begin; });
      if (above != flat_.begin() && at < std::prev(above)->end)
        sum += std::prev(above)->mapping.physical.value;
    }
    return sum;
  }
  [[gnu::noinline]] std::uint64_t plan(std::span<const std::uint32_t> which) {
    std::uint64_t ops = 0;
    for (const std::uint32_t i : which) {
      if (!planner_.plan(address_of(i), address_of(i) + kPage, mapping_of(flat_.size()), plan_)) ++refused_;
      ops += plan_.unbinds().size() + plan_.binds().size();
    }
    return ops;
  }
  [[gnu::noinline]] std::uint64_t change(std::span<const std::uint32_t> which) {
    for (const std::uint32_t i : which) {
      if (!map_.erase(address_of(i), address_of(i) + kPage)) ++refused_;
      if (!map_.assign(address_of(i), address_of(i) + kPage, mapping_of(i))) ++refused_;
    }
    return which.size();
  }

 private:
  static PlanShape shape() {
    PlanShape shape;
    shape.page = Bytes{kPage};
    return shape;
  }
  AddressMap map_;
  std::vector<Row> flat_;
  TornMap torn_;
  Planner planner_{map_, torn_, shape()};
  BindPlan plan_{default_host_allocator()};
  std::uint64_t refused_ = 0;
};

struct Step {
  const char* mode;
  Unit unit;
  const char* subject;
  std::uint64_t (Maps::*run)(std::span<const std::uint32_t> which);
};
// The limit of look-ups comes right before what is measured against it.
constexpr Step kSteps[] = {{"look_up", Unit::find, "flat_table", &Maps::look_up_flat},
                           {"look_up", Unit::find, "address_map", &Maps::look_up},
                           {"plan", Unit::op, "address_map", &Maps::plan},
                           {"change", Unit::pair, "address_map", &Maps::change}};
constexpr std::size_t kStepCount = std::size(kSteps);

struct Timed {
  std::vector<Round> rounds;
  std::uint64_t sum = 0;
};

void time_step(Maps& maps, const Step& step, std::span<const std::uint32_t> order, Timed& timed) {
  std::vector<std::uint64_t> samples;
  for (; !order.empty(); order = order.subspan(kBatch)) {
    const std::uint64_t from = now_ns();
    timed.sum += (maps.*step.run)(order.first(kBatch));
    samples.push_back(picoseconds_each(now_ns() - from, clock_floor_ns(), kBatch));
  }
  timed.rounds.push_back(round_of(std::move(samples)));
}

std::vector<std::uint32_t> any_of(std::uint32_t count, std::uint32_t below) {
  Random random(11);
  std::vector<std::uint32_t> order(count);
  for (std::uint32_t& i : order)
    i = random.below(below);
  return order;
}

// What was refused, and whether the map answers otherwise than the table.
std::uint64_t wrong(const Maps& maps, const std::array<Timed, kStepCount>& steps) {
  return maps.refused() + (steps[0].sum == steps[1].sum ? 0 : 1);
}

void measure_with(std::uint32_t count, const Amount& amount, std::vector<TimingRow>& rows) {
  Maps maps(count);
  const std::vector<std::uint32_t> order = any_of(amount.pairs / 5 / kBatch * kBatch, count);
  std::array<Timed, kStepCount> steps;
  for (unsigned round = 0; round < amount.scale_rounds; ++round) {
    for (std::size_t i = 0; i < kStepCount; ++i)
      time_step(maps, kSteps[i], order, steps[i]);
  }
  for (std::size_t i = 0; i < kStepCount; ++i) {
    TimingRow row;
    row.key.workload = "map";
    row.key.mode = kSteps[i].mode;
    row.key.live = count;
    row.unit = kSteps[i].unit;
    row.subject = kSteps[i].subject;
    row.policy = "single";
    row.ns = timing_of(steps[i].rounds);
    row.refused = wrong(maps, steps);
    if (row.unit == Unit::find) row.to_limit = ratio_of(steps[i].rounds, steps[0].rounds);
    rows.push_back(std::move(row));
  }
}

}  // namespace

std::vector<TimingRow> measure_address_map(const Amount& amount, const std::function<void()>& tick) {
  std::vector<TimingRow> rows;
  for (std::uint32_t count = kFewest; count <= most_of(amount); count *= 10) {
    measure_with(count, amount, rows);
    tick();
  }
  return rows;
}

unsigned address_map_ticks(const Amount& amount) {
  unsigned ticks = 0;
  for (std::uint32_t count = kFewest; count <= most_of(amount); count *= 10)
    ++ticks;
  return ticks;
}

}  // namespace vaspace::tools::bench
