// The report as JSON; the schema is in docs/heap.md.
#include "heap/heap_json.hpp"

namespace vaspace {

namespace {

[[nodiscard]] std::string_view name_of(PoolStrategy strategy) noexcept {
  switch (strategy) {
    case PoolStrategy::object:
      return "object";
    case PoolStrategy::slab:
      return "slab";
    case PoolStrategy::linear:
      return "linear";
    case PoolStrategy::ring:
      return "ring";
  }
  return "";
}

[[nodiscard]] std::string_view name_of(ResourceKind kind) noexcept {
  switch (kind) {
    case ResourceKind::linear:
      return "linear";
    case ResourceKind::optimal:
      return "optimal";
    case ResourceKind::unknown:
      return "unknown";
  }
  return "";
}

void write_figures(JsonWriter& json, const HeapFigures& figures) noexcept {
  json.member("allocations", figures.allocations);
  json.member("blocks", figures.blocks);
  json.member("empty_blocks", figures.empty_blocks);
  json.member("live", figures.live);
  json.member("used", figures.used);
  json.member("committed", figures.committed);
  json.member("guests", figures.guests);
}

void write_heaps(JsonWriter& json, const DeviceProfile& profile, const HeapReport& report) noexcept {
  json.key("heaps");
  json.begin_array();
  for (std::uint32_t heap = 0; heap < report.heap_count; ++heap) {
    json.begin_object();
    json.member("heap", heap);
    json.member("device_local", profile.heaps[heap].device_local);
    json.member("size", report.heaps[heap].size);
    json.member("budget", report.heaps[heap].budget);
    json.member("usage", report.heaps[heap].usage);
    json.member("committed", report.heaps[heap].committed);
    json.end_object();
  }
  json.end_array();
}

void write_types(JsonWriter& json, const DeviceProfile& profile, const HeapReport& report) noexcept {
  json.key("memory_types");
  json.begin_array();
  for (std::uint32_t t = 0; t < report.memory_type_count; ++t) {
    const MemoryType& type = profile.memory_types[t];
    json.begin_object();
    json.member("memory_type", t);
    json.member("heap", type.heap);
    json.member("device_local", type.device_local);
    json.member("host_visible", type.host_visible);
    json.member("host_coherent", type.host_coherent);
    json.member("host_cached", type.host_cached);
    json.member("lazily_allocated", type.lazily_allocated);
    json.member("protected", type.protected_memory);
    write_figures(json, report.memory_types[t]);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

void write_report(JsonWriter& json, const DeviceProfile& profile, const HeapReport& report) noexcept {
  json.member("device", std::string_view(profile.name.data()));
  json.key("total");
  json.begin_object();
  write_figures(json, report.total);
  json.member("memory_objects", report.memory_objects);
  json.member("dedicated", report.dedicated);
  json.member("demoted", report.demoted);
  json.member("lazy", report.lazy);
  json.member("retired", report.retired);
  json.member("retired_bytes", report.retired_bytes);
  json.member("moves_open", report.moves_open);
  json.member("device_reserves", report.device_reserves);
  json.member("guest_reserves", report.guest_reserves);
  json.member("device_releases", report.device_releases);
  json.member("refused_by_driver", report.refused_by_driver);
  json.member("refused_by_budget", report.refused_by_budget);
  json.end_object();
  write_heaps(json, profile, report);
  write_types(json, profile, report);
}

void write_pool(JsonWriter& json, const PoolReport& pool) noexcept {
  json.begin_object();
  json.member("name", pool.name);
  json.member("strategy", name_of(pool.strategy));
  json.member("memory_type", pool.memory_type);
  json.member("blocks", pool.blocks);
  json.member("allocations", pool.allocations);
  json.member("live", pool.live);
  json.member("used", pool.used);
  json.member("committed", pool.committed);
  json.end_object();
}

void write_block(JsonWriter& json, const Block& block) noexcept {
  json.begin_object();
  json.member("block", block.number);
  json.member("native", block.native);
  json.member("memory_type", block.memory_type);
  json.member("size", block.size());
  json.member("one_allocation", block.exclusive);
  json.member("device_address", block.traits.device_address);
  json.end_object();
}

void write_allocation(JsonWriter& json, const HeapAllocationInfo& info) noexcept {
  json.begin_object();
  json.member("name", info.name);
  json.member("size", info.allocation.size);
  json.member("used", info.used);
  json.member("memory_type", info.allocation.memory_type);
  json.member("block", info.allocation.block);
  json.member("offset", info.allocation.offset);
  json.member("address", info.allocation.address.value);
  json.member("kind", name_of(info.kind));
  json.member("dedicated", info.dedicated);
  json.member("mapped", info.allocation.mapped != nullptr);
  json.member("user_data", info.user_data);
  json.end_object();
}

}  // namespace vaspace
