// Writes a trace: the CSV that Reader reads, gzip where the name ends in ".gz".
//
// Always true:
//  - The header line comes first, and no row is written by halves unless the disk refuses.
//  - After create() no host memory is asked for, so that an Observer may write from inside a free (R7).
//  - The first failure stays: every later call answers it, and nothing more is written.
#pragma once

#include <string_view>

#include "vaspace/base/host_allocator.hpp"
#include "vaspace/base/host_object.hpp"
#include "vaspace/trace/failure.hpp"
#include "vaspace/trace/row.hpp"

namespace vaspace::trace {

class Writer {
 public:
  // Makes or empties the file. Errors: io_error, out_of_host_memory.
  [[nodiscard]] static Expected<Writer> create(const char* path,
                                               const HostAllocator& host = default_host_allocator()) noexcept;

  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;
  ~Writer();  // closes; who wants to know whether that went well calls close()

  // `row.allocation` is not written. Whether the rows make a sound trace is the caller's care; whether this
  // is one row is checked. Errors: invalid_argument (flags with a comma, a control character or too long: not
  // sticky, nothing is written), io_error.
  [[nodiscard]] Expected<void> write(const Row& row, std::string_view flags = {}) noexcept;
  // Writes what is buffered and closes the file; further rows are invalid_argument. Errors: io_error.
  [[nodiscard]] Expected<void> close() noexcept;

 private:
  struct State;
  explicit Writer(HostObject<State> state) noexcept;
  HostObject<State> state_;
};

}  // namespace vaspace::trace
