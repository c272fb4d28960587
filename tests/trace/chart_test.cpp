#include "chart.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replay_json.hpp"
#include "replay_text.hpp"

namespace vaspace::tools {
namespace {

using ::testing::HasSubstr;

Curve ramp() {
  Curve curve;
  for (std::size_t i = 0; i < Curve::kColumns; ++i)
    curve.raise(i, Bytes{i * 1000}, Bytes{i * 1200});
  return curve;
}

TEST(Chart, DrawsLiveBelowCommitted) {
  const std::string text = chart(ramp(), Bytes{63 * 1200});
  EXPECT_THAT(text, HasSubstr("#"));
  EXPECT_THAT(text, HasSubstr("+"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '^'), 1);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
}

TEST(Chart, AnEmptyCurveIsEmpty) {
  const std::string text = chart(Curve{}, 1_MiB);
  EXPECT_EQ(text.find('#'), std::string::npos);
  EXPECT_EQ(text.find('^'), std::string::npos);
}

TEST(Chart, FullHeightAtTheTop) {
  Curve curve;
  curve.raise(0, 1_MiB, 1_MiB);
  const std::string text = chart(curve, 1_MiB);
  EXPECT_EQ(std::count(text.begin(), text.end(), '#'), 8);
}

TEST(Curve, GapsAreFilledFromTheLeft) {
  Curve curve;
  curve.raise(0, 5_B, 6_B);
  curve.raise(32, 0_B, 1_B);
  curve.fill_gaps();
  EXPECT_EQ(curve.live[31], 5_B);
  EXPECT_EQ(curve.committed[31], 6_B);
  EXPECT_EQ(curve.live[32], 0_B);
  EXPECT_EQ(curve.committed[63], 1_B);
}

ReplayRun run_named(const char* trace) {
  ReplayRun run;
  run.trace = trace;
  run.result.operations = 10;
  run.result.curve = ramp();
  run.result.peak_live = 63000_B;
  run.result.peak_committed = 75600_B;
  return run;
}

TEST(ReplayText, TwoRunsAreCompared) {
  std::vector<ReplayRun> runs{run_named("a"), run_named("a")};
  runs[1].allocator = AllocatorKind::arena;
  runs[1].result.peak_committed = 64000_B;
  const std::string text = replay_text(runs);
  EXPECT_THAT(text, HasSubstr("diff"));
  EXPECT_THAT(text, HasSubstr("-15.3 %"));
  EXPECT_THAT(text, HasSubstr("1.200"));
}

TEST(ReplayText, NothingReplayedNeedsNoChart) {
  ReplayRun run;
  run.trace = "none";
  EXPECT_EQ(replay_text(std::vector<ReplayRun>{run}).find('|'), std::string::npos);
}

TEST(ReplayJson, ANameThatIsNoUtf8IsStillWritten) {
  const std::vector<ReplayRun> runs{run_named("\xff\xfe.csv")};
  EXPECT_NE(replay_json(runs).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace), "");
}

}  // namespace
}  // namespace vaspace::tools
