// The device heap of a renderer: buffers, images and ranges of shared buffers, each created, given memory and
// bound in one call.
//
//   create_buffer, create_image ─► vkCreate*, requirements, memory from vaspace::Heap, vkBind*     (blocks)
//   alloc_buffer                ─► a range of a large shared VkBuffer, by usage: no driver call in steady
//   state
//                                  device-local ones lie in sparse buffers where the device has them
//   retire(resource, points)    ─► destroyed by a later collect(), once the device is past the points
//
// Always true:
//  - A call that fails has left nothing behind: no handle, no memory, no name (R7). Its Error has the
//    VkResult.
//  - What the driver requires is obeyed: memory types (V6), alignments (V7), dedicated memory (V8), device
//    address flags (V9), bufferImageGranularity (V1, V2), atoms (V12, V13), limits (V4, V5), budgets (V16).
//  - A feature that the device was not created with is never used: not_supported, and missing_feature() and
//    the refusal handler name it.
//  - Resources are destroyed before their heap.
//
// Any thread may call anything (T1); the moves are one thread's at a time. No driver call is made under a
// lock that another thread's alloc_buffer needs (T2).
#pragma once

#include "vaspace/frontends/vulkan/resource.hpp"
#include "vaspace/heap/heap.hpp"

namespace vaspace::vulkan {

// What a call of the heap refused, but for reports and what memory() is asked, for a log. Called on the
// thread whose call it was, never under a lock.
struct Refusal {
  Error error{};
  const char* function = "";  // for example "Heap::create_buffer"
  const char* driver = "";    // the driver's function that refused; "" where none did
  const char* feature = "";   // what the device would have to be created with; "" where that is not it
  std::string_view name{};    // of the resource
};

struct RefusalHandler {
  void* user = nullptr;
  void (*on_refusal)(void* user, const Refusal& refusal) noexcept = nullptr;
};

struct HeapConfig {
  // The limits and rules of the device are filled in; `host` is taken for everything. `on_pressure` is called
  // after the heap's own, which gives back what sub-buffers hold unused. `timelines` is asked of points that
  // are on none of add_timeline()'s: those of memory().retire(), not of resources.
  vaspace::HeapConfig memory{};
  // Queues for sparse sub-buffers; a null queue, or a device without sparseResidencyBuffer: they lie in
  // blocks.
  Queue sparse{};
  Queue transfer{};
  // Queue families that use shared buffers. Two or more: concurrently.
  std::span<const std::uint32_t> families{};
  Bytes sparse_page = 64_KiB;
  // What collect() leaves of empty pages behind sub-buffers, per pool: so much, and so many percent of what
  // lives.
  Bytes sub_buffer_retain = 2_MiB;
  std::uint32_t sub_buffer_retain_percent = 1;
  RefusalHandler on_refusal{};
};

// A copy to record, and what to do about it: see Heap::plan_moves.
struct ResourceMove {
  enum class Kind : std::uint8_t { buffer, image };

  Kind kind = Kind::buffer;
  VkBuffer source_buffer{}, destination_buffer{};
  VkImage source_image{}, destination_image{};  // the destination is in its initial layout
  Bytes size{};                                 // of a buffer, all of it
  std::uint64_t user_data = 0;                  // the request's
  vaspace::Move move{};
  std::uint32_t record = 0;
};

// Bytes that the host sees: of a buffer or sub-buffer, or of an image of linear tiling.
struct HostSpan {
  const Buffer* buffer = nullptr;  // one of the two
  const Image* image = nullptr;
  Bytes offset{};
  Bytes size = kMaxBytes;  // kMaxBytes: to its end
};

struct HeapReport {
  vaspace::HeapReport memory{};
  std::uint64_t buffers = 0;  // created by create_buffer and alive, or retired
  std::uint64_t images = 0;
  std::uint64_t retired = 0;
  std::uint32_t sub_buffer_pools = 0;
  std::uint64_t sub_buffers = 0;
  Bytes sub_buffer_live{};       // asked for
  Bytes sub_buffer_committed{};  // memory behind them
  Bytes sparse_held{};           // of it, memory objects of sparse buffers
  // Calls of the driver so far, beside those that `memory` and create_buffer have: vkFreeMemory of pages of
  // sparse buffers (memory.guest_reserves has their vkAllocateMemory), and vkCreateBuffer for sub-buffers to
  // lie in, sparse ones too.
  std::uint64_t sparse_releases = 0;
  std::uint64_t shared_buffers_created = 0;
};

struct SubBufferPoolReport {
  std::uint32_t usage = 0;  // VkBufferUsageFlags, of all buffers in it
  Intent intent = Intent::device;
  Mapping mapping = Mapping::none;
  bool coherent = false;
  bool sparse = false;  // pages behind sparse buffers; else blocks of the heap
  std::uint64_t sub_buffers = 0;
  Bytes live{};       // asked for
  Bytes used{};       // handed out for it
  Bytes reserved{};   // address space of its buffers
  Bytes committed{};  // memory behind them
  Bytes held{};       // memory objects that it comes from; where it is not sparse, committed
  std::uint64_t lock_acquisitions = 0;  // by all threads, so far
};

class Heap {
 public:
  // `backend` outlives the heap. Errors: invalid_configuration, out_of_host_memory, driver_error (a function
  // is missing).
  [[nodiscard]] static Result<Heap> create(Backend& backend, const HeapConfig& config = {}) noexcept;
  // What is moved from can only be destroyed or assigned to (R10). Resources stay what they are.
  Heap(Heap&& other) noexcept;
  Heap& operator=(Heap&& other) noexcept;
  // The device is done: what was retired is destroyed.
  ~Heap();

  // ---- resources

  // Errors: invalid_size, invalid_argument (a request that contradicts itself, alias_of memory that does not
  // fit), not_supported (missing_feature() says which; SPARSE and CAPTURE_REPLAY flags; an address that is
  // not aligned as asked for; an image that cannot be exported), and those of vaspace::Heap::allocate and of
  // the driver. Intent::protected_device sets the PROTECTED flag.
  [[nodiscard]] Result<Buffer> create_buffer(const BufferRequest& request) noexcept;
  [[nodiscard]] Result<Image> create_image(const ImageRequest& request) noexcept;
  // A range of a shared buffer whose usage has all of the request's. A buffer of its own, made as the shared
  // ones are, above 16 MiB where they are not sparse; where what shares buffers has no room and the heap has;
  // and beyond 32 pools. size, usage, intent, mapping, coherent, alignment and budget count, and name and
  // user data, which reports show. An address is aligned as the offset is. Memory behind a new buffer or page
  // passes the heap's gate (V16). Errors: as create_buffer, and not_supported for what a shared buffer cannot
  // be: flags, queue families that are not HeapConfig's, exportable, movable, aliasable, alias_of, dedicated,
  // a pool, a priority of its own, `next`.
  [[nodiscard]] Result<Buffer> alloc_buffer(const BufferRequest& request) noexcept;
  [[nodiscard]] Result<Buffer> alloc_buffer(Bytes size, std::uint32_t usage) noexcept {
    return alloc_buffer({.size = size, .usage = usage});
  }

  // In the order of the requests, all or none. `out` is as long and of empty ones. Errors: as of one.
  [[nodiscard]] Result<void> create_buffers(std::span<const BufferRequest> requests,
                                            std::span<Buffer> out) noexcept;
  [[nodiscard]] Result<void> create_images(std::span<const ImageRequest> requests,
                                           std::span<Image> out) noexcept;
  [[nodiscard]] Result<void> alloc_buffers(std::span<const BufferRequest> requests,
                                           std::span<Buffer> out) noexcept;

  // Memory alone, for resources that the caller makes; given back by free(). Size, alignment and memory
  // types are the requirements', all else, the dedicated wish too, is `wish`'s. Its `kind` says what will lie
  // there (V1): `unknown`, which is right for all, where the wish does not say; `optimal` is for images of
  // optimal tiling, `linear` for buffers and linear images.
  [[nodiscard]] Result<HeapAllocation> allocate(const VkMemoryRequirements& requirements,
                                                const vaspace::HeapRequest& wish = {
                                                    .kind = ResourceKind::unknown}) noexcept;
  void free(const HeapAllocation& memory) noexcept;
  // Errors: invalid_argument (the memory is too small, not aligned, of a type that the resource cannot have,
  // V6, V7; where kinds are kept apart, of another kind, V1), stale_handle, the driver's.
  [[nodiscard]] Result<void> bind(VkBuffer buffer, const HeapAllocation& memory) noexcept;
  [[nodiscard]] Result<void> bind(VkImage image, const HeapAllocation& memory,
                                  bool linear_tiling = false) noexcept;

  // The memory types that a resource would be tried in, best first; it is created for that, and destroyed.
  // Errors: as create_buffer and create_image.
  [[nodiscard]] Result<TypeRanking> memory_types(const BufferRequest& request) noexcept;
  [[nodiscard]] Result<TypeRanking> memory_types(const ImageRequest& request) noexcept;

  // The feature or extension that a request needs and the device was not created with; null: none.
  [[nodiscard]] const char* missing_feature(const BufferRequest& request) const noexcept;
  [[nodiscard]] const char* missing_feature(const ImageRequest& request) const noexcept;
  [[nodiscard]] const char* missing_feature(const vaspace::HeapRequest& request) const noexcept;
  // Why sub-buffers lie in blocks though HeapConfig::sparse is a queue; null: they do not, or there is none.
  [[nodiscard]] const char* missing_sparse_feature() const noexcept;

  // As memory() has them; what is not enabled is told by name.
  [[nodiscard]] Result<ExternalHandle> export_memory(const HeapAllocation& memory) noexcept;
  [[nodiscard]] Result<HeapAllocation> import_memory(const ImportRequest& request,
                                                     ExternalHandle handle) noexcept;
  // A buffer is created in it by BufferRequest::alias_of, with a VkExternalMemoryBufferCreateInfo of
  // HOST_ALLOCATION in `next`.
  [[nodiscard]] Result<HeapAllocation> import_host_pointer(const HostPointerRequest& request) noexcept;

  // ---- time

  // Timelines that points are on, at most kMaxTimelines at a time. Errors: as Backend::add_timeline;
  // out_of_space (more of them).
  static constexpr std::size_t kMaxTimelines = 32;
  [[nodiscard]] Result<TimelineId> add_timeline(VkSemaphore semaphore) noexcept;
  // Nothing that is retired waits for it.
  [[nodiscard]] Result<void> forget_timeline(TimelineId timeline) noexcept;
  static constexpr std::size_t kMaxPoints = 4;
  // The resource is empty afterwards. Errors: out_of_host_memory, invalid_argument (more than kMaxPoints, an
  // empty or foreign resource); it is still the caller's then.
  [[nodiscard]] Result<void> retire(Buffer&& buffer, std::span<const TimelinePoint> points) noexcept;
  [[nodiscard]] Result<void> retire(Image&& image, std::span<const TimelinePoint> points) noexcept;
  [[nodiscard]] Result<void> retire(Buffer&& buffer, TimelinePoint point) noexcept {
    return retire(std::move(buffer), {&point, 1});
  }
  [[nodiscard]] Result<void> retire(Image&& image, TimelinePoint point) noexcept {
    return retire(std::move(image), {&point, 1});
  }
  // In this order; where one is refused, those before it are retired, and it and those behind it are still
  // the caller's. A foreign or empty one, or bad points: none is.
  [[nodiscard]] Result<void> retire(std::span<Buffer> buffers,
                                    std::span<const TimelinePoint> points) noexcept;
  [[nodiscard]] Result<void> retire(std::span<Image> images, std::span<const TimelinePoint> points) noexcept;
  // Destroys what was retired and has passed, and takes a bounded step of giving memory back. Once a frame.
  void collect() noexcept;
  // Gives back what is unused, while more than `target` bytes are held from the device, sparse pages too;
  // what is held then. Sub-buffers' pages go last.
  Bytes trim(Bytes target = {}) noexcept;
  // The same for one heap of the device. Errors: invalid_argument.
  [[nodiscard]] Result<Bytes> trim_heap(std::uint32_t heap, Bytes target = {}) noexcept;

  // ---- host access

  // Host writes become visible to the device, device writes to the host; nothing to do where memory is
  // coherent. Ranges are widened to whole atoms (V12), which nobody else's bytes are in (V13). Several at
  // once are one call of the driver for each Backend::kMaxRangesOfACall, whatever memory they lie in. Errors:
  // invalid_argument (outside the resource; of another heap), not_supported (the host does not see it),
  // wrong_state (not mapped), or the driver's. What the library refuses, it refuses before the driver is
  // asked; where the driver refuses a call, later ones are not made.
  [[nodiscard]] Result<void> flush(const Buffer& buffer, Bytes offset = {}, Bytes size = kMaxBytes) noexcept;
  [[nodiscard]] Result<void> invalidate(const Buffer& buffer, Bytes offset = {},
                                        Bytes size = kMaxBytes) noexcept;
  [[nodiscard]] Result<void> flush(std::span<const HostSpan> spans) noexcept;
  [[nodiscard]] Result<void> invalidate(std::span<const HostSpan> spans) noexcept;

  // ---- defragmentation of movable resources, as vaspace/heap/defragmentation.hpp has it

  // For each, copy all of it (an image: from its layout into one of the new image's), hand in the point at
  // which the copy is done, and make new descriptors and views. Errors: out_of_host_memory; a driver that
  // refuses a new handle ends the list early, and is an error only where the list is empty.
  [[nodiscard]] Result<std::uint32_t> plan_moves(const MoveBudget& budget,
                                                 std::span<ResourceMove> out) noexcept;
  // From now on the resource is the destination; the source is destroyed once `points` have passed. True;
  // false where the resource was freed or retired meanwhile (T3), and both are then destroyed after `points`
  // and those of the retire; or where its memory was mapped or pinned, and it then stays where it is. Errors:
  // out_of_host_memory, unknown_handle, invalid_argument (points, as retire()); the move is still open then.
  [[nodiscard]] Result<bool> commit_move(const ResourceMove& move,
                                         std::span<const TimelinePoint> points) noexcept;
  // `points`: until then the device may still write the destination. Errors: as commit_move().
  [[nodiscard]] Result<void> abandon_move(const ResourceMove& move,
                                          std::span<const TimelinePoint> points = {}) noexcept;

  // ---- what there is

  // For pools, memory alone, aliasing, import and export, budgets, reports and JSON. A resource's memory is
  // Buffer::memory(); it is not freed there.
  [[nodiscard]] vaspace::Heap& memory() noexcept;
  [[nodiscard]] HeapReport report() const noexcept;
  // Of one of HeapReport::sub_buffer_pools, in the order in which they were made. Errors: invalid_argument.
  [[nodiscard]] Result<SubBufferPoolReport> sub_buffer_pool(std::uint32_t pool) const noexcept;
  // As JSON, by the schema in docs/heap.md: memory()'s too, and with `detailed` every sub-buffer, by name.
  // Errors: io_error (the sink gave up).
  [[nodiscard]] Result<void> write_json(const TextSink& sink, bool detailed) const noexcept;
  [[nodiscard]] Backend& backend() noexcept;
  // nullptr, or what is wrong. O(everything); no call is under way.
  [[nodiscard]] const char* validate() const noexcept;

 private:
  friend struct HeapAccess;
  explicit Heap(HostObject<HeapState> state) noexcept;

  HostObject<HeapState> state_;
};

}  // namespace vaspace::vulkan
