// The control functions of vasim_cuda.h.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "driver.hpp"
#include "leaks.hpp"
#include "vasim_cuda.h"

namespace vasim::cuda {
namespace {

Driver& started(Machine& all) {
  if (all.driver == nullptr) all.driver = make_driver(nullptr);
  return *all.driver;
}

int add_rule(const char* function, FaultRule rule, int code) {
  if (function == nullptr || code == CUDA_SUCCESS || rule.first == 0 || rule.times == 0) return -1;
  rule.function = function;
  rule.code = static_cast<CUresult>(code);
  Machine& all = machine();
  const Lock lock(all.mutex);
  started(all).faults.add(std::move(rule));
  return 0;
}

template <std::size_t size>
void fit(char (&into)[size], const std::string& text) {
  std::snprintf(into, size, "%s", text.c_str());
}

std::uint64_t count_regions(AddressSpace& space, RegionKind one, RegionKind other) {
  std::uint64_t count = 0;
  for (const auto& [begin, region] : space.regions())
    if ((region.kind == one || region.kind == other) && !region.freed) ++count;
  return count;
}

std::uint64_t live(Driver& driver, vasim_cuda_kind kind) {
  switch (kind) {
    case VASIM_CUDA_HANDLES:
      return driver.handles.size();
    case VASIM_CUDA_MAPPINGS:
      return count_regions(driver.space, RegionKind::mapping, RegionKind::mapping);
    case VASIM_CUDA_RESERVATIONS:
      return driver.space.reservations().size();
    case VASIM_CUDA_ALLOCATIONS:
      return count_regions(driver.space, RegionKind::device, RegionKind::pooled);
    case VASIM_CUDA_HOST_MEMORY:
      return count_regions(driver.space, RegionKind::host, RegionKind::registered);
    case VASIM_CUDA_CONTEXTS:
      return driver.contexts.size();
    case VASIM_CUDA_STREAMS: {
      std::uint64_t count = 0;
      for (const auto& [id, stream] : driver.streams)
        count += stream->closing ? 0 : 1;
      return count;
    }
    case VASIM_CUDA_EVENTS:
      return driver.events.size();
    case VASIM_CUDA_WORK: {
      std::uint64_t count = 0;
      for (const auto& [id, stream] : driver.streams)
        count += stream->submitted - stream->completed;
      return count;
    }
  }
  return 0;
}

// Streams finish what they have, dropping what would fail, and their threads end.
void stop(Machine& all, Lock& lock) {
  if (all.driver == nullptr) return;
  all.held = false;
  Driver& driver = *all.driver;
  std::vector<std::shared_ptr<Stream>> unstarted;
  for (const auto& [id, stream] : driver.streams) {
    stream->closing = true;
    if (!stream->started) unstarted.push_back(stream);
  }
  for (const auto& stream : unstarted)
    driver.streams.erase(stream->id);
  all.changed.notify_all();
  all.changed.wait(lock, [&] { return driver.threads == 0; });
  for (const auto& [id, context] : driver.contexts) {  // a context and its streams hold each other
    context->legacy.reset();
    context->per_thread.clear();
  }
  all.driver.reset();
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are C

extern "C" {

int vasim_cuda_restart(const char* configuration) {
  Machine& all = machine();
  Lock lock(all.mutex);
  stop(all, lock);
  ++all.generation;
  all.driver = make_driver(configuration);
  return all.driver->fault.empty() ? 0 : -1;
}

int vasim_cuda_fail(const char* function, uint64_t nth, uint64_t times, int code) {
  FaultRule rule;
  rule.first = nth;
  rule.times = times;
  return add_rule(function, std::move(rule), code);
}

int vasim_cuda_fail_late(const char* function, uint64_t nth, uint64_t times, int code) {
  FaultRule rule;
  rule.first = nth;
  rule.times = times;
  rule.late = true;
  return add_rule(function, std::move(rule), code);
}

int vasim_cuda_fail_share(const char* function, uint32_t per_million, uint64_t seed, int code) {
  if (per_million == 0 || per_million > 1000000) return -1;
  FaultRule rule;
  rule.per_million = per_million;
  rule.seed = seed;
  return add_rule(function, std::move(rule), code);
}

void vasim_cuda_clear_failures(void) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  started(all).faults.clear();
}

int vasim_cuda_lose_device(int device, int code) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  Device* found = find_device(started(all), device);
  if (found == nullptr) return -1;
  // Contexts of a lost device stay broken when it comes back.
  for (const auto& [id, context] : all.driver->contexts) {
    if (context->device == device && context->error == CUDA_SUCCESS)
      context->error = static_cast<CUresult>(code);
  }
  found->lost = static_cast<CUresult>(code);
  return 0;
}

int vasim_cuda_take_memory(int device, uint64_t bytes) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  Device* found = find_device(started(all), device);
  if (found == nullptr) return -1;
  found->memory->take(bytes);
  return 0;
}

void vasim_cuda_hold_streams(int hold) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  all.held = hold != 0;
  all.changed.notify_all();
}

void vasim_cuda_capture_elsewhere(int captures) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  started(all).captured_elsewhere = captures != 0;
}

uint64_t vasim_cuda_calls(const char* function) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  const Driver& driver = started(all);
  if (function == nullptr) return driver.calls;
  const auto found = driver.calls_of.find(std::string_view(function));
  return found != driver.calls_of.end() ? found->second : 0;
}

uint64_t vasim_cuda_reports(const char* rule) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  return started(all).reports.count(rule != nullptr ? rule : "");
}

int vasim_cuda_report_at(size_t index, vasim_cuda_report* report) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  const auto& kept = started(all).reports.kept();
  if (report == nullptr || index >= kept.size()) return -1;
  fit(report->rule, kept[index].rule);
  fit(report->object, kept[index].object);
  fit(report->reason, kept[index].reason);
  report->code = kept[index].code;
  return 0;
}

void vasim_cuda_clear_reports(void) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  started(all).reports.clear();
}

uint64_t vasim_cuda_live(enum vasim_cuda_kind kind) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  return live(started(all), kind);
}

uint64_t vasim_cuda_report_leaks(void) {
  Machine& all = machine();
  const Lock lock(all.mutex);
  return report_leaks(started(all));
}

}  // extern "C"
