// Where the tiles and tails of a sparse image are: arithmetic alone.
//
//   tile index   plane | layer | level | z | y | x        planes one after the other, x next to each other
//
// Always true: indices of different tiles differ and are below tile_count(); a box that check() lets pass has
// only tiles that are there; tails are listed with metadata first.
#pragma once

#include "vaspace/frontends/vulkan/sparse_texture.hpp"

#include "resource_calls.hpp"

namespace vaspace::vulkan {

class TextureLayout {
 public:
  using Three = std::array<std::uint32_t, 3>;

  // A range of the image that is bound opaquely (V22).
  struct Tail {
    Bytes at{};
    Bytes size{};
    bool metadata = false;
  };

  TextureLayout() noexcept = default;
  // Errors: too_large (2^31 tiles, or 2^32 tails), driver_error (an aspect without tiles; a tail whose size,
  // place or stride is no multiple of a block).
  [[nodiscard]] static Result<TextureLayout> of(const SparseImage& image,
                                                const VkImageCreateInfo& info) noexcept;

  [[nodiscard]] std::uint32_t planes() const noexcept { return plane_count_; }
  [[nodiscard]] std::uint32_t tiled_levels(std::uint32_t plane) const noexcept {
    return planes_[plane].levels;
  }
  [[nodiscard]] Three tile(std::uint32_t plane) const noexcept { return planes_[plane].tile; }
  // Of a layer of a level; none where it is in the tail.
  [[nodiscard]] Three tiles(std::uint32_t plane, std::uint32_t level) const noexcept;
  [[nodiscard]] std::uint32_t tile_count() const noexcept { return tile_count_; }

  // Whether every tile of the box is there.
  [[nodiscard]] bool check(const TileBox& box) const noexcept;
  // Of a tile of a box that is there.
  [[nodiscard]] std::uint32_t index_of(const TileBox& box, std::uint32_t x, std::uint32_t y,
                                       std::uint32_t z) const noexcept;
  // `count` tiles beside each other, from this one on: offset and extent, up to the edge (V21).
  [[nodiscard]] ImageBind bind_of(const TileBox& box, std::uint32_t x, std::uint32_t y, std::uint32_t z,
                                  std::uint32_t count) const noexcept;

  [[nodiscard]] std::uint32_t tails() const noexcept { return tail_count_; }
  // Those of metadata come first.
  [[nodiscard]] std::uint32_t metadata_tails() const noexcept { return metadata_tails_; }
  [[nodiscard]] Tail tail(std::uint32_t index) const noexcept;

 private:
  struct Plane {
    std::uint32_t aspects = 0;
    Three tile{};
    std::uint32_t levels = 0;     // with tiles
    std::uint32_t first = 0;      // tile index
    std::uint32_t per_layer = 0;  // tiles
  };
  struct Tails {
    Bytes at{};
    Bytes size{};
    Bytes stride{};
    std::uint32_t count = 0;
    bool metadata = false;
  };
  [[nodiscard]] bool add_plane(const SparseAspect& aspect) noexcept;
  [[nodiscard]] Result<void> add_tails(const SparseAspect& aspect, Bytes block) noexcept;

  VkImage image_{};
  Three extent_{};
  std::uint32_t levels_ = 0;
  std::uint32_t layers_ = 0;
  std::uint32_t plane_count_ = 0;
  std::uint32_t tail_kinds_ = 0;
  std::uint32_t tail_count_ = 0;
  std::uint32_t metadata_tails_ = 0;
  std::uint32_t tile_count_ = 0;
  std::array<Plane, SparseImage::kMaxAspects> planes_{};
  std::array<Tails, SparseImage::kMaxAspects> tails_{};
};

}  // namespace vaspace::vulkan
