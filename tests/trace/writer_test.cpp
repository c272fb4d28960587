// What a Writer writes is what a Reader reads; a Recorder's rows replay.
#include "vaspace/trace/writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <thread>
#include <vector>

#include "vaspace/trace/reader.hpp"
#include "vaspace/trace/recorder.hpp"
#include "vaspace/trace/trace.hpp"

#include "files.hpp"
#include "support/host.hpp"

namespace vaspace::trace {
namespace {

using Rows = std::vector<std::pair<Row, std::string>>;

Rows read_all(const std::string& path) {
  Expected<Reader> reader = Reader::open(path.c_str());
  Rows rows;
  if (!reader) {
    ADD_FAILURE() << reader.error().reason();
    return rows;
  }
  for (Row row;;) {
    const Expected<bool> more = reader->next(row);
    if (!more) ADD_FAILURE() << more.error().line << ": " << more.error().reason();
    if (!more || !*more) return rows;
    rows.emplace_back(row, reader->flags());
  }
}

// Any sound trace: the columns are arbitrary where they may be.
Rows arbitrary_trace() {
  Rows rows;
  std::vector<Row> live;
  Row row;
  std::uint32_t allocations = 0;
  for (const std::uint32_t choice : *rc::gen::arbitrary<std::vector<std::uint32_t>>()) {
    row.t_ns += choice % 1000;
    row.thread = choice % 7;
    row.memory_type_bits = choice;
    if (choice % 3 == 0 && !live.empty()) {
      const std::size_t which = choice % live.size();
      Row gone = live[which];
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
      gone.op = Op::free;
      gone.t_ns = row.t_ns;
      rows.emplace_back(gone, "");
    } else if (choice % 11 == 0) {
      rows.emplace_back(Row{.t_ns = row.t_ns, .id = choice, .op = Op::frame, .kind = Kind::submit}, "");
    } else {
      row.id = std::uint64_t{allocations} * 0x100000001ULL;
      row.size = 1 + std::uint64_t{choice} * choice;
      row.alignment = std::uint64_t{1} << (choice % 40);
      row.kind = static_cast<Kind>(choice % 4);
      row.op = Op::alloc;
      row.allocation = allocations++;
      live.push_back(row);
      rows.emplace_back(row, "u=" + std::to_string(choice) + "|mt=1");
    }
  }
  return rows;
}

void check_round_trip(const char* name) {
  const Rows rows = arbitrary_trace();
  const test::Folder folder;
  const std::string path = folder.path(name);
  Expected<Writer> writer = Writer::create(path.c_str());
  RC_ASSERT(writer.has_value());
  for (const auto& [row, flags] : rows)
    RC_ASSERT(writer->write(row, flags).has_value());
  RC_ASSERT(writer->close().has_value());
  RC_ASSERT(read_all(path) == rows);
}

RC_GTEST_PROP(TraceWriter, RoundTripPlain, ()) {
  check_round_trip("t.csv");
}

RC_GTEST_PROP(TraceWriter, RoundTripGzip, ()) {
  check_round_trip("t.csv.gz");
}

Row alloc_row(std::uint64_t id) {
  return {.t_ns = id, .id = id, .size = 64, .alignment = 16, .op = Op::alloc, .kind = Kind::buffer};
}

TEST(TraceWriter, TheNameDecidesOnGzip) {
  const test::Folder folder;
  for (const char* name : {"t.csv", "t.gz"}) {
    Expected<Writer> writer = Writer::create(folder.path(name).c_str());
    ASSERT_TRUE(writer->write(alloc_row(1), "mt=0"));
    ASSERT_TRUE(writer->close());
  }
  EXPECT_EQ(test::contents_of(folder.path("t.csv")), test::kHeaderLine + "1,0,alloc,1,64,16,buffer,0,mt=0\n");
  EXPECT_EQ(test::contents_of(folder.path("t.gz")).substr(0, 2), "\x1f\x8b");
}

// More than a buffer of text, and more than a buffer of what deflate makes of it.
TEST(TraceWriter, ManyRowsGoThroughTheBuffers) {
  const test::Folder folder;
  std::uint32_t random = 1;
  std::vector<std::string> flags(500);
  for (std::string& text : flags) {
    for (int i = 0; i < 3000; ++i) {
      random = random * 1664525U + 1013904223U;
      text += static_cast<char>('0' + (random >> 24U) % 70);
    }
  }
  for (const std::string name : {"t.csv", "t.csv.gz"}) {
    Expected<Writer> writer = Writer::create(folder.path(name).c_str());
    for (std::uint64_t i = 0; i < flags.size(); ++i)
      ASSERT_TRUE(writer->write(alloc_row(i), flags[i]));
    ASSERT_TRUE(writer->close());
    const Rows rows = read_all(folder.path(name));
    ASSERT_EQ(rows.size(), flags.size());
    for (std::size_t i = 0; i < flags.size(); ++i)
      ASSERT_EQ(rows[i].second, flags[i]);
  }
}

TEST(TraceWriter, DestructionCloses) {
  const test::Folder folder;
  {
    Expected<Writer> writer = Writer::create(folder.path("t.csv.gz").c_str());
    ASSERT_TRUE(writer->write(alloc_row(1)));
  }
  EXPECT_EQ(read_all(folder.path("t.csv.gz")).size(), 1U);
}

TEST(TraceWriter, FlagsThatFitNoCellAreRefusedAndNotWritten) {
  const test::Folder folder;
  Expected<Writer> writer = Writer::create(folder.path("t.csv").c_str());
  for (const std::string& flags :
       {std::string("a,b"), std::string("a\nb"), std::string("\0", 1), std::string(70000, 'x')}) {
    const Expected<void> written = writer->write(alloc_row(1), flags);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::invalid_argument);
  }
  ASSERT_TRUE(writer->write(alloc_row(1), "fine"));
  ASSERT_TRUE(writer->close());
  EXPECT_EQ(read_all(folder.path("t.csv")).size(), 1U);
  EXPECT_FALSE(writer->write(alloc_row(2)));
  EXPECT_TRUE(writer->close());
}

TEST(TraceWriter, WhatCannotBeMadeIsAnIoError) {
  const Expected<Writer> writer = Writer::create("/nowhere/at/all.csv");
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::io_error);
  EXPECT_EQ(writer.error().native, ENOENT);
}

TEST(TraceWriter, AFullDiskIsAnIoErrorAndStays) {
  Expected<Writer> writer = Writer::create("/dev/full");
  ASSERT_TRUE(writer);
  Expected<void> written;
  for (std::uint64_t i = 0; i < 100000 && written; ++i)
    written = writer->write(alloc_row(i));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().native, ENOSPC);
  EXPECT_FALSE(writer->write(alloc_row(1)));
  ASSERT_FALSE(writer->close());
  EXPECT_EQ(writer->close().error().native, ENOSPC);
}

TEST(TraceWriter, NoHostMemoryAtAnyRequest) {
  const test::Folder folder;
  for (int nth = 1;; ++nth) {
    test::TestHost host;
    host.fail_at(nth);
    {
      const Expected<Writer> writer = Writer::create(folder.path("t.csv.gz").c_str(), host.allocator());
      if (writer) {
        ASSERT_GT(nth, 4);
        return;
      }
      EXPECT_EQ(writer.error().code, ErrorCode::out_of_host_memory);
    }
    EXPECT_EQ(host.bytes(), 0) << nth;
  }
}

Event event(EventKind kind, std::uint64_t id, std::uint64_t size) {
  Event e;
  e.kind = kind;
  e.id = id;
  e.size = Bytes{size};
  return e;
}

TEST(TraceRecorder, EventsBecomeRows) {
  const test::Folder folder;
  const std::string path = folder.path("t.csv");
  Expected<Recorder> recorder = Recorder::create(path.c_str());
  const Observer observer = recorder->observer();
  Recorder moved = std::move(*recorder);  // the observer stays good
  observer(event(EventKind::allocate, 42, 1000));
  observer(event(EventKind::reserve, 0, 65536));  // no row
  moved.frame();
  observer(event(EventKind::free, 42, 1000));
  ASSERT_TRUE(moved.close());
  const Rows rows = read_all(path);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].first.op, Op::alloc);
  EXPECT_EQ(rows[0].first.id, 42U);
  EXPECT_EQ(rows[0].first.size, 1000U);
  EXPECT_EQ(rows[0].first.kind, Kind::memory);
  EXPECT_EQ(rows[1].first.op, Op::frame);
  EXPECT_EQ(rows[2].first.op, Op::free);
}

// R7: hearing of a free asks for no host memory.
TEST(TraceRecorder, HearingAsksForNoHostMemory) {
  const test::Folder folder;
  test::TestHost host;
  Expected<Recorder> recorder = Recorder::create(folder.path("t.csv.gz").c_str(), host.allocator());
  const Observer observer = recorder->observer();
  const std::int64_t requests = host.requests();
  for (std::uint64_t i = 0; i < 20000; ++i) {
    observer(event(EventKind::allocate, i, i * i + 1));
    observer(event(EventKind::free, i, i * i + 1));
  }
  EXPECT_EQ(host.requests(), requests);
  ASSERT_TRUE(recorder->close());
  EXPECT_EQ(read_all(folder.path("t.csv.gz")).size(), 40000U);
}

TEST(TraceRecorder, ThreadsAreNumberedAndTheRowsStayInOrder) {
  const test::Folder folder;
  const std::string path = folder.path("t.csv.gz");
  Expected<Recorder> recorder = Recorder::create(path.c_str());
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([t, observer = recorder->observer()] {
        for (std::uint64_t i = 0; i < 500; ++i) {
          observer(event(EventKind::allocate, t * 1000 + i, 64));
          observer(event(EventKind::free, t * 1000 + i, 64));
        }
      });
    }
  }
  ASSERT_TRUE(recorder->close());
  const Expected<Trace> trace = load(path.c_str());
  ASSERT_TRUE(trace) << trace.error().reason();
  EXPECT_EQ(trace->operation_count, 4000U);
  for (const Row& row : trace->rows)
    EXPECT_LT(row.thread, 4U);
}

TEST(TraceRecorder, ADiskThatFillsIsSaidAtTheEnd) {
  Expected<Recorder> recorder = Recorder::create("/dev/full");
  ASSERT_TRUE(recorder);
  recorder->observer()(event(EventKind::allocate, 1, 1));
  const Expected<void> closed = recorder->close();
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().native, ENOSPC);
}

}  // namespace
}  // namespace vaspace::trace
