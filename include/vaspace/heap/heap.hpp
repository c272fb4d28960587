// The API-neutral heap: memory requirements and an intent in, {memory object, offset, address, mapped} out.
//
//   small     ─► an arena allocator per (memory type, kind, traits); no lock in steady state
//   larger    ─► best fit over the blocks of (memory type, traits), 4 MiB growing to an eighth of the heap
//   dedicated ─► a memory object of its own: asked for, exported, or above half of the largest block
//
// Always true:
//  - Live allocations never overlap, lie at their alignment (V7), in memory of a type whose bit is set in
//    their requirements (V6). Resources of different kinds never share a page of bufferImageGranularity (V1,
//    V2); in non-coherent memory no two allocations share an atom (V13); what needs a device address lies in
//    memory that has one (V9).
//  - Every byte from the device passes one gate, which keeps the count of memory objects (V4), their size
//    (V5) and the budget (V16). The driver is asked for a budget after 32 changes and before a request is
//    refused; nothing else keeps a reading.
//  - An allocate that fails has changed nothing but that unused memory may have been given back (R7). free
//    neither fails nor asks for host memory nor calls the driver; collect, trim and the destructor give back.
//  - What was retired is nobody's until all of its points have passed; then collect frees it.
//  - The same calls give the same placement on every run (R9), as far as the backend's answers are the same.
//
// Where the backend binds pages (capabilities.bind), every allocation is an arena allocator's, its addresses
// keep, and what is said of blocks does not apply: pools, dedicated memory, import and moves are
// not_supported.
//
// Thread-safety: ThreadSafe: any thread may call anything but the destructor and the moves (T1). No driver
// call is made under a lock that another thread's allocate or free of small things needs (T2).
#pragma once

#include <optional>
#include <span>

#include "vaspace/arena/lock_policy.hpp"
#include "vaspace/arena/size_class.hpp"
#include "vaspace/base/host_object.hpp"
#include "vaspace/base/misuse.hpp"
#include "vaspace/heap/defragmentation.hpp"
#include "vaspace/heap/heap_allocation.hpp"
#include "vaspace/heap/heap_report.hpp"
#include "vaspace/heap/pool.hpp"

namespace vaspace {

// What was still allocated when its heap was destroyed.
struct HeapLeakHandler {
  void* user = nullptr;
  // nullptr: the first sixteen are printed on standard error, by name, and how many there are in all.
  void (*on_leak)(void* user, const HeapAllocationInfo& leaked) noexcept = nullptr;
};

// Where a heap asks how far the device is. Without one it asks Backend::completed.
struct TimelineReader {
  void* user = nullptr;
  Result<bool> (*completed)(void* user, TimelinePoint point) noexcept = nullptr;
};

// Who holds memory through a heap that nobody uses just now: asked to let go of it before a request is
// refused, passes the budget or gets a worse memory type. Called on the thread of that request, with no lock
// held; it may free, not allocate.
struct PressureHandler {
  void* user = nullptr;
  void (*give_back)(void* user) noexcept = nullptr;
};

struct HeapGuards {
  // Behind every allocation, filled with a pattern where the host sees the memory, and looked at by
  // check_corruption() and when it is freed. Rounded up to 16. 0: none.
  Bytes margin{};
  // Memory that is mapped is filled with 0xCD when it is handed out and with 0xDD when it comes back.
  bool fill = false;
};

struct HeapConfig {
  // Of the device; powers of two. The granularity is at most 64 KiB (or blocks are shared by one kind only,
  // whatever it is), the atom too.
  Alignment buffer_image_granularity{1};
  Alignment non_coherent_atom{1};
  TypeRules rules{};
  bool export_needs_dedicated = false;  // exporting wants memory dedicated to its resource (V18)
  // Up to this an allocation is an arena allocator's: no lock, no driver call, in steady state.
  Bytes small = 64_KiB;
  // Blocks: the first of each kind, and the largest. 0: 4 MiB and an eighth of the heap, at most 256 MiB;
  // both less on small heaps.
  Bytes first_block{};
  Bytes largest_block{};
  // What collect leaves of empty blocks, per memory type and traits: so much, and so many percent of what is
  // used there.
  Bytes keep = 4_MiB;
  std::uint32_t keep_percent = 25;
  // A preferred dedicated allocation gets its own memory object from this size on. 0: a sixteenth of the
  // largest block.
  Bytes dedicated_from{};
  // Below what the device says, where not 0: bytes by heap, and memory objects.
  std::array<Bytes, kMaxHeaps> heap_limits{};
  std::uint64_t max_memory_objects = 0;
  TimelineReader timelines{};
  PressureHandler on_pressure{};
  HeapGuards guards{};
  HostAllocator host = default_host_allocator();
  MisuseHandler on_misuse{};
  HeapLeakHandler on_leak{};
};

struct MappedRange {
  HeapAllocation allocation{};
  Bytes offset{};
  Bytes size = kMaxBytes;  // kMaxBytes: to its end
};

struct ImportRequest {
  Bytes size{};                   // the exporter's, of the whole memory object (V17)
  std::uint32_t memory_type = 0;  // the exporter's (V17)
  DedicatedResource resource{};
  bool device_address = false;
  std::string_view name{};
  std::uint64_t user_data = 0;
};

struct HostPointerRequest {
  void* pointer = nullptr;
  Bytes size{};
  // Beside what the driver says of the pointer: of the resource that is to lie there.
  std::uint32_t memory_type_bits = ~0U;
  Intent intent = Intent::upload;  // chooses among the types that are left
  bool device_address = false;
  BudgetPolicy budget = BudgetPolicy::may_exceed;
  std::string_view name{};
  std::uint64_t user_data = 0;
};

template <class Policy>
class HeapCore;

template <class Policy>
class BasicHeap {
 public:
  // `backend` outlives the heap. Errors: invalid_configuration, out_of_host_memory. No driver call is made.
  [[nodiscard]] static Result<BasicHeap> create(Backend& backend, const HeapConfig& config = {}) noexcept;

  // What is moved from can only be destroyed or assigned to (R10).
  BasicHeap(BasicHeap&& other) noexcept;
  BasicHeap& operator=(BasicHeap&& other) noexcept;
  BasicHeap(const BasicHeap&) = delete;
  BasicHeap& operator=(const BasicHeap&) = delete;
  // Gives everything back, what is retired too: the device is done. What is still live is told to on_leak.
  ~BasicHeap();

  // Tries the types that choose_memory_types ranks, best first (of whose heap what is unused is given back
  // before the next is tried), then once more after giving back all that is
  // unused. Errors: invalid_size, invalid_alignment, invalid_argument (type bits that name no type, a
  // priority outside [0, 1], a dedicated resource without a handle, contradictions), not_supported (no type
  // has what is needed; a feature that is not on), too_large, out_of_device_memory (device or budget),
  // out_of_address_space (V4), out_of_host_memory, unknown_handle (the pool), or what the driver said.
  [[nodiscard]] Result<HeapAllocation> allocate(const HeapRequest& request) noexcept;
  // The same with these requirements instead of the request's.
  [[nodiscard]] Result<HeapAllocation> allocate(const MemoryRequirements& needs,
                                                const HeapRequest& request) noexcept;
  // All or none. Errors: as allocate; invalid_argument where the spans differ in length.
  [[nodiscard]] Result<void> allocate(std::span<const HeapRequest> requests,
                                      std::span<HeapAllocation> out) noexcept;

  // The device is done with it. A handle that is not live is told to on_misuse and nothing changes (R6); so
  // is one that was retired.
  void free(const HeapAllocation& allocation) noexcept;
  void free(std::span<const HeapAllocation> allocations) noexcept;
  // Errors: unknown_handle, stale_handle.
  [[nodiscard]] Result<void> try_free(const HeapAllocation& allocation) noexcept;
  // As free, but what on_misuse would be told is answered: for a caller with a lock that the handler may
  // want, who tells it afterwards.
  [[nodiscard]] std::optional<Misuse> free_silently(const HeapAllocation& allocation) noexcept;

  // Frees it once all of `points` have passed: in a later collect, never here. Errors: out_of_host_memory (it
  // is still the caller's), unknown_handle, stale_handle (freed or retired already; that a small allocation
  // was freed before it was retired is found, and told to on_misuse, in collect).
  [[nodiscard]] Result<void> retire(const HeapAllocation& allocation,
                                    std::span<const TimelinePoint> points) noexcept;
  // Frees what was retired and has passed; gives back empty blocks above what is kept, and what the driver
  // refused earlier. Never waits for the device. Asks the backend once per timeline that something waits for,
  // more often only where one lags by more than a few points.
  void collect() noexcept;
  // Gives back all that is unused, and asks nothing of what waits: what an allocate that fails leaves, for
  // who makes more of an allocation and has to take that back too (R7).
  void give_back_unused() noexcept;
  // Gives back all that is unused, while more than `target` bytes are held from the device; what is held
  // then.
  Bytes trim(Bytes target = {}) noexcept;
  // The same for one heap of the device. Errors: invalid_argument.
  [[nodiscard]] Result<Bytes> trim_heap(std::uint32_t heap, Bytes target = {}) noexcept;

  // Host access. A request with `mapping` is mapped as long as it lives, and `mapped` is where. Otherwise map
  // and unmap, which count: a block is mapped once, whoever asks (V10). Errors: not_supported (V11),
  // unknown_handle, stale_handle, wrong_state (unmap of what is not mapped), or the driver's.
  [[nodiscard]] Result<std::byte*> map(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] Result<void> unmap(const HeapAllocation& allocation) noexcept;
  // Host writes become visible to the device, device writes to the host; nothing to do where memory is
  // coherent. Widened to whole atoms, which nobody else's bytes are in (V12, V13). Neighbouring ranges of a
  // batch become one call. Errors: invalid_argument (outside the allocation), wrong_state (not mapped), or
  // the driver's; of a batch the first, and those behind it are not done.
  [[nodiscard]] Result<void> flush(const HeapAllocation& allocation, Bytes offset = {},
                                   Bytes size = kMaxBytes) noexcept;
  [[nodiscard]] Result<void> invalidate(const HeapAllocation& allocation, Bytes offset = {},
                                        Bytes size = kMaxBytes) noexcept;
  [[nodiscard]] Result<void> flush(std::span<const MappedRange> ranges) noexcept;
  [[nodiscard]] Result<void> invalidate(std::span<const MappedRange> ranges) noexcept;

  // Another handle to the same memory, which goes back when all of them are freed. Errors: not_supported (it
  // was not allocated as aliasable, or is dedicated to a resource), unknown_handle, stale_handle,
  // out_of_host_memory.
  [[nodiscard]] Result<HeapAllocation> alias(const HeapAllocation& allocation) noexcept;
  // The same for what is to lie there: of `wanted` the name, user data and mapping are taken, and its
  // requirements, and what it says of coherence, device addresses, exporting, dedication and moving, are held
  // against the memory. Errors: also invalid_argument (size, alignment or type do not fit), not_supported
  // (the memory cannot), or the driver's, where it is to be mapped.
  [[nodiscard]] Result<HeapAllocation> alias(const HeapAllocation& allocation,
                                             const HeapRequest& wanted) noexcept;
  // The whole memory object. The fd is the caller's; the other process needs the object's size and type,
  // which are those of the answer of `export_request`. Errors: not_supported (not exportable), or the
  // driver's.
  [[nodiscard]] Result<ExternalHandle> export_memory(const HeapAllocation& allocation) noexcept;
  // What the importer passes on.
  [[nodiscard]] Result<ImportRequest> export_request(const HeapAllocation& allocation) const noexcept;
  // Takes the handle only when it succeeds. Errors: invalid_size, invalid_argument, not_supported, as
  // allocate.
  [[nodiscard]] Result<HeapAllocation> import_memory(const ImportRequest& request,
                                                     ExternalHandle handle) noexcept;

  // Memory that is the host's (`pointer` stays the caller's and outlives the allocation), as a memory object
  // of its own that may be aliased. Errors: invalid_alignment and invalid_size (V17: pointer and size are
  // multiples of Backend::host_pointer_alignment()), invalid_argument (null), not_supported (the device
  // cannot; no memory type is both the pointer's and the request's), as allocate.
  [[nodiscard]] Result<HeapAllocation> import_host_pointer(const HostPointerRequest& request) noexcept;

  // For who takes memory from the same device by himself, a memory object at a time, and wants it held to the
  // budget with this heap's, and reported: enter_guest before the driver is asked, then guest_step for what
  // has become of it. Errors: as allocate's of budget and V4; invalid_argument (no such type).
  [[nodiscard]] Result<void> enter_guest(std::uint32_t memory_type, Bytes size, BudgetPolicy policy) noexcept;
  void guest_step(std::uint32_t memory_type, Bytes size, GuestStep step) noexcept;

  // Errors: invalid_configuration, as choose_memory_types, out_of_host_memory; linear and ring take their
  // block at once: as allocate.
  [[nodiscard]] Result<PoolId> create_pool(const PoolConfig& config) noexcept;
  // Errors: unknown_handle, stale_handle, wrong_state (something lives in it).
  [[nodiscard]] Result<void> destroy_pool(PoolId pool) noexcept;
  [[nodiscard]] Result<PoolReport> report(PoolId pool) const noexcept;

  // Errors of all: unknown_handle, stale_handle. Pinned allocations are not moved; pins count, but of what is
  // never moved anyway because it is small. A pin, as a map(), cancels the move that its allocation is in.
  [[nodiscard]] Result<void> pin(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] Result<void> unpin(const HeapAllocation& allocation) noexcept;  // also wrong_state
  // Fills `out` from the front; how many. 0: there is nothing left to gain by moves that may be planned now;
  // MoveBudget::more_left says whether others may be. Errors: out_of_host_memory.
  [[nodiscard]] Result<std::uint32_t> plan_moves(const MoveBudget& budget, std::span<Move> out) noexcept;
  // The copy is done, or will be before anybody uses the destination; the source is taken back once `points`
  // have passed (none: at once). The allocation as it is now; a default one where the move was cancelled: it
  // was freed or retired meanwhile, or it was mapped or pinned, and is where it was. The move is ended then
  // too. Errors: unknown_handle (no such move), out_of_host_memory (the move is still open).
  [[nodiscard]] Result<HeapAllocation> commit_move(const Move& move,
                                                   std::span<const TimelinePoint> points = {}) noexcept;
  // `points`: until then the device may still write the destination. Errors: as commit_move.
  [[nodiscard]] Result<void> abandon_move(const Move& move,
                                          std::span<const TimelinePoint> points = {}) noexcept;

  // Errors: unknown_handle, stale_handle.
  [[nodiscard]] Result<HeapAllocationInfo> find(const HeapAllocation& allocation) const noexcept;
  // Room that a request within budget has, by the gate's present estimate. Errors: invalid_argument.
  [[nodiscard]] Result<HeapBudget> budget(std::uint32_t heap) noexcept;
  // The memory types for a request, best first, as allocate would try them. Errors: as choose_memory_types.
  [[nodiscard]] Result<TypeRanking> choose(const HeapRequest& request) const noexcept;
  [[nodiscard]] const HeapConfig& config() const noexcept;
  [[nodiscard]] Backend& backend() const noexcept;

  // Cheap enough for every frame: sums over what is known anyway, no driver call. Places that are kept for
  // the next of their size are given back first.
  [[nodiscard]] HeapReport report() const noexcept;
  // Calls visit for every live allocation; it must not call back. O(everything), under locks.
  void for_each(void (*visit)(void* user, const HeapAllocationInfo& info) noexcept,
                void* user) const noexcept;
  // As JSON, by the schema in docs/heap.md: figures, and with `detailed` every block and allocation, by name.
  // Errors: io_error (the sink gave up).
  [[nodiscard]] Result<void> write_json(const TextSink& sink, bool detailed) const noexcept;
  // The first allocation whose margin was overwritten; none: a default one. not_supported without margins.
  [[nodiscard]] Result<HeapAllocationInfo> check_corruption() const noexcept;
  // Checks what can be checked while no call is under way; nullptr, or what is wrong. O(everything).
  [[nodiscard]] const char* validate() const noexcept;

 private:
  explicit BasicHeap(HostObject<HeapCore<Policy>> core) noexcept;

  HostObject<HeapCore<Policy>> core_;
};

using Heap = BasicHeap<ThreadSafe>;
using SingleThreadedHeap = BasicHeap<SingleThreaded>;
extern template class BasicHeap<ThreadSafe>;
extern template class BasicHeap<SingleThreaded>;

}  // namespace vaspace
