// What a Reader accepts, and that everything else is refused with the line and the reason.
#include "vaspace/trace/reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "vaspace/trace/trace.hpp"

#include "files.hpp"
#include "support/host.hpp"

namespace vaspace::trace {
namespace {

using test::gzipped;
using test::kHeaderLine;
using ::testing::HasSubstr;

struct Read {
  std::vector<Row> rows;
  std::vector<std::string> flags;
  std::optional<Failure> failure;
};

Read read_all(Expected<Reader> reader) {
  Read result;
  if (!reader) {
    result.failure = reader.error();
    return result;
  }
  for (Row row;;) {
    const Expected<bool> more = reader->next(row);
    if (!more) {
      result.failure = more.error();
      return result;
    }
    if (!*more) return result;
    result.rows.push_back(row);
    result.flags.emplace_back(reader->flags());
  }
}

Read read_text(const std::string& text) {
  return read_all(Reader::from_memory(std::as_bytes(std::span(text))));
}

Read read_rows(const std::string& rows) {
  return read_text(kHeaderLine + rows);
}

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

struct Bad {
  const char* name;
  std::string text;
  std::uint64_t line;
  const char* reason;
};

void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.name;
}

class MalformedTrace : public ::testing::TestWithParam<Bad> {};

const std::string kAlloc = "5,0,alloc,1,8,8,buffer,1,\n";

const Bad kBad[] = {
    {"Empty", "", 1, "empty"},
    {"WrongHeader", "t_ns,thread,op,id,size,alignment,kind,flags\n", 1, "header"},
    {"HeaderWithSpace", " " + kHeaderLine, 1, "header"},
    {"NoHeader", kAlloc, 1, "header"},
    {"CutHeader", kHeaderLine.substr(0, 30), 1, "header"},
    {"MissingColumn", kHeaderLine + kAlloc + "6,0,free,1,8,8,buffer,1\n", 3, "8 columns"},
    {"ExtraColumn", kHeaderLine + "5,0,alloc,1,8,8,buffer,1,a,b\n", 2, "10 columns"},
    {"EmptyLine", kHeaderLine + "\n" + kAlloc, 2, "empty"},
    {"NotANumber", kHeaderLine + "5,0,alloc,1,8x,8,buffer,1,\n", 2, "size \"8x\" is not a number"},
    {"EmptyNumber", kHeaderLine + "5,0,alloc,,8,8,buffer,1,\n", 2, "id \"\" is not a number"},
    {"Negative", kHeaderLine + "5,0,alloc,1,-8,8,buffer,1,\n", 2, "size \"-8\" is not a number"},
    {"PlusSign", kHeaderLine + "5,0,alloc,1,+8,8,buffer,1,\n", 2, "is not a number"},
    {"Space", kHeaderLine + "5, 0,alloc,1,8,8,buffer,1,\n", 2, "thread \" 0\" is not a number"},
    {"Hexadecimal", kHeaderLine + "5,0,alloc,1,0x8,8,buffer,1,\n", 2, "is not a number"},
    {"Passes64Bits", kHeaderLine + "5,0,alloc,1,18446744073709551616,8,buffer,1,\n", 2, "passes 64 bits"},
    {"TimePasses64Bits", kHeaderLine + "18446744073709551616,0,alloc,1,8,8,buffer,1,\n", 2, "t_ns"},
    {"ThreadPasses32Bits", kHeaderLine + "5,4294967296,alloc,1,8,8,buffer,1,\n", 2, "passes 32 bits"},
    {"TypesPass32Bits", kHeaderLine + "5,0,alloc,1,8,8,buffer,4294967296,\n", 2, "memory_type_bits"},
    {"UnknownOp", kHeaderLine + "5,0,malloc,1,8,8,buffer,1,\n", 2, "op \"malloc\""},
    {"UnknownKind", kHeaderLine + "5,0,alloc,1,8,8,texture,1,\n", 2, "kind \"texture\""},
    {"FrameOfABuffer", kHeaderLine + "5,0,frame,1,0,0,buffer,0,\n", 2, "does not belong"},
    {"AllocOfAPresent", kHeaderLine + "5,0,alloc,1,8,8,present,1,\n", 2, "does not belong"},
    {"FreeOfASubmit", kHeaderLine + kAlloc + "5,0,free,1,8,8,submit,1,\n", 3, "does not belong"},
    {"TimeGoesBack", kHeaderLine + kAlloc + "4,0,free,1,8,8,buffer,1,\n", 3, "time goes back from 5 to 4"},
    {"TimeGoesBackAtAFrame", kHeaderLine + kAlloc + "4,0,frame,1,0,0,present,0,\n", 3, "time goes back"},
    {"AllocOfALiveId", kHeaderLine + kAlloc + "6,0,alloc,1,8,8,buffer,1,\n", 3, "id 1, which is live"},
    {"FreeOfANeverLiveId", kHeaderLine + "5,0,free,1,8,8,buffer,1,\n", 2, "id 1, which is not live"},
    {"FreedTwice", kHeaderLine + kAlloc + "6,0,free,1,8,8,buffer,1,\n" + "7,0,free,1,8,8,buffer,1,\n", 4,
     "not live"},
    {"SizeZero", kHeaderLine + "5,0,alloc,1,0,8,buffer,1,\n", 2, "size 0"},
    {"AlignmentZeroOfABuffer", kHeaderLine + "5,0,alloc,1,8,0,buffer,1,\n", 2, "alignment 0"},
    {"AlignmentThree", kHeaderLine + "5,0,alloc,1,8,3,memory,1,\n", 2, "alignment 3 is not a power of two"},
    {"AlignmentThreeOfAFree", kHeaderLine + kAlloc + "5,0,free,1,8,3,buffer,1,\n", 3, "alignment 3"},
    {"CutLastLine", kHeaderLine + kAlloc + "6,0,free,1,8", 3, "ends within a row: 5 of 9"},
    {"NulInTheFlags", kHeaderLine + std::string("5,0,alloc,1,8,8,buffer,1,a\0b\n", 28), 2,
     "control character"},
    {"NulInANumber", kHeaderLine + std::string("5,0,alloc,1,8\0,8,buffer,1,\n", 27), 2, "control character"},
    {"CrInTheMiddle", kHeaderLine + "5,0,alloc,1,8,8,buffer,1,a\rb\n", 2, "control character"},
    {"LongLine", kHeaderLine + "5,0,alloc,1,8,8,buffer,1," + std::string(kMaxLine, 'x') + "\n", 2,
     "longer than"},
    {"VeryLongLine", kHeaderLine + std::string(3 * kMaxLine, 'x'), 2, "longer than"},
    {"VeryLongHeader", std::string(10 * kMaxLine, 'x'), 1, "longer than"},
    {"OtherBytes", std::string("PK\3\4\0\0\0\0\n", 9), 1, "header"},
};

INSTANTIATE_TEST_SUITE_P(, MalformedTrace, ::testing::ValuesIn(kBad),
                         [](const auto& suite) { return std::string(suite.param.name); });

void expect_refusal(const Read& read, const Bad& bad) {
  ASSERT_TRUE(read.failure) << "it was accepted";
  EXPECT_EQ(read.failure->code, ErrorCode::malformed);
  EXPECT_EQ(read.failure->line, bad.line);
  EXPECT_THAT(read.failure->reason(), HasSubstr(bad.reason));
  EXPECT_EQ(std::string(read.failure->reason()).find('\n'), std::string::npos);
}

TEST_P(MalformedTrace, IsRefusedWithLineAndReason) {
  expect_refusal(read_text(GetParam().text), GetParam());
}

TEST_P(MalformedTrace, IsRefusedFromAFile) {
  const test::Folder folder;
  expect_refusal(read_all(Reader::open(folder.write("bad.csv", GetParam().text).c_str())), GetParam());
}

TEST_P(MalformedTrace, IsRefusedInsideGzip) {
  if (GetParam().text.empty()) return;  // gzip of nothing: EmptyGzip below
  expect_refusal(read_text(gzipped(GetParam().text)), GetParam());
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

// gzip

std::string many_rows() {
  std::string text = kHeaderLine;
  for (int i = 0; i < 3000; ++i)
    text += std::to_string(7 * i) + ",0,alloc," + std::to_string(i * i) + "," + std::to_string(1 + i % 977) +
            ",8,buffer,1,\n";
  return text;
}

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
