#include "configuration.hpp"

#include "result_names.hpp"
#include "text.hpp"

namespace vasim::cuda {
namespace {

using Words = std::vector<std::string_view>;

// Takes fields one by one; a field that is missing or wrong makes the whole setting wrong.
class Fields {
 public:
  Fields(std::string_view text, char by) : words_(split(text, by)) {}

  [[nodiscard]] std::string_view text() { return next_ < words_.size() ? trimmed(words_[next_++]) : fail(); }
  [[nodiscard]] std::uint64_t number() { return checked(parse_number(text())); }
  [[nodiscard]] std::uint64_t bytes() { return checked(parse_bytes(text())); }
  [[nodiscard]] CUresult code(CUresult otherwise) {
    return next_ < words_.size() ? checked(result_from(text())) : otherwise;
  }
  [[nodiscard]] std::uint64_t number_or(std::uint64_t otherwise) {
    return next_ < words_.size() ? number() : otherwise;
  }
  [[nodiscard]] bool good() const { return good_ && next_ == words_.size(); }

 private:
  std::string_view fail() {
    good_ = false;
    return {};
  }
  template <class Value>
  Value checked(std::optional<Value> value) {
    if (!value) fail();
    return value.value_or(Value{});
  }

  Words words_;
  std::size_t next_ = 0;
  bool good_ = true;
};

// "cuMemCreate:3:CODE" is the third call, "cuMemCreate:3+:CODE" the third and all that follow.
bool read_fault(std::string_view text, bool late, Configuration& into) {
  Fields fields(text, ':');
  FaultRule rule;
  rule.late = late;
  rule.function = fields.text();
  std::string_view first = fields.text();
  if (first.ends_with('+')) {
    first.remove_suffix(1);
    rule.times = UINT64_MAX;
  }
  const auto number = parse_number(first);
  rule.first = number.value_or(0);
  rule.code = fields.code(CUDA_ERROR_UNKNOWN);
  if (!fields.good() || rule.first == 0 || rule.code == CUDA_SUCCESS) return false;
  into.faults.push_back(rule);
  return true;
}

bool read_share(std::string_view text, Configuration& into) {
  Fields fields(text, ':');
  FaultRule rule;
  rule.function = fields.text();
  const std::uint64_t share = fields.number();
  rule.per_million = static_cast<std::uint32_t>(share);
  rule.code = fields.code(CUDA_ERROR_UNKNOWN);
  if (!fields.good() || share == 0 || share > 1000000 || rule.code == CUDA_SUCCESS) return false;
  into.faults.push_back(rule);
  return true;
}

bool read_loss(std::string_view text, Configuration& into) {
  Fields fields(text, ':');
  DeviceLoss loss;
  loss.device = static_cast<int>(fields.number());
  loss.at_call = fields.number_or(1);
  loss.code = fields.code(loss.code);
  into.losses.push_back(loss);
  return fields.good();
}

bool read_taken(std::string_view text, Configuration& into) {
  Fields fields(text, ':');
  MemoryTaken taken;
  taken.device = static_cast<int>(fields.number());
  taken.bytes = fields.bytes();
  taken.at_call = fields.number_or(1);
  into.taken.push_back(taken);
  return fields.good();
}

bool read_delay(std::string_view text, Configuration& into) {
  const std::size_t dots = text.find("..");
  const auto from = parse_number(text.substr(0, dots));
  const auto to = dots == std::string_view::npos ? from : parse_number(text.substr(dots + 2));
  if (!from || !to || *from > *to) return false;
  into.delay_from_us = *from;
  into.delay_to_us = *to;
  return true;
}

template <class Number>
bool read_number(std::string_view text, std::uint64_t limit, Number& into) {
  const auto number = parse_number(text);
  if (!number || *number > limit) return false;
  into = static_cast<Number>(*number);
  return true;
}

bool read_setting(std::string_view key, std::string_view value, Configuration& into) {
  if (key == "profile") return into.profile = value, !value.empty();
  if (key == "log") return into.log = value, !value.empty();
  if (key == "delay_us") return read_delay(value, into);
  if (key == "seed") return read_number(value, UINT64_MAX, into.seed);
  if (key == "abort") return read_number(value, 2, into.abort);
  if (key == "leaks") return read_number(value, 1, into.leaks);
  if (key == "quiet") return read_number(value, 1, into.quiet);
  if (key == "fail") return read_fault(value, false, into);
  if (key == "late") return read_fault(value, true, into);
  if (key == "share") return read_share(value, into);
  if (key == "lose") return read_loss(value, into);
  if (key == "take") return read_taken(value, into);
  return false;
}

}  // namespace

std::optional<Configuration> parse_configuration(std::string_view text, std::string& error) {
  Configuration configuration;
  for (const std::string_view piece : split(text, ';')) {
    const std::string_view setting = trimmed(piece);
    if (setting.empty()) continue;
    const std::size_t equals = setting.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : trimmed(setting.substr(equals + 1));
    if (!read_setting(trimmed(setting.substr(0, equals)), value, configuration)) {
      error = "VASIM_CUDA: not understood: " + std::string(setting);
      return std::nullopt;
    }
  }
  for (FaultRule& rule : configuration.faults)
    rule.seed = configuration.seed;
  return configuration;
}

}  // namespace vasim::cuda
