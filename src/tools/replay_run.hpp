// One run of `vaspace replay`: a fresh backend, a fresh allocator, one trace.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vaspace/trace/trace.hpp"

#include "replay_options.hpp"
#include "replay_result.hpp"

namespace vaspace::tools {

using BackendCalls = std::vector<std::pair<std::string, std::uint64_t>>;

// Of the buffer rows alone, with --sub-buffers: memory behind them, against what they asked for.
struct SubBufferFigures {
  Bytes peak_live{};
  Bytes peak_committed{};
  double mean_live = 0;
  double mean_committed = 0;
};

struct ReplayRun {
  std::string trace;  // as it was named
  AllocatorKind allocator{};
  std::string backend;
  std::string device;
  Bytes device_size{};
  Bytes page_size{};
  unsigned threads = 1;
  ReplayResult result;
  BackendCalls backend_calls;
  std::optional<SubBufferFigures> sub_buffers;
};

// Where a trace is replayed, decided before the first run.
struct Ground {
  Bytes page_size{};
  Bytes device_size{};
};

// The page size that the options ask for, or the smallest. Throws WrongUsage where the backend does not offer
// it.
[[nodiscard]] Bytes page_size_for(const ReplayOptions& options);
// --device-size, or twice the peak, at least 64 MiB; rounded up to pages. Throws Failed where that passes
// 2^64 - 1.
[[nodiscard]] Bytes device_size_for(const ReplayOptions& options, Bytes peak_live, Bytes page_size);

// Throws Failed where the backend or the allocator cannot be made.
[[nodiscard]] ReplayRun replay_once(const std::string& name, const trace::Trace& trace,
                                    AllocatorKind allocator, const ReplayOptions& options,
                                    const Ground& ground,
                                    const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace vaspace::tools
