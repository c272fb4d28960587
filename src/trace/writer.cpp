#include "vaspace/trace/writer.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "byte_sink.hpp"
#include "failing.hpp"

namespace vaspace::trace {

namespace {

constexpr std::size_t kMaxFlags = kMaxLine - 256;  // the numbers and words take less than 256

bool fits_a_cell(std::string_view flags) noexcept {
  return flags.size() <= kMaxFlags && std::none_of(flags.begin(), flags.end(), [](char c) {
           return c == ',' || static_cast<unsigned char>(c) < ' ';
         });
}

// A line as it grows; what it holds is bounded by kMaxFlags and the widths of the numbers.
class LineText {
 public:
  explicit LineText(HostArray<char>& text) noexcept : text_(text) { text_.clear(); }

  LineText& cell(std::string_view words) noexcept {
    if (!text_.empty()) text_.push_back_reserved(',');
    for (const char c : words)
      text_.push_back_reserved(c);
    return *this;
  }
  LineText& cell(std::uint64_t number) noexcept {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return cell(std::string_view(digits, static_cast<std::size_t>(end - digits)));
  }
  [[nodiscard]] std::string_view end() noexcept {
    text_.push_back_reserved('\n');
    return {text_.data(), text_.size()};
  }

 private:
  HostArray<char>& text_;
};

}  // namespace

struct Writer::State {
  State(HostObject<ByteSink> to, const HostAllocator& host) noexcept : sink(std::move(to)), line(host) {}

  HostObject<ByteSink> sink;
  HostArray<char> line;
  bool closed = false;
};

Writer::Writer(HostObject<State> state) noexcept : state_(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

Expected<Writer> Writer::create(const char* path, const HostAllocator& host) noexcept {
  auto sink = ByteSink::create(path, std::string_view(path).ends_with(".gz"), host);
  if (!sink) return tl::unexpected(sink.error());
  auto state = make_host_object<State>(host, std::move(*sink), host);
  if (!state || !state->line.reserve(kMaxLine + 1)) return tl::unexpected(out_of_memory(0));
  const std::string_view header = LineText(state->line).cell(kHeader).end();
  if (auto written = state->sink->write(header); !written) return tl::unexpected(written.error());
  return Writer(std::move(state));
}

Expected<void> Writer::write(const Row& row, std::string_view flags) noexcept {
  if (state_->closed) return tl::unexpected(failure(ErrorCode::invalid_argument, 0, "it is closed"));
  if (!fits_a_cell(flags))
    return tl::unexpected(failure(ErrorCode::invalid_argument, 0, "flags that fit no cell of a CSV"));
  LineText line(state_->line);
  line.cell(row.t_ns).cell(std::uint64_t{row.thread}).cell(to_string(row.op)).cell(row.id).cell(row.size);
  line.cell(row.alignment).cell(to_string(row.kind)).cell(std::uint64_t{row.memory_type_bits}).cell(flags);
  return state_->sink->write(line.end());
}

Expected<void> Writer::close() noexcept {
  state_->closed = true;
  return state_->sink->close();
}

}  // namespace vaspace::trace
