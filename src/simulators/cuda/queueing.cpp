#include "queueing.hpp"

#include <thread>
#include <utility>

#include "pool.hpp"

namespace vasim::cuda {
namespace {

// Each piece of work begins this much later than it could: drawn anew, and the same for a seed in every run.
std::chrono::microseconds next_delay(const Configuration& configuration, Stream& stream) {
  stream.random = stream.random * 6364136223846793005U + 1442695040888963407U;
  const std::uint64_t span = configuration.delay_to_us - configuration.delay_from_us + 1;
  return std::chrono::microseconds(configuration.delay_from_us + (stream.random >> 33U) % span);
}

bool may_begin(const Driver& driver, const Stream& stream) {
  if (machine().held || stream.queue.empty()) return false;
  for (const Point& point : stream.queue.front().after)
    if (!is_over(driver, point)) return false;
  return true;
}

void run_one(Driver& driver, Stream& stream, Lock& lock) {
  Work work = std::move(stream.queue.front());
  stream.queue.pop_front();
  const std::chrono::microseconds delay = next_delay(driver.configuration, stream);
  if (delay.count() != 0) {
    lock.unlock();
    std::this_thread::sleep_for(delay);
    lock.lock();
  }
  Context& context = *stream.context;
  if (error_of(driver, context) == CUDA_SUCCESS) {
    const CUresult result = work.late != CUDA_SUCCESS ? work.late : work.run(lock, work.clock);
    if (result != CUDA_SUCCESS && context.error == CUDA_SUCCESS) context.error = result;
  } else if (work.dropped) {
    work.dropped(lock);
  }
  stream.completed = work.number;
  machine().changed.notify_all();
}

void end_stream(Driver& driver, const Stream& stream) {
  driver.streams.erase(stream.id);
  if (driver.host.covers(stream.last())) {
    forget_stream(driver, stream.id);
    return;
  }
  stream.context->gone.push_back(stream.id);
  stream.context->ended.merge(stream.clock);
  if ((stream.flags & CU_STREAM_NON_BLOCKING) == 0) stream.context->ended_blocking.merge(stream.clock);
}

// The body of a stream's thread. Detached: it ends when the stream was closed and has nothing left.
void serve(Driver& driver, const std::shared_ptr<Stream>& stream) {
  Machine& all = machine();
  Lock lock(all.mutex);
  for (;;) {
    all.changed.wait(lock, [&] { return may_begin(driver, *stream) || (stream->closing && stream->idle()); });
    if (stream->idle()) break;
    run_one(driver, *stream, lock);
  }
  end_stream(driver, *stream);
  --driver.threads;
  all.changed.notify_all();
}

// Which other streams the work waits for, so that the default stream orders the others.
void order_by_default_stream(Driver& driver, Stream& stream, Work& work) {
  const auto after = [&](const Stream& other) {
    if (other.submitted == 0) return;
    work.after.push_back(other.last());
    work.clock.merge(other.clock);
  };
  if (stream.legacy) {
    work.clock.merge(stream.context->ended_blocking);
    for (const auto& [id, other] : driver.streams) {
      if (other.get() != &stream && other->context == stream.context &&
          (other->flags & CU_STREAM_NON_BLOCKING) == 0)
        after(*other);
    }
  } else if ((stream.flags & CU_STREAM_NON_BLOCKING) == 0 && stream.context->legacy != nullptr) {
    after(*stream.context->legacy);
  }
}

}  // namespace

std::shared_ptr<Stream> make_stream(Driver& driver, const std::shared_ptr<Context>& context, unsigned flags,
                                    int priority) {
  auto stream = std::make_shared<Stream>();
  stream->id = new_id();
  stream->context = context;
  stream->flags = flags;
  stream->priority = priority;
  stream->random = driver.configuration.seed * 0x9e3779b97f4a7c15U + driver.streams.size();
  driver.streams.emplace(stream->id, stream);
  return stream;
}

std::shared_ptr<Stream> find_stream(Call& call, CUstream handle) {
  if (handle == nullptr && this_thread().own_default) handle = CU_STREAM_PER_THREAD;
  if (handle == nullptr || handle == CU_STREAM_LEGACY) {
    if (call.context == nullptr) return nullptr;
    std::shared_ptr<Stream>& legacy = call.context->legacy;
    if (legacy == nullptr) {
      legacy = make_stream(call.driver, call.context, 0, 0);
      legacy->legacy = true;
    }
    return legacy;
  }
  if (handle == CU_STREAM_PER_THREAD) {
    if (call.context == nullptr) return nullptr;
    std::shared_ptr<Stream>& own = call.context->per_thread[this_thread().id];
    if (own == nullptr) own = make_stream(call.driver, call.context, 0, 0);
    return own;
  }
  const auto found = call.driver.streams.find(id_of(handle));
  return found != call.driver.streams.end() && !found->second->closing ? found->second : nullptr;
}

Point submit(Call& call, Stream& stream, Work work) {
  Driver& driver = call.driver;
  const Point point{stream.id, stream.submitted + 1};
  work.late = call.late;
  work.number = point.number;
  work.clock.merge(stream.clock);
  work.clock.merge(driver.host);
  order_by_default_stream(driver, stream, work);
  work.clock.raise(point);
  if (!stream.started) {
    const std::shared_ptr<Stream> self = driver.streams.at(stream.id);
    std::thread([&driver, self] { serve(driver, self); }).detach();
    stream.started = true;
    ++driver.threads;
  }
  for (const Touch& touch : work.touches) {
    for (Region* region : driver.space.regions_in(touch.begin, touch.size))
      region->uses[stream.id] = {point.number, work.name};
  }
  Clock after = work.clock;
  stream.queue.push_back(std::move(work));
  stream.clock = std::move(after);
  stream.submitted = point.number;
  machine().changed.notify_all();
  return point;
}

bool is_over(const Driver& driver, Point point) {
  const auto found = driver.streams.find(point.stream);
  return found == driver.streams.end() || found->second->completed >= point.number;
}

CUresult await(Call& call, const Stream& stream) {
  const Clock clock = stream.clock;
  return await(call, stream.last(), clock);
}

CUresult await(Call& call, Point point, const Clock& clock) {
  const std::shared_ptr<Context> context = call.context;
  machine().changed.wait(call.lock, [&] { return is_over(call.driver, point); });
  call.driver.host.merge(clock);
  return context != nullptr ? error_of(call.driver, *context) : CUDA_SUCCESS;
}

CUresult await_context(Call& call, const std::shared_ptr<Context>& context) {
  std::vector<std::shared_ptr<Stream>> streams;
  for (const auto& [id, stream] : call.driver.streams)
    if (stream->context == context) streams.push_back(stream);
  for (const auto& stream : streams)
    (void)await(call, *stream);
  const Clock ended = std::exchange(context->ended, {});
  call.driver.host.merge(ended);
  for (const std::uint64_t id : std::exchange(context->gone, {}))
    forget_stream(call.driver, id);
  return error_of(call.driver, *context);
}

void forget_stream(Driver& driver, std::uint64_t id) {
  driver.host.forget(id);
  for (auto& [begin, region] : driver.space.regions()) {
    region.uses.erase(id);
    if (region.born.stream == id) region.born = {};
  }
  for (const auto& [other, stream] : driver.streams)
    stream->clock.forget(id);
  for (const auto& [other, event] : driver.events)
    event->clock.forget(id);
  for (const auto& [other, context] : driver.contexts) {
    context->ended.forget(id);
    context->ended_blocking.forget(id);
  }
  for (const auto& [other, pool] : driver.pools) {
    for (Block& block : pool->cached)
      if (block.freed.stream == id) block.freed = {};
  }
}

void close_stream(Driver& driver, const std::shared_ptr<Stream>& stream) {
  stream->closing = true;
  if (!stream->started) driver.streams.erase(stream->id);
  machine().changed.notify_all();
}

}  // namespace vasim::cuda
