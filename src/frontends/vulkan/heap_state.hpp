// What a vulkan::Heap holds. Its calls are in heap.cpp (creation, memory, time), heap_resources.cpp (making
// buffers and images), heap_owned.cpp (their ends), heap_sub_buffers.cpp, heap_host_access.cpp (flush and
// invalidate), heap_moves.cpp and heap_report.cpp.
//
// One lock, `mutex`, for the records of movable resources and what was retired; no driver call is made under
// it, and creating, allocating and freeing take it only for movable resources. The core's lock is taken
// inside it, so that a move ends, and a resource in one does, in one piece.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "movable_records.hpp"
#include "resource_counts.hpp"
#include "sub_buffer_pools.hpp"
#include "timeline_snapshot.hpp"

namespace vaspace::vulkan {

// A handle, a memory, or both, that wait for the device.
struct Retired {
  VkBuffer buffer = VK_NULL_HANDLE;
  VkImage image = VK_NULL_HANDLE;
  HeapAllocation memory{};
  bool has_memory = false;
  std::uint32_t pool = ~0U;  // of a sub-buffer
  std::uint32_t point_count = 0;
  std::array<TimelinePoint, 2 * Heap::kMaxPoints> points{};  // of a retire and of a move
};

// HeapRequest::mover of what Heap::plan_moves moves: the heap's own of memory alone are not among it.
inline constexpr std::uint8_t kMover = 255;

// What a request needs that the device was not created with; null: nothing.
[[nodiscard]] const char* missing_in(const Backend& backend, const BufferRequest& request) noexcept;

struct HeapState {
  HeapState(Backend& on, const HeapConfig& given) noexcept
      : backend(on), config(given), records(given.memory.host), retired(given.memory.host) {
    const std::size_t count = std::min(given.families.size(), families.size());
    std::copy_n(given.families.begin(), count, families.begin());
    config.families = std::span(families).first(count);
  }
  HeapState(const HeapState&) = delete;
  HeapState& operator=(const HeapState&) = delete;
  ~HeapState();

  [[nodiscard]] Result<void> open() noexcept;

  // Told to the refusal handler, and answered. A null `function`: not told, for who tries something else
  // first. `driver` is the function of the driver that gave the error; null: the last that did.
  [[nodiscard]] tl::unexpected<Error> refuse(Error error, const char* function, std::string_view name = {},
                                             const char* feature = "",
                                             const char* driver = nullptr) const noexcept;
  // The same of an answer that is nothing but good or bad.
  template <class Answer>
  [[nodiscard]] Answer tell(Answer answer, const char* function, std::string_view name = {}) const noexcept {
    if (!answer) [[unlikely]]
      return refuse(answer.error(), function, name);
    return answer;
  }
  [[nodiscard]] bool aligns_to_atoms(const SubBufferKey& key) const noexcept {
    return key.mapping() != Mapping::none && !key.coherent() && non_coherent;
  }
  void destroy(const Retired& gone) noexcept;
  // Destroys what has passed. Where that is under way, on another thread or this one, it does for this call.
  void walk_retired() noexcept;
  // Errors: invalid_argument (more than kMaxPoints, an unknown timeline).
  [[nodiscard]] Result<void> check_points(std::span<const TimelinePoint> points) noexcept;
  [[nodiscard]] Result<void> flush(const Buffer& buffer, Bytes offset, Bytes size) noexcept;
  enum class Direction : std::uint8_t { flush, invalidate };
  [[nodiscard]] Result<void> synchronise(std::span<const HostSpan> spans, Direction direction) noexcept;
  // A buffer with memory of its own, as `function` of the heap has it.
  [[nodiscard]] Result<Buffer> make_buffer(const BufferRequest& request, const char* function) noexcept;
  // Commits or abandons, and the resource is where it then is. True: it has moved.
  [[nodiscard]] Result<bool> end_move(const ResourceMove& move, std::span<const TimelinePoint> points,
                                      bool commit) noexcept;
  // A range of pool `number`, whose address is aligned as its offset is. Errors: as of an arena allocator,
  // not_supported (the address is not).
  [[nodiscard]] Result<Buffer> take_range(std::uint32_t number, const AllocationRequest& wanted,
                                          const BufferRequest& request) noexcept;
  // The same where `number` has refused it at first: out of blocks, out of what lay unused, or as a buffer of
  // its own.
  [[nodiscard]] Result<Buffer> take_elsewhere(std::uint32_t number, const AllocationRequest& wanted,
                                              const BufferRequest& request, Error why) noexcept;
  // One, of this heap. Errors: as Heap::retire; it is still the caller's then.
  [[nodiscard]] Result<void> retire(Buffer& buffer, std::span<const TimelinePoint> points,
                                    const char* function) noexcept;
  void release(Buffer& buffer) noexcept;
  void release(Image& image) noexcept;
  // The owner lets go of a movable resource: what is to be destroyed once the points have passed, or nothing,
  // where it is in a move, which then does. Under `mutex`: a misuse is told by the caller, after it. Errors:
  // out_of_host_memory.
  [[nodiscard]] Result<Retired> let_go(std::uint32_t record, std::span<const TimelinePoint> points,
                                       std::optional<Misuse>& misuse) noexcept;
  void report_misuse(const std::optional<Misuse>& misuse) const noexcept {
    if (misuse) memory->config().on_misuse(*misuse);
  }

  Backend& backend;
  HeapConfig config;
  std::array<std::uint32_t, SparseConfig::kMaxFamilies> families{};
  ResourceCalls calls;
  TimelineSnapshot timelines;
  // The application's own, asked after this heap's.
  TimelineReader other_timelines{};
  PressureHandler other_pressure{};
  std::optional<vaspace::Heap> memory;
  std::optional<SubBufferPools> pools;
  bool non_coherent = false;  // a type that the host sees is not coherent
  ResourceCounts counts;

  std::atomic<bool> walking{false};  // who destroys what was retired; a misuse told meanwhile may collect
  mutable std::mutex mutex;          // of what follows
  MovableRecords records;
  HostArray<Retired> retired;
};

struct Buffer::Parts {
  HeapState& heap;
  VkBuffer buffer;
  Bytes offset;
  Bytes size;
  std::uint64_t device_address;
  HeapAllocation memory;
  std::uint32_t pool;
};

struct Image::Parts {
  HeapState& heap;
  VkImage image;
  HeapAllocation memory;
};

inline Buffer::Buffer(const Parts& parts) noexcept
    : heap_(&parts.heap),
      buffer_(parts.buffer),
      offset_(parts.offset),
      size_(parts.size),
      device_address_(parts.device_address),
      memory_(parts.memory),
      pool_(parts.pool) {}

inline Image::Image(const Parts& parts) noexcept
    : heap_(&parts.heap), image_(parts.image), memory_(parts.memory) {}

// Makes the resources' handles, which only their heap may.
struct HeapAccess {
  // Made where they end up: what is stored in parts and then copied as a whole waits for the stores.
  [[nodiscard]] static Result<Buffer> buffer(HeapState& heap, VkBuffer handle, const HeapAllocation& memory,
                                             Bytes size, std::uint64_t device_address) noexcept {
    return Result<Buffer>(tl::in_place,
                          Buffer::Parts{heap, handle, {}, size, device_address, memory, Buffer::kNoPool});
  }
  [[nodiscard]] static Result<Buffer> sub_buffer(HeapState& heap, const BufferTable::Entry& entry,
                                                 std::uint32_t pool, const Allocation& allocation,
                                                 Bytes asked) noexcept {
    const Bytes offset = BufferTable::offset_of(allocation.address);
    return Result<Buffer>(
        tl::in_place,
        Buffer::Parts{heap,
                      (VkBuffer)entry.buffer,
                      offset,
                      asked,
                      entry.device_address != 0 ? entry.device_address + offset.value : 0,
                      {.address = allocation.address,
                       .size = allocation.size,
                       .id = allocation.id,
                       .memory_type = static_cast<std::uint8_t>(entry.memory_type),
                       .mapped = entry.mapped != nullptr ? entry.mapped + offset.value : nullptr},
                      pool});
  }
  [[nodiscard]] static Result<Image> image(HeapState& heap, VkImage handle,
                                           const HeapAllocation& memory) noexcept {
    return Result<Image>(tl::in_place, Image::Parts{heap, handle, memory});
  }
  template <class Resource>
  static void set_record(Resource& resource, std::uint32_t record) noexcept {
    resource.record_ = record;
  }
  template <class Resource>
  [[nodiscard]] static std::uint32_t record_of(const Resource& resource) noexcept {
    return resource.record_;
  }
  [[nodiscard]] static std::uint32_t pool_of(const Buffer& buffer) noexcept { return buffer.pool_; }
  [[nodiscard]] static VkBuffer handle_of(const Buffer& buffer) noexcept { return buffer.buffer_; }
  [[nodiscard]] static VkImage handle_of(const Image& image) noexcept { return image.image_; }
  template <class Resource>
  [[nodiscard]] static const HeapAllocation& memory_of(const Resource& resource) noexcept {
    return resource.memory_;
  }
  template <class Resource>
  [[nodiscard]] static HeapState* heap_of(const Resource& resource) noexcept {
    return resource.heap_;
  }
  [[nodiscard]] static HeapState& state_of(Heap& heap) noexcept { return *heap.state_; }
  template <class Resource>
  static void forget(Resource& resource) noexcept {
    resource.heap_ = nullptr;
  }
};

}  // namespace vaspace::vulkan
