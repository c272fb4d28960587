#include "replay.hpp"

#include <fmt/format.h>
#include <memory>
#include <utility>

#include "failed.hpp"
#include "json_file.hpp"
#include "progress.hpp"
#include "replay_json.hpp"
#include "replay_run.hpp"
#include "replay_text.hpp"

namespace vaspace::tools {

namespace {

trace::Trace load_trace(const std::string& path) {
  trace::Expected<trace::Trace> trace = trace::load(path.c_str());
  if (trace) return std::move(*trace);
  const trace::Failure& why = trace.error();
  if (why.line == 0) throw Failed(fmt::format("{}: {}", path, why.reason()));
  throw Failed(fmt::format("{}:{}: {}", path, why.line, why.reason()));
}

std::vector<ReplayRun> replay_trace(const std::string& name, const trace::Trace& trace,
                                    const ReplayOptions& options, Bytes page_size, Progress& progress) {
  const Ground ground{.page_size = page_size,
                      .device_size = device_size_for(options, trace.peak_live, page_size)};
  std::vector<ReplayRun> runs;
  for (const AllocatorKind allocator : options.allocators) {
    const std::string what = fmt::format("{} {}", name, name_of(allocator));
    const auto show = [&](std::uint64_t done, std::uint64_t total) { progress.show(what, done, total); };
    runs.push_back(replay_once(name, trace, allocator, options, ground, show));
  }
  progress.clear();
  return runs;
}

// One line for all that went wrong; nothing where all went well.
std::string complaint(const std::vector<ReplayRun>& runs) {
  std::uint64_t failed = 0;
  std::uint64_t errors = 0;
  std::string first;
  for (const ReplayRun& run : runs) {
    failed += run.result.failed;
    errors += run.result.verify_errors;
    const ReplayResult& result = run.result;
    const std::string& what =
        result.first_verify_error.empty() ? result.first_failure : result.first_verify_error;
    if (first.empty() && !what.empty())
      first = fmt::format("{}, {}: {}", run.trace, name_of(run.allocator), what);
  }
  if (failed == 0 && errors == 0) return {};
  return fmt::format("{} allocations failed, {} verify errors; first: {}", failed, errors, first);
}

int replay(const ReplayArguments& arguments) {
  const ReplayOptions options = understand(arguments);
  const Bytes page_size = page_size_for(options);
  if (options.sub_buffers && options.backend != "vulkan")
    throw Failed(
        fmt::format("--sub-buffers: the heap layer has them on vulkan only, not on {}", options.backend));
  std::vector<trace::Trace> traces;
  for (const std::string& path : options.traces)
    traces.push_back(load_trace(path));
  Progress progress;
  std::vector<ReplayRun> runs;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    std::vector<ReplayRun> of_trace =
        replay_trace(options.traces[i], traces[i], options, page_size, progress);
    fmt::print("{}{}", i == 0 ? "" : "\n", replay_text(of_trace));
    std::move(of_trace.begin(), of_trace.end(), std::back_inserter(runs));
  }
  if (!options.json.empty()) write_json(options.json, replay_json(runs));
  const std::string wrong = complaint(runs);
  if (!wrong.empty()) throw Failed(wrong);
  return 0;
}

}  // namespace

void add_replay(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<ReplayArguments>();
  CLI::App* command = app.add_subcommand("replay", "Replay allocation traces and measure them");
  declare_replay(*command, *arguments);
  command->callback([arguments, &chosen] { chosen = [arguments] { return replay(*arguments); }; });
}

}  // namespace vaspace::tools
