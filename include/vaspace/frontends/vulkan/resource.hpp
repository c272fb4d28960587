// Buffers and images with their memory: what is asked for, and what is owned.
//
// Always true: a Buffer or Image that is not empty owns its handle and its memory (of a sub-buffer: its
// range), and gives both back when it is destroyed, which neither fails nor waits. The device is done with
// them then; Heap::retire is for what it is not done with.
#pragma once

#include <span>
#include <string_view>
#include <utility>

#include "vaspace/backends/vulkan/sparse.hpp"
#include "vaspace/heap/heap_allocation.hpp"

#if UINTPTR_MAX == UINT64_MAX
typedef struct VkImage_T* VkImage;
#else
typedef uint64_t VkImage;
#endif
struct VkImageCreateInfo;
struct VkMemoryRequirements;

namespace vaspace::vulkan {

class Heap;
struct HeapState;

struct BufferRequest {
  Bytes size{};
  std::uint32_t usage = 0;  // VkBufferUsageFlags
  std::uint32_t flags = 0;  // VkBufferCreateFlags; none of SPARSE
  // Two or more: shared between these queue families. At most 16.
  std::span<const std::uint32_t> families{};
  Intent intent = Intent::device;
  Mapping mapping = Mapping::none;
  bool coherent = false;                          // the host will neither flush nor invalidate
  DedicatedWish dedicated = DedicatedWish::none;  // beside what the driver wants
  Alignment alignment{};                          // beside what the driver wants; of the address too
  bool exportable = false;                        // as an opaque file descriptor
  bool movable = false;                           // Heap::plan_moves may move it
  bool aliasable = false;                         // its memory may be given to another resource by alias_of
  const HeapAllocation* alias_of = nullptr;       // lies in this memory
  BudgetPolicy budget = BudgetPolicy::may_exceed;
  float priority = 0.5F;
  PoolId pool{};
  std::string_view name{};  // told to the debug utils, where they are enabled; up to 63 bytes of it
  std::uint64_t user_data = 0;
  const void* next = nullptr;  // chained to VkBufferCreateInfo; then it cannot be movable
};

struct ImageRequest {
  const VkImageCreateInfo* info =
      nullptr;  // read during the call; its chain too, and then it cannot be movable
  Intent intent = Intent::device;
  Mapping mapping = Mapping::none;
  bool coherent = false;
  DedicatedWish dedicated = DedicatedWish::none;
  bool exportable = false;
  bool movable = false;
  bool aliasable = false;
  const HeapAllocation* alias_of = nullptr;
  BudgetPolicy budget = BudgetPolicy::may_exceed;
  float priority = 0.5F;
  PoolId pool{};
  std::string_view name{};
  std::uint64_t user_data = 0;
};

// A VkBuffer, or a range of a shared one (a sub-buffer).
class Buffer {
  struct Parts;  // what a heap makes one of

 public:
  Buffer() noexcept = default;
  explicit Buffer(const Parts& parts) noexcept;
  Buffer(Buffer&& other) noexcept { take(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return heap_ != nullptr; }
  // After Heap::commit_move it is another one.
  [[nodiscard]] VkBuffer buffer() const noexcept { return record_ == kNoRecord ? buffer_ : moved_buffer(); }
  [[nodiscard]] Bytes offset() const noexcept { return offset_; }  // in buffer()
  [[nodiscard]] Bytes size() const noexcept { return size_; }      // asked for
  [[nodiscard]] bool is_sub_buffer() const noexcept { return pool_ != kNoPool; }
  // VkDeviceAddress of the first byte; 0 where the usage lacks SHADER_DEVICE_ADDRESS.
  [[nodiscard]] std::uint64_t device_address() const noexcept { return device_address_; }
  // Where the host sees the first byte; null where it does not, or not without Heap::map. After
  // Heap::commit_move it is elsewhere.
  [[nodiscard]] std::byte* mapped() const noexcept { return memory().mapped; }
  // The memory; of a sub-buffer only address, size, memory_type and mapped mean something to a caller, and
  // Heap::memory() does not know it: Heap::flush() takes the buffer.
  [[nodiscard]] HeapAllocation memory() const noexcept {
    return record_ == kNoRecord ? memory_ : moved_memory();
  }
  // Gives everything back now.
  void reset() noexcept {
    if (heap_ != nullptr) release();
  }

 private:
  friend class Heap;
  friend struct HeapAccess;
  static constexpr std::uint32_t kNoRecord = ~0U;
  static constexpr std::uint32_t kNoPool = ~0U;

  void take(Buffer& other) noexcept {
    heap_ = std::exchange(other.heap_, nullptr);
    buffer_ = other.buffer_;
    offset_ = other.offset_;
    size_ = other.size_;
    device_address_ = other.device_address_;
    memory_ = other.memory_;
    pool_ = other.pool_;
    record_ = other.record_;
  }
  void release() noexcept;
  [[nodiscard]] VkBuffer moved_buffer() const noexcept;
  [[nodiscard]] HeapAllocation moved_memory() const noexcept;

  HeapState* heap_ = nullptr;
  VkBuffer buffer_{};
  Bytes offset_{};
  Bytes size_{};
  std::uint64_t device_address_ = 0;
  HeapAllocation memory_{};
  std::uint32_t pool_ = kNoPool;
  std::uint32_t record_ = kNoRecord;
};

class Image {
  struct Parts;

 public:
  Image() noexcept = default;
  explicit Image(const Parts& parts) noexcept;
  Image(Image&& other) noexcept { take(other); }
  Image& operator=(Image&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return heap_ != nullptr; }
  // After Heap::commit_move it is another one.
  [[nodiscard]] VkImage image() const noexcept { return record_ == kNoRecord ? image_ : moved_image(); }
  [[nodiscard]] std::byte* mapped() const noexcept { return memory().mapped; }  // of linear images
  [[nodiscard]] HeapAllocation memory() const noexcept {
    return record_ == kNoRecord ? memory_ : moved_memory();
  }
  void reset() noexcept {
    if (heap_ != nullptr) release();
  }

 private:
  friend class Heap;
  friend struct HeapAccess;
  static constexpr std::uint32_t kNoRecord = ~0U;

  void take(Image& other) noexcept {
    heap_ = std::exchange(other.heap_, nullptr);
    image_ = other.image_;
    memory_ = other.memory_;
    record_ = other.record_;
  }
  void release() noexcept;
  [[nodiscard]] VkImage moved_image() const noexcept;
  [[nodiscard]] HeapAllocation moved_memory() const noexcept;

  HeapState* heap_ = nullptr;
  VkImage image_{};
  HeapAllocation memory_{};
  std::uint32_t record_ = kNoRecord;
};

// What a range of a shared buffer is aligned to, for all of `usage`: what the device wants of the offsets of
// uniform, storage and texel buffers, of scratch memory, and best for copies of what is for copies alone; 16
// at least where shaders read by address or descriptor, and for vertices; 32 for staging (a texel); 64 for
// shader binding tables; 256 for acceleration structures, and for whatever is not known here; else 4. Shared
// buffers themselves lie at multiples of 256, of 64 KiB where they have an address, so that an address is
// aligned as its offset is; what asks for more than 256 is looked at.
[[nodiscard]] Alignment sub_buffer_alignment(std::uint32_t usage, const ResourceLimits& limits) noexcept;

}  // namespace vaspace::vulkan
