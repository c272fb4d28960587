// The lines of a ByteSource.
//
// Always true: a line given is without its end (LF or CRLF) and at most kMaxLine bytes long; what next() gave
// is valid until the next call.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "vaspace/trace/row.hpp"

#include "byte_source.hpp"

namespace vaspace::trace {

struct Line {
  std::string_view text{};
  bool ended = true;  // false: the file ends where this line should
};

class LineSource {
 public:
  LineSource(HostObject<ByteSource> bytes, const HostAllocator& host) noexcept
      : bytes_(std::move(bytes)), buffer_(host) {}

  // Nothing at the end. Failures carry the line's number. Errors: as ByteSource::read; malformed where the
  // line is too long.
  [[nodiscard]] Expected<std::optional<Line>> next() noexcept;
  // Of the line that next() gave, or failed on, last.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

 private:
  void make_room() noexcept;
  [[nodiscard]] Expected<bool> read_more() noexcept;  // false at the end
  [[nodiscard]] Line take(std::size_t length, bool ended) noexcept;
  [[nodiscard]] tl::unexpected<Failure> located(Failure why) const noexcept;

  HostObject<ByteSource> bytes_;
  HostArray<char> buffer_;
  std::size_t begin_ = 0;  // what is read and not yet given: [begin_, end_) of buffer_
  std::size_t end_ = 0;
  std::uint64_t number_ = 0;
};

}  // namespace vaspace::trace
