// What there is, told, and what is unused of it, given back.
#include "heap/json_writer.hpp"
#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

SubBufferPoolReport report_of(const SubBufferPool& pool) noexcept {
  const AllocatorReport arena = pool.arena->report();
  SubBufferPoolReport report{.usage = pool.key.usage,
                             .intent = pool.key.intent(),
                             .mapping = pool.key.mapping(),
                             .coherent = pool.key.coherent(),
                             .sparse = pool.sparse != nullptr,
                             .sub_buffers = arena.total.live_allocations,
                             .live = arena.total.live,
                             .used = arena.total.used,
                             .reserved = arena.total.reserved,
                             .committed = arena.total.committed};
  report.held = pool.sparse ? pool.sparse->held() : report.committed;
  for (std::uint32_t i = 0; i < arena.arena_count; ++i)
    report.lock_acquisitions += arena.arenas[i].lock_acquisitions;
  return report;
}

constexpr std::string_view name_of(Intent intent) noexcept {
  constexpr std::string_view kNames[kIntentCount] = {
      "device", "upload", "readback", "dynamic", "transient_attachment", "protected_device"};
  return kNames[static_cast<std::size_t>(intent)];
}

constexpr std::string_view name_of(Mapping mapping) noexcept {
  constexpr std::string_view kNames[] = {"none", "preferred", "required"};
  return kNames[static_cast<std::size_t>(mapping)];
}

void write_pool(JsonWriter& json, const SubBufferPoolReport& pool) noexcept {
  json.begin_object();
  json.member("usage", pool.usage);
  json.member("intent", name_of(pool.intent));
  json.member("mapping", name_of(pool.mapping));
  json.member("coherent", pool.coherent);
  json.member("sparse", pool.sparse);
  json.member("sub_buffers", pool.sub_buffers);
  json.member("live", pool.live);
  json.member("used", pool.used);
  json.member("reserved", pool.reserved);
  json.member("committed", pool.committed);
  json.member("held", pool.held);
  json.end_object();
}

struct SubBufferWriter {
  JsonWriter& json;
  const SubBufferPool& pool;
  std::uint32_t number;

  static void write(void* user, const AllocationInfo& info) noexcept {
    const auto& self = *static_cast<const SubBufferWriter*>(user);
    const BufferTable::Entry entry = self.pool.table.at(info.allocation.address);
    const Bytes offset = BufferTable::offset_of(info.allocation.address);
    JsonWriter& json = self.json;
    json.begin_object();
    json.member("name", info.name);
    json.member("pool", self.number);
    json.member("buffer", entry.buffer);
    json.member("offset", offset);
    json.member("size", info.allocation.size);
    json.member("used", info.used);
    json.member("device_address", entry.device_address == 0 ? 0 : entry.device_address + offset.value);
    json.member("mapped", entry.mapped != nullptr);
    json.end_object();
  }
};

}  // namespace

Bytes Heap::trim(Bytes target) noexcept {
  HeapState& state = *state_;
  state.walk_retired();
  state.pools->collect();
  Bytes held = state.memory->trim(target);
  for (std::uint32_t i = 0; i < state.pools->count() && held > target; ++i) {
    (*state.pools)[i].arena->flush();
    held = state.memory->trim(target);
  }
  return held;
}

Result<Bytes> Heap::trim_heap(std::uint32_t heap, Bytes target) noexcept {
  HeapState& state = *state_;
  state.walk_retired();
  state.pools->collect();
  Result<Bytes> held = state.memory->trim_heap(heap, target);
  for (std::uint32_t i = 0; i < state.pools->count() && held && *held > target; ++i) {
    (*state.pools)[i].arena->flush();
    held = state.memory->trim_heap(heap, target);
  }
  return state.tell(held, "Heap::trim_heap");
}

HeapReport Heap::report() const noexcept {
  HeapState& state = *state_;
  HeapReport report;
  report.memory = state.memory->report();
  report.buffers = state.counts.of(ResourceCounts::buffers);
  report.images = state.counts.of(ResourceCounts::images);
  report.sub_buffer_pools = state.pools->count();
  for (std::uint32_t i = 0; i < report.sub_buffer_pools; ++i) {
    const SubBufferPoolReport pool = report_of((*state.pools)[i]);
    report.sub_buffers += pool.sub_buffers;
    report.sub_buffer_live += pool.live;
    report.sub_buffer_committed += pool.committed;
    if (pool.sparse) report.sparse_held += pool.held;
    const SubBufferPool& behind = (*state.pools)[i];
    report.shared_buffers_created += behind.shared ? behind.shared->made() : behind.sparse_buffers->made();
  }
  report.sparse_releases = state.pools->sparse_releases();
  const Lock lock(state.mutex);
  report.retired = state.retired.size();
  return report;
}

Result<SubBufferPoolReport> Heap::sub_buffer_pool(std::uint32_t pool) const noexcept {
  if (pool >= state_->pools->count()) return fail(ErrorCode::invalid_argument);
  return report_of((*state_->pools)[pool]);
}

Result<void> Heap::write_json(const TextSink& sink, bool detailed) const noexcept {
  SubBufferPools& pools = *state_->pools;
  const HeapReport report = this->report();
  JsonWriter json(sink);
  json.begin_object();
  json.member("schema", std::string_view("vaspace-vulkan-heap-1"));
  json.member("buffers", report.buffers);
  json.member("images", report.images);
  json.member("retired", report.retired);
  json.member("sub_buffers", report.sub_buffers);
  json.member("sub_buffer_live", report.sub_buffer_live);
  json.member("sub_buffer_committed", report.sub_buffer_committed);
  json.member("sparse_held", report.sparse_held);
  json.member("sparse_releases", report.sparse_releases);
  json.member("shared_buffers_created", report.shared_buffers_created);
  json.key("sub_buffer_pools");
  json.begin_array();
  for (std::uint32_t i = 0; i < report.sub_buffer_pools; ++i)
    write_pool(json, report_of(pools[i]));
  json.end_array();
  if (detailed) {
    json.key("sub_buffer_list");
    json.begin_array();
    for (std::uint32_t i = 0; i < report.sub_buffer_pools; ++i) {
      SubBufferWriter writer{json, pools[i], i};
      pools[i].arena->for_each(&SubBufferWriter::write, &writer);
    }
    json.end_array();
  }
  json.member_by("memory", [&] { return state_->memory->write_json(sink, detailed).has_value(); });
  json.end_object();
  if (!json.flush()) return fail(ErrorCode::io_error);
  return {};
}

const char* Heap::validate() const noexcept {
  for (std::uint32_t i = 0; i < state_->pools->count(); ++i) {
    if (const char* wrong = (*state_->pools)[i].arena->validate(); wrong != nullptr) return wrong;
  }
  const DeviceAccount& account = state_->backend.account();
  if (account.memory_objects() > account.max_memory_objects())
    return "more memory objects than there are (V4)";
  if (account.sparse() > account.max_sparse()) return "more sparse address space than there is (V30)";
  return state_->memory->validate();
}

}  // namespace vaspace::vulkan
