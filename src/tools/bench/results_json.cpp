#include "bench/results_json.hpp"

#include <charconv>
#include <cmath>
#include <fstream>
#include <sys/utsname.h>
#include <thread>

#include "vaspace/arena/allocation.hpp"

#include "bench/affinity.hpp"
#include "bench/clock.hpp"
#include "bench/offset_allocator.hpp"
#include "bench/peers.hpp"
#include "bench/registry.hpp"
#include "bench/size_classes.hpp"
#include "bench/tlsf.hpp"
#include "bench/vma.hpp"

namespace vaspace::tools::bench {

namespace {

using Json = nlohmann::ordered_json;

// Figures below a picosecond, or the tenth digit of a ratio, say nothing.
double rounded(double number) {
  return std::round(number * 1e6) / 1e6;
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

std::string processor_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t at = line.find(": ");
    if (at != std::string::npos) return line.substr(at + 2);
  }
  return "";
}

Json machine_json() {
  utsname system{};
  const bool known = ::uname(&system) == 0;
  return {{"processor", text_or_null(processor_model())},
          {"processors", std::thread::hardware_concurrency()},
          {"pinned", Pinned().processor() >= 0},
          {"system", known ? Json(std::string(system.sysname) + " " + system.release) : Json(nullptr)},
          {"machine", known ? Json(system.machine) : Json(nullptr)},
          {"available_memory_bytes", available_memory().value},
          {"clock_floor_ns", clock_floor_ns()}};
}

Json build_json() {
#ifdef NDEBUG
  constexpr bool kAssertions = false;
#else
  constexpr bool kAssertions = true;
#endif
#ifdef __clang__
  constexpr const char* kCompiler = "clang " __VERSION__;
#else
  constexpr const char* kCompiler = "g++ " __VERSION__;
#endif
  Json peers = Json::object();
  if (have_mimalloc()) peers["mimalloc"] = mimalloc_version();
  if (have_offset_allocator()) peers["OffsetAllocator"] = nullptr;  // it does not say
  if (have_vma()) peers["vma"] = nullptr;
  if (have_tlsf()) peers["tlsf"] = nullptr;
  Json subjects = Json::object();
  for (const Subject& subject : single_subjects())
    subjects[subject.name] = subject.what;
  return {{"version", VASPACE_VERSION},          {"compiler", kCompiler}, {"flags", VASPACE_BENCH_FLAGS},
          {"assertions", kAssertions},           {"peers", peers},        {"subjects", subjects},
          {"handle_bytes", sizeof(AllocationId)}};
}

Json timing_json(const TimingRow& row) {
  Json json{{"workload", row.key.workload},
            {"mode", text_or_null(row.key.mode)},
            {"live", row.key.live},
            {"order", text_or_null(row.key.order)},
            {"threads", row.key.threads},
            {"subject", row.subject},
            {"policy", row.policy},
            {"unit", name_of(row.unit)},
            {"ns_median", rounded(row.ns.median)},
            {"ns_min", rounded(row.ns.min)},
            {"ns_max", rounded(row.ns.max)},
            {"ns_p99", rounded(row.ns.p99)},
            {"ns_p999", rounded(row.ns.p999)},
            {"ns_worst", rounded(row.ns.worst)},
            {"ns_mean", rounded(row.ns.mean)},
            {"ratio_to_limit", nullptr},
            {"refused", row.refused}};
  if (row.to_limit) {
    json["ratio_to_limit"] = rounded(row.to_limit->median);
    json["ratio_min"] = rounded(row.to_limit->min);
    json["ratio_max"] = rounded(row.to_limit->max);
  }
  return json;
}

Json placement_json(const PlacementRow& row) {
  return {{"workload", "W7"},
          {"mode", row.mode},
          {"subject", row.subject},
          {"occupancy_first_refusal", rounded(row.occupancy_first_refusal)},
          {"refusals_at_90", rounded(row.refusals_at_90)},
          {"largest_free_ratio_60", rounded(row.largest_free_ratio_60)},
          {"seeds", row.seeds}};
}

Json metadata_json(const MetadataRow& row) {
  Json json{{"workload", row.workload},
            {"mode", row.mode},
            {"live", row.live},
            {"subject", row.subject},
            {"bytes_per_live", rounded(row.bytes_per_live)}};
  if (!row.per.empty()) json["bytes_per_" + row.per] = rounded(row.bytes_per);
  return json;
}

// Bytes as a number; "mixed" as it is.
Json size_json(const std::string& size) {
  std::uint64_t bytes = 0;
  const auto [stop, error] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  return error == std::errc{} && stop == size.data() + size.size() ? Json(bytes) : Json(size);
}

Json size_class_json(const SizeClassRow& row) {
  const CallTimes* prototype = prototype_of(row);
  return {
      {"size", size_json(row.size)},
      {"count", row.count},
      {"order", row.order},
      {"warm", row.warm},
      {"allocator", row.allocator},
      {"min_us", rounded(row.allocate.min)},
      {"max_us", rounded(row.allocate.max)},
      {"mean_us", rounded(row.allocate.mean)},
      {"median_us", rounded(row.allocate.median)},
      {"mean_of_prototype", prototype ? Json(rounded(row.allocate.mean / prototype->mean)) : Json(nullptr)},
      {"median_of_prototype",
       prototype ? Json(rounded(row.allocate.median / prototype->median)) : Json(nullptr)},
      {"free_min_us", rounded(row.free.min)},
      {"free_max_us", rounded(row.free.max)},
      {"free_mean_us", rounded(row.free.mean)},
      {"free_median_us", rounded(row.free.median)},
      {"refused", row.refused}};
}

template <class Row>
Json array_of(const std::vector<Row>& rows, Json (*json)(const Row&)) {
  Json array = Json::array();
  for (const Row& row : rows)
    array.push_back(json(row));
  return array;
}

}  // namespace

Json json_of(const BenchResults& results) {
  return {{"schema", "vaspace.bench/1"},
          {"quick", results.quick},
          {"machine", machine_json()},
          {"build", build_json()},
          {"results", array_of(results.timings, timing_json)},
          {"placement", array_of(results.placement, placement_json)},
          {"metadata", array_of(results.metadata, metadata_json)},
          {"size_classes", array_of(results.size_classes, size_class_json)}};
}

}  // namespace vaspace::tools::bench
