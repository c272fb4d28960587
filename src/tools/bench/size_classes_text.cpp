#include <array>
#include <charconv>
#include <fmt/format.h>

#include "bench/results_text.hpp"
#include "bench/size_classes.hpp"
#include "bytes_text.hpp"

namespace vaspace::tools::bench {

namespace {

std::string size_text(const std::string& size) {
  std::uint64_t bytes = 0;
  const auto [stop, error] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (error != std::errc{} || stop != size.data() + size.size()) return "256 B to 32 MiB, mixed";
  return bytes_text(Bytes{bytes});
}

// The rows of one size and order; any may be missing.
struct Group {
  const SizeClassRow* warm_default = nullptr;
  const SizeClassRow* warm_arena = nullptr;
  const SizeClassRow* cold_default = nullptr;
  const SizeClassRow* cold_arena = nullptr;

  void add(const SizeClassRow& row) {
    const bool is_default = row.allocator == "default";
    if (row.warm) {
      (is_default ? warm_default : warm_arena) = &row;
    } else {
      (is_default ? cold_default : cold_arena) = &row;
    }
  }
};

struct Figure {
  const char* name;
  double CallTimes::*of;
};
constexpr std::array<Figure, 4> kFigures{{{"min", &CallTimes::min},
                                          {"max", &CallTimes::max},
                                          {"mean", &CallTimes::mean},
                                          {"median", &CallTimes::median}}};

using Times = CallTimes SizeClassRow::*;

const CallTimes* times_of(const SizeClassRow* row, Times times) {
  return row ? &(row->*times) : nullptr;
}

std::string microseconds(const CallTimes* times, const Figure& figure) {
  return times ? fmt::format("{:>11.4f}", times->*figure.of) : fmt::format("{:>11}", "-");
}

std::string compared(const CallTimes* from, const CallTimes* to, const Figure& figure) {
  const double before = from ? from->*figure.of : 0;
  const std::string difference =
      from && to && before > 0 ? fmt::format("{:+.0f} %", 100 * (to->*figure.of - before) / before) : "-";
  return microseconds(from, figure) + microseconds(to, figure) + fmt::format("{:>10}", difference);
}

std::string share(const SizeClassRow* row, const Figure& figure) {
  const CallTimes* prototype = row ? prototype_of(*row) : nullptr;
  if (prototype == nullptr) return fmt::format("{:>11}{:>8}", "-", "-");
  return fmt::format("{:>11.2f}{:>8.3f}", prototype->*figure.of,
                     row->allocate.*figure.of / (prototype->*figure.of));
}

std::string table_of(const char* call, Times times, const Group& group) {
  const bool allocates = times == &SizeClassRow::allocate;
  const char* sides = "    Default      Arena      Diff";
  std::string text = fmt::format("  {:<9}{}    {}", call, sides, sides);
  if (allocates) text += fmt::format("{:>15}{:>8}{:>11}{:>8}", "Default", "share", "Arena", "share");
  text += "\n";
  for (const Figure& figure : kFigures) {
    text +=
        fmt::format("  {:<9}{}    {}", figure.name,
                    compared(times_of(group.warm_default, times), times_of(group.warm_arena, times), figure),
                    compared(times_of(group.cold_default, times), times_of(group.cold_arena, times), figure));
    if (allocates) text += "    " + share(group.warm_default, figure) + share(group.warm_arena, figure);
    text += "\n";
  }
  return text;
}

std::string group_text(const SizeClassRow& one, const Group& group) {
  return fmt::format("{} x {}, freed {}: us per call\n  {:<9}{:<36}{:<40}{}\n", size_text(one.size),
                     one.count, one.order, "", "    pages committed", "    not yet committed",
                     "prototype, and pages committed / it") +
         table_of("allocate", &SizeClassRow::allocate, group) + table_of("free", &SizeClassRow::free, group) +
         "\n";
}

// P13, of what was measured.
std::string verdict(std::span<const SizeClassRow> rows) {
  unsigned asked = 0, missed = 0;
  std::string text;
  for (const SizeClassRow& row : rows) {
    const CallTimes* prototype = prototype_of(row);
    if (prototype == nullptr || !row.warm) continue;
    ++asked;
    const double mean = row.allocate.mean / prototype->mean, median = row.allocate.median / prototype->median;
    if (mean <= kPrototypeShare && median <= kPrototypeShare) continue;
    ++missed;
    text += fmt::format("  {} freed {}, {}: mean {:.3f}, median {:.3f} of the prototype's\n",
                        size_text(row.size), row.order, row.allocator, mean, median);
  }
  if (asked == 0) return {};
  return fmt::format("Mean and median at most {:.2f} of the prototype's, pages committed: {} of {} rows\n",
                     kPrototypeShare, asked - missed, asked) +
         text + "\n";
}

}  // namespace

std::string size_classes_text(std::span<const SizeClassRow> rows) {
  std::string text;
  for (std::size_t i = 0; i < rows.size();) {
    const SizeClassRow& first = rows[i];
    Group group;
    for (; i < rows.size() && rows[i].size == first.size && rows[i].order == first.order; ++i)
      group.add(rows[i]);
    text += group_text(first, group);
  }
  return text + verdict(rows);
}

}  // namespace vaspace::tools::bench
