// What is said when a program breaks a rule: the rule's id, the object, the reason.
//
// Reports are counted and kept whatever else is asked for; they go to standard error or a file, and end the
// process on request. The driver's own ids, for what every Vulkan program must respect:
//   D1 a handle that does not live, or is of another type
//   D2 an object destroyed or changed while a submitted command still uses it
//   D3 an object that lives when its parent ends
//   D4 a command buffer in the wrong state
//   D5 a resource bound twice, or two of them bound to the same bytes
//   D6 a copy, fill, update or clear outside of its resource, or without the usage that it needs
//   D7 a resource used while no memory is bound to it
//   D8 a feature, extension or queue used that the device was not created with
//   D9 a command that this driver does not carry out
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "settings.hpp"
#include "vasim_vulkan.h"

namespace vasim {

class Reports {
 public:
  void configure(const Settings& settings);
  void add(const char* rule, const std::string& object, const std::string& reason);

  [[nodiscard]] std::size_t count() const;
  [[nodiscard]] std::size_t count_of(const std::string& rule) const;
  bool at(std::size_t index, VasimVulkanReport& out) const;
  void clear();

 private:
  struct Entry {
    std::string rule, object, reason;
  };

  void write(const Entry& entry) const;

  mutable std::mutex mutex_;
  std::deque<Entry> entries_;  // the first kKept; a deque, so that their strings stay where they are
  std::map<std::string, std::size_t> counts_;
  std::size_t total_ = 0;
  std::vector<std::string> ignored_;
  std::string log_;
  bool abort_ = false, quiet_ = false;

  static constexpr std::size_t kKept = 4096;
};

// Reports to the process's one list.
void report(const char* rule, const std::string& object, const std::string& reason);

// A reason in the manner of printf.
[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...);

}  // namespace vasim
