#include "vaspace/trace/trace.hpp"

#include <utility>

#include "failing.hpp"

namespace vaspace::trace {

namespace {

// Keeps the sizes of what lives, for the peak.
class Summing {
 public:
  Summing(Trace& trace, const HostAllocator& host) noexcept : trace_(trace), sizes_(host) {}

  [[nodiscard]] std::optional<Failure> add(const Row& row, std::uint64_t line) noexcept {
    if (!trace_.rows.push_back(row)) return out_of_memory(line);
    if (row.op == Op::frame) {
      ++trace_.frame_count;
      return std::nullopt;
    }
    ++trace_.operation_count;
    if (row.op == Op::alloc) return begin(row, line);
    live_ -= sizes_[row.allocation];
    return std::nullopt;
  }

 private:
  [[nodiscard]] std::optional<Failure> begin(const Row& row, std::uint64_t line) noexcept {
    const Bytes size{row.size};
    const std::optional<Bytes> live = checked_add(live_, size);
    if (!live) return failure(ErrorCode::malformed, line, "the live sizes pass 2^64 - 1");
    if (!sizes_.push_back(size)) return out_of_memory(line);
    live_ = *live;
    if (live_ > trace_.peak_live) trace_.peak_live = live_;
    ++trace_.allocation_count;
    return std::nullopt;
  }

  Trace& trace_;
  HostArray<Bytes> sizes_;  // by allocation number
  Bytes live_{};
};

}  // namespace

Expected<Trace> load(Reader& reader, const HostAllocator& host) noexcept {
  if (reader.line() != 1)
    return tl::unexpected(failure(ErrorCode::invalid_argument, 0, "rows were taken before"));
  Trace trace{.rows = HostArray<Row>(host)};
  Summing summing(trace, host);
  for (Row row;;) {
    const Expected<bool> more = reader.next(row);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return trace;
    if (const auto why = summing.add(row, reader.line())) return tl::unexpected(*why);
  }
}

Expected<Trace> load(const char* path, const HostAllocator& host) noexcept {
  Expected<Reader> reader = Reader::open(path, host);
  if (!reader) return tl::unexpected(reader.error());
  return load(*reader, host);
}

}  // namespace vaspace::trace
