#include "bench/compare.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "bench/results_file.hpp"
#include "failed.hpp"

namespace vaspace::tools::bench {

namespace {

using Json = nlohmann::json;

// ---- what a row must have

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw Failed(fmt::format("{}: {}", file, what));
}

// A row of one of the file's lists, and where it is, for messages.
struct Row {
  const std::string* file;
  std::string place;
  const Json* json;

  [[nodiscard]] double number(const char* field) const {
    const auto found = json->find(field);
    if (found == json->end() || !found->is_number())
      refuse(*file, fmt::format("{}: \"{}\" is no number", place, field));
    return found->get<double>();
  }
  [[nodiscard]] std::optional<double> number_if_any(const char* field) const {
    const auto found = json->find(field);
    if (found == json->end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
  }
  [[nodiscard]] std::string text(const char* field) const {
    const auto found = json->find(field);
    if (found == json->end() || !found->is_string())
      refuse(*file, fmt::format("{}: \"{}\" is no text", place, field));
    return found->get<std::string>();
  }
  // null and absent are empty.
  [[nodiscard]] std::string word(const char* field) const {
    const auto found = json->find(field);
    if (found == json->end() || found->is_null()) return "";
    return found->is_string() ? found->get<std::string>() : found->dump();
  }
};

using Rows = std::map<std::string, Row>;
using KeyOf = std::string (*)(const Row&);

Rows rows_of(const std::string& file, const Json& results, const char* list, KeyOf key_of) {
  Rows rows;
  const auto found = results.find(list);
  if (found == results.end() || !found->is_array()) refuse(file, fmt::format("\"{}\" is no list", list));
  for (std::size_t i = 0; i < found->size(); ++i) {
    const Row row{&file, fmt::format("{}[{}]", list, i), &(*found)[i]};
    if (!row.json->is_object()) refuse(file, row.place + " is no object");
    const std::string key = key_of(row);
    if (!rows.emplace(key, row).second)
      refuse(file, fmt::format("{}: \"{}\" is there twice", row.place, key));
  }
  return rows;
}

std::string joined(std::initializer_list<std::string> words) {
  std::string text;
  for (const std::string& word : words) {
    if (!word.empty()) text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

std::string key_of_timing(const Row& row) {
  return joined({row.text("workload"), row.word("mode"), row.word("order"), row.word("live") + " live",
                 row.word("threads") + " threads,", row.text("subject"), row.word("policy") + ", per",
                 row.text("unit")});
}
std::string key_of_placement(const Row& row) {
  return joined({row.text("workload"), row.word("mode"), row.text("subject")});
}
std::string key_of_metadata(const Row& row) {
  return joined({row.text("workload"), row.word("mode"), row.word("live") + " live,", row.text("subject")});
}
std::string key_of_size_class(const Row& row) {
  return joined({row.word("size"), "x", row.word("count"), row.text("order"),
                 row.word("warm") == "true" ? "warm," : "cold,", row.text("allocator")});
}

// ---- what is said of two rows

std::string percent(double from, double to) {
  return from == 0 ? "" : fmt::format(" ({:+.1f} %)", 100 * (to - from) / from);
}

std::string change(const char* what, double from, double to) {
  return fmt::format("{} {:.5g} -> {:.5g}{}", what, from, to, percent(from, to));
}

const char* direction(Move move) {
  return move == Move::up ? "slower" : "faster";
}

// Files without the ratios' own spread get that of the nanoseconds.
Extent extent_of_ratio(const Row& row, double ratio) {
  const auto min = row.number_if_any("ratio_min"), max = row.number_if_any("ratio_max");
  if (min && max) return {*min, *max};
  const double median = row.number("ns_median");
  if (median <= 0) return {ratio, ratio};
  return {ratio * row.number("ns_min") / median, ratio * row.number("ns_max") / median};
}

struct Verdict {
  std::string text;
  bool changed = false;
};

Verdict verdict_of(Move ns, std::optional<Move> ratio) {
  if (!ratio) return ns == Move::none ? Verdict{"noise"} : Verdict{direction(ns), true};
  if (ns == Move::none && *ratio == Move::none) return {"noise"};
  if (ns == *ratio) return {direction(ns), true};
  if (*ratio == Move::none)
    return {fmt::format("{} in ns only: the machine, not the subject", direction(ns)), false};
  return {fmt::format("{} against the limit, ns {}", direction(*ratio),
                      ns == Move::none ? "as before" : direction(ns)),
          true};
}

Verdict compare_timing(const Row& from, const Row& to, std::string& line) {
  line += change("ns", from.number("ns_median"), to.number("ns_median"));
  const Move ns =
      move_of({from.number("ns_min"), from.number("ns_max")}, {to.number("ns_min"), to.number("ns_max")});
  const auto ratio_from = from.number_if_any("ratio_to_limit"), ratio_to = to.number_if_any("ratio_to_limit");
  std::optional<Move> ratio;
  // The limit's ratio to itself says nothing.
  if (ratio_from && ratio_to && from.text("subject") != "limit_lifo") {
    line += change("; ratio", *ratio_from, *ratio_to);
    ratio = move_of(extent_of_ratio(from, *ratio_from), extent_of_ratio(to, *ratio_to));
  }
  return verdict_of(ns, ratio);
}

Verdict compare_size_class(const Row& from, const Row& to, std::string& line) {
  line += change("mean us", from.number("mean_us"), to.number("mean_us"));
  line += change("; median us", from.number("median_us"), to.number("median_us"));
  return verdict_of(
      move_of({from.number("min_us"), from.number("max_us")}, {to.number("min_us"), to.number("max_us")}),
      {});
}

// Figures that are the same on every run of the same code.
Verdict compare_exact(const Row& from, const Row& to, std::initializer_list<const char*> fields,
                      std::string& line) {
  bool changed = false;
  for (const char* field : fields) {
    const double before = from.number(field), after = to.number(field);
    line += change((line.empty() || line.back() == ' ' ? field : std::string("; ") + field).c_str(), before,
                   after);
    changed |= before != after;
  }
  return {changed ? "changed" : "same", changed};
}
Verdict compare_placement(const Row& from, const Row& to, std::string& line) {
  return compare_exact(from, to, {"occupancy_first_refusal", "refusals_at_90", "largest_free_ratio_60"},
                       line);
}
Verdict compare_metadata(const Row& from, const Row& to, std::string& line) {
  return compare_exact(from, to, {"bytes_per_live"}, line);
}

// ---- the whole

struct Tally {
  std::size_t rows = 0;
  std::size_t changed = 0;
};

struct List {
  const char* name;
  KeyOf key_of;
  Verdict (*compare)(const Row& from, const Row& to, std::string& line);
};
constexpr std::array<List, 4> kLists{{{"results", key_of_timing, compare_timing},
                                      {"placement", key_of_placement, compare_placement},
                                      {"metadata", key_of_metadata, compare_metadata},
                                      {"size_classes", key_of_size_class, compare_size_class}}};

std::string alone(const Rows& rows, const Rows& others, const std::string& file) {
  std::string text;
  for (const auto& [key, row] : rows) {
    if (!others.contains(key)) text += fmt::format("  {}: only in {}\n", key, file);
  }
  return text;
}

std::string compare_rows(const List& list, const Rows& from, const Rows& to, Tally& tally) {
  std::string text;
  for (const auto& [key, row] : from) {
    const auto other = to.find(key);
    if (other == to.end()) continue;
    std::string line;
    const Verdict verdict = list.compare(row, other->second, line);
    text += fmt::format("{} {}: {}: {}\n", verdict.changed ? '*' : ' ', key, line, verdict.text);
    ++tally.rows;
    tally.changed += verdict.changed ? 1U : 0U;
  }
  return text;
}

}  // namespace

Move move_of(Extent from, Extent to) {
  if (to.min > from.max) return Move::up;
  return to.max < from.min ? Move::down : Move::none;
}

std::string compare(const std::string& old_name, const Json& old_results, const std::string& new_name,
                    const Json& new_results) {
  check_schema(old_name, old_results);
  check_schema(new_name, new_results);
  std::string text;
  Tally tally;
  for (const List& list : kLists) {
    const Rows from = rows_of(old_name, old_results, list.name, list.key_of);
    const Rows to = rows_of(new_name, new_results, list.name, list.key_of);
    text += compare_rows(list, from, to, tally);
    text += alone(from, to, old_name) + alone(to, from, new_name);
  }
  return text + fmt::format("{} rows in both, {} changed beyond the spread of both (*)\n", tally.rows,
                            tally.changed);
}

}  // namespace vaspace::tools::bench
