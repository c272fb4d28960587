#include "report.hpp"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "driver.hpp"

namespace vasim {

void Reports::configure(const Settings& settings) {
  const std::lock_guard lock(mutex_);
  ignored_ = settings.ignored_rules;
  log_ = settings.log;
  abort_ = settings.abort_on_report;
  quiet_ = settings.quiet;
  entries_.clear();
  counts_.clear();
  total_ = 0;
}

void Reports::add(const char* rule, const std::string& object, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (std::find(ignored_.begin(), ignored_.end(), rule) != ignored_.end()) return;
  ++total_;
  ++counts_[rule];
  const Entry entry{rule, object, reason};
  if (entries_.size() < kKept) entries_.push_back(entry);
  if (!quiet_) write(entry);
  if (abort_) std::abort();
}

void Reports::write(const Entry& entry) const {
  std::FILE* const file = log_.empty() ? stderr : std::fopen(log_.c_str(), "a");
  if (file == nullptr) return;
  std::fprintf(file, "vasim: %s: %s: %s\n", entry.rule.c_str(), entry.object.c_str(), entry.reason.c_str());
  if (file != stderr) std::fclose(file);
}

std::size_t Reports::count() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

std::size_t Reports::count_of(const std::string& rule) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(rule);
  return found == counts_.end() ? 0 : found->second;
}

bool Reports::at(std::size_t index, VasimVulkanReport& out) const {
  const std::lock_guard lock(mutex_);
  if (index >= entries_.size()) return false;
  const Entry& entry = entries_[index];
  out = {entry.rule.c_str(), entry.object.c_str(), entry.reason.c_str()};
  return true;
}

void Reports::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
  counts_.clear();
  total_ = 0;
}

void report(const char* rule, const std::string& object, const std::string& reason) {
  driver().reports.add(rule, object, reason);
}

std::string text(const char* format, ...) {
  std::array<char, 512> buffer{};
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer.data(), buffer.size(), format, arguments);
  va_end(arguments);
  return buffer.data();
}

}  // namespace vasim
