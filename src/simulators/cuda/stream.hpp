// Streams: queues of work, each with a thread of its own, which begins every piece late.
//
// Work of one stream runs in the order in which it was put there. Work of the legacy default stream runs
// after everything put on blocking streams before it, and before everything put on them after it. `number`
// counts the work of a stream from 1; all up to `completed` is over.
#pragma once

#include <cstdint>
#include <cuda.h>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "clock.hpp"

namespace vasim::cuda {

using Lock = std::unique_lock<std::mutex>;

struct Context;

// Device addresses that a piece of work reads or writes.
struct Touch {
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
};

struct Work {
  const char* name = "";  // of the driver's function
  std::vector<Touch> touches;
  std::vector<Point> after;  // of other streams
  std::function<CUresult(Lock&, const Clock&)>
      run;                             // on the stream's thread; given `clock`; may unlock in between
  std::function<void(Lock&)> dropped;  // in place of `run` where the context has failed before; may be empty
  CUresult late = CUDA_SUCCESS;        // injected: fails in place of running
  std::uint64_t number = 0;
  Clock clock;  // what is over when this is over
};

struct Stream {
  std::uint64_t id = 0;  // its handle too
  std::shared_ptr<Context> context;
  unsigned flags = 0;
  int priority = 0;
  bool legacy = false;
  bool started = false;  // it has a thread
  bool closing = false;  // destroyed by the program; the thread ends when the queue is empty
  std::deque<Work> queue;
  std::uint64_t submitted = 0;
  std::uint64_t completed = 0;
  Clock clock;  // of the last work put there
  std::uint64_t random = 0;

  [[nodiscard]] Point last() const { return {id, submitted}; }
  [[nodiscard]] bool idle() const { return completed == submitted; }
};

}  // namespace vasim::cuda
