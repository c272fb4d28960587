#include "deal.hpp"

#include <map>

namespace vaspace::tools {

namespace {

using ThreadNumbers = std::map<std::uint32_t, std::uint32_t>;  // the trace's to ours

ThreadNumbers number_threads(const trace::Trace& trace) {
  ThreadNumbers numbers;
  for (const trace::Row& row : trace.rows) {
    if (row.op != trace::Op::frame) numbers.emplace(row.thread, static_cast<std::uint32_t>(numbers.size()));
  }
  return numbers;
}

}  // namespace

std::size_t thread_count(const trace::Trace& trace) {
  return number_threads(trace).size();
}

std::vector<std::vector<DealtRow>> deal(const trace::Trace& trace, unsigned workers) {
  const ThreadNumbers numbers = number_threads(trace);
  const bool by_thread = numbers.size() >= workers;
  std::vector<std::vector<DealtRow>> dealt(workers);
  std::uint32_t operation = 0;
  for (std::uint32_t i = 0; i < trace.rows.size(); ++i) {
    const trace::Row& row = trace.rows[i];
    if (row.op == trace::Op::frame) continue;
    const std::uint32_t number = by_thread ? numbers.at(row.thread) : row.allocation;
    dealt[number % workers].push_back({.row = i, .operation = operation++});
  }
  return dealt;
}

}  // namespace vaspace::tools
