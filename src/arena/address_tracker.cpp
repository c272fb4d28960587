#include "vaspace/arena/address_tracker.hpp"

#include <cstring>

namespace vaspace {

namespace {

constexpr unsigned kUnitBits = 16;

// Units that one entry of a level covers; level 0 is the root's.
constexpr unsigned entry_bits(unsigned level) noexcept {
  return AddressTracker::kDigitBits * (AddressTracker::kLevels - 1 - level);
}

}  // namespace

AddressTracker::~AddressTracker() {
  const HostAllocator& host = nodes_.host();
  for (Node* node : nodes_)
    host.deallocate(host.user, node, sizeof(Node), 64);
}

// 0: no host memory. The first one is the root, whose index is 0 too: only insert asks for that one.
std::uint32_t AddressTracker::make_node() noexcept {
  if (free_ != 0) {
    const std::uint32_t index = free_;
    free_ = nodes_[index]->entries[0];
    nodes_[index]->entries[0] = 0;
    return index;
  }
  if (!nodes_.reserve_more(1)) return 0;
  const HostAllocator& host = nodes_.host();
  void* memory = host.allocate(host.user, sizeof(Node), 64);
  if (memory == nullptr) return 0;
  std::memset(memory, 0, sizeof(Node));
  nodes_.push_back_reserved(static_cast<Node*>(memory));
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

void AddressTracker::put(Node& node, std::uint32_t digit, std::uint32_t entry) noexcept {
  node.used += (entry != 0 ? 1U : 0U) - (node.entries[digit] != 0 ? 1U : 0U);
  node.entries[digit] = entry;
}

std::uint64_t AddressTracker::write(std::uint32_t index, unsigned level, std::uint64_t begin,
                                    std::uint64_t end, std::uint32_t entry) noexcept {
  const unsigned bits = entry_bits(level);
  const std::uint64_t covered = std::uint64_t{1} << bits;
  while (begin < end) {
    const auto digit = static_cast<std::uint32_t>((begin >> bits) & (kDigits - 1));
    const std::uint64_t entry_end = (begin | (covered - 1)) + 1;
    const bool whole = begin + covered == entry_end && entry_end <= end;
    const std::uint32_t there = nodes_[index]->entries[digit];
    if (whole && (there == 0 || (there & kValue) != 0)) {
      put(*nodes_[index], digit, entry);
      begin = entry_end;
    } else {
      std::uint32_t child = there;
      if (child == 0) {
        child = make_node();
        if (child == 0) return begin;
        put(*nodes_[index], digit, child);
      }
      const std::uint64_t stop = entry_end < end ? entry_end : end;
      begin = write(child, level + 1, begin, stop, entry);
      if (nodes_[child]->used == 0) {
        nodes_[child]->entries[0] = free_;
        free_ = child;
        put(*nodes_[index], digit, 0);
      }
      if (begin < stop) return begin;
    }
    if ((begin >> bits) % kDigits == 0) break;  // the end of this node
  }
  return begin;
}

bool AddressTracker::insert(Address begin, Bytes size, std::uint32_t value) noexcept {
  if (nodes_.empty()) {
    (void)make_node();
    if (nodes_.empty()) return false;
  }
  const std::uint64_t first = begin.value >> kUnitBits;
  const std::uint64_t end = first + (size.value >> kUnitBits);
  const std::uint64_t reached = write(0, 0, first, end, kValue | value);
  if (reached == end) return true;
  (void)write(0, 0, first, reached, 0);
  return false;
}

void AddressTracker::erase(Address begin, Bytes size) noexcept {
  const std::uint64_t first = begin.value >> kUnitBits;
  (void)write(0, 0, first, first + (size.value >> kUnitBits), 0);
}

std::uint32_t AddressTracker::find(Address address) const noexcept {
  if (nodes_.empty()) return kNone;
  const std::uint64_t unit = address.value >> kUnitBits;
  std::uint32_t entry = 0;
  for (unsigned level = 0; level < kLevels; ++level) {
    ++visits_;
    entry = nodes_[entry]->entries[(unit >> entry_bits(level)) & (kDigits - 1)];
    if (entry == 0) return kNone;
    if ((entry & kValue) != 0) return entry & ~kValue;
  }
  return kNone;
}

}  // namespace vaspace
