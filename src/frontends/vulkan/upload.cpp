#include "vaspace/frontends/vulkan/upload.hpp"

#include <algorithm>
#include <cstring>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

// No format has a larger one.
constexpr Bytes kLargestTexelBlock = 256_B;

// Of sizes and offsets in mapped memory: a flush is widened to whole atoms, and writes all of them back, so
// that in one that the device may be reading nobody may write (V13).
Alignment unit_of(Heap& heap, const Buffer& buffer) noexcept {
  const MemoryType& type = heap.backend().profile().memory_types[buffer.memory().memory_type];
  return type.host_coherent ? Alignment{1} : heap.backend().resource_limits().non_coherent_atom;
}

Result<Buffer> mapped_buffer(HeapState& heap, Bytes size, std::uint32_t usage, Intent intent,
                             std::span<const std::uint32_t> families, std::string_view name) noexcept {
  BufferRequest request;
  request.size = size;
  request.usage = usage;
  request.intent = intent;
  request.mapping = Mapping::required;
  request.families = families;
  request.name = name;
  return heap.make_buffer(request, "Heap::create_buffer");
}

}  // namespace

// ---- ring

UploadRing::UploadRing(HeapState& heap, Buffer buffer, RingAllocator ring, const UploadRingConfig& config,
                       Alignment unit) noexcept
    : heap_(&heap),
      buffer_(std::move(buffer)),
      ring_(std::move(ring)),
      capacity_(buffer_.size()),
      timeline_(config.timeline),
      unit_(unit) {
  family_count_ = std::min(config.families.size(), families_.size());
  std::copy_n(config.families.begin(), family_count_, families_.begin());
}

Result<UploadRing> UploadRing::create(Heap& heap, const UploadRingConfig& config) noexcept {
  const auto capacity = checked_align_up(config.capacity, Alignment{256});
  if (!capacity || *capacity == Bytes{}) return fail(ErrorCode::invalid_size);
  auto buffer =
      mapped_buffer(HeapAccess::state_of(heap), *capacity, config.usage | VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                    Intent::upload, config.families, config.name);
  if (!buffer) return fail(buffer.error());
  auto ring = RingAllocator::create({.capacity = *capacity, .host = heap.backend().config().host});
  if (!ring) return fail(ring.error());
  const Alignment unit = unit_of(heap, *buffer);
  return UploadRing(HeapAccess::state_of(heap), std::move(*buffer), std::move(*ring), config, unit);
}

Result<Piece> UploadRing::allocate(Bytes size, Alignment alignment) noexcept {
  if (!alignment.valid()) return fail(ErrorCode::invalid_alignment);
  const auto whole = checked_align_up(size, unit_);
  if (!whole) return fail(ErrorCode::invalid_size);
  const auto placed = ring_.allocate({*whole, std::max(alignment, unit_)});
  if (!placed) return fail(placed.error());
  const Bytes offset = placed->offset - Offset{};
  const std::uint64_t address = buffer_.device_address();
  return Piece{buffer_.buffer(), offset, size, buffer_.mapped() + offset.value,
               address == 0 ? 0 : address + offset.value};
}

Result<void> UploadRing::flush(const Piece& piece) noexcept {
  return heap_->flush(buffer_, piece.offset, piece.size);
}

Result<Piece> UploadRing::write(std::span<const std::byte> bytes, Alignment alignment) noexcept {
  const auto piece = allocate(Bytes{bytes.size()}, alignment);
  if (!piece) return piece;
  std::memcpy(piece->mapped, bytes.data(), bytes.size());
  if (const auto flushed = flush(*piece); !flushed) return fail(flushed.error());
  return piece;
}

Result<Upload> UploadRing::upload(const Buffer& destination, Bytes offset,
                                  std::span<const std::byte> bytes) noexcept {
  const Bytes size{bytes.size()};
  if (size == Bytes{} || offset > destination.size() || size > destination.size() - offset)
    return fail(ErrorCode::invalid_argument);
  Upload upload;
  upload.destination = destination.buffer();
  upload.destination_offset = destination.offset() + offset;
  upload.size = size;
  if (std::byte* const mapped = destination.mapped(); mapped != nullptr) {
    std::memcpy(mapped + offset.value, bytes.data(), bytes.size());
    if (const auto flushed = heap_->flush(destination, offset, size); !flushed) return fail(flushed.error());
    upload.direct = true;
    return upload;
  }
  const auto piece = stage(bytes, Alignment{16}, Bytes{1});
  if (!piece) return fail(piece.error());
  upload.source = piece->buffer;
  upload.source_offset = piece->offset;
  return upload;
}

Result<ImageUpload> UploadRing::upload(const Image& destination, std::span<const std::byte> bytes,
                                       Bytes texel_block) noexcept {
  if (!destination || bytes.empty() || texel_block == Bytes{} || texel_block > kLargestTexelBlock)
    return fail(ErrorCode::invalid_argument);
  const auto piece = stage(bytes, Alignment{4}, texel_block);
  if (!piece) return fail(piece.error());
  return ImageUpload{piece->buffer, piece->offset, destination.image(), Bytes{bytes.size()}};
}

// A block is a power of two times something odd: one in so many places that are aligned is a multiple of it.
Result<Piece> UploadRing::stage(std::span<const std::byte> bytes, Alignment alignment, Bytes block) noexcept {
  const Bytes power{block.value & (~block.value + 1)};
  const std::uint64_t odd = block.value / power.value;
  const Alignment unit =
      std::max({alignment, heap_->backend.resource_limits().copy, Alignment{power}, unit_});
  const Bytes size{bytes.size()};
  const Bytes slack = Bytes{unit.value} * (odd - 1);
  if (size > capacity_ || slack > capacity_ - size) return stage_alone(bytes);
  auto piece = allocate(size + slack, unit);
  if (!piece) return piece;
  while (piece->offset.value % block.value != 0) {
    piece->offset += Bytes{unit.value};
    piece->mapped += unit.value;
  }
  piece->size = size;
  std::memcpy(piece->mapped, bytes.data(), bytes.size());
  if (const auto flushed = flush(*piece); !flushed) return fail(flushed.error());
  return piece;
}

// At offset 0, which is a multiple of everything.
Result<Piece> UploadRing::stage_alone(std::span<const std::byte> bytes) noexcept {
  const Bytes size{bytes.size()};
  auto one = make_host_object<OneOff>(heap_->config.memory.host);
  if (!one) return fail(ErrorCode::out_of_host_memory);
  auto buffer = mapped_buffer(*heap_, size, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, Intent::upload,
                              std::span(families_).first(family_count_), "staging");
  if (!buffer) return fail(buffer.error());
  std::memcpy(buffer->mapped(), bytes.data(), bytes.size());
  if (const auto flushed = heap_->flush(*buffer, {}, size); !flushed) return fail(flushed.error());
  const Piece piece{buffer->buffer(), {}, size, buffer->mapped()};
  one->buffer = std::move(*buffer);
  one->next = std::move(one_offs_);
  one_offs_ = std::move(one);
  return piece;
}

Result<void> UploadRing::close(std::uint64_t value) noexcept {
  if (const auto closed = ring_.close(value); !closed) return closed;
  const TimelinePoint point{timeline_, value};
  while (one_offs_) {
    const auto retired = heap_->retire(one_offs_->buffer, {&point, 1}, "UploadRing::close");
    if (!retired) return retired;
    HostObject<OneOff> next = std::move(one_offs_->next);
    one_offs_ = std::move(next);
  }
  return {};
}

Result<void> UploadRing::collect() noexcept {
  const auto value = heap_->backend.reached(timeline_);
  if (!value) return fail(value.error());
  return ring_.retire(*value);
}

Result<void> UploadRing::wait(std::uint64_t value, std::uint64_t timeout_ns) noexcept {
  const auto waited = heap_->backend.wait({timeline_, value}, timeout_ns);
  if (!waited) return waited;
  return collect();
}

// ---- frames

FrameMemory::FrameMemory(HeapState& heap, Buffer buffer, LinearAllocator linear,
                         const FrameMemoryConfig& config, Alignment unit) noexcept
    : heap_(&heap), buffer_(std::move(buffer)), linear_(std::move(linear)), config_(config), unit_(unit) {}

Result<FrameMemory> FrameMemory::create(Heap& heap, const FrameMemoryConfig& config) noexcept {
  if (config.frames == 0 || config.frames > kMaxFrames || config.usage == 0)
    return fail(ErrorCode::invalid_configuration);
  // Each frame begins where everything may begin, and where no flush of its neighbour reaches.
  const ResourceLimits& limits = heap.backend().resource_limits();
  const Alignment stride_unit =
      std::max({sub_buffer_alignment(config.usage, limits), limits.non_coherent_atom, Alignment{256}});
  const auto stride = checked_align_up(config.capacity, stride_unit);
  if (!stride || *stride == Bytes{} || stride->value > kMaxBytes.value / kMaxFrames)
    return fail(ErrorCode::invalid_size);
  auto buffer = mapped_buffer(HeapAccess::state_of(heap), *stride * config.frames, config.usage,
                              Intent::dynamic, config.families, config.name);
  if (!buffer) return fail(buffer.error());
  auto linear = LinearAllocator::create({.capacity = *stride, .host = heap.backend().config().host});
  if (!linear) return fail(linear.error());
  const Alignment unit = std::max(sub_buffer_alignment(config.usage, limits), unit_of(heap, *buffer));
  FrameMemory frames(HeapAccess::state_of(heap), std::move(*buffer), std::move(*linear), config, unit);
  frames.stride_ = *stride;
  return frames;
}

Result<void> FrameMemory::begin(std::uint64_t value, std::uint64_t timeout_ns) noexcept {
  const std::uint64_t last = turn_ == 0 ? 0 : values_[(turn_ - 1) % config_.frames];
  if (value < last) return fail(ErrorCode::wrong_state);
  const std::uint64_t before = turn_ < config_.frames ? 0 : values_[turn_ % config_.frames];
  if (before != 0) {
    const auto waited = heap_->backend.wait({config_.timeline, before}, timeout_ns);
    if (!waited) return waited;
  }
  values_[turn_ % config_.frames] = value;
  ++turn_;
  linear_.reset();
  return {};
}

Result<Piece> FrameMemory::allocate(Bytes size) noexcept {
  if (turn_ == 0) return fail(ErrorCode::wrong_state);
  const auto placed = linear_.allocate({size, unit_});
  if (!placed) return fail(placed.error());
  const Bytes offset = stride_ * ((turn_ - 1) % config_.frames) + (placed->offset - Offset{});
  const std::uint64_t address = buffer_.device_address();
  return Piece{buffer_.buffer(), offset, size, buffer_.mapped() + offset.value,
               address == 0 ? 0 : address + offset.value};
}

Result<void> FrameMemory::flush() noexcept {
  if (turn_ == 0) return fail(ErrorCode::wrong_state);
  const Bytes used = linear_.report().used;
  if (used == Bytes{}) return {};
  return heap_->flush(buffer_, stride_ * ((turn_ - 1) % config_.frames), used);
}

}  // namespace vaspace::vulkan
