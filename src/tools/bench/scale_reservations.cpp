#include <array>

#include "bench/clock.hpp"
#include "bench/figures.hpp"
#include "bench/random.hpp"
#include "bench/scale.hpp"
#include "bench/subjects.hpp"
#include "support/host.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr Bytes kPiece = 64_KiB;
constexpr std::array<SizeClass, 2> kOneEach{{{kPiece, kPiece, Strategy::object},  //
                                             {kMaxBytes, {}, Strategy::object}}};
constexpr std::uint32_t kFewest = 100;
constexpr std::uint32_t kBatch = 64;

std::uint32_t most_of(const Amount& amount) {
  return amount.thorough ? 100'000 : 10 * kFewest;
}

// An arena with `count` reservations, each of them one allocation.
template <class Allocator>
class Reservations {
 public:
  explicit Reservations(std::uint32_t count)
      : backend_(OnAddresses::make(kPiece * count * 2)),
        allocator_(value_of(Allocator::create(*backend_, config()), "an allocator")),
        held_(count) {
    for (Allocation& one : held_)
      one = value_of(allocator_.allocate({.size = kPiece}), "a reservation");
  }

  Reservations(const Reservations&) = delete;
  Reservations& operator=(const Reservations&) = delete;
  ~Reservations() {
    for (const Allocation& one : held_)
      allocator_.free(one.id);
  }

  // Each answers how many of its steps went wrong.
  [[gnu::noinline]] std::uint64_t keep(std::span<const std::uint32_t> order) {
    std::uint64_t refused = 0;
    for (const std::uint32_t i : order) {
      allocator_.free(held_[i].id);
      refused += renew(held_[i]);
    }
    return refused;
  }
  [[gnu::noinline]] std::uint64_t collect(std::span<const std::uint32_t> order) {
    std::uint64_t refused = 0;
    for (const std::uint32_t i : order) {
      allocator_.free(held_[i].id);
      allocator_.collect();
      refused += renew(held_[i]);
    }
    return refused;
  }
  [[gnu::noinline]] std::uint64_t find(std::span<const std::uint32_t> order) {
    std::uint64_t missed = 0;
    for (const std::uint32_t i : order)
      missed += allocator_.find(held_[i].address) ? 0 : 1;
    return missed;
  }

  // Every reservation back to the backend, and as many new ones.
  [[gnu::noinline]] std::uint64_t grow_again() {
    for (const Allocation& one : held_)
      allocator_.free(one.id);
    allocator_.flush();
    std::uint64_t refused = 0;
    for (Allocation& one : held_)
      refused += renew(one);
    return refused;
  }

  [[nodiscard]] double bytes_each() const {
    return static_cast<double>(host_.bytes()) / static_cast<double>(held_.size());
  }

 private:
  std::uint64_t renew(Allocation& one) {
    const Result<Allocation> next = allocator_.allocate({.size = kPiece});
    if (!next) return 1;
    one = *next;
    return 0;
  }
  ArenaConfig config() {
    return {.classes = kOneEach, .retain = {}, .retain_percent = 0, .host = host_.allocator()};
  }

  test::TestHost host_;
  HostObject<AddressBackend> backend_;
  Allocator allocator_;
  std::vector<Allocation> held_;
};

template <class Allocator>
struct Step {
  const char* mode;
  Unit unit;
  std::uint64_t (Reservations<Allocator>::*run)(std::span<const std::uint32_t> order);
};
template <class Allocator>
constexpr std::array<Step<Allocator>, 3> kSteps{
    {{"kept", Unit::pair, &Reservations<Allocator>::keep},
     {"kept", Unit::find, &Reservations<Allocator>::find},
     {"collected", Unit::pair, &Reservations<Allocator>::collect}}};

std::vector<std::uint32_t> any_of(std::uint32_t count, std::uint32_t below) {
  Random random(10);
  std::vector<std::uint32_t> order(count);
  for (std::uint32_t& i : order)
    i = random.below(below);
  return order;
}

// `time` adds a round's samples, in picoseconds, and answers how many steps went wrong.
template <class Time>
TimingRow row_of(const char* mode, Unit unit, const char* policy, std::uint32_t count, const Amount& amount,
                 Time&& time) {
  TimingRow row{.key = {.workload = "scale_reservations", .mode = mode, .live = count},
                .unit = unit,
                .subject = "arena",
                .policy = policy,
                .ns = {},
                .to_limit = {}};
  std::vector<Round> rounds;
  for (unsigned round = 0; round < amount.scale_rounds + 1; ++round) {
    std::vector<std::uint64_t> samples;
    row.refused += time(samples);
    if (round > 0) rounds.push_back(round_of(std::move(samples)));  // the first warms up
  }
  row.ns = timing_of(rounds);
  return row;
}

template <class Allocator>
std::uint64_t time_batches(Reservations<Allocator>& reservations, const Step<Allocator>& step,
                           std::span<const std::uint32_t> order, std::vector<std::uint64_t>& samples) {
  std::uint64_t refused = 0;
  for (; !order.empty(); order = order.subspan(kBatch)) {
    const std::uint64_t from = now_ns();
    refused += (reservations.*step.run)(order.first(kBatch));
    samples.push_back(picoseconds_each(now_ns() - from, clock_floor_ns(), kBatch));
  }
  return refused;
}

template <class Allocator>
std::uint64_t time_growth(Reservations<Allocator>& reservations, std::uint32_t count,
                          std::vector<std::uint64_t>& samples) {
  const std::uint64_t from = now_ns();
  const std::uint64_t refused = reservations.grow_again();
  samples.push_back(picoseconds_each(now_ns() - from, clock_floor_ns(), count));
  return refused;
}

template <class Allocator>
void measure_with(const char* policy, std::uint32_t count, const Amount& amount, ScaleRows& rows) {
  Reservations<Allocator> reservations(count);
  MetadataRow metadata{.workload = "scale_reservations",
                       .mode = policy,
                       .live = count,
                       .subject = "arena",
                       .bytes_per_live = reservations.bytes_each(),
                       .per = {}};
  rows.metadata.push_back(std::move(metadata));
  const std::vector<std::uint32_t> order = any_of(amount.pairs / 10 / kBatch * kBatch, count);
  for (const Step<Allocator>& step : kSteps<Allocator>) {
    rows.timings.push_back(row_of(step.mode, step.unit, policy, count, amount, [&](auto& samples) {
      return time_batches(reservations, step, order, samples);
    }));
  }
  rows.timings.push_back(row_of("grown", Unit::pair, policy, count, amount,
                                [&](auto& samples) { return time_growth(reservations, count, samples); }));
}

}  // namespace

ScaleRows measure_reservations(const Options& options, const Amount& amount,
                               const std::function<void()>& tick) {
  ScaleRows rows;
  if (!options.wants_subject("arena")) return rows;
  for (std::uint32_t count = kFewest; count <= most_of(amount); count *= 10) {
    measure_with<ArenaAllocator>("single", count, amount, rows);
    measure_with<ThreadSafeArenaAllocator>("threaded", count, amount, rows);
    tick();
  }
  return rows;
}

unsigned reservation_ticks(const Amount& amount) {
  unsigned ticks = 0;
  for (std::uint32_t count = kFewest; count <= most_of(amount); count *= 10)
    ++ticks;
  return ticks;
}

}  // namespace vaspace::tools::bench
