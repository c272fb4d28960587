// What a program did wrong: rule, object, reason. Counted, the first few thousand kept, and written to
// standard error or a file. Not synchronised.
#pragma once

#include <cstdint>
#include <cuda.h>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vasim::cuda {

struct Report {
  std::string rule;    // "C13"
  std::string object;  // "mapping 0x7f0000200000 + 0x200000"
  std::string reason;
  CUresult code =
      CUDA_SUCCESS;  // what the program is told; CUDA_SUCCESS where a real driver would not notice
};

class Reports {
 public:
  void write_to(std::string file, bool quiet, int abort) {
    file_ = std::move(file);
    quiet_ = quiet;
    abort_ = abort;
  }

  void add(Report report);
  void clear();

  // Of one rule; of all where `rule` is empty.
  [[nodiscard]] std::uint64_t count(std::string_view rule) const;
  [[nodiscard]] const std::vector<Report>& kept() const { return kept_; }

 private:
  void write(const Report& report) const;

  std::string file_;
  bool quiet_ = false;
  int abort_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> counts_;  // by rule
  std::vector<Report> kept_;
};

// For the object of a report: "0x1000 + 0x200".
[[nodiscard]] std::string range_text(std::uint64_t begin, std::uint64_t size);

}  // namespace vasim::cuda
