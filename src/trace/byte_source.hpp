// The bytes of a trace, decompressed where the file is gzip.
//
// Always true: read() answers 0 only when the file, and its last gzip member, have ended as they should; a
// failure is answered after the bytes that were sound before it, and then at every further call.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <zlib.h>

#include "vaspace/base/host_array.hpp"
#include "vaspace/base/host_object.hpp"
#include "vaspace/trace/failure.hpp"

namespace vaspace::trace {

class ByteSource {
 public:
  [[nodiscard]] static Expected<HostObject<ByteSource>> open(const char* path,
                                                             const HostAllocator& host) noexcept;
  [[nodiscard]] static Expected<HostObject<ByteSource>> from_memory(std::span<const std::byte> bytes,
                                                                    const HostAllocator& host) noexcept;
  ByteSource(const HostAllocator& host, int fd, std::span<const std::byte> memory) noexcept
      : host_(host), fd_(fd), memory_(memory), input_(host) {}
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  ~ByteSource();

  // Up to `to.size()` bytes, which is above 0. Errors: io_error, malformed (gzip damage), out_of_host_memory.
  [[nodiscard]] Expected<std::size_t> read(std::span<char> to) noexcept;

 private:
  [[nodiscard]] bool prepare() noexcept;  // looks at the first bytes
  [[nodiscard]] bool refill() noexcept;   // more input, or ended_
  [[nodiscard]] std::size_t read_raw(std::span<char> to) noexcept;
  [[nodiscard]] std::size_t read_gzip(std::span<char> to) noexcept;
  [[nodiscard]] bool next_member() noexcept;
  [[nodiscard]] std::size_t inflate_some(std::span<char> to, int& answer) noexcept;
  bool give_up(const Failure& why) noexcept;

  HostAllocator host_;
  int fd_ = -1;  // none: from memory_
  std::span<const std::byte> memory_;
  HostArray<unsigned char> input_;            // of a file
  std::span<const unsigned char> waiting_{};  // read and not yet used
  bool begun_ = false;
  bool ended_ = false;  // nothing follows what is waiting
  bool gzip_ = false;
  bool inflating_ = false;    // stream_ is initialised
  bool member_done_ = false;  // between two members
  z_stream stream_{};
  std::optional<Failure> failure_;
};

}  // namespace vaspace::trace
