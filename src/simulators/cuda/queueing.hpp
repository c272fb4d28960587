// Putting work on streams, and waiting for it.
#pragma once

#include "call.hpp"
#include "driver.hpp"

namespace vasim::cuda {

[[nodiscard]] std::shared_ptr<Stream> make_stream(Driver& driver, const std::shared_ptr<Context>& context,
                                                  unsigned flags, int priority);

// The stream that a handle means to the calling thread: a stream's own, null or CU_STREAM_LEGACY for the
// legacy default stream of the current context, CU_STREAM_PER_THREAD for the thread's. Null where it is none.
[[nodiscard]] std::shared_ptr<Stream> find_stream(Call& call, CUstream handle);

// What a piece of work touches must have been checked. May throw std::system_error where no thread can be
// had; then nothing was put there.
Point submit(Call& call, Stream& stream, Work work);

[[nodiscard]] bool is_over(const Driver& driver, Point point);

// The program waits; from then on it knows that everything up to there is over. The context's error, if any.
CUresult await(Call& call, const Stream& stream);
CUresult await(Call& call, Point point, const Clock& clock);

// Every stream of the context.
CUresult await_context(Call& call, const std::shared_ptr<Context>& context);

// Of a stream that is gone and whose work the program has waited for: nothing remembers it any more. Clocks
// would grow for ever in a program that makes streams all the time.
void forget_stream(Driver& driver, std::uint64_t id);

// The stream takes no more work, and its thread ends with what it has.
void close_stream(Driver& driver, const std::shared_ptr<Stream>& stream);

}  // namespace vasim::cuda
