#include "replay_json.hpp"

#include <cmath>

namespace vaspace::tools {

namespace {

using Json = nlohmann::ordered_json;

Json spread_json(const Spread& spread) {
  return {{"min", spread.min},
          {"mean", spread.mean},
          {"median", spread.median},
          {"p99", spread.p99},
          {"max", spread.max}};
}

std::uint64_t rounded(double bytes) {
  return static_cast<std::uint64_t>(std::llround(bytes));
}

void add_bytes(Json& json, const ReplayResult& result) {
  json["peak_live_bytes"] = result.peak_live.value;
  json["peak_reserved_bytes"] = result.peak_reserved.value;
  json["peak_committed_bytes"] = result.peak_committed.value;
  json["mean_live_bytes"] = rounded(result.mean_live);
  json["mean_committed_bytes"] = rounded(result.mean_committed);
  json["end_live_bytes"] = result.end_live.value;
  json["end_committed_bytes"] = result.end_committed.value;
  json["internal_waste_bytes"] = result.internal_waste.value;
}

Json run_json(const ReplayRun& run) {
  Json json{{"trace", run.trace},
            {"allocator", name_of(run.allocator)},
            {"backend", run.backend},
            {"device", run.device},
            {"device_bytes", run.device_size.value},
            {"page_bytes", run.page_size.value},
            {"threads", run.threads},
            {"operations", run.result.operations},
            {"failed", run.result.failed},
            {"verify_errors", run.result.verify_errors}};
  json["allocate_ns"] = spread_json(run.result.allocate_ns);
  json["free_ns"] = spread_json(run.result.free_ns);
  json["collect_ns"] = spread_json(run.result.collect_ns);
  add_bytes(json, run.result);
  json["backend_calls"] = Json::object();
  for (const auto& [name, count] : run.backend_calls)
    json["backend_calls"][name] = count;
  if (run.sub_buffers) {
    json["sub_buffers"] = {{"peak_live_bytes", run.sub_buffers->peak_live.value},
                           {"peak_committed_bytes", run.sub_buffers->peak_committed.value},
                           {"mean_live_bytes", rounded(run.sub_buffers->mean_live)},
                           {"mean_committed_bytes", rounded(run.sub_buffers->mean_committed)}};
  }
  return json;
}

}  // namespace

Json replay_json(const std::vector<ReplayRun>& runs) {
  Json json{{"schema", "vaspace.replay/1"}, {"runs", Json::array()}};
  for (const ReplayRun& run : runs)
    json["runs"].push_back(run_json(run));
  return json;
}

}  // namespace vaspace::tools
