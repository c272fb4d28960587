// What a Reader accepts, and what a whole trace is.
#include "vaspace/trace/reader.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vaspace/trace/trace.hpp"

#include "reading.hpp"
#include "support/host.hpp"

namespace vaspace::trace {
namespace {

using test::gzipped;
using test::kAlloc;
using test::kHeaderLine;
using test::many_rows;
using test::Read;
using test::read_all;
using test::read_rows;
using test::read_text;

TEST(TraceReader, ReadsEveryColumn) {
  const Read read = read_rows(
      "5,3,alloc,77,4096,256,image_optimal,15,u=0x7|fmt=37\n"
      "5,4,frame,1,0,0,present,0,\n"
      "9,3,free,77,4096,256,image_optimal,15,\n");
  ASSERT_FALSE(read.failure) << read.failure->reason();
  ASSERT_EQ(read.rows.size(), 3U);
  const Row expected{.t_ns = 5,
                     .id = 77,
                     .size = 4096,
                     .alignment = 256,
                     .thread = 3,
                     .memory_type_bits = 15,
                     .allocation = 0,
                     .op = Op::alloc,
                     .kind = Kind::image_optimal};
  EXPECT_EQ(read.rows[0], expected);
  EXPECT_EQ(read.flags[0], "u=0x7|fmt=37");
  EXPECT_EQ(read.rows[1].op, Op::frame);
  EXPECT_EQ(read.rows[1].alignment, 1U);
  EXPECT_EQ(read.rows[2].op, Op::free);
  EXPECT_EQ(read.rows[2].allocation, 0U);
}

TEST(TraceReader, EveryKindOfEachOp) {
  for (const char* kind : {"buffer", "image_linear", "image_optimal", "memory"})
    EXPECT_FALSE(read_rows(std::string("1,0,alloc,1,8,8,") + kind + ",1,\n").failure) << kind;
  for (const char* kind : {"present", "submit"})
    EXPECT_FALSE(read_rows(std::string("1,0,frame,1,0,0,") + kind + ",0,\n").failure) << kind;
}

TEST(TraceReader, AllocationsAreNumberedAndAnIdMayComeBack) {
  const Read read = read_rows(
      "1,0,alloc,9,8,8,buffer,1,\n"
      "1,0,alloc,8,8,8,buffer,1,\n"
      "1,0,free,9,8,8,buffer,1,\n"
      "1,0,alloc,9,8,8,buffer,1,\n"
      "1,0,free,8,8,8,buffer,1,\n"
      "1,0,free,9,8,8,buffer,1,\n");
  ASSERT_FALSE(read.failure);
  std::vector<std::uint32_t> numbers;
  for (const Row& row : read.rows)
    numbers.push_back(row.allocation);
  EXPECT_THAT(numbers, ::testing::ElementsAre(0, 1, 0, 2, 1, 2));
}

TEST(TraceReader, AlignmentZeroOfMemoryIsReadAsOne) {
  const Read read = read_rows("1,0,alloc,1,8,0,memory,1,\n1,0,free,1,8,0,memory,1,\n");
  ASSERT_FALSE(read.failure);
  EXPECT_EQ(read.rows[0].alignment, 1U);
}

TEST(TraceReader, OfAFrameSizeAndAlignmentAreIgnored) {
  const Read read = read_rows("1,0,frame,1,7,3,submit,0,\n");
  ASSERT_FALSE(read.failure);
  EXPECT_EQ(read.rows[0].size, 0U);
  EXPECT_EQ(read.rows[0].alignment, 1U);
}

TEST(TraceReader, TheLargestNumbersAreRead) {
  const Read read = read_rows(
      "18446744073709551615,4294967295,alloc,18446744073709551615,18446744073709551615,"
      "9223372036854775808,buffer,4294967295,\n");
  ASSERT_FALSE(read.failure) << read.failure->reason();
  EXPECT_EQ(read.rows[0].size, ~std::uint64_t{0});
  EXPECT_EQ(read.rows[0].thread, ~std::uint32_t{0});
}

TEST(TraceReader, CrLfAndAMissingLastLineEndAreAccepted) {
  std::string text = kHeaderLine + "1,0,alloc,1,8,8,buffer,1,mt=0\n2,0,free,1,8,8,buffer,1,\n";
  std::string crlf;
  for (const char c : text) {
    if (c == '\n') crlf += '\r';
    crlf += c;
  }
  EXPECT_EQ(read_text(crlf).rows, read_text(text).rows);
  EXPECT_EQ(read_text(crlf).flags[0], "mt=0");
  text.pop_back();
  const Read read = read_text(text);
  EXPECT_FALSE(read.failure);
  EXPECT_EQ(read.rows.size(), 2U);
}

TEST(TraceReader, AHeaderAloneIsAnEmptyTrace) {
  EXPECT_FALSE(read_text(kHeaderLine).failure);
  EXPECT_TRUE(read_text(kHeaderLine).rows.empty());
}

TEST(TraceReader, AFailureStays) {
  const std::string text = kHeaderLine + "x\n" + kAlloc;
  Expected<Reader> reader = Reader::from_memory(std::as_bytes(std::span(text)));
  ASSERT_TRUE(reader);
  Row row{.t_ns = 123};
  for (int i = 0; i < 3; ++i) {
    const Expected<bool> more = reader->next(row);
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().line, 2U);
  }
  EXPECT_EQ(row.t_ns, 123U) << "a refused row was written";
}

TEST(TraceReader, LinesAreRightAcrossBuffers) {
  std::string text = kHeaderLine;
  for (int i = 0; i < 20000; ++i)
    text += std::to_string(i) + ",0,alloc," + std::to_string(i) + ",8,8,buffer,1,flags=" + std::to_string(i) +
            "\n";
  const Read good = read_text(text);
  ASSERT_FALSE(good.failure);
  ASSERT_EQ(good.rows.size(), 20000U);
  EXPECT_EQ(good.flags[19999], "flags=19999");
  EXPECT_EQ(read_text(text + "oops\n").failure->line, 20002U);
}

TEST(TraceReader, TheLongestLineIsRead) {
  std::string line = "5,0,alloc,1,8,8,buffer,1,";
  line += std::string(kMaxLine - line.size(), 'x');
  for (const char* end : {"\n", ""}) {
    const Read read = read_rows(line + end);
    ASSERT_FALSE(read.failure) << read.failure->reason();
    EXPECT_EQ(read.flags[0].size(), kMaxLine - 25);
  }
}

// Files

TEST(TraceFile, AMissingFileIsAnIoError) {
  const Read read = read_all(Reader::open("/nowhere/at/all.csv"));
  ASSERT_TRUE(read.failure);
  EXPECT_EQ(read.failure->code, ErrorCode::io_error);
  EXPECT_EQ(read.failure->native, ENOENT);
  EXPECT_EQ(read.failure->line, 0U);
}

TEST(TraceFile, AFolderIsAnIoError) {
  const test::Folder folder;
  const Read read = read_all(Reader::open(folder.path("").c_str()));
  ASSERT_TRUE(read.failure);
  EXPECT_EQ(read.failure->code, ErrorCode::io_error);
  EXPECT_EQ(read.failure->native, EISDIR);
  EXPECT_EQ(read.failure->line, 0U);
}

// A whole trace

TEST(TraceLoad, CountsAndPeak) {
  const std::string text = kHeaderLine +
                           "1,0,alloc,1,100,8,buffer,1,\n"
                           "1,0,alloc,2,50,8,buffer,1,\n"
                           "2,0,frame,1,0,0,present,0,\n"
                           "3,0,free,1,7,8,buffer,1,\n"  // the size of a free is not what counts
                           "3,0,alloc,3,60,8,buffer,1,\n";
  Expected<Reader> reader = Reader::from_memory(std::as_bytes(std::span(text)));
  const Expected<Trace> trace = load(*reader);
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->rows.size(), 5U);
  EXPECT_EQ(trace->allocation_count, 3U);
  EXPECT_EQ(trace->operation_count, 4U);
  EXPECT_EQ(trace->frame_count, 1U);
  EXPECT_EQ(trace->peak_live, 150_B);
}

TEST(TraceLoad, LiveSizesThatPass64BitsAreRefused) {
  const std::string text = kHeaderLine +
                           "1,0,alloc,1,18446744073709551615,8,buffer,1,\n"
                           "1,0,alloc,2,1,8,buffer,1,\n";
  Expected<Reader> reader = Reader::from_memory(std::as_bytes(std::span(text)));
  const Expected<Trace> trace = load(*reader);
  ASSERT_FALSE(trace);
  EXPECT_EQ(trace.error().line, 3U);
  EXPECT_EQ(trace.error().code, ErrorCode::malformed);
}

TEST(TraceLoad, AReaderThatHasGivenARowIsRefused) {
  const std::string text = kHeaderLine + kAlloc;
  Expected<Reader> reader = Reader::from_memory(std::as_bytes(std::span(text)));
  Row row;
  ASSERT_TRUE(reader->next(row));
  const Expected<Trace> trace = load(*reader);
  ASSERT_FALSE(trace);
  EXPECT_EQ(trace.error().code, ErrorCode::invalid_argument);
}

// R7's idea for a reader: each refusal of host memory is an error, and nothing leaks.
TEST(TraceLoad, NoHostMemoryAtAnyRequest) {
  const test::Folder folder;
  const std::string path = folder.write("t.csv.gz", gzipped(many_rows()));
  for (int nth = 1;; ++nth) {
    test::TestHost host;
    host.fail_at(nth);
    {
      const Expected<Trace> trace = load(path.c_str(), host.allocator());
      if (trace) {
        ASSERT_GT(nth, 10) << "too few requests were made to fail";
        return;
      }
      EXPECT_EQ(trace.error().code, ErrorCode::out_of_host_memory) << nth << ": " << trace.error().reason();
    }
    EXPECT_EQ(host.bytes(), 0) << nth;
  }
}

TEST(TraceReader, CanBeMoved) {
  const std::string text = kHeaderLine + kAlloc;
  Expected<Reader> reader = Reader::from_memory(std::as_bytes(std::span(text)));
  Reader moved = std::move(*reader);
  Row row;
  EXPECT_TRUE(moved.next(row).value());
  EXPECT_EQ(moved.line(), 2U);
}

}  // namespace
}  // namespace vaspace::trace
