#include "vaspace/trace/reader.hpp"

#include <limits>
#include <utility>

#include "failing.hpp"
#include "line_source.hpp"
#include "live_ids.hpp"
#include "row_parser.hpp"

namespace vaspace::trace {

namespace {

unsigned long long shown(std::uint64_t number) noexcept {
  return number;
}

}  // namespace

struct Reader::State {
  State(HostObject<ByteSource> bytes, const HostAllocator& host) noexcept
      : lines(std::move(bytes), host), live(host) {}

  [[nodiscard]] Expected<void> read_header() noexcept;
  [[nodiscard]] Expected<bool> next(Row& row) noexcept;
  [[nodiscard]] tl::unexpected<Failure> give_up(Failure why) noexcept;
  [[nodiscard]] std::optional<Failure> follow_time(const Row& row) noexcept;
  [[nodiscard]] std::optional<Failure> follow_id(Row& row) noexcept;
  [[nodiscard]] std::optional<Failure> begin_allocation(Row& row) noexcept;

  LineSource lines;
  LiveIds live;
  std::string_view flags{};
  std::uint64_t last_t_ns = 0;
  std::uint32_t allocations = 0;
  std::optional<Failure> failure;
};

tl::unexpected<Failure> Reader::State::give_up(Failure why) noexcept {
  if (why.line == 0) why.line = lines.number();
  failure = why;
  return tl::unexpected(why);
}

Expected<void> Reader::State::read_header() noexcept {
  const auto line = lines.next();
  if (!line) return tl::unexpected(line.error());
  if (!*line) return give_up(malformed("the file is empty"));
  if ((*line)->text != kHeader)
    return give_up(malformed("the header is \"%s\", not t_ns,thread,op,...", excerpt((*line)->text).text));
  return {};
}

std::optional<Failure> Reader::State::follow_time(const Row& row) noexcept {
  if (row.t_ns < last_t_ns)
    return malformed("time goes back from %llu to %llu", shown(last_t_ns), shown(row.t_ns));
  last_t_ns = row.t_ns;
  return std::nullopt;
}

std::optional<Failure> Reader::State::begin_allocation(Row& row) noexcept {
  if (allocations == std::numeric_limits<std::uint32_t>::max())
    return malformed("more than 2^32 - 1 allocations");
  switch (live.insert(row.id, allocations)) {
    case LiveIds::Insert::is_live:
      return malformed("alloc of id %llu, which is live", shown(row.id));
    case LiveIds::Insert::no_memory:
      return out_of_memory(0);
    case LiveIds::Insert::done:
      break;
  }
  row.allocation = allocations++;
  return std::nullopt;
}

std::optional<Failure> Reader::State::follow_id(Row& row) noexcept {
  if (row.op == Op::frame) return std::nullopt;
  if (row.op == Op::alloc) return begin_allocation(row);
  const std::optional<std::uint32_t> number = live.remove(row.id);
  if (!number) return malformed("free of id %llu, which is not live", shown(row.id));
  row.allocation = *number;
  return std::nullopt;
}

Expected<bool> Reader::State::next(Row& row) noexcept {
  if (failure) return tl::unexpected(*failure);
  flags = {};
  const auto line = lines.next();
  if (!line) return give_up(line.error());
  if (!*line) return false;
  const auto [text, ended] = **line;
  if (!ended && column_count(text) < kColumns)
    return give_up(malformed("the file ends within a row: %zu of %zu columns", column_count(text), kColumns));
  Expected<ParsedRow> parsed = parse_row(text);
  if (!parsed) return give_up(parsed.error());
  if (const auto why = follow_time(parsed->row)) return give_up(*why);
  if (const auto why = follow_id(parsed->row)) return give_up(*why);
  row = parsed->row;
  flags = parsed->flags;
  return true;
}

Reader::Reader(HostObject<State> state) noexcept : state_(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Expected<Reader> Reader::begin(Expected<HostObject<ByteSource>> bytes, const HostAllocator& host) noexcept {
  if (!bytes) return tl::unexpected(bytes.error());
  auto state = make_host_object<State>(host, std::move(*bytes), host);
  if (!state) return tl::unexpected(out_of_memory(0));
  if (const Expected<void> read = state->read_header(); !read) return tl::unexpected(read.error());
  return Reader(std::move(state));
}

Expected<Reader> Reader::open(const char* path, const HostAllocator& host) noexcept {
  return begin(ByteSource::open(path, host), host);
}

Expected<Reader> Reader::from_memory(std::span<const std::byte> bytes, const HostAllocator& host) noexcept {
  return begin(ByteSource::from_memory(bytes, host), host);
}

Expected<bool> Reader::next(Row& row) noexcept {
  return state_->next(row);
}

std::string_view Reader::flags() const noexcept {
  return state_->flags;
}

std::uint64_t Reader::line() const noexcept {
  return state_->lines.number();
}

}  // namespace vaspace::trace
