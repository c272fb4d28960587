// Stream-ordered memory: what is freed on a stream is reused on that stream at once, and on others when the
// device has passed the free.
//
//   thread ─► stream's cache ─► stream's arena ─► pages bound behind it ─► idle pages ─► the device
//             freed blocks of     addresses of      physical, scattered;      unbound,
//             sizes that come     this stream       one range in front        anybody's
//             again               alone             of them (stitching)
//
// Always true:
//  - Two allocations that are live never overlap. A block freed on a stream goes to that stream alone until
//    an event that was recorded after the free has passed; nothing that a stream may still use is unmapped
//    (C13): its pages may be behind a second address meanwhile, of the same stream.
//  - Pages that stream A has emptied are taken for stream B only after A's event has passed. Events are
//    recorded when somebody wants the memory, not when it is freed.
//  - A request is refused for lack of memory only where the pages are not there: what any stream has parked,
//    emptied or pooled is collected before, and waited for.
//  - A call that fails has changed nothing but, perhaps, what is cached (R7). In the steady state allocate
//    and free of device memory make no driver call.
//  - Error::native holds the CUresult: the driver's, or the one that the driver would give; 0 where neither
//    is: suspended memory, too many streams, no host memory, a configuration.
//
//  - Pinned memory is written by the host, which no stream orders: what is freed is given to nobody, on the
//    same stream neither, before all that was put on the stream until then is done.
//
// A free orders nothing by itself: it says that all use of the memory has been put on the stream before. An
// allocation counts as a use of its stream.
// CU_STREAM_LEGACY is nullptr, the device's own default stream; CU_STREAM_PER_THREAD is not_supported
// wherever a stream is asked for. Streams are of the device's primary context: others are invalid_argument
// where they would get a pool.
#pragma once

#include <optional>

#include "vaspace/arena/size_class.hpp"
#include "vaspace/backends/cuda.hpp"
#include "vaspace/base/host_object.hpp"

namespace vaspace::cuda {

enum class MemoryKind : std::uint8_t {
  device,  // pages of the device's memory
  pinned   // host memory that the device reaches at its own address
};

struct StreamConfig {
  MemoryKind kind = MemoryKind::device;
  std::span<const SizeClass> classes = kStandardSizeClasses;  // of each stream's arena
  Bytes page_size{};                                          // one that the device offers; 0: the smallest
  std::uint32_t max_pools = 256;  // streams that are not released, counted once per tag that is used on them
  // What each stream may keep parked in its cache: so many bytes and 1/256 of what is live on it.
  Bytes park{};  // 0: half a page
  HostAllocator host = default_host_allocator();
};

// Memory of one tag can be suspended alone: it has pages of its own. 0 is no tag.
using Tag = std::uint32_t;

struct StreamRequest {
  Bytes size{};
  Alignment alignment{256};
  Tag tag = 0;
};

enum class Suspend : std::uint8_t {
  offload,  // contents go to host memory and come back
  discard   // contents are lost; what is resumed is fresh memory
};

struct StreamReport {
  std::uint64_t live_allocations = 0;
  Bytes live{};       // asked for
  Bytes physical{};   // held from the device: bound, or idle
  Bytes idle{};       // part of it: bound nowhere
  Bytes parked{};     // in caches of streams: neither live nor anybody else's
  Bytes waiting{};    // freed on a stream that it was not allocated on, whose event has not passed
  Bytes suspended{};  // of pages that have no memory now
  std::uint32_t pools = 0;
};

// Thread-safe: any thread may use any stream. Cost in the steady state: one short lock per stream and call.
class StreamAllocator {
 public:
  // `backend` outlives the allocator. Errors: invalid_configuration, out_of_host_memory.
  [[nodiscard]] static Result<HostObject<StreamAllocator>> create(Backend& backend,
                                                                  const StreamConfig& config = {}) noexcept;

  class State;
  explicit StreamAllocator(HostObject<State> state) noexcept;  // create() makes them
  StreamAllocator(const StreamAllocator&) = delete;
  StreamAllocator& operator=(const StreamAllocator&) = delete;
  // Waits for the device and gives everything back; what is still live is gone. Where the device does not say
  // that it is idle, mappings are left to the backend, and pinned memory stays.
  ~StreamAllocator();

  // Errors: invalid_size, invalid_alignment, too_large, out_of_device_memory, out_of_address_space,
  // out_of_host_memory, out_of_space (more streams than max_pools), wrong_state (the stream was released, or
  // the memory of this tag is suspended), invalid_argument (another context's stream), not_supported
  // (CU_STREAM_PER_THREAD), or what the driver said.
  [[nodiscard]] Result<Address> allocate(const StreamRequest& request, Stream stream) noexcept;
  [[nodiscard]] Result<Address> allocate(Bytes size, Stream stream) noexcept {
    return allocate(StreamRequest{.size = size}, stream);
  }
  // Never waits, never calls the driver, needs no host memory and none of max_pools, whichever stream it is:
  // one on which nothing was allocated is waited for itself where it gets no pool. Errors, and nothing has
  // changed: unknown_address (never given out, or freed already), interior_address, wrong_state (the stream
  // was released), not_supported.
  [[nodiscard]] Result<void> free(Address address, Stream stream) noexcept;
  // The memory is used on this stream too. Whatever is freed then goes back only when the stream has passed
  // all that was put on it until somebody wanted the memory; once is enough per allocation and stream. A
  // stream of another device or context, and one that gets no pool, is asked itself then, and stays until
  // the memory has come home. Errors, and nothing has changed: unknown_address, wrong_state (the stream was
  // released), not_supported, out_of_host_memory, invalid_argument (no such stream).
  [[nodiscard]] Result<void> record_stream(Address address, Stream stream) noexcept;
  // What was asked for. Errors: unknown_address.
  [[nodiscard]] Result<Bytes> size_of(Address address) const noexcept;

  // Before the stream is destroyed. What was freed on it is everybody's once the stream's last event has
  // passed; what is live on it stays valid and is freed on another stream. Using the stream again is
  // wrong_state until add_stream(), for the driver may give its number to a new one; a small record of each
  // remembers that. One on which memory was only freed is waited for. What it leaves is the next new
  // stream's, which begins behind its last event where that has not passed and no pool is left. Errors:
  // unknown_handle (no memory of it here), out_of_host_memory, or what the driver said: then the stream is
  // not released.
  [[nodiscard]] Result<void> release_stream(Stream stream) noexcept;
  // Only needed for a stream whose number was released before, and before it is used: it begins then behind
  // what was put on the released one. Errors: out_of_space, out_of_host_memory, or what the driver said; then
  // it is as before.
  [[nodiscard]] Result<void> add_stream(Stream stream) noexcept;

  // Takes the physical memory away from all memory, or from that of one tag, and gives it back to the device:
  // addresses stay. Waits for the device's streams; what other devices do in the memory (C7) is over. Until
  // resume() the memory must not be used; freeing it is legal, allocating with that tag is wrong_state, on
  // streams that are new too. Errors: wrong_state (suspended already, or no memory has the tag),
  // not_supported (pinned memory), out_of_host_memory, or what the driver said; then nothing is suspended.
  [[nodiscard]] Result<void> suspend(Suspend how, std::optional<Tag> tag = std::nullopt) noexcept;
  // The same addresses hold the same bytes, or fresh memory. With a tag: that tag's memory, however it was
  // suspended; without: all that is suspended. Errors: wrong_state (not suspended),
  // out_of_device_memory, or what the driver said; then all that was suspended is.
  [[nodiscard]] Result<void> resume(std::optional<Tag> tag = std::nullopt) noexcept;

  // Gives back to the device what nobody uses: what streams have emptied and are past, and idle pages. With
  // `wait`, waits for the streams first.
  void trim(bool wait = false) noexcept;

  [[nodiscard]] StreamReport report() const noexcept;
  // Checks what can be checked while no call is under way; nullptr, or what is wrong.
  [[nodiscard]] const char* validate() const noexcept;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::cuda
