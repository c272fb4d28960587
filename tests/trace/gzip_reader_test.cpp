// Traces that come packed: read whatever their name is, and refused when they are cut or damaged.
#include <cstddef>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "reading.hpp"

namespace vaspace::trace {
namespace {

using test::gzipped;
using test::kAlloc;
using test::kHeaderLine;
using test::many_rows;
using test::Read;
using test::read_all;
using test::read_text;
using ::testing::HasSubstr;

TEST(TraceGzip, IsReadWhateverTheName) {
  const test::Folder folder;
  const Read plain = read_text(many_rows());
  ASSERT_EQ(plain.rows.size(), 3000U);
  EXPECT_EQ(read_all(Reader::open(folder.write("t.csv", gzipped(many_rows())).c_str())).rows, plain.rows);
  EXPECT_EQ(read_all(Reader::open(folder.write("t.csv.gz", many_rows()).c_str())).rows, plain.rows);
}

TEST(TraceGzip, SeveralMembersAreOneTrace) {
  const std::string text = many_rows();
  const std::string packed = gzipped(text.substr(0, 5000)) + gzipped("") + gzipped(text.substr(5000));
  EXPECT_EQ(read_text(packed).rows, read_text(text).rows);
}

TEST(TraceGzip, EmptyGzipIsAnEmptyFile) {
  const Read read = read_text(gzipped(""));
  ASSERT_TRUE(read.failure);
  EXPECT_STREQ(read.failure->reason(), "the file is empty");
}

TEST(TraceGzip, EveryTruncationIsRefused) {
  const std::string packed = gzipped(kHeaderLine + kAlloc + "6,0,free,1,8,8,buffer,1,\n");
  for (std::size_t size = 2; size < packed.size(); ++size) {
    const Read read = read_text(packed.substr(0, size));
    ASSERT_TRUE(read.failure) << "cut to " << size << " of " << packed.size();
    EXPECT_THAT(read.failure->reason(), HasSubstr("gzip stream ends early")) << size;
  }
}

TEST(TraceGzip, ATruncatedLongFileIsRefused) {
  const std::string packed = gzipped(many_rows());
  const Read read = read_text(packed.substr(0, packed.size() / 2));
  ASSERT_TRUE(read.failure);
  EXPECT_THAT(read.failure->reason(), HasSubstr("ends early"));
  EXPECT_GT(read.failure->line, 1U);
}

TEST(TraceGzip, EveryFlippedByteOfDataOrCheckIsRefused) {
  const std::string packed = gzipped(kHeaderLine + kAlloc);
  for (std::size_t at = 10; at < packed.size(); ++at) {
    std::string damaged = packed;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const Read read = read_text(damaged);
    ASSERT_TRUE(read.failure) << "byte " << at;
    EXPECT_EQ(read.failure->code, ErrorCode::malformed);
  }
}

TEST(TraceGzip, AWrongCheckSumIsNamed) {
  std::string packed = gzipped(many_rows());
  packed[packed.size() - 8] = static_cast<char>(packed[packed.size() - 8] ^ 1);
  const Read read = read_text(packed);
  ASSERT_TRUE(read.failure);
  EXPECT_THAT(read.failure->reason(), HasSubstr("gzip damage"));
  EXPECT_EQ(read.rows.size(), 3000U) << "the rows before the damage";
}

TEST(TraceGzip, BytesBehindTheStreamAreRefused) {
  const Read read = read_text(gzipped(many_rows()) + "more");
  ASSERT_TRUE(read.failure);
  EXPECT_THAT(read.failure->reason(), HasSubstr("other bytes follow"));
}

}  // namespace
}  // namespace vaspace::trace
