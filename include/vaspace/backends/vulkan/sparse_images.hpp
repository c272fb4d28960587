// Sparse images: made, and bound tile by tile on a sparse queue. The driver's calls and their order, nothing
// else: what is bound where, and in which memory, is for frontends/vulkan/sparse_texture.hpp.
//
// Always true:
//  - All binds form one chain on a timeline semaphore of its own, as a sparse backend's do: each batch begins
//    when the one before is done (V24), and bind() answers the chain's value at its end. A batch that the
//    driver refuses has used no value.
//  - An image is made only where the sum of all sizes stays within the device's sparse address space (V30).
#pragma once

#include <array>

#include "vaspace/backends/vulkan/sparse.hpp"

#if UINTPTR_MAX == UINT64_MAX
typedef struct VkImage_T* VkImage;
#else
typedef uint64_t VkImage;
#endif
struct VkImageCreateInfo;

namespace vaspace::vulkan {

// Of one aspect of an image, or of its metadata.
struct SparseAspect {
  std::uint32_t aspects = 0;            // VkImageAspectFlags
  bool metadata = false;                // bound first, by opaque binds that say so; has no tiles
  std::array<std::uint32_t, 3> tile{};  // texels of a sparse block
  std::uint32_t tail_first_level = 0;   // this level and all smaller ones are in the mip tail
  bool single_tail = false;             // one tail for all layers (V22)
  Bytes tail_size{};                    // of each tail
  Bytes tail_offset{};                  // of the first, in the image
  Bytes tail_stride{};                  // from one layer's to the next
};

struct SparseImage {
  static constexpr std::size_t kMaxAspects = 8;

  VkImage image{};
  Bytes size{};   // of the sparse address space
  Bytes block{};  // of every tile; what memory is aligned to
  std::uint32_t memory_type_bits = 0;
  std::uint32_t aspect_count = 0;
  std::array<SparseAspect, kMaxAspects> aspects{};
};

// A box of tiles of one subresource, or (opaque) bytes of the image, behind which memory is put or taken
// away. A box of several tiles lies in memory x first, then y, then z.
struct ImageBind {
  VkImage image{};
  bool opaque = false;
  bool metadata = false;  // opaque only
  std::uint32_t aspect = 0, level = 0, layer = 0;
  std::array<std::uint32_t, 3> offset{}, extent{};  // texels
  Bytes at{}, size{};                               // opaque: in the image
  std::uint64_t memory = 0;                         // VkDeviceMemory; 0 unbinds
  Bytes memory_offset{};
};

// Thread-safe. Binds are submitted one at a time, under a lock that no other call needs.
class SparseImages final {
  struct State;

 public:
  // `device` has the features sparse_binding and timeline_semaphore, `sparse` is a queue of a family that
  // binds sparse memory (V31). Errors: as SparseBackend::create.
  [[nodiscard]] static Result<HostObject<SparseImages>> create(const BackendConfig& device,
                                                               const Queue& sparse) noexcept;
  explicit SparseImages(HostObject<State> state) noexcept;  // create() makes them
  // Waits for its own binds. All images are destroyed before.
  ~SparseImages();

  // Reads of what is not resident give zeros (residencyNonResidentStrict); else they are undefined (V28).
  [[nodiscard]] bool non_resident_strict() const noexcept;

  // vkCreateImage with SPARSE_BINDING and SPARSE_RESIDENCY added to the flags; nothing is bound. Errors:
  // invalid_argument (no optimal tiling, neither 2D nor 3D, no level or layer, or more levels than down to
  // one texel), not_supported (a feature that is not enabled; more than one sample; a format of which the
  // device has no tiles), out_of_address_space (V30), the driver's own.
  [[nodiscard]] Result<SparseImage> create_image(const VkImageCreateInfo& info) noexcept;
  // Nothing that was bound to it is pending.
  void destroy(const SparseImage& image) noexcept;

  // All of them or none, in one batch; they do not overlap (V23). Begins after `waits`, which are points of
  // this chain or of timelines that were added. Errors: invalid_argument (a wait), out_of_host_memory, the
  // driver's own.
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const ImageBind> binds,
                                           std::span<const TimelinePoint> waits) noexcept;

  // As SparseBackend has them.
  [[nodiscard]] VkSemaphore timeline() const noexcept;
  [[nodiscard]] Result<TimelineId> add_timeline(VkSemaphore semaphore) noexcept;
  [[nodiscard]] Result<void> forget_timeline(TimelineId timeline) noexcept;
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept;
  // The largest value of the chain that is known to have passed; everything, where the device is lost.
  [[nodiscard]] std::uint64_t reached() noexcept;
  // Until all binds are done, or the device is lost.
  void drain() noexcept;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::vulkan
