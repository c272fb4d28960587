#include "bench/bench.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <memory>

#include "bench/compare.hpp"
#include "bench/counting.hpp"
#include "bench/options.hpp"
#include "bench/plots.hpp"
#include "bench/results_file.hpp"
#include "bench/results_json.hpp"
#include "bench/suite.hpp"
#include "failed.hpp"
#include "json_file.hpp"
#include "progress.hpp"

namespace vaspace::tools {

namespace {

// Known before minutes of measuring, not after.
void check_writable(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "ae");
  if (file == nullptr) throw Failed(fmt::format("{}: cannot write it: {}", path, std::strerror(errno)));
  std::fclose(file);
}

void draw_all(const std::string& folder, const nlohmann::json& results) {
  bench::prepare_folder(folder);
  for (const std::string& path : bench::write_plots(folder, bench::plots_of(results)))
    fmt::print("{}\n", path);
}

int draw_earlier(const bench::Options& options) {
  const nlohmann::json results = bench::read_json(options.drawn_file);
  bench::check_schema(options.drawn_file, results);
  draw_all(options.plot, results);
  return 0;
}

int measure_all(const bench::Options& options) {
  if (!options.json.empty()) check_writable(options.json);
  if (!options.plot.empty()) bench::prepare_folder(options.plot);
  Progress progress;
  const bench::Watcher watcher{.step = [&](const std::string& part, unsigned done,
                                           unsigned total) { progress.show(part, done, total); },
                               .table =
                                   [&](const std::string& text) {
                                     progress.clear();
                                     fmt::print("{}", text);
                                     std::fflush(stdout);
                                   }};
  const bench::BenchResults results = bench::run_suite(options, watcher);
  const nlohmann::ordered_json json = bench::json_of(results);
  if (!options.json.empty()) write_json(options.json, json);
  if (!options.plot.empty()) draw_all(options.plot, json);
  return 0;
}

int bench_command(const bench::Arguments& arguments) {
  const bench::Options options = bench::understand(arguments);
  if (!options.count.empty()) {
    const bench::Counted counted = bench::run_to_count(options.count);
    fmt::print("{} {}s\n", counted.count, bench::name_of(counted.unit));
    return 0;
  }
  if (!options.drawn_file.empty()) return draw_earlier(options);
  if (options.old_file.empty()) return measure_all(options);
  const nlohmann::json before = bench::read_json(options.old_file);
  const nlohmann::json after = bench::read_json(options.new_file);
  fmt::print("{}", bench::compare(options.old_file, before, options.new_file, after));
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<bench::Arguments>();
  CLI::App* command = app.add_subcommand("bench", "Measure the allocators against the limits");
  bench::declare(*command, *arguments);
  command->callback([arguments, &chosen] { chosen = [arguments] { return bench_command(*arguments); }; });
}

}  // namespace vaspace::tools
