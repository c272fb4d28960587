#include "replay_options.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <sstream>

#include "backend_choice.hpp"
#include "bytes_text.hpp"
#include "failed.hpp"

namespace vaspace::tools {

namespace {

Bytes bytes_of(const std::string& option, const std::string& text) {
  const auto bytes = parse_bytes(text);
  if (!bytes || *bytes == Bytes{})
    throw WrongUsage(fmt::format("{}: \"{}\" is no number of bytes above 0", option, text));
  return *bytes;
}

Bytes optional_bytes(const std::string& option, const std::optional<std::string>& text) {
  return text ? bytes_of(option, *text) : Bytes{};
}

Alignment optional_alignment(const std::string& option, const std::optional<std::string>& text) {
  const Alignment alignment = text ? Alignment{bytes_of(option, *text)} : Alignment{};
  if (!alignment.valid()) throw WrongUsage(fmt::format("{}: \"{}\" is not a power of two", option, *text));
  return alignment;
}

// An empty name is no name: a script's variable that was never set.
std::string optional_name(const std::string& option, const std::optional<std::string>& text) {
  if (text && text->empty()) throw WrongUsage(fmt::format("{}: \"\" is no name", option));
  return text.value_or("");
}

unsigned threads_of(const std::string& text) {
  unsigned threads = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc{} || stop != text.data() + text.size() || threads == 0 || threads > kMaxThreads)
    throw WrongUsage(fmt::format("--threads: \"{}\" is no number from 1 to {}", text, kMaxThreads));
  return threads;
}

AllocatorKind allocator_named(const std::string& name) {
  for (const AllocatorKind kind : {AllocatorKind::default_allocator, AllocatorKind::arena}) {
    if (name == name_of(kind)) return kind;
  }
  throw WrongUsage(fmt::format("--allocator: \"{}\" is none of default, arena", name));
}

std::vector<AllocatorKind> allocators_of(const std::string& text) {
  std::vector<AllocatorKind> kinds;
  std::istringstream names(text + ",");
  for (std::string name; std::getline(names, name, ',');) {
    const AllocatorKind kind = allocator_named(name);
    if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end())
      throw WrongUsage(fmt::format("--allocator: \"{}\" is named twice", name));
    kinds.push_back(kind);
  }
  return kinds;
}

}  // namespace

const char* name_of(AllocatorKind kind) {
  return kind == AllocatorKind::arena ? "arena" : "default";
}

void declare_replay(CLI::App& command, ReplayArguments& arguments) {
  command.add_option("TRACE", arguments.traces, "Traces: CSV, plain or gzip")->required();
  command.add_option("--allocator", arguments.allocators,
                     "default, arena, or both with a comma [default,arena]");
  command.add_option("--backend", arguments.backend, "cpu, address, vulkan or cuda [cpu]");
  command.add_option("--device", arguments.device, "The backend's device of this name [its first]");
  command.add_option("--device-size", arguments.device_size,
                     "Physical memory in bytes, K, M, G [twice the trace's peak, at least 64M]");
  command.add_option("--page-size", arguments.page_size,
                     "A page size that the backend offers [its smallest]");
  command.add_flag("--sub-buffers", arguments.sub_buffers, "Send buffer rows through the heap's sub-buffers");
  command.add_option("--threads", arguments.threads, "Replay with so many threads [1]");
  command.add_flag("--verify", arguments.verify, "Fill every allocation and check all of it at its free");
  command.add_option("--align-buffers", arguments.align_buffers, "Raise the alignment of buffers to this");
  command.add_option("--align-images", arguments.align_images,
                     "Raise the alignment of optimal images to this");
  command.add_option("--json", arguments.json, "Write the results to this file");
}

ReplayOptions understand(const ReplayArguments& arguments) {
  ReplayOptions options;
  options.traces = arguments.traces;
  options.allocators = allocators_of(arguments.allocators);
  options.backend = arguments.backend;
  if (!is_backend_name(options.backend))
    throw WrongUsage(fmt::format("--backend: \"{}\" is none of cpu, address, vulkan, cuda", options.backend));
  options.device = optional_name("--device", arguments.device);
  options.device_size = optional_bytes("--device-size", arguments.device_size);
  options.page_size = optional_bytes("--page-size", arguments.page_size);
  options.sub_buffers = arguments.sub_buffers;
  options.threads = threads_of(arguments.threads.value_or("1"));
  options.verify = arguments.verify;
  options.align_buffers = optional_alignment("--align-buffers", arguments.align_buffers);
  options.align_images = optional_alignment("--align-images", arguments.align_images);
  options.json = optional_name("--json", arguments.json);
  return options;
}

}  // namespace vaspace::tools
