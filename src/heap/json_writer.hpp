// JSON, piece by piece, into a sink.
//
// Always true: what was written is a prefix of valid JSON in UTF-8 whatever a name contains: quotes,
// backslashes and control characters are escaped, and what is no UTF-8 becomes U+FFFD. When the sink gives
// up, nothing more is written. No host memory is asked for.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <string_view>

#include "vaspace/heap/heap_report.hpp"

namespace vaspace {

class JsonWriter {
 public:
  explicit JsonWriter(const TextSink& sink) noexcept : sink_(sink) {}
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;
  ~JsonWriter() { flush(); }

  void begin_object() noexcept { open('{'); }
  void end_object() noexcept { close('}'); }
  void begin_array() noexcept { open('['); }
  void end_array() noexcept { close(']'); }
  void key(std::string_view name) noexcept;
  void value(std::string_view text) noexcept;
  void value(std::uint64_t number) noexcept;
  void value(bool truth) noexcept;
  void member(std::string_view name, std::string_view text) noexcept {
    key(name);
    value(text);
  }
  template <std::integral T>
  void member(std::string_view name, T number) noexcept {
    key(name);
    if constexpr (std::same_as<T, bool>) {
      value(number);
    } else {
      value(static_cast<std::uint64_t>(number));
    }
  }
  void member(std::string_view name, Bytes bytes) noexcept { member(name, bytes.value); }
  // A value that write() puts into the same sink; false: it could not.
  template <class Write>
  void member_by(std::string_view name, Write&& write) noexcept {
    key(name);
    failed_ = !flush() || !write();
    comma_ = true;
  }

  // Writes what is held back; false: the sink gave up, then or earlier.
  bool flush() noexcept;

 private:
  void open(char bracket) noexcept;
  void close(char bracket) noexcept;
  void separate() noexcept;
  void quote(std::string_view text) noexcept;
  void put(char c) noexcept;
  void put(std::string_view text) noexcept;

  TextSink sink_;
  std::array<char, 512> held_{};
  std::size_t count_ = 0;
  bool comma_ = false;  // something stands before what comes next
  bool failed_ = false;
};

}  // namespace vaspace
