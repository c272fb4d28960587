// Textures larger than the memory that they get: tiles come and go, addresses and descriptors stay.
//
//   level 0   [#][#][ ][ ][ ][ ]      # resident: a page of the heap's memory is bound there
//   level 1   [#][ ][ ]                 a tile is a sparse block: 128 x 128 texels of 4 bytes, 64 KiB
//   tail      [#######]                 all smaller levels: resident as long as the texture lives
//
//   SparseTextures ─ pages ─► vaspace::Heap ─► blocks: many tiles in one VkDeviceMemory (V4)
//                  └ binds ─► the sparse queue: a batch per update, in a chain on one timeline (V24)
//
// Always true:
//  - A tile is resident or not; update() changes all that it is asked for or nothing, in one batch of the
//    driver, in which no tile is bound twice (V23). What the device's commands see changes at the point that
//    it answers: a first use waits for it, and an eviction waits for the last use (V25).
//  - Metadata and mip tails are bound, metadata first, before a texture is handed out (V22); ready() is the
//    point at which they are there.
//  - Memory that was evicted is nobody's until the unbind has been done by the device (V27); then the next
//    update() or collect() gives it back to the heap.
//  - A box of tiles begins at a tile's corner and ends at one or at the level's edge (V21).
//
// Any thread may call anything; two calls for one texture of which one is its reset() are the caller's to
// order. Updates, creations and collect() take turns, under a lock that resident() and report() do not take.
#pragma once

#include "vaspace/backends/vulkan/sparse_images.hpp"
#include "vaspace/frontends/vulkan/heap.hpp"

namespace vaspace::vulkan {

struct SparseTextureRecord;

// Tiles of one level and layer, counted in tiles.
struct TileBox {
  std::uint32_t level = 0, layer = 0;
  std::uint32_t x = 0, y = 0, z = 0;
  std::uint32_t width = 1, height = 1, depth = 1;
  std::uint32_t plane = 0;  // of formats with depth and stencil, which have tiles of their own
};

struct SparseTextureRequest {
  // Read during the call. 2D or 3D, optimal tiling, one sample; the SPARSE flags are added. initialLayout and
  // sharing are as given: every tile is in the image's layout, resident or not.
  const VkImageCreateInfo* info = nullptr;
  Intent intent = Intent::device;
  BudgetPolicy budget = BudgetPolicy::may_exceed;
  float priority = 0.5F;
  std::string_view name{};  // of its pages, in the heap's reports
};

// Owns a sparse image and what is resident of it. Given back when it is destroyed, which neither fails nor
// waits: the memory returns with a later collect(), once the driver has done all of its binds. The device is
// done with the image then; retire() is for what it is not done with.
class SparseTexture {
 public:
  SparseTexture() noexcept = default;
  SparseTexture(SparseTexture&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  SparseTexture& operator=(SparseTexture&& other) noexcept {
    if (this != &other) {
      reset();
      record_ = std::exchange(other.record_, nullptr);
    }
    return *this;
  }
  SparseTexture(const SparseTexture&) = delete;
  SparseTexture& operator=(const SparseTexture&) = delete;
  ~SparseTexture() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return record_ != nullptr; }
  // What follows: not of an empty one.
  [[nodiscard]] VkImage image() const noexcept;
  // A point of SparseTextures::timeline(): before it the tails are not bound.
  [[nodiscard]] TimelinePoint ready() const noexcept;
  // Planes with tiles: 1, or 2 of formats with depth and stencil.
  [[nodiscard]] std::uint32_t planes() const noexcept;
  // Levels that have tiles; the others are in the mip tail.
  [[nodiscard]] std::uint32_t tiled_levels(std::uint32_t plane = 0) const noexcept;
  // Texels of a tile: x, y, z.
  [[nodiscard]] std::array<std::uint32_t, 3> tile(std::uint32_t plane = 0) const noexcept;
  // Tiles of each layer of a level, those at the edges included. None where the level is in the tail.
  [[nodiscard]] std::array<std::uint32_t, 3> tiles(std::uint32_t level,
                                                   std::uint32_t plane = 0) const noexcept;
  [[nodiscard]] Bytes tile_bytes() const noexcept;
  // Of metadata and mip tails.
  [[nodiscard]] Bytes tail_bytes() const noexcept;
  // What a texture of which everything is resident holds.
  [[nodiscard]] Bytes whole_bytes() const noexcept;
  // Whether all tiles of the box are, by the last update(). False for a box that is not in the texture.
  [[nodiscard]] bool resident(const TileBox& box) const noexcept;
  [[nodiscard]] std::uint64_t resident_tiles() const noexcept;

  void reset() noexcept;

 private:
  friend class SparseTextures;
  explicit SparseTexture(SparseTextureRecord* record) noexcept : record_(record) {}

  SparseTextureRecord* record_ = nullptr;
};

struct TileChange {
  const SparseTexture* texture = nullptr;
  TileBox tiles{};
  bool resident = true;  // false: evicted
};

struct SparseTexturesConfig {
  // Of a family that binds sparse memory (V31).
  Queue sparse{};
  // As BackendConfig::functions, which a backend does not keep: for applications that name their own.
  std::span<const NamedFunction> functions{};
};

struct SparseTexturesReport {
  std::uint64_t textures = 0;  // alive
  std::uint64_t resident = 0;  // tiles
  Bytes tile_bytes{};          // of them
  Bytes tail_bytes{};
  std::uint64_t waiting = 0;  // pages that were evicted and whose unbind was not known to be done
  std::uint64_t retired = 0;  // textures that wait for the device
};

class SparseTextures {
 public:
  struct State;

  // `heap` outlives this. Errors: not_supported (sparse_binding or timeline_semaphore is not enabled),
  // invalid_configuration (no queue, a family without sparse binding), out_of_host_memory, driver_error (a
  // function is missing), the driver's own.
  [[nodiscard]] static Result<SparseTextures> create(Heap& heap, const SparseTexturesConfig& config) noexcept;
  // What is moved from can only be destroyed or assigned to (R10).
  SparseTextures(SparseTextures&& other) noexcept;
  SparseTextures& operator=(SparseTextures&& other) noexcept;
  // Waits for its own binds. The device is done with what was retired; all textures are gone.
  ~SparseTextures();

  // Makes the image, and binds metadata and mip tails: two batches at most. Errors: invalid_argument (a
  // request that contradicts itself), not_supported (the feature sparse_residency_image_2d or _3d is not
  // enabled, more than one sample, a format without tiles), out_of_address_space (V30), too_large (2^31
  // tiles), those of Heap::allocate and the driver's. Nothing is left behind then (R7).
  [[nodiscard]] Result<SparseTexture> create_texture(const SparseTextureRequest& request) noexcept;

  // Makes tiles resident, with whatever their memory held before, and evicts others, of any textures; what is
  // so already is left alone. Begins after `waits` (points of timeline(), or of timelines that were added):
  // the last uses of what is evicted. Answers the point at which it is done. Of a tile that several changes
  // name all want the same. Errors: invalid_argument (an empty or foreign texture, a box that is not in it,
  // contrary changes), those of Heap::allocate (out_of_device_memory: evict, collect, and ask again), and the
  // driver's. Nothing has changed then (R7). O(tiles), and one driver call where there is anything to do.
  [[nodiscard]] Result<TimelinePoint> update(std::span<const TileChange> changes,
                                             std::span<const TimelinePoint> waits = {}) noexcept;

  // Destroyed by a later collect(), once `points` have passed. Empty afterwards. Errors: invalid_argument
  // (an empty or foreign texture, more than Heap::kMaxPoints); it is still the caller's then.
  [[nodiscard]] Result<void> retire(SparseTexture&& texture, std::span<const TimelinePoint> points) noexcept;
  // Gives back what the device has passed, textures too. Never waits. Once a frame.
  void collect() noexcept;

  // Reads of tiles that are not resident give zeros; else they are undefined, and a shader asks for residency
  // or for the page table of the application (V28).
  [[nodiscard]] bool non_resident_strict() const noexcept;
  // For submits that wait for an update: VkSemaphore and the value of its point.
  [[nodiscard]] VkSemaphore timeline() const noexcept;
  // Timelines of the application's that updates wait for and textures are retired to. Errors:
  // invalid_argument, out_of_host_memory.
  [[nodiscard]] Result<TimelineId> add_timeline(VkSemaphore semaphore) noexcept;
  // Nothing waits for it. Errors: invalid_argument.
  [[nodiscard]] Result<void> forget_timeline(TimelineId timeline) noexcept;
  // Errors: invalid_argument, timed_out, device_lost, driver_error.
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept;

  [[nodiscard]] SparseTexturesReport report() const noexcept;
  // nullptr, or what is wrong. O(all tiles).
  [[nodiscard]] const char* validate() const noexcept;

 private:
  explicit SparseTextures(HostObject<State> state) noexcept;

  HostObject<State> state_;
};

}  // namespace vaspace::vulkan
