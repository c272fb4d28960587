// Small traces made by tests.
#pragma once

#include <gtest/gtest.h>
#include <span>
#include <string>

#include "vaspace/trace/trace.hpp"

#include "files.hpp"

namespace vaspace::test {

inline trace::Trace trace_of(const std::string& rows) {
  const std::string text = kHeaderLine + rows;
  auto reader = trace::Reader::from_memory(std::as_bytes(std::span(text)));
  auto trace = trace::load(*reader);
  if (!trace) ADD_FAILURE() << trace.error().line << ": " << trace.error().reason();
  return std::move(trace).value_or(trace::Trace{});
}

// Rows of many sizes by several threads; freed by other threads than those that allocated; some stay live.
inline std::string busy_rows(std::uint32_t count, std::uint32_t threads) {
  std::string rows;
  std::uint32_t random = 12345;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> live;
  for (std::uint32_t i = 0; i < count; ++i) {
    random = random * 1664525U + 1013904223U;
    const std::string begin = std::to_string(i) + "," + std::to_string((random >> 8U) % threads);
    if (live.size() > 40 || (live.size() > 10 && random % 2 == 0)) {
      const std::size_t which = (random >> 4U) % live.size();
      rows += begin + ",free," + std::to_string(live[which].first) + "," +
              std::to_string(live[which].second) + ",64,buffer,1,\n";
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
    } else {
      const std::uint32_t size = 1 + (random >> 3U) % (random % 5 == 0 ? 200000 : 3000);
      rows += begin + ",alloc," + std::to_string(i) + "," + std::to_string(size) + ",64,buffer,1,\n";
      live.emplace_back(i, size);
    }
    if (i % 100 == 0) rows += std::to_string(i) + ",0,frame," + std::to_string(i) + ",0,0,present,0,\n";
  }
  return rows;
}

}  // namespace vaspace::test
