// Any bytes at all through the trace reader, plain and gzip: it ends, it refuses with a reason, and what it
// accepts keeps its promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "vaspace/base/units.hpp"
#include "vaspace/trace/reader.hpp"

namespace {

using namespace vaspace;

void require(bool truth) {
  if (!truth) std::abort();
}

void check_failure(const trace::Failure& why, std::uint64_t line) {
  const std::string_view reason = why.reason();
  require(!reason.empty() && reason.size() < why.text.size());
  for (const char c : reason)
    require(c >= ' ' && c <= '~');
  require(why.code == ErrorCode::malformed && why.line == line);
}

void check_row(const trace::Row& row, std::uint64_t last_t_ns, std::uint32_t& allocations) {
  require(row.t_ns >= last_t_ns);
  require(Alignment{row.alignment}.valid());
  const bool of_frame = row.kind == trace::Kind::present || row.kind == trace::Kind::submit;
  require(of_frame == (row.op == trace::Op::frame));
  if (row.op == trace::Op::alloc) require(row.size != 0 && row.allocation == allocations++);
  if (row.op == trace::Op::free) require(row.allocation < allocations);
}

void read(std::span<const std::byte> bytes) {
  auto reader = trace::Reader::from_memory(bytes);
  if (!reader) return check_failure(reader.error(), 1);
  std::uint64_t last_t_ns = 0;
  std::uint32_t allocations = 0;
  for (trace::Row row;;) {
    const std::uint64_t line = reader->line();
    const auto more = reader->next(row);
    if (!more) return check_failure(more.error(), line + 1);
    if (!*more) return;
    require(reader->line() == line + 1 && reader->flags().size() <= trace::kMaxLine);
    check_row(row, last_t_ns, allocations);
    last_t_ns = row.t_ns;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read(bytes);
  // Most inputs have no header of their own; with one, their rows are reached.
  std::vector<std::byte> headed;
  for (const char c : trace::kHeader)
    headed.push_back(static_cast<std::byte>(c));
  headed.push_back(static_cast<std::byte>('\n'));
  headed.insert(headed.end(), bytes.begin(), bytes.end());
  read(headed);
  return 0;
}
