// What a Reader refuses, with the line and the reason: plain, from a file, and packed.
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ostream>
#include <string>

#include "reading.hpp"

namespace vaspace::trace {
namespace {

using test::gzipped;
using test::kAlloc;
using test::kHeaderLine;
using test::Read;
using test::read_all;
using test::read_text;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace vaspace::trace
