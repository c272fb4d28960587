#include "bench/session.hpp"

#include <gtest/gtest.h>
#include <numeric>

#include "bench/subjects.hpp"

namespace vaspace::tools::bench {
namespace {

// What was called, in order: sizes, and 0 for a free.
std::vector<std::uint64_t> g_calls;  // of the one Recorder that lives

class Recorder {
 public:
  using Handle = std::uint64_t;
  explicit Recorder(const Setup&) { g_calls.clear(); }
  Handle allocate(std::uint32_t size, unsigned alignment_log2) {
    g_calls.push_back(size);
    last_alignment_ = alignment_log2;
    return ++handles_;
  }
  void free(Handle handle) {
    EXPECT_NE(handle, 0U);
    g_calls.push_back(0);
  }
  [[nodiscard]] std::uint64_t refused() const { return 0; }
  [[nodiscard]] unsigned last_alignment() const { return last_alignment_; }

 private:
  std::uint64_t handles_ = 0;
  unsigned last_alignment_ = 0;
};

const Setup kSetup{.heap = 1_MiB, .handles = 8, .slot = 256};

Phase eight(Kind kind, std::uint32_t batch = 0, std::uint32_t first_sample = 0) {
  Phase phase{.kind = kind, .batch = batch, .first_sample = first_sample};
  for (std::uint32_t i = 0; i < 8; ++i)
    phase.operations.push_back(kind == Kind::free ? freeing(i) : allocation(i, 100 + i, 12));
  return phase;
}

TEST(Session, CallsWhatTheStreamSays) {
  SessionOf<Recorder> session(kSetup);
  session.run(eight(Kind::allocate));
  EXPECT_EQ(session.subject().last_alignment(), 12U);
  session.run(eight(Kind::pair));
  session.run({.kind = Kind::mixed, .operations = {freeing(1), allocation(1, 77)}});
  const std::vector<std::uint64_t> expected{100, 101, 102, 103, 104, 105, 106, 107, 0,   100, 0,   101, 0,
                                            102, 0,   103, 0,   104, 0,   105, 0,   106, 0,   107, 0,   77};
  EXPECT_EQ(g_calls, expected);
}

TEST(Session, BatchesAreAddedToTheirSamples) {
  SessionOf<Recorder> session(kSetup);
  std::vector<std::uint64_t> samples(1, 5);
  session.time_batches(eight(Kind::allocate, 3, 1), samples);
  // Two whole batches, behind the sample that was there; the rest of two operations ran too.
  ASSERT_EQ(samples.size(), 3U);
  EXPECT_EQ(samples[0], 5U);
  EXPECT_EQ(g_calls.size(), 8U);
  const std::vector<std::uint64_t> before = samples;
  session.time_batches(eight(Kind::free, 3, 1), samples);
  ASSERT_EQ(samples.size(), 3U);
  EXPECT_GE(samples[1], before[1]);
  EXPECT_EQ(g_calls.size(), 16U);
}

TEST(Session, TheLeastOfSeveralPassesIsKept) {
  SessionOf<Recorder> session(kSetup);
  std::vector<std::uint64_t> least{0};  // nothing is below it
  session.time_each(eight(Kind::mixed, 1), least);
  EXPECT_EQ(least.size(), 8U);
  EXPECT_EQ(least[0], 0U);
  for (const std::uint64_t ns : least)
    EXPECT_NE(ns, ~std::uint64_t{0});
  const std::vector<std::uint64_t> once = least;
  session.run(eight(Kind::free));
  session.time_each(eight(Kind::mixed, 1), least);
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_LE(least[i], once[i]);
}

template <class S>
void expect_refusal_is_counted(const Setup& setup) {
  SessionOf<S> session(setup);
  Phase phase{.kind = Kind::allocate};
  for (std::uint32_t i = 0; i < setup.handles; ++i)
    phase.operations.push_back(allocation(i, 1U << 20U));
  session.run(phase);
  EXPECT_EQ(session.refused(), 2U);
  phase.kind = Kind::free;
  for (Operation& op : phase.operations)
    op = freeing(op.handle);
  session.run(phase);  // of what was refused: nothing happens
  phase.kind = Kind::allocate;
  phase.operations = {allocation(0, 1U << 20U)};
  session.run(phase);
  EXPECT_EQ(session.refused(), 2U);
}

TEST(Session, RefusalsAreCountedAndFreeingNothingIsNothing) {
  const bench::Setup setup{.heap = 4_MiB, .handles = 6, .slot = 1U << 20U};
  expect_refusal_is_counted<ObjectSubject>(setup);
  expect_refusal_is_counted<OracleSubject>(setup);
  expect_refusal_is_counted<VaSubject<DefaultAllocator, OnAddresses>>(setup);
  expect_refusal_is_counted<VaSubject<ArenaAllocator, OnCpu>>(setup);
}

TEST(Session, TheLargestFreeIsFoundByAsking) {
  VaSubject<DefaultAllocator, OnAddresses> subject(bench::Setup{.heap = 4_MiB});
  const auto first = subject.allocate(1U << 20U, 8);
  static_cast<void>(first);
  EXPECT_EQ(align_down(subject.largest_free(), Alignment{256}), 3_MiB);
}

}  // namespace
}  // namespace vaspace::tools::bench
