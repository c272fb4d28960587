#include "heap/json_writer.hpp"

namespace vaspace {

namespace {

// Length of the well-formed UTF-8 sequence that `text` begins with; 0: it begins with none.
[[nodiscard]] std::size_t sequence_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80U) return 1;
  if (first >= 0xC2U && first <= 0xDFU) return follows(1) ? 2 : 0;
  if (first >= 0xE0U && first <= 0xEFU) {
    const bool overlong = first == 0xE0U && byte(1) < 0xA0U;
    const bool surrogate = first == 0xEDU && byte(1) > 0x9FU;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0U && first <= 0xF4U) {
    const bool outside = (first == 0xF0U && byte(1) < 0x90U) || (first == 0xF4U && byte(1) > 0x8FU);
    return follows(1) && follows(2) && follows(3) && !outside ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool JsonWriter::flush() noexcept {
  if (!failed_ && count_ != 0 && sink_.write != nullptr)
    failed_ = !sink_.write(sink_.user, std::string_view(held_.data(), count_));
  failed_ = failed_ || sink_.write == nullptr;
  count_ = 0;
  return !failed_;
}

void JsonWriter::put(char c) noexcept {
  if (count_ == held_.size()) (void)flush();
  held_[count_++] = c;
}

void JsonWriter::put(std::string_view text) noexcept {
  for (const char c : text)
    put(c);
}

void JsonWriter::separate() noexcept {
  if (comma_) put(',');
  comma_ = true;
}

void JsonWriter::open(char bracket) noexcept {
  separate();
  put(bracket);
  comma_ = false;
}

void JsonWriter::close(char bracket) noexcept {
  put(bracket);
  comma_ = true;
}

void JsonWriter::key(std::string_view name) noexcept {
  separate();
  quote(name);
  put(':');
  comma_ = false;
}

void JsonWriter::value(std::string_view text) noexcept {
  separate();
  quote(text);
}

void JsonWriter::value(std::uint64_t number) noexcept {
  separate();
  std::array<char, 20> digits{};
  std::size_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (count != 0)
    put(digits[--count]);
}

void JsonWriter::value(bool truth) noexcept {
  separate();
  put(truth ? std::string_view("true") : std::string_view("false"));
}

void JsonWriter::quote(std::string_view text) noexcept {
  constexpr std::string_view kHex = "0123456789abcdef";
  put('"');
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const char c = text.front();
    if (length == 0) {
      put("\\ufffd");
    } else if (c == '"' || c == '\\') {
      put('\\');
      put(c);
    } else if (static_cast<unsigned char>(c) < 0x20U) {
      put("\\u00");
      put(kHex[static_cast<unsigned char>(c) >> 4U]);
      put(kHex[static_cast<unsigned char>(c) & 0xFU]);
    } else {
      put(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  put('"');
}

}  // namespace vaspace
