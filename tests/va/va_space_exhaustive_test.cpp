// Every state that 6 pages and 3 physical objects can reach, every map and unmap from each, on every set of
// capabilities, against an array of pages; with every driver call of every commit refused in turn. R7, C4,
// C8, V23, V24, V29.
//
// VASPACE_EXHAUSTIVE=1 in the environment widens the objects (minutes instead of seconds).
#include <array>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <unordered_map>
#include <vector>

#include "vaspace/va/va_space.hpp"

#include "model_backend.hpp"

namespace vaspace::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VASPACE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VASPACE_SANITIZED 1
#endif
#endif
// A sanitizer makes every step ten times as slow; one page less makes them six times fewer.
#ifdef VASPACE_SANITIZED
constexpr unsigned kPages = 5;
#else
constexpr unsigned kPages = 6;
#endif
constexpr unsigned kObjects = 3;
constexpr Bytes kPage = ModelBackend::kPage;

// One page: which object, which page of it. 0: nothing.
using State = std::array<std::uint8_t, kPages>;
constexpr std::uint8_t page_state(unsigned object, unsigned offset) {
  return static_cast<std::uint8_t>(1U + object * 8U + offset);
}
constexpr unsigned object_of(std::uint8_t s) {
  return (s - 1U) / 8U;
}
constexpr unsigned offset_of(std::uint8_t s) {
  return (s - 1U) % 8U;
}

struct Op {
  std::uint8_t begin = 0;
  std::uint8_t count = 0;
  std::uint8_t first = 0;  // what the first page gets; 0: unmap

  [[nodiscard]] unsigned end() const { return begin + 0U + count; }
};
constexpr std::uint8_t after(std::uint8_t s, unsigned n) {
  return s == 0 ? s : static_cast<std::uint8_t>(s + n);
}

struct Setup {
  Capabilities can{};
  bool rebind_rests = false;
  // Pages of each object. `tied`: page n of an object is mapped at page n of the space only.
  std::array<unsigned, kObjects> sizes{kPages, kPages, kPages};
  bool tied = true;
};

State apply(State s, const Op& op) {
  for (unsigned i = 0; i < op.count; ++i)
    s[op.begin + i] = after(op.first, i);
  return s;
}
bool continues(std::uint8_t left, std::uint8_t right) {
  return left != 0 && right == left + 1 && object_of(left) == object_of(right);
}
bool as_wanted(const State& s, const Op& op, unsigned page) {
  return op.first != 0 && s[page] == after(op.first, page - op.begin);
}

// What the documents say of an op, worked out from the array of pages alone.
enum class Answer { done, wrong_state, not_supported };
Answer expected(const State& s, const Op& op, const Setup& setup, const PlanShape& shape) {
  bool all_as_wanted = true;
  bool hole = false;
  for (unsigned i = op.begin; i < op.end(); ++i) {
    all_as_wanted = all_as_wanted && as_wanted(s, op, i);
    hole = hole || s[i] == 0;
  }
  if (op.first == 0 && hole) return Answer::wrong_state;
  if (all_as_wanted) return Answer::done;
  if (!setup.can.physical_offset) {
    if (op.first != 0 && offset_of(op.first) != 0) return Answer::not_supported;
    const bool right_rest = op.end() < kPages && continues(s[op.end() - 1], s[op.end()]);
    if (shape.unit == PlanShape::Unit::whole && right_rest && !as_wanted(s, op, op.end() - 1))
      return Answer::not_supported;
  }
  if (setup.can.aliasing || op.first == 0) return Answer::done;
  for (unsigned i = 0; i < kPages; ++i) {
    const bool outside = i < op.begin || i >= op.end();
    for (unsigned n = 0; outside && n < op.count; ++n)
      if (s[i] == after(op.first, n)) return Answer::not_supported;
  }
  return Answer::done;
}

class Walk {
 public:
  explicit Walk(const Setup& setup) : setup_(setup), backend_(kPages, setup.can) {
    VaSpaceConfig config;
    config.size = kPage * kPages;
    config.rebind_rests = setup.rebind_rests;
    auto made = VaSpace::create(backend_, config);
    EXPECT_TRUE(made);
    space_ = std::move(*made);
    list_ops();
  }

  void run() {
    visit(State{}, State{}, Op{});
    for (std::size_t next = 0; next < order_.size() && !testing::Test::HasFailure(); ++next)
      from(State(order_[next]));  // a copy: the list grows
    if (backend_.fault() != nullptr) ADD_FAILURE() << backend_.fault();
  }
  void print(const char* name) const {
    std::printf("  %-44s %7zu states %9llu transitions %9llu refused calls\n", name, order_.size(),
                (unsigned long long)transitions_, (unsigned long long)refused_);
  }
  [[nodiscard]] std::size_t states() const { return order_.size(); }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct Way {
    State before;
    Op op;
  };

  static std::uint64_t key(const State& s) {
    std::uint64_t k = 0;
    for (const std::uint8_t page : s)
      k = k * 32 + page;
    return k;
  }
  void list_ops() {
    for (std::uint8_t begin = 0; begin < kPages; ++begin) {
      for (std::uint8_t count = 1; begin + count <= static_cast<int>(kPages); ++count) {
        ops_.push_back({begin, count, 0});
        for (unsigned object = 0; object < kObjects; ++object)
          for (unsigned offset = 0; offset + count <= setup_.sizes[object]; ++offset)
            if (!setup_.tied || offset == begin) ops_.push_back({begin, count, page_state(object, offset)});
      }
    }
  }
  void visit(const State& s, const State& before, const Op& op) {
    if (ways_.try_emplace(key(s), Way{before, op}).second) order_.push_back(s);
  }

  [[nodiscard]] static Address at(unsigned page) { return ModelBackend::kBase + kPage * page; }
  [[nodiscard]] Result<BindPlan> plan(const Op& op) const {
    if (op.first == 0) return space_->plan_unmap(at(op.begin), kPage * op.count);
    MapRequest request;
    request.address = at(op.begin);
    request.size = kPage * op.count;
    request.physical = PhysicalId{object_of(op.first) + 1};
    request.offset = kPage * offset_of(op.first);
    return space_->plan_map(request);
  }
  bool carry_out(const Op& op) {
    auto made = plan(op);
    return made && space_->commit(*made);
  }

  // Map and device are what the array says.
  [[nodiscard]] bool is(const State& s) const {
    unsigned intervals = 0;
    for (unsigned i = 0; i < kPages; ++i) {
      const ModelPage& device = backend_.pages()[i];
      const auto mapped = space_->find(at(i));
      if (device.bound() != (s[i] != 0) || mapped.has_value() != (s[i] != 0)) return false;
      if (s[i] == 0) continue;
      const Mapping here = mapped->mapping.advanced(at(i) - mapped->address);
      const PhysicalId physical{object_of(s[i]) + 1};
      if (device.physical != physical || device.offset != offset_of(s[i])) return false;
      if (here.physical != physical || here.offset != kPage * offset_of(s[i])) return false;
      if (i == 0 || !continues(s[i - 1], s[i])) ++intervals;
    }
    return space_->mappings() == intervals && space_->validate() == nullptr;
  }

  // Brings the space from any state to this one: by the same ops that first led there.
  void replay(const State& s) {
    std::vector<Op> ops;
    for (State at_state = s; at_state != State{};) {
      const Way& way = ways_.at(key(at_state));
      ops.push_back(way.op);
      at_state = way.before;
    }
    for (unsigned i = 0; i < kPages; ++i) {
      const auto mapped = space_->find(at(i));
      if (mapped) (void)space_->unmap(mapped->address, mapped->size);
    }
    for (auto op = ops.rbegin(); op != ops.rend(); ++op)
      if (!carry_out(*op)) ADD_FAILURE() << "a way that was gone cannot be gone again";
  }
  // Undoes `op`, which led from `s`, by mapping what was there; where the driver cannot, the long way.
  void go_back(const State& s, const Op& op) {
    for (unsigned i = op.begin; i < op.end();) {
      unsigned end = i + 1;
      while (end < op.end() && (s[i] == 0 ? s[end] == 0 : continues(s[end - 1], s[end])))
        ++end;
      const Op back{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(end - i), s[i]};
      const bool nothing = s[i] == 0 && op.first == 0;
      if (!nothing && !carry_out(back)) return replay(s);
      i = end;
    }
  }

  void from(const State& s) {
    replay(s);
    ASSERT_TRUE(is(s));
    for (const Op& op : ops_) {
      if (testing::Test::HasFailure()) return;
      step(s, op);
    }
  }

  void step(const State& s, const Op& op) {
    ++transitions_;
    const Answer answer = expected(s, op, setup_, space_->shape());
    auto made = plan(op);
    if (!made) {
      const ErrorCode wanted =
          answer == Answer::wrong_state ? ErrorCode::wrong_state : ErrorCode::not_supported;
      ASSERT_NE(answer, Answer::done) << show(s, op);
      ASSERT_EQ(made.error().code, wanted) << show(s, op);
      return;
    }
    check_minimal(s, op, *made);
    for (unsigned call = 1; call <= made->calls(); ++call)
      refuse(s, op, *made, call);
    const Result<TimelinePoint> point = space_->commit(*made);
    ASSERT_EQ(point.has_value(), answer == Answer::done) << show(s, op);
    const State next = point ? apply(s, op) : s;
    ASSERT_TRUE(is(next)) << show(s, op);
    if (!point) return;
    ASSERT_EQ(space_->commit(*made).error().code, ErrorCode::wrong_state);
    visit(next, s, op);
    if (next != s) go_back(s, op);
    ASSERT_TRUE(is(s)) << "going back: " << show(s, op);
  }

  // The call is refused, and what it leaves is what was there; then its rollback is refused too.
  void refuse(const State& s, const Op& op, BindPlan& made, unsigned call) {
    ++refused_;
    backend_.refuse(call);
    const Result<TimelinePoint> point = space_->commit(made);
    backend_.refuse(0);
    ASSERT_FALSE(point) << show(s, op);
    ASSERT_TRUE(is(s)) << "call " << call << " refused: " << show(s, op);
    if (call == 1) return;
    backend_.refuse(call, 100);
    ASSERT_FALSE(space_->commit(made));
    Bytes unbound{};
    for (const BindOp& unbind : made.unbinds())
      unbound += unbind.size;
    ASSERT_EQ(space_->report().torn, unbound) << show(s, op);
    ASSERT_EQ(space_->validate(), nullptr);
    ASSERT_EQ(space_->commit(made).error().code, ErrorCode::stale_plan);
    ASSERT_EQ(space_->repair(), unbound) << "nothing can be repaired while the driver refuses";
    backend_.refuse(0);
    ASSERT_EQ(space_->repair(), Bytes{});
    ASSERT_TRUE(is(s)) << "repaired: " << show(s, op);
    made = std::move(*plan(op));
  }

  // No op that could be spared. What has no offsets may have to bind more than it would like.
  void check_minimal(const State& s, const Op& op, const BindPlan& made) {
    if (!setup_.can.physical_offset || space_->shape().unit == PlanShape::Unit::whole) return;
    const PlanShape& shape = space_->shape();
    std::size_t unbinds = 0;
    std::size_t binds = 0;
    bool unbinding = false;
    bool binding = false;
    for (unsigned i = op.begin; i < op.end(); ++i) {
      const bool stays = as_wanted(s, op, i);
      const bool gone = !stays && s[i] != 0 && !(shape.replace && op.first != 0);
      const bool comes = !stays && op.first != 0;
      unbinds += gone && !unbinding ? 1U : 0U;
      binds += comes && (!binding || shape.unit == PlanShape::Unit::pages) ? 1U : 0U;
      unbinding = gone;
      binding = comes;
    }
    ASSERT_EQ(made.unbinds().size(), unbinds) << show(s, op);
    ASSERT_EQ(made.binds().size(), binds) << show(s, op);
    ASSERT_FALSE(made.rebinds_rests());
  }

  [[nodiscard]] static std::string show(const State& s, const Op& op) {
    std::string text = "state ";
    for (const std::uint8_t page : s) {
      if (page == 0) {
        text += " .  ";
      } else {
        text += std::string(1, static_cast<char>('A' + object_of(page))) + ":" +
                std::to_string(offset_of(page)) + " ";
      }
    }
    text += op.first == 0 ? " unmap "
                          : " map " + std::string(1, static_cast<char>('A' + object_of(op.first))) + ":" +
                                std::to_string(offset_of(op.first));
    return text + " [" + std::to_string(op.begin) + "," + std::to_string(op.end()) + ")";
  }

  Setup setup_;
  ModelBackend backend_;
  HostObject<VaSpace> space_;
  std::vector<Op> ops_;
  std::vector<State> order_;
  std::unordered_map<std::uint64_t, Way> ways_;
  std::uint64_t transitions_ = 0;
  std::uint64_t refused_ = 0;
};

bool widened() {
  const char* wide = std::getenv("VASPACE_EXHAUSTIVE");
  return wide != nullptr && *wide == '1';
}

struct Sizes {
  std::array<unsigned, kObjects> pages;
  bool tied;
};
// Objects as large as the space, each page of them at its own place: everything splits and merges. And
// smaller ones that go anywhere: what continues what depends on the offset, and aliases come about.
std::vector<Sizes> sizes_for(const Capabilities& can) {
  if (!can.physical_offset) {
    // Three pages of an object have both rests; without aliasing the states are few.
    if (widened()) return {{{3, 2, 1}, false}};
    if (!can.aliasing) return {{{3, 1, 1}, false}};
    return {{{2, 1, 1}, false}};
  }
  std::vector<Sizes> sizes;
  if (can.aliasing || !can.completes_later || widened()) sizes.push_back({{kPages, kPages, kPages}, true});
  if (!can.aliasing || widened()) sizes.push_back({{2, 1, 1}, false});
  if (widened()) sizes.push_back({{3, 2, 1}, false});
  return sizes;
}

void explore(const Capabilities& can, bool rebind_rests) {
  for (const Sizes& sizes : sizes_for(can)) {
    Walk walk({can, rebind_rests, sizes.pages, sizes.tied});
    walk.run();
    const std::string name = std::string(can.partial_unbind ? "partial " : "whole ") +
                             (can.physical_offset ? "offset " : "") + (can.aliasing ? "alias " : "") +
                             (can.replace ? "replace " : "") + (can.completes_later ? "later " : "") +
                             (rebind_rests ? "rests" : "");
    walk.print(name.c_str());
    EXPECT_GT(walk.states(), can.aliasing ? 500U : 50U);
    EXPECT_GT(walk.refused(), walk.states());
    if (testing::Test::HasFailure()) return;
  }
}

Capabilities capabilities(bool partial, bool offset, bool aliasing, bool later, bool replace) {
  Capabilities can;
  can.partial_unbind = partial;
  can.physical_offset = offset;
  can.aliasing = aliasing;
  can.completes_later = later;
  can.replace = replace;
  return can;
}

void explore_all(bool partial, bool offset) {
  for (const bool aliasing : {true, false})
    for (const bool later : {false, true})
      for (const bool replace : {false, true})
        if (!replace || partial || offset)
          explore(capabilities(partial, offset, aliasing, later, replace), false);
}

TEST(VaSpaceExhaustive, PartsAndOffsets_R7) {
  explore_all(true, true);
}
TEST(VaSpaceExhaustive, PartsWithoutOffsets_R7) {
  explore_all(true, false);
}
TEST(VaSpaceExhaustive, PageWise_R7_C8) {
  explore_all(false, true);
}
TEST(VaSpaceExhaustive, WholeMappingsWithoutOffsets_R7_C4_C8) {
  explore_all(false, false);
}
TEST(VaSpaceExhaustive, WholeMappingsWhoseRestsAreBoundAnew_R7_C8) {
  for (const bool aliasing : {true, false})
    for (const bool later : {false, true})
      explore(capabilities(false, true, aliasing, later, false), true);
}

}  // namespace
}  // namespace vaspace::test
