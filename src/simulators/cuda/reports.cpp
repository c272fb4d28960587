#include "reports.hpp"

#include <cstdio>
#include <cstdlib>

#include "result_names.hpp"

namespace vasim::cuda {
namespace {

constexpr std::size_t kKept = 4096;

}  // namespace

void Reports::add(Report report) {
  if (!quiet_) write(report);
  const bool unnoticed = report.code == CUDA_SUCCESS;
  ++counts_[report.rule];
  if (kept_.size() < kKept) kept_.push_back(std::move(report));
  if (abort_ == 2 || (abort_ == 1 && unnoticed)) std::abort();
}

void Reports::clear() {
  counts_.clear();
  kept_.clear();
}

std::uint64_t Reports::count(std::string_view rule) const {
  std::uint64_t total = 0;
  for (const auto& [of, count] : counts_)
    if (rule.empty() || of == rule) total += count;
  return total;
}

void Reports::write(const Report& report) const {
  std::FILE* file = file_.empty() ? stderr : std::fopen(file_.c_str(), "a");
  if (file == nullptr) file = stderr;
  const char* code = report.code == CUDA_SUCCESS ? "undefined" : result_name(report.code);
  std::fprintf(file, "vasim-cuda: %s: %s: %s [%s]\n", report.rule.c_str(), report.object.c_str(),
               report.reason.c_str(), code != nullptr ? code : "unknown code");
  if (file != stderr) std::fclose(file);
}

std::string range_text(std::uint64_t begin, std::uint64_t size) {
  char text[64];
  std::snprintf(text, sizeof text, "0x%llx + 0x%llx", static_cast<unsigned long long>(begin),
                static_cast<unsigned long long>(size));
  return text;
}

}  // namespace vasim::cuda
