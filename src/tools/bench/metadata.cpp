#include "bench/metadata.hpp"

#include "bench/renderer.hpp"
#include "bench/session.hpp"
#include "bench/subjects.hpp"
#include "support/host.hpp"

namespace vaspace::tools::bench {

namespace {

using ArenaSubject = VaSubject<ArenaAllocator, OnAddresses, kTunedSizeClasses>;
using DefaultSubject = VaSubject<DefaultAllocator, OnAddresses>;

// What else than live allocations the bytes are for.
void count_per(const SlabSubject& slab, std::int64_t bytes, MetadataRow& row) {
  row.per = "slot";
  const RangeReport report = slab.allocator().report();
  row.bytes_per = static_cast<double>(bytes) / static_cast<double>(report.live + report.free_ranges);
}
void count_per(const ObjectSubject& object, std::int64_t bytes, MetadataRow& row) {
  row.per = "node";
  const RangeReport report = object.allocator().report();
  row.bytes_per = static_cast<double>(bytes) / static_cast<double>(report.live + report.free_ranges);
}
void count_per(const ArenaSubject&, std::int64_t, MetadataRow&) {}
void count_per(const DefaultSubject&, std::int64_t, MetadataRow&) {}

// `phases` end in the state that is looked at.
template <class S>
MetadataRow row_of(const char* name, const Workload& workload, std::initializer_list<const Phase*> phases) {
  test::TestHost host;
  Setup setup = setup_of(workload);
  setup.host = host.allocator();
  MetadataRow row{.workload = workload.key.workload,
                  .mode = workload.key.mode,
                  .live = workload.key.live,
                  .subject = name,
                  .per = {}};
  SessionOf<S> session(setup);
  for (const Phase* phase : phases)
    session.run(*phase);
  row.bytes_per_live = static_cast<double>(host.bytes()) / static_cast<double>(row.live);
  count_per(session.subject(), host.bytes(), row);
  return row;
}

template <class S>
void add(std::vector<MetadataRow>& rows, const Options& options, const char* name, const Workload& workload,
         std::initializer_list<const Phase*> phases) {
  if (options.wants_subject(name)) rows.push_back(row_of<S>(name, workload, phases));
}

}  // namespace

std::vector<MetadataRow> measure_metadata(const Options& options, const Amount& amount,
                                          const std::function<void()>& tick) {
  std::vector<MetadataRow> rows;
  for (const std::uint32_t live : {10'000U, 100'000U, 1'000'000U}) {
    for (const bool mixed : {false, true}) {
      const Workload workload = pair_workload(mixed, live, amount.pairs, 8);
      const auto phases = {&workload.setup.front(), &workload.passes.front().back()};
      if (!mixed) add<SlabSubject>(rows, options, "slab", workload, phases);
      add<ObjectSubject>(rows, options, "object", workload, phases);
      add<ArenaSubject>(rows, options, "arena", workload, phases);
      add<DefaultSubject>(rows, options, "default", workload, phases);
      tick();
    }
  }
  for (const bool mixed : {false, true}) {
    const Workload workload = renderer_workload(mixed, amount.frames, 5);
    const Pass& pass = workload.passes.front();
    const auto phases = {&pass[0], &pass[1]};
    add<ObjectSubject>(rows, options, "object", workload, phases);
    add<ArenaSubject>(rows, options, "arena", workload, phases);
    add<DefaultSubject>(rows, options, "default", workload, phases);
    tick();
  }
  return rows;
}

}  // namespace vaspace::tools::bench
