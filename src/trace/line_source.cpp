#include "line_source.hpp"

#include <algorithm>
#include <cstring>

#include "failing.hpp"

namespace vaspace::trace {

namespace {
constexpr std::size_t kFirstBytes = 8192;
constexpr std::size_t kMostBytes =
    2 * (std::size_t{kMaxLine} + 1);  // the longest line with its end, and room to read more
}  // namespace

tl::unexpected<Failure> LineSource::located(Failure why) const noexcept {
  why.line = number_;
  return tl::unexpected(why);
}

// Moves what is not yet given to the front.
void LineSource::make_room() noexcept {
  const std::size_t waiting = end_ - begin_;
  if (begin_ != 0) std::memmove(buffer_.data(), buffer_.data() + begin_, waiting);
  begin_ = 0;
  end_ = waiting;
}

Expected<bool> LineSource::read_more() noexcept {
  make_room();
  if (end_ == buffer_.size() &&
      !buffer_.resize(buffer_.empty() ? kFirstBytes : std::min(2 * end_, kMostBytes)))
    return tl::unexpected(out_of_memory(number_));
  const auto got = bytes_->read(buffer_.span().subspan(end_));
  if (!got) return located(got.error());
  end_ += *got;
  return *got != 0;
}

Line LineSource::take(std::size_t length, bool ended) noexcept {
  std::string_view text(buffer_.data() + begin_, length);
  begin_ += length + (ended ? 1 : 0);
  if (ended && text.ends_with('\r')) text.remove_suffix(1);
  return {text, ended};
}

Expected<std::optional<Line>> LineSource::next() noexcept {
  ++number_;
  std::size_t searched = 0;
  for (;;) {
    const std::string_view waiting(buffer_.data() + begin_, end_ - begin_);
    const std::size_t end = waiting.find('\n', searched);
    if ((end == std::string_view::npos ? waiting.size() : end) > kMaxLine)
      return located(malformed("the line is longer than %u bytes", kMaxLine));
    if (end != std::string_view::npos) return take(end, true);
    searched = waiting.size();
    const Expected<bool> more = read_more();
    if (!more) return tl::unexpected(more.error());
    if (*more) continue;
    if (searched == 0) return std::optional<Line>();
    return take(searched, false);
  }
}

}  // namespace vaspace::trace
