#include "vaspace/trace/recorder.hpp"

#include <array>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "vaspace/trace/writer.hpp"

#include "failing.hpp"

namespace vaspace::trace {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kOtherThreads = 255;

}  // namespace

struct Recorder::State {
  // Threads by the order in which they are first heard.
  class Threads {
   public:
    [[nodiscard]] std::uint32_t number_of(std::thread::id thread) noexcept {
      for (std::uint32_t i = 0; i < count_; ++i) {
        if (known_[i] == thread) return i;
      }
      if (count_ == kOtherThreads) return kOtherThreads;
      known_[count_] = thread;
      return count_++;
    }

   private:
    std::array<std::thread::id, kOtherThreads> known_{};
    std::uint32_t count_ = 0;
  };

  explicit State(Writer to) noexcept : writer(std::move(to)) {}

  static void hear(void* user, const Event& event) noexcept;
  void write(Row row) noexcept;

  std::mutex mutex;
  Writer writer;
  Threads threads;
  Clock::time_point start = Clock::now();
  std::uint64_t frames = 0;
};

// The clock is read under the lock, so that times follow the order of the rows.
void Recorder::State::write(Row row) noexcept {
  const std::lock_guard lock(mutex);
  if (row.op == Op::frame) row.id = ++frames;
  const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start);
  row.t_ns = static_cast<std::uint64_t>(elapsed.count());
  row.thread = threads.number_of(std::this_thread::get_id());
  (void)writer.write(row);  // a failure stays in the writer until close()
}

void Recorder::State::hear(void* user, const Event& event) noexcept {
  if (event.kind != EventKind::allocate && event.kind != EventKind::free) return;
  static_cast<State*>(user)->write({.id = event.id,
                                    .size = event.size.value,
                                    .alignment = 0,
                                    .op = event.kind == EventKind::allocate ? Op::alloc : Op::free,
                                    .kind = Kind::memory});
}

Recorder::Recorder(HostObject<State> state) noexcept : state_(std::move(state)) {}
Recorder::Recorder(Recorder&&) noexcept = default;
Recorder& Recorder::operator=(Recorder&&) noexcept = default;
Recorder::~Recorder() = default;

Expected<Recorder> Recorder::create(const char* path, const HostAllocator& host) noexcept {
  Expected<Writer> writer = Writer::create(path, host);
  if (!writer) return tl::unexpected(writer.error());
  auto state = make_host_object<State>(host, std::move(*writer));
  if (!state) return tl::unexpected(out_of_memory(0));
  return Recorder(std::move(state));
}

Observer Recorder::observer() noexcept {
  return {state_.get(), &State::hear};
}

void Recorder::frame() noexcept {
  state_->write({.alignment = 0, .op = Op::frame, .kind = Kind::present});
}

Expected<void> Recorder::close() noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->writer.close();
}

}  // namespace vaspace::trace
