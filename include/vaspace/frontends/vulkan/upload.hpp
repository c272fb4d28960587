// Getting data to the device: a ring of staging memory, memory that starts over every frame, and one call
// that writes directly where the host sees the destination and through the ring where it does not.
//
// Always true: what is handed out is mapped, aligned for what it is for, and stays as it was written until
// the timeline has passed the value it was closed with; in memory that is not coherent no two pieces share an
// atom, and no two frames do, so that a flush, which is of whole atoms (V12), writes back nothing that the
// device may be at (V13). Externally synchronised; the heap outlives them.
#pragma once

#include <array>

#include "vaspace/frontends/vulkan/heap.hpp"
#include "vaspace/range/linear_allocator.hpp"
#include "vaspace/range/ring_allocator.hpp"

namespace vaspace::vulkan {

// Mapped bytes of a buffer.
struct Piece {
  VkBuffer buffer{};
  Bytes offset{};
  Bytes size{};
  std::byte* mapped = nullptr;
  std::uint64_t device_address = 0;  // where the usage has it
};

struct UploadRingConfig {
  Bytes capacity = 16_MiB;
  TimelineId timeline{};    // of Heap::add_timeline
  std::uint32_t usage = 0;  // VkBufferUsageFlags; TRANSFER_SRC is added
  std::span<const std::uint32_t> families{};
  std::string_view name = "upload ring";
};

// A copy to record: vkCmdCopyBuffer from `source` to `destination`. Nothing where the bytes lie there
// already.
struct Upload {
  bool direct = false;  // written and flushed; no copy
  VkBuffer source{};
  Bytes source_offset{};
  VkBuffer destination{};
  Bytes destination_offset{};
  Bytes size{};
};

// The same of an image: vkCmdCopyBufferToImage from `source`, with source_offset as its bufferOffset.
struct ImageUpload {
  VkBuffer source{};
  Bytes source_offset{};
  VkImage destination{};
  Bytes size{};
};

class UploadRing {
 public:
  // Errors: as Heap::create_buffer and RingAllocator::create.
  [[nodiscard]] static Result<UploadRing> create(Heap& heap, const UploadRingConfig& config) noexcept;

  // Room for `size` bytes to write and copy from. Errors: as RingAllocator::allocate; out_of_space: collect()
  // first, or wait for the oldest close().
  [[nodiscard]] Result<Piece> allocate(Bytes size, Alignment alignment = Alignment{16}) noexcept;
  // The bytes, written and flushed. Errors: also the driver's.
  [[nodiscard]] Result<Piece> write(std::span<const std::byte> bytes,
                                    Alignment alignment = Alignment{16}) noexcept;
  // Makes what was written into a piece visible to the device. Errors: the driver's.
  [[nodiscard]] Result<void> flush(const Piece& piece) noexcept;
  // Puts bytes into a buffer: directly where the host sees it (integrated devices, and those with all of
  // their memory in a BAR, as `mapping = Mapping::preferred` finds them), else by a copy to record. What is
  // written directly must not be in use by the device. What is larger than the ring
  // goes through a staging buffer of its own, which the next close() retires. Errors: invalid_argument
  // (outside the buffer, or nothing), as write(); of a staging buffer as Heap::create_buffer.
  [[nodiscard]] Result<Upload> upload(const Buffer& destination, Bytes offset,
                                      std::span<const std::byte> bytes) noexcept;
  // The same into an image, always by a copy to record. `texel_block` is the size of its format's, in bytes,
  // 3 and 6 and 12 and 24 too: source_offset is a multiple of it, of 4, and of what is best for copies. What
  // part of the image the bytes are is said by the copy. Errors: invalid_argument (nothing; an empty image; a
  // texel block of 0 or above 256 bytes), as upload().
  [[nodiscard]] Result<ImageUpload> upload(const Image& destination, std::span<const std::byte> bytes,
                                           Bytes texel_block) noexcept;

  // Everything since the last close is used until the timeline reaches `value`. Errors: wrong_state (it
  // falls), as Heap::retire where a staging buffer of its own is retired: it is closed by the next close()
  // then.
  [[nodiscard]] Result<void> close(std::uint64_t value) noexcept;
  // Takes back what the device has passed. Errors: as Backend::completed.
  [[nodiscard]] Result<void> collect() noexcept;
  // Errors: timed_out, and as collect(). Waits until at least the oldest close has passed.
  [[nodiscard]] Result<void> wait(std::uint64_t value, std::uint64_t timeout_ns) noexcept;
  [[nodiscard]] RingReport report() const noexcept { return ring_.report(); }

 private:
  // Staging memory for what is larger than the ring, in a list.
  struct OneOff {
    Buffer buffer;
    HostObject<OneOff> next;
  };

  UploadRing(HeapState& heap, Buffer buffer, RingAllocator ring, const UploadRingConfig& config,
             Alignment unit) noexcept;
  // Room whose offset is a multiple of `block` and of `alignment`, in the ring or in a buffer of its own,
  // with the bytes in it.
  [[nodiscard]] Result<Piece> stage(std::span<const std::byte> bytes, Alignment alignment,
                                    Bytes block) noexcept;
  [[nodiscard]] Result<Piece> stage_alone(std::span<const std::byte> bytes) noexcept;

  HeapState* heap_;  // which stays where it is when its Heap is moved (R10)
  Buffer buffer_;
  RingAllocator ring_;
  HostObject<OneOff> one_offs_{nullptr, HostDelete<OneOff>{}};  // since the last close
  Bytes capacity_{};
  TimelineId timeline_{};
  Alignment unit_{};  // of sizes and offsets: the atom, where memory is not coherent
  std::array<std::uint32_t, SparseConfig::kMaxFamilies> families_{};
  std::size_t family_count_ = 0;
};

struct FrameMemoryConfig {
  Bytes capacity = 1_MiB;    // of each frame
  std::uint32_t frames = 3;  // in flight, at most kMaxFrames
  TimelineId timeline{};
  std::uint32_t usage = 0;  // VkBufferUsageFlags of what is put there
  std::span<const std::uint32_t> families{};
  std::string_view name = "frame memory";
};

// |--frame 0--|--frame 1--|--frame 2--|   of one buffer: each is filled from the front and starts over when
// its turn comes again.
class FrameMemory {
 public:
  static constexpr std::uint32_t kMaxFrames = 8;

  // Errors: invalid_configuration, as Heap::create_buffer.
  [[nodiscard]] static Result<FrameMemory> create(Heap& heap, const FrameMemoryConfig& config) noexcept;

  // The next frame, whose data the device uses until the timeline reaches `value`. Waits until it is past the
  // value of this memory's last turn. Errors: timed_out, wrong_state (values fall), the driver's.
  [[nodiscard]] Result<void> begin(std::uint64_t value, std::uint64_t timeout_ns) noexcept;
  // Aligned for the usage of all. Errors: as LinearAllocator::allocate; wrong_state before the first begin().
  [[nodiscard]] Result<Piece> allocate(Bytes size) noexcept;
  // All that was written this frame; once, before its submit. Errors: the driver's.
  [[nodiscard]] Result<void> flush() noexcept;
  // Every piece's buffer: descriptors may name it, and take a piece's offset as their dynamic one.
  [[nodiscard]] VkBuffer buffer() const noexcept { return buffer_.buffer(); }

 private:
  FrameMemory(HeapState& heap, Buffer buffer, LinearAllocator linear, const FrameMemoryConfig& config,
              Alignment unit) noexcept;

  HeapState* heap_;
  Buffer buffer_;
  LinearAllocator linear_;
  FrameMemoryConfig config_;
  Alignment unit_{};
  Bytes stride_{};
  std::uint64_t turn_ = 0;  // frames begun
  std::uint64_t values_[kMaxFrames]{};
};

}  // namespace vaspace::vulkan
