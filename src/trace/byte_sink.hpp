// Bytes into a file, compressed where it is asked for.
//
// Always true: after create() nothing asks for host memory; the first failure stays.
#pragma once

#include <optional>
#include <string_view>
#include <zlib.h>

#include "vaspace/base/host_array.hpp"
#include "vaspace/base/host_object.hpp"
#include "vaspace/trace/failure.hpp"

namespace vaspace::trace {

class ByteSink {
 public:
  // Makes or empties the file. Errors: io_error, out_of_host_memory.
  [[nodiscard]] static Expected<HostObject<ByteSink>> create(const char* path, bool gzip,
                                                             const HostAllocator& host) noexcept;
  explicit ByteSink(const HostAllocator& host) noexcept : host_(host), text_(host), packed_(host) {}
  ByteSink(const ByteSink&) = delete;
  ByteSink& operator=(const ByteSink&) = delete;
  ~ByteSink();

  // `text` is at most kMaxText bytes.
  static constexpr std::size_t kMaxText = 131072;
  [[nodiscard]] Expected<void> write(std::string_view text) noexcept;
  // Idempotent.
  [[nodiscard]] Expected<void> close() noexcept;

 private:
  [[nodiscard]] bool prepare(bool gzip) noexcept;
  [[nodiscard]] Expected<void> drain(bool last) noexcept;  // text_ to the file
  [[nodiscard]] Expected<void> pack(bool last) noexcept;   // text_ through deflate to the file
  [[nodiscard]] Expected<void> put(const void* bytes, std::size_t size) noexcept;

  HostAllocator host_;
  HostArray<char> text_;  // what waits: the first waiting_ of it
  std::size_t waiting_ = 0;
  HostArray<unsigned char> packed_;
  int fd_ = -1;
  bool gzip_ = false;
  z_stream stream_{};
  std::optional<Failure> failure_;
};

}  // namespace vaspace::trace
