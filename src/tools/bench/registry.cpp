#include "bench/registry.hpp"

#include <fstream>
#include <string>

#include "bench/offset_allocator.hpp"
#include "bench/peers.hpp"
#include "bench/subjects.hpp"
#include "bench/tlsf.hpp"
#include "bench/vma.hpp"

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

// Not W4: gigabytes in ranges of up to 32 MiB that come and go; it is the kernel's pages that would be timed.
bool is_not_all_pages(const Workload& workload, const Amount& amount) {
  return workload.key.workload != "W4" && fits_memory(workload, amount);
}

bool is_heap_workload(const Workload& workload, const Amount& amount) {
  return have_mimalloc() && is_not_all_pages(workload, amount);
}

bool has_offset_allocator(const Workload&, const Amount&) {
  return have_offset_allocator();
}

// At a million of mixed sizes a pair took 80 us in 3.4: a full run would take hours.
bool has_vma(const Workload& workload, const Amount&) {
  return have_vma() && (workload.one_size || workload.key.live <= 100'000);
}

// Its headers lie within what it hands out: pages that are touched.
bool has_tlsf(const Workload& workload, const Amount& amount) {
  return have_tlsf() && fits_memory(workload, amount);
}

// Its trees of a million nodes are what a quick run has no time for.
bool has_time_for_oracle(const Workload& workload, const Amount& amount) {
  return amount.thorough || workload.key.live <= 100'000;
}

constexpr Subject kSubjects[] = {
    {"limit_lifo", "an intrusive free list of preallocated slots: the limit", "single", always,
     make<LifoSubject>},
    {"limit_bitmap", "one bit per slot", "single", always, make<BitmapSubject>},
    {"slab", "SlabAllocator alone", "single", is_slab_workload, make<SlabSubject>},
    {"object", "ObjectAllocator alone", "single", always, make<ObjectSubject>},
    {"arena", "ArenaAllocator, kTunedSizeClasses, address-only backend", "single", always,
     make<VaSubject<ArenaAllocator, OnAddresses, kTunedSizeClasses>>},
    {"arena_cpu", "the same on the CPU backend, pages committed", "single", is_not_all_pages,
     make<VaSubject<ArenaAllocator, OnCpu, kTunedSizeClasses>>},
    {"arena_standard", "ArenaAllocator, kStandardSizeClasses, address-only backend", "single", always,
     make<VaSubject<ArenaAllocator, OnAddresses>>},
    {"default", "DefaultAllocator, address-only backend", "single", always,
     make<VaSubject<DefaultAllocator, OnAddresses>>},
    {"oracle", "naive exact best fit in std containers", "single", has_time_for_oracle, make<OracleSubject>},
    {"OffsetAllocator", "a peer: offsets by 256 bytes, no alignment", "single", has_offset_allocator,
     make_offset_allocator},
    {"vma", "a peer: the virtual block of Vulkan Memory Allocator", "single", has_vma, make_vma},
    {"tlsf", "a peer: TLSF, over memory of this process", "single", has_tlsf, make_tlsf},
    {"mimalloc", "a peer: a heap of this process", "single", is_heap_workload, make<Mimalloc>},
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
