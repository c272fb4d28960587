#include "bench/cuda_pair.hpp"

#ifdef VASPACE_BENCH_CUDA
#include <array>
#include <optional>
#include <string>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/backends/cpu.hpp"
#include "vaspace/frontends/cuda.hpp"

#include "bench/clock.hpp"
#include "bench/figures.hpp"
#include "bench/random.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr std::uint32_t kLive = 100;
constexpr std::uint32_t kBatch = 256;
constexpr std::array<std::uint64_t, 9> kSizes{64, 256, 512, 1024, 4096, 16384, 65536, 1U << 20U, 8U << 20U};

struct Mix {
  const char* mode;
  std::uint32_t smallest, largest;
};
constexpr std::array<Mix, 2> kMixes{{{"mixed_64_2048", 64, 2048}, {"mixed_64_65536", 64, 65536}}};

struct Timed {
  std::vector<Round> rounds;
  std::uint64_t refused = 0;
};

// `pair` answers whether it was served.
template <class Pair>
void time_pairs(std::uint32_t pairs, Pair&& pair, Timed& timed) {
  std::vector<std::uint64_t> samples;
  for (std::uint32_t done = 0; done < pairs; done += kBatch) {
    const std::uint64_t from = now_ns();
    for (std::uint32_t i = 0; i < kBatch; ++i)
      timed.refused += pair() ? 0U : 1U;
    samples.push_back(picoseconds_each(now_ns() - from, clock_floor_ns(), kBatch));
  }
  timed.rounds.push_back(round_of(std::move(samples)));
}

TimingRow row_of(const std::string& mode, const char* subject, const Timed& timed, const Timed& limit) {
  TimingRow row;
  row.key.workload = "cuda";
  row.key.mode = mode;
  row.key.live = kLive;
  row.unit = Unit::pair;
  row.subject = subject;
  row.policy = "threaded";
  row.ns = timing_of(timed.rounds);
  row.refused = timed.refused;
  row.to_limit = ratio_of(timed.rounds, limit.rounds);
  return row;
}

// The two take turns, so that both meet the same machine.
void measure_size(ThreadSafeArenaAllocator& arena, cuda::StreamAllocator& streams, cuda::Stream stream,
                  Bytes size, const Amount& amount, std::vector<TimingRow>& rows) {
  std::vector<Allocation> in_arena;
  std::vector<Address> on_stream;
  Timed by_arena;
  Timed by_stream;
  for (std::uint32_t i = 0; i < kLive; ++i) {
    if (const auto one = arena.allocate({.size = size}); one) in_arena.push_back(*one);
    if (const auto one = streams.allocate(size, stream); one) on_stream.push_back(*one);
  }
  by_arena.refused = kLive - in_arena.size();
  by_stream.refused = kLive - on_stream.size();
  const auto arena_pair = [&] {
    const auto one = arena.allocate({.size = size});
    if (one) arena.free(*one);
    return one.has_value();
  };
  const auto stream_pair = [&] {
    const auto one = streams.allocate(size, stream);
    return one && streams.free(*one, stream);
  };
  for (unsigned round = 0; round < amount.scale_rounds; ++round) {
    time_pairs(amount.pairs, arena_pair, by_arena);
    time_pairs(amount.pairs, stream_pair, by_stream);
  }
  const std::string mode = std::to_string(size.value);
  rows.push_back(row_of(mode, "arena", by_arena, by_arena));
  rows.push_back(row_of(mode, "stream_allocator", by_stream, by_arena));
  for (const Allocation& one : in_arena)
    arena.free(one);
  for (const Address one : on_stream)
    (void)streams.free(one, stream);
}

// One of those that live makes way for one of another size.
struct Turn {
  std::uint32_t place;
  Bytes size;
};
constexpr std::uint32_t kTurns = 4096;  // drawn beforehand, and again from the first on

std::vector<Turn> turns_of(const Mix& mix) {
  Random random(1);
  std::vector<Turn> turns(kTurns);
  for (Turn& turn : turns) {
    turn.place = static_cast<std::uint32_t>(random.below(kLive));
    turn.size = Bytes{random.log_uniform(mix.smallest, mix.largest)};
  }
  return turns;
}

// `allocate` answers a Result, `free` takes what it gave.
template <class One, class Allocate, class Free>
class Replacing {
 public:
  Replacing(const std::vector<Turn>& turns, Allocate allocate, Free free)
      : turns_(turns), allocate_(allocate), free_(free), live_(kLive) {
    for (std::uint32_t i = 0; i < kTurns; ++i)
      (void)(*this)();
  }
  Replacing(const Replacing&) = delete;
  Replacing& operator=(const Replacing&) = delete;
  ~Replacing() {
    for (const std::optional<One>& one : live_)
      if (one) free_(*one);
  }
  [[nodiscard]] bool operator()() {
    const Turn& turn = turns_[next_++ % kTurns];
    std::optional<One>& place = live_[turn.place];
    if (place) free_(*place);
    place.reset();
    if (const auto one = allocate_(turn.size)) place = *one;
    return place.has_value();
  }

 private:
  const std::vector<Turn>& turns_;
  Allocate allocate_;
  Free free_;
  std::vector<std::optional<One>> live_;
  std::uint32_t next_ = 0;
};
template <class One, class Allocate, class Free>
Replacing<One, Allocate, Free> replacing(const std::vector<Turn>& turns, Allocate allocate, Free free) {
  return {turns, allocate, free};
}

void measure_mix(ThreadSafeArenaAllocator& arena, cuda::StreamAllocator& streams, cuda::Stream stream,
                 const Mix& mix, const Amount& amount, std::vector<TimingRow>& rows) {
  const std::vector<Turn> turns = turns_of(mix);
  auto in_arena = replacing<Allocation>(
      turns, [&](Bytes size) { return arena.allocate({.size = size}); },
      [&](const Allocation& one) { arena.free(one); });
  auto on_stream = replacing<Address>(
      turns, [&](Bytes size) { return streams.allocate(size, stream); },
      [&](Address one) { (void)streams.free(one, stream); });
  Timed by_arena;
  Timed by_stream;
  for (unsigned round = 0; round < amount.scale_rounds; ++round) {
    time_pairs(amount.pairs, in_arena, by_arena);
    time_pairs(amount.pairs, on_stream, by_stream);
  }
  rows.push_back(row_of(mix.mode, "arena", by_arena, by_arena));
  rows.push_back(row_of(mix.mode, "stream_allocator", by_stream, by_arena));
}

}  // namespace

std::vector<TimingRow> measure_cuda_pairs(const Amount& amount, const std::function<void()>& tick) {
  std::vector<TimingRow> rows;
  auto gpu = cuda::Backend::create({});
  auto cpu = cpu::Backend::create({});
  if (!gpu || !cpu) return rows;
  const auto stream = (*gpu)->make_stream();
  if (!stream) return rows;
  {
    auto streams = cuda::StreamAllocator::create(**gpu);
    auto arena = ThreadSafeArenaAllocator::create(**cpu);
    for (const std::uint64_t size : kSizes) {
      if (streams && arena) measure_size(*arena, **streams, *stream, Bytes{size}, amount, rows);
      tick();
    }
    for (const Mix& mix : kMixes) {
      if (streams && arena) measure_mix(*arena, **streams, *stream, mix, amount, rows);
      tick();
    }
  }
  (void)(*gpu)->destroy_stream(*stream);
  return rows;
}

unsigned cuda_pair_ticks(const Amount&) {
  return kSizes.size() + kMixes.size();
}

}  // namespace vaspace::tools::bench

#else

namespace vaspace::tools::bench {

std::vector<TimingRow> measure_cuda_pairs(const Amount&, const std::function<void()>&) {
  return {};
}
unsigned cuda_pair_ticks(const Amount&) {
  return 1;
}

}  // namespace vaspace::tools::bench

#endif
