// What the command line of `vaspace replay` asks for.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "vaspace/base/units.hpp"

namespace vaspace::tools {

enum class AllocatorKind : std::uint8_t { default_allocator, arena };

struct ReplayOptions {
  std::vector<std::string> traces;
  std::vector<AllocatorKind> allocators;
  std::string backend = "cpu";
  std::string device;   // empty: the backend's first
  Bytes device_size{};  // 0: from the trace
  Bytes page_size{};    // 0: the smallest that the backend offers
  bool sub_buffers = false;
  unsigned threads = 1;
  bool verify = false;
  Alignment align_buffers{};
  Alignment align_images{};
  std::string json;  // empty: none
};

inline constexpr unsigned kMaxThreads = 256;

[[nodiscard]] const char* name_of(AllocatorKind kind);

// The options as the words of the command line, before they are understood.
struct ReplayArguments {
  std::vector<std::string> traces;
  std::string allocators = "default,arena";
  std::string backend = "cpu";
  std::optional<std::string> device, device_size, page_size, threads, align_buffers, align_images, json;
  bool sub_buffers = false;
  bool verify = false;
};

// `arguments` must outlive the parsing.
void declare_replay(CLI::App& command, ReplayArguments& arguments);

// Throws WrongUsage.
[[nodiscard]] ReplayOptions understand(const ReplayArguments& arguments);

}  // namespace vaspace::tools
