// A trace, row by row: plain CSV or gzip, told apart by the first bytes, whatever the file is called.
//
// Always true:
//  - Times never fall; an alloc names an id that is not live, a free one that is; every row keeps what
//  row.hpp
//    promises. The first line that breaks a rule ends the reading with a Failure that names it, and every
//    later call answers the same Failure.
//  - A line ends in LF or CRLF. The last one may lack its end, if all nine columns are there.
//  - Numbers are decimal digits alone: no sign, no space, no base.
//  - Host memory: at most 192 KiB of buffers, what zlib asks for, and 16 bytes per cell of a table of live
//  ids
//    that doubles when it is half full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vaspace/base/host_allocator.hpp"
#include "vaspace/base/host_object.hpp"
#include "vaspace/trace/failure.hpp"
#include "vaspace/trace/row.hpp"

namespace vaspace::trace {

class ByteSource;

class Reader {
 public:
  // Opens the file and reads its header line. Errors: io_error (missing, a directory, unreadable), malformed
  // (empty, wrong header, gzip damage), out_of_host_memory.
  [[nodiscard]] static Expected<Reader> open(const char* path,
                                             const HostAllocator& host = default_host_allocator()) noexcept;
  // The same from memory, which must stay until the Reader is gone.
  [[nodiscard]] static Expected<Reader> from_memory(
      std::span<const std::byte> bytes, const HostAllocator& host = default_host_allocator()) noexcept;

  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // True: `row` is the next one. False: the trace has ended well, and `row` is as it was.
  // Errors: malformed, io_error, out_of_host_memory.
  [[nodiscard]] Expected<bool> next(Row& row) noexcept;
  // The flags column of the row that next() gave last; valid until the next call of next().
  [[nodiscard]] std::string_view flags() const noexcept;
  // The line that next() gave last; the header is line 1.
  [[nodiscard]] std::uint64_t line() const noexcept;

 private:
  struct State;
  [[nodiscard]] static Expected<Reader> begin(Expected<HostObject<ByteSource>> bytes,
                                              const HostAllocator& host) noexcept;
  explicit Reader(HostObject<State> state) noexcept;
  HostObject<State> state_;
};

}  // namespace vaspace::trace
