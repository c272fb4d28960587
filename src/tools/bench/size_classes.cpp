#include "bench/size_classes.hpp"

#include <memory>

#include "bench/random.hpp"
#include "bench/session.hpp"
#include "bench/subjects.hpp"
#include "statistics.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr Bytes kDevice = 1_GiB;
constexpr std::uint32_t kBatch = 50;

struct SizeClassLoad {
  std::string size;
  std::vector<std::uint32_t> sizes;
};

std::vector<std::uint32_t> mixed_sizes() {
  Random random(13);
  std::vector<std::uint32_t> sizes;
  std::uint64_t sum = 0;
  for (;;) {
    const std::uint32_t size = random.log_uniform(256, 32U << 20U);
    sum += size;
    if (sum > kDevice.value / 5 * 4) return sizes;
    sizes.push_back(size);
  }
}

std::vector<SizeClassLoad> loads() {
  const auto equal = [](std::uint32_t size, std::size_t count) {
    return SizeClassLoad{std::to_string(size), std::vector<std::uint32_t>(count, size)};
  };
  return {
      equal(4U << 10U, 50'000), equal(64U << 10U, 8'000), equal(1U << 20U, 500), {"mixed", mixed_sizes()}};
}

// Allocates all, frees all.
struct Rehearsal {
  Phase allocate{.kind = Kind::allocate, .batch = kBatch};
  Phase free{.kind = Kind::free, .batch = kBatch};
  // Between cold and warm: the load and, where it is of one size, as much more as the device holds. Else what
  // is timed as warm would commit pages of reservations that the first time did not fill.
  Phase fill{.kind = Kind::allocate};
  Phase empty{.kind = Kind::free};
  std::uint32_t handles = 0;
};

Rehearsal rehearsal_of(const SizeClassLoad& load, Order order) {
  Rehearsal rehearsal;
  const auto count = static_cast<std::uint32_t>(load.sizes.size());
  for (std::uint32_t i = 0; i < count; ++i)
    rehearsal.allocate.operations.push_back(allocation(i, load.sizes[i]));
  for (const std::uint32_t handle : order_of(order, count, 14))
    rehearsal.free.operations.push_back(freeing(handle));
  rehearsal.fill.operations = rehearsal.allocate.operations;
  rehearsal.handles = count;
  if (load.size != "mixed") {
    rehearsal.handles = static_cast<std::uint32_t>(kDevice.value / load.sizes.front());
    for (std::uint32_t i = count; i < rehearsal.handles; ++i)
      rehearsal.fill.operations.push_back(allocation(i, load.sizes.front()));
  }
  for (std::uint32_t i = 0; i < rehearsal.handles; ++i)
    rehearsal.empty.operations.push_back(freeing(i));
  return rehearsal;
}

// One allocator's batches of all rounds, in picoseconds per call.
struct Batches {
  std::vector<std::uint64_t> allocate;
  std::vector<std::uint64_t> free;
};

void time_into(Session& session, const Phase& phase, std::vector<std::uint64_t>& all) {
  std::vector<std::uint64_t> samples;
  session.time_batches(phase, samples);
  all.insert(all.end(), samples.begin(), samples.end());
}

struct Side {
  const char* allocator;
  std::unique_ptr<Session> (*make)(const Setup& setup);
  Batches cold{}, warm{};
  std::uint64_t refused = 0;

  // A new allocator.
  void round(const Rehearsal& rehearsal, const Setup& setup) {
    const std::unique_ptr<Session> session = make(setup);
    time_both(*session, rehearsal, cold);
    const std::uint64_t before = session->refused();
    session->run(rehearsal.fill);
    session->run(rehearsal.empty);
    const std::uint64_t by_filling = session->refused() - before;  // the device may end in part of a piece
    time_both(*session, rehearsal, warm);
    refused += session->refused() - by_filling;
  }

 private:
  static void time_both(Session& session, const Rehearsal& rehearsal, Batches& batches) {
    time_into(session, rehearsal.allocate, batches.allocate);
    time_into(session, rehearsal.free, batches.free);
  }
};

template <class S>
std::unique_ptr<Session> make(const Setup& setup) {
  return std::make_unique<SessionOf<S>>(setup);
}

CallTimes call_times_of(std::vector<std::uint64_t> samples) {
  constexpr double kPicosecondsPerMicrosecond = 1e6;
  const Spread spread = spread_of(samples);
  return {.min = static_cast<double>(spread.min) / kPicosecondsPerMicrosecond,
          .max = static_cast<double>(spread.max) / kPicosecondsPerMicrosecond,
          .mean = spread.mean / kPicosecondsPerMicrosecond,
          .median = spread.median / kPicosecondsPerMicrosecond};
}

std::vector<SizeClassRow> rows_of(const SizeClassLoad& load, Order order, const Options& options,
                                  unsigned rounds) {
  const Rehearsal rehearsal = rehearsal_of(load, order);
  const Setup setup{.heap = kDevice, .handles = rehearsal.handles};
  std::vector<Side> sides;
  if (options.wants_subject("default"))
    sides.push_back({"default", make<VaSubject<DefaultAllocator, OnCpu>>});
  if (options.wants_subject("arena")) sides.push_back({"arena", make<VaSubject<ArenaAllocator, OnCpu>>});
  for (unsigned round = 0; round < rounds; ++round) {
    for (Side& side : sides)
      side.round(rehearsal, setup);
  }
  std::vector<SizeClassRow> rows;
  for (const bool warm : {true, false}) {
    for (const Side& side : sides) {
      const Batches& batches = warm ? side.warm : side.cold;
      rows.push_back({.size = load.size,
                      .count = load.sizes.size(),
                      .order = name_of(order),
                      .warm = warm,
                      .allocator = side.allocator,
                      .allocate = call_times_of(batches.allocate),
                      .free = call_times_of(batches.free),
                      .refused = side.refused});
    }
  }
  return rows;
}

}  // namespace

const CallTimes* prototype_of(const SizeClassRow& row) {
  struct Reported {
    const char* size;
    const char* allocator;
    CallTimes times;
  };
  static constexpr Reported kReported[] = {
      {"4096", "default", {.min = .42, .max = 26.63, .mean = 4.45, .median = 5.28}},
      {"4096", "arena", {.min = .25, .max = 23.15, .mean = 4.38, .median = 4.61}},
      {"1048576", "default", {.min = .22, .max = 19.35, .mean = 3.09, .median = 3.32}},
      {"1048576", "arena", {.min = .13, .max = 5.45, .mean = .34, .median = .31}},
  };
  for (const Reported& reported : kReported) {
    if (row.size == reported.size && row.allocator == reported.allocator) return &reported.times;
  }
  return nullptr;
}

std::vector<SizeClassRow> measure_size_classes(const Options& options, const Amount& amount,
                                               const std::function<void()>& tick) {
  std::vector<SizeClassRow> rows;
  for (const SizeClassLoad& load : loads()) {
    for (const Order order : kOrders) {
      for (SizeClassRow& row : rows_of(load, order, options, amount.size_class_rounds))
        rows.push_back(std::move(row));
      tick();
    }
  }
  return rows;
}

}  // namespace vaspace::tools::bench
