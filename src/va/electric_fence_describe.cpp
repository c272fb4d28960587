// What is said of an address. The second half runs in signal handlers: no memory, no locale, no waiting.
#include <cstring>

#include "vaspace/va/electric_fence.hpp"

namespace vaspace {
namespace {

using Kind = FenceFinding::Kind;

Kind kind_of(const FenceFinding& finding, bool live, Address address) noexcept {
  if (!live) return Kind::freed;
  if (address < finding.begin) return Kind::before_the_begin;
  return address < finding.begin + finding.size ? Kind::live : Kind::past_the_end;
}

// Appends what fits, and ends with a null.
class Line {
 public:
  explicit Line(std::span<char> text) noexcept : text_(text) {}

  Line& add(const char* text) noexcept {
    for (; *text != '\0' && length_ + 1 < text_.size(); ++text)
      text_[length_++] = *text;
    return *this;
  }
  Line& add(std::uint64_t number) noexcept {
    char digits[21];
    std::size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    for (; number >= 10; number /= 10)
      digits[--at] = static_cast<char>('0' + number % 10);
    digits[--at] = static_cast<char>('0' + number);
    return add(digits + at);
  }
  std::size_t end() noexcept {
    if (!text_.empty()) text_[length_] = '\0';
    return length_;
  }

 private:
  std::span<char> text_;
  std::size_t length_ = 0;
};

void add_place(Line& line, const FenceFinding& finding, Address address) noexcept {
  const Address end = finding.begin + finding.size;
  if (address < finding.begin) {
    line.add((finding.begin - address).value).add(" bytes before ");
  } else if (address < end) {
    line.add("byte ").add((address - finding.begin).value).add(" of ");
  } else {
    line.add((address - end).value).add(" bytes past the end of ");
  }
  const bool named = finding.name[0] != '\0';
  line.add("allocation ").add(finding.number).add(named ? " '" : "").add(finding.name.data());
  line.add(named ? "' of " : " of ").add(finding.size.value).add(" bytes");
}

}  // namespace

std::optional<FenceFinding> ElectricFence::describe(Address address) const noexcept {
  const std::scoped_lock lock(mutex_);
  const auto found = by_address_.find(address.value);
  if (!found) return std::nullopt;
  const Record& record = records_[found->value];
  FenceFinding finding = record.finding;
  finding.kind = kind_of(finding, record.state == State::live || record.state == State::arriving, address);
  return finding;
}

std::size_t ElectricFence::describe(Address address, std::span<char> text) const noexcept {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return 0;
  const auto found = by_address_.find(address.value);
  if (!found) return 0;
  const Record& record = records_[found->value];
  const FenceFinding& finding = record.finding;
  Line line(text);
  const bool freed = record.state != State::live && record.state != State::arriving;
  if (freed) line.add("use after free: ");
  add_place(line, finding, address);
  if (freed && finding.freed_at[0] != '\0') line.add(", freed at ").add(finding.freed_at.data());
  return line.end();
}

}  // namespace vaspace
