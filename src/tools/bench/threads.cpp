#include "bench/threads.hpp"

#include <array>
#include <memory>

#include "bench/crew.hpp"
#include "bench/figures.hpp"
#include "bench/handover.hpp"
#include "bench/peers.hpp"
#include "bench/registry.hpp"
#include "bench/renderer.hpp"
#include "bench/session.hpp"
#include "bench/subjects.hpp"

namespace vaspace::tools::bench {

namespace {

// Twice W5's: two threads' allocations fit.
constexpr Bytes kSharedHeap = 8_GiB;

// Each thread's stream; thread i has handles of its own.
using Streams = std::vector<Workload>;

// A heap that threads share.
class SharedSession {
 public:
  SharedSession() = default;
  SharedSession(const SharedSession&) = delete;
  SharedSession& operator=(const SharedSession&) = delete;
  virtual ~SharedSession() = default;
  // Picoseconds of wall clock per operation.
  virtual std::uint64_t shared_pass(const Streams& streams) = 0;
  // Picoseconds of wall clock per pair.
  virtual std::uint64_t cross_pass(const std::vector<Operation>& allocations) = 0;
  [[nodiscard]] virtual std::uint64_t refused() const = 0;
};

struct Window {
  std::uint64_t from = ~std::uint64_t{0};
  std::uint64_t to = 0;

  void widen(std::uint64_t start, std::uint64_t stop) {
    from = std::min(from, start);
    to = std::max(to, stop);
  }
};

template <class S>
class SharedSessionOf final : public SharedSession {
 public:
  explicit SharedSessionOf(const Setup& setup) : subject_(setup) {}

  std::uint64_t shared_pass(const Streams& streams) override {
    const auto threads = static_cast<unsigned>(streams.size());
    Barrier barrier(threads);
    std::vector<std::array<std::uint64_t, 2>> times(threads);
    run_crew(threads, [&](unsigned i) {
      std::vector<typename S::Handle> handles(streams[i].handles);
      for (const Phase& phase : streams[i].passes.front()) {
        barrier.meet();
        const std::uint64_t from = now_ns();
        bench_any(subject_, handles.data(), phase.kind, phase.operations);
        if (phase.batch != 0) times[i] = {from, now_ns()};
      }
    });
    Window window;
    std::uint64_t operations = 0;
    for (unsigned i = 0; i < threads; ++i) {
      window.widen(times[i][0], times[i][1]);
      operations += streams[i].passes.front()[1].operations.size();
    }
    return picoseconds_each(window.to - window.from, clock_floor_ns(), operations);
  }

  std::uint64_t cross_pass(const std::vector<Operation>& allocations) override {
    auto queue = std::make_unique<Handover<typename S::Handle>>();
    Barrier barrier(2);
    std::array<std::uint64_t, 2> from{}, to{};
    run_crew(2, [&](unsigned i) {
      barrier.meet();
      from[i] = now_ns();
      for (const Operation op : allocations) {
        if (i == 0) {
          queue->push(subject_.allocate(op.size, op.alignment));
        } else {
          subject_.free(queue->pop());
        }
      }
      to[i] = now_ns();
    });
    const std::uint64_t wall = std::max(to[0], to[1]) - std::min(from[0], from[1]);
    return picoseconds_each(wall, clock_floor_ns(), allocations.size());
  }

  [[nodiscard]] std::uint64_t refused() const override { return subject_.refused(); }

 private:
  S subject_;
};

struct SharedSubject {
  const char* name;
  const char* policy;
  bool (*here)(const Amount& amount);
  std::unique_ptr<SharedSession> (*make)(const Setup& setup);
};

template <class S>
std::unique_ptr<SharedSession> make(const Setup& setup) {
  return std::make_unique<SharedSessionOf<S>>(setup);
}

bool everywhere(const Amount&) {
  return true;
}
// Gigabytes of real memory.
bool has_mimalloc(const Amount& amount) {
  return have_mimalloc() && amount.thorough && available_memory() > 2 * kSharedHeap;
}

constexpr SharedSubject kThreaded[] = {
    {"limit_lifo", "threaded", everywhere, make<LifoWithMutexSubject>},
    {"arena", "threaded", everywhere,
     make<VaSubject<ThreadSafeArenaAllocator, OnAddresses, kTunedSizeClasses>>},
    {"default", "threaded", everywhere, make<VaSubject<ThreadSafeDefaultAllocator, OnAddresses>>},
    {"mimalloc", "threaded", has_mimalloc, make<Mimalloc>},
};
// For one thread only.
constexpr SharedSubject kSingle[] = {
    {"limit_lifo", "single", everywhere, make<LifoSubject>},
    {"arena", "single", everywhere, make<VaSubject<ArenaAllocator, OnAddresses, kTunedSizeClasses>>},
    {"default", "single", everywhere, make<VaSubject<DefaultAllocator, OnAddresses>>},
};

struct Contestant {
  const SharedSubject* subject;
  std::unique_ptr<SharedSession> session;
  std::vector<Round> rounds;
};

std::vector<Contestant> contestants_of(const Setup& setup, const Options& options, const Amount& amount,
                                       bool with_single) {
  std::vector<Contestant> contestants;
  const auto add = [&](const SharedSubject& subject) {
    const bool wanted = std::string_view(subject.name) == "limit_lifo" || options.wants_subject(subject.name);
    if (wanted && subject.here(amount)) contestants.push_back({&subject, subject.make(setup), {}});
  };
  for (const SharedSubject& subject : kThreaded)
    add(subject);
  if (!with_single) return contestants;
  for (const SharedSubject& subject : kSingle)
    add(subject);
  return contestants;
}

template <class TimePass>
std::vector<TimingRow> rows_of(std::vector<Contestant>& contestants, const WorkloadKey& key, Unit unit,
                               const Amount& amount, const std::function<void()>& tick, TimePass&& pass) {
  for (unsigned round = 0; round < amount.rounds + 1; ++round) {
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      Contestant& one = contestants[(i + round) % contestants.size()];
      const std::uint64_t each = pass(*one.session);
      if (round > 0) one.rounds.push_back(round_of({each}));  // the first warms up
    }
    tick();
  }
  std::vector<TimingRow> rows;
  for (const Contestant& one : contestants) {
    const auto limit = std::find_if(contestants.begin(), contestants.end(), [&](const Contestant& other) {
      return std::string_view(other.subject->name) == "limit_lifo" &&
             std::string_view(other.subject->policy) == one.subject->policy;
    });
    rows.push_back({.key = key,
                    .unit = unit,
                    .subject = one.subject->name,
                    .policy = one.subject->policy,
                    .ns = timing_of(one.rounds),
                    .to_limit = ratio_of(one.rounds, limit->rounds),
                    .refused = one.session->refused()});
  }
  return rows;
}

}  // namespace

std::vector<TimingRow> measure_shared(const Options& options, const Amount& amount,
                                      const std::function<void()>& tick) {
  std::vector<TimingRow> rows;
  Streams streams;
  for (unsigned threads = 1; threads <= 2; ++threads) {
    streams.push_back(renderer_workload(false, amount.frames, 50 + threads));
    std::uint32_t handles = 0;
    WorkloadKey key{.workload = "W6_shared", .mode = "256", .threads = threads};
    for (const Workload& stream : streams) {
      handles += stream.handles;
      key.live += stream.key.live;
    }
    const Setup setup{.heap = kSharedHeap, .handles = handles, .slot = streams.front().largest};
    std::vector<Contestant> contestants = contestants_of(setup, options, amount, threads == 1);
    for (TimingRow& row : rows_of(contestants, key, Unit::op, amount, tick,
                                  [&](SharedSession& session) { return session.shared_pass(streams); })) {
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::vector<TimingRow> measure_cross(const Options& options, const Amount& amount,
                                     const std::function<void()>& tick) {
  Random random(60);
  std::vector<Operation> allocations(amount.pairs);
  for (Operation& op : allocations)
    op = allocation(0, renderer_size(random));
  constexpr auto kInFlight = static_cast<std::uint32_t>(Handover<void*>::kCapacity + 2);
  const Setup setup{.heap = kSharedHeap, .handles = kInFlight, .slot = 16U << 20U};
  std::vector<Contestant> contestants = contestants_of(setup, options, amount, false);
  const WorkloadKey key{.workload = "W6_cross", .mode = "256", .live = kInFlight, .threads = 2};
  return rows_of(contestants, key, Unit::pair, amount, tick,
                 [&](SharedSession& session) { return session.cross_pass(allocations); });
}

}  // namespace vaspace::tools::bench
