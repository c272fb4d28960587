// What a heap tells: figures, JSON, leaks, guards.
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

std::string json_of(const SingleThreadedHeap& heap, bool detailed) {
  std::string text;
  const auto written = heap.write_json({&text,
                                        [](void* to, std::string_view piece) noexcept {
                                          *static_cast<std::string*>(to) += piece;
                                          return true;
                                        }},
                                       detailed);
  EXPECT_TRUE(written);
  return text;
}

// A reader of JSON that knows no more than its grammar: true if the text is one value.
class Grammar {
 public:
  static bool accepts(const std::string& text) {
    Grammar g(text);
    return g.value() && g.at_ == text.size();
  }

 private:
  explicit Grammar(const std::string& text) : text_(text) {}
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool word(const char* w) {
    if (text_.compare(at_, std::strlen(w), w) != 0) return false;
    at_ += std::strlen(w);
    return true;
  }
  bool string() {
    if (!take('"')) return false;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return false;
      if (text_[at_] == '\\') {
        ++at_;
        if (text_[at_] == 'u') at_ += 4;
      }
      ++at_;
    }
    return take('"');
  }
  bool list(char end, bool named) {
    if (take(end)) return true;
    do {
      if (named && !(string() && take(':'))) return false;
      if (!value()) return false;
    } while (take(','));
    return take(end);
  }
  bool value() {
    if (take('{')) return list('}', true);
    if (take('[')) return list(']', false);
    if (at_ < text_.size() && text_[at_] == '"') return string();
    if (word("true") || word("false")) return true;
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9')
      ++at_;
    return at_ != begin;
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

TEST(HeapReports, FiguresAddUp) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  std::vector<HeapAllocation> live;
  Bytes bytes{};
  for (const Bytes size : {100_B, 1000_B, 10000_B, 100000_B, 1000000_B, 200_MiB}) {
    for (const Intent intent : {Intent::device, Intent::upload}) {
      live.push_back(*heap.allocate(request_for(size, {}, intent)));
      bytes += size;
    }
  }
  const HeapReport report = heap.report();
  EXPECT_EQ(report.total.allocations, live.size());
  EXPECT_EQ(report.total.live, bytes);
  EXPECT_GE(report.total.used, report.total.live);
  EXPECT_GE(report.total.committed, report.total.used);
  EXPECT_EQ(report.total.committed, device.held(0) + device.held(1));
  EXPECT_EQ(report.memory_types[0].live, report.memory_types[1].live);
  EXPECT_EQ(report.heaps[0].committed, device.held(0));
  EXPECT_EQ(report.memory_objects, device.held_objects());
  EXPECT_EQ(report.total.blocks, device.held_objects());
  EXPECT_EQ(report.dedicated, 2U);
  EXPECT_EQ(report.device_reserves, device.reserves());
  const std::uint64_t questions = device.budget_questions();
  (void)heap.report();
  EXPECT_EQ(device.budget_questions(), questions) << "no driver call";
  heap.free(live);
  EXPECT_EQ(heap.report().total.allocations, 0U);
  EXPECT_EQ(heap.report().total.live, 0_B);
}

TEST(HeapReports, EveryAllocationIsVisitedByName) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  std::vector<HeapAllocation> live;
  for (const Bytes size : {100_B, 3_KiB, 100_KiB, 200_MiB}) {
    const std::string name = "resource of " + std::to_string(size.value);
    HeapRequest request = request_for(size);
    request.name = name;
    request.user_data = size.value;
    live.push_back(*heap.allocate(request));
    const auto info = heap.find(live.back());
    ASSERT_TRUE(info);
    EXPECT_EQ(info->name, name);
    EXPECT_EQ(info->user_data, size.value);
    EXPECT_EQ(info->allocation.offset, live.back().offset);
    EXPECT_EQ(info->allocation.id, live.back().id);
  }
  std::set<std::string> names;
  heap.for_each(
      [](void* to, const HeapAllocationInfo& info) noexcept {
        static_cast<std::set<std::string>*>(to)->insert(std::string(info.name));
        EXPECT_EQ(info.user_data, info.allocation.size.value);
      },
      &names);
  EXPECT_EQ(names.size(), 4U);
  for (const auto& a : live) {
    heap.free(a);
    EXPECT_FALSE(heap.find(a));
  }
}

TEST(HeapReports, JsonIsValidWhateverANameContains) {
  PlainDevice device(discrete());
  auto heap = *SingleThreadedHeap::create(device);
  std::vector<HeapAllocation> live;
  const std::vector<std::string> names{"plain",
                                       "quote \" and \\ backslash",
                                       std::string("nul \0 tab \t\n", 11),
                                       "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
                                       "broken \xC3 \xE2\x82 \xFF \xC0\x80 \xED\xA0\x80",
                                       std::string(3000, 'x'),
                                       ""};
  for (const std::string& name : names) {
    for (const Bytes size : {1_KiB, 100_KiB}) {
      HeapRequest request = request_for(size);
      request.name = name;
      live.push_back(*heap.allocate(request));
    }
  }
  const PoolId pool = *heap.create_pool({.memory_type = 0, .name = "pool \"1\""});
  const std::string brief = json_of(heap, false);
  const std::string detailed = json_of(heap, true);
  EXPECT_TRUE(Grammar::accepts(brief)) << brief;
  EXPECT_TRUE(Grammar::accepts(detailed)) << detailed;
  EXPECT_FALSE(Grammar::accepts(detailed.substr(1)));
  EXPECT_NE(detailed.find(R"("name":"quote \" and \\ backslash")"), std::string::npos);
  EXPECT_NE(detailed.find(R"(nul \u0000 tab \u0009)"), std::string::npos);
  EXPECT_NE(detailed.find("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), std::string::npos);
  EXPECT_NE(detailed.find(R"(broken \ufffd \ufffd\ufffd \ufffd \ufffd\ufffd \ufffd\ufffd\ufffd)"),
            std::string::npos);
  EXPECT_NE(brief.find(R"("schema":"vaspace-heap-1")"), std::string::npos);
  EXPECT_NE(brief.find(R"("name":"pool \"1\"")"), std::string::npos);
  EXPECT_EQ(brief.find("\"allocations\":["), std::string::npos);
  // A sink that gives up is an error, and is not asked again.
  int asked = 0;
  const TextSink full{&asked, [](void* n, std::string_view) noexcept { return ++*static_cast<int*>(n) < 3; }};
  EXPECT_EQ(heap.write_json(full, true).error().code, ErrorCode::io_error);
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(heap.write_json({}, true).error().code, ErrorCode::io_error);
  EXPECT_TRUE(heap.destroy_pool(pool));
  heap.free(live);
}

TEST(HeapReports, LeaksAreToldByName) {
  PlainDevice device(discrete());
  std::set<std::string> names;
  HeapConfig config;
  config.on_leak = {&names, [](void* to, const HeapAllocationInfo& info) noexcept {
                      static_cast<std::set<std::string>*>(to)->insert(std::string(info.name));
                    }};
  {
    auto heap = *SingleThreadedHeap::create(device, config);
    for (const Bytes size : {100_B, 100_KiB, 200_MiB}) {
      HeapRequest request = request_for(size);
      const std::string name = "leak " + std::to_string(size.value);
      request.name = name;
      (void)*heap.allocate(request);
    }
  }
  EXPECT_EQ(names, (std::set<std::string>{"leak 100", "leak 102400", "leak 209715200"}));
  EXPECT_EQ(device.held_objects(), 0U) << "all goes back all the same";
}

TEST(HeapGuards, AMarginThatIsOverwrittenIsFound) {
  for (const std::uint32_t type : {0b010U, 0b100U}) {  // coherent; cached, not coherent
    PlainDevice device(discrete());
    std::vector<ErrorCode> misuses;
    HeapConfig config;
    config.non_coherent_atom = Alignment{64};
    config.guards = {.margin = 32_B};
    config.on_misuse = {&misuses, [](void* to, const Misuse& misuse) noexcept {
                          static_cast<std::vector<ErrorCode>*>(to)->push_back(misuse.code);
                        }};
    auto heap = *SingleThreadedHeap::create(device, config);
    std::vector<HeapAllocation> live;
    for (const Bytes size : {100_B, 5_KiB, 100_KiB, 1_MiB}) {
      HeapRequest request = request_for(size, {}, Intent::upload);
      request.requirements.memory_type_bits = type;
      request.mapping = Mapping::required;
      request.name = "guarded";
      live.push_back(*heap.allocate(request));
      std::memset(live.back().mapped, 0x11, size.value);
    }
    EXPECT_FALSE(heap.check_corruption()->allocation) << "all that is its own may be written";
    live[2].mapped[live[2].size.value + 31] = std::byte{0};
    const auto found = heap.check_corruption();
    EXPECT_EQ(found->allocation.id, live[2].id);
    EXPECT_EQ(found->name, "guarded");
    heap.free(live);
    EXPECT_EQ(misuses, std::vector{ErrorCode::wrong_state}) << "and when it is freed";
    EXPECT_EQ(device.broken(), std::vector<std::string>{});
    EXPECT_EQ(heap.validate(), nullptr);
  }
  PlainDevice device(discrete());
  EXPECT_EQ(SingleThreadedHeap::create(device)->check_corruption().error().code, ErrorCode::not_supported);
}

TEST(HeapGuards, FreshAndFreedMemoryIsFilled) {
  PlainDevice device(unified());
  HeapConfig config;
  config.guards.fill = true;
  auto heap = *SingleThreadedHeap::create(device, config);
  HeapRequest request = request_for(10_KiB);
  request.mapping = Mapping::required;
  const HeapAllocation a = *heap.allocate(request);
  EXPECT_EQ(a.mapped[0], std::byte{0xCD});
  EXPECT_EQ(a.mapped[10239], std::byte{0xCD});
  std::byte* const where = a.mapped;
  heap.free(a);
  EXPECT_EQ(where[0], std::byte{0xDD});
  EXPECT_EQ(where[10239], std::byte{0xDD});
}

}  // namespace
}  // namespace vaspace::test
