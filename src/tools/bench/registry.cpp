#include "bench/registry.hpp"

#include <fstream>
#include <string>

#include "bench/offset_allocator.hpp"
#include "bench/peers.hpp"
#include "bench/subjects.hpp"

namespace vaspace::tools::bench {

namespace {

template <class S>
std::unique_ptr<Session> make(const Setup& setup) {
  return std::make_unique<SessionOf<S>>(setup);
}

bool always(const Workload&, const Amount&) {
  return true;
}

bool is_slab_workload(const Workload& workload, const Amount&) {
  return workload.key.workload == "W8" && workload.one_size;
}

// Memory that is really there, for what is live and for what lies half empty around it. A quick run does not
// spend its time on clearing gigabytes.
bool fits_memory(const Workload& workload, const Amount& amount) {
  if (!amount.thorough && workload.footprint > 256_MiB) return false;
  return workload.footprint * 2 < available_memory();
}

// Not W4: it is page faults that a heap would be timed for.
bool is_heap_workload(const Workload& workload, const Amount& amount) {
  return have_mimalloc() && workload.key.workload != "W4" && fits_memory(workload, amount);
}

bool has_offset_allocator(const Workload&, const Amount&) {
  return have_offset_allocator();
}

// Its trees of a million nodes are what a quick run has no time for.
bool has_time_for_oracle(const Workload& workload, const Amount& amount) {
  return amount.thorough || workload.key.live <= 100'000;
}

constexpr Subject kSubjects[] = {
    {"limit_lifo", "single", always, make<LifoSubject>},
    {"limit_bitmap", "single", always, make<BitmapSubject>},
    {"slab", "single", is_slab_workload, make<SlabSubject>},
    {"object", "single", always, make<ObjectSubject>},
    {"arena", "single", always, make<VaSubject<ArenaAllocator, OnAddresses, kTunedSizeClasses>>},
    {"arena_cpu", "single", fits_memory, make<VaSubject<ArenaAllocator, OnCpu, kTunedSizeClasses>>},
    {"arena_standard", "single", always, make<VaSubject<ArenaAllocator, OnAddresses>>},
    {"default", "single", always, make<VaSubject<DefaultAllocator, OnAddresses>>},
    {"oracle", "single", has_time_for_oracle, make<OracleSubject>},
    {"OffsetAllocator", "single", has_offset_allocator, make_offset_allocator},
    {"mimalloc", "single", is_heap_workload, make<Mimalloc>},
};

}  // namespace

std::span<const Subject> single_subjects() {
  return kSubjects;
}

Bytes available_memory() {
  std::ifstream info("/proc/meminfo");
  std::string word;
  while (info >> word) {
    std::uint64_t kibibytes = 0;
    if (word == "MemAvailable:" && info >> kibibytes) return Bytes{kibibytes << 10U};
  }
  return {};
}

}  // namespace vaspace::tools::bench
