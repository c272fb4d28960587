#include "sparse_texture_layout.hpp"

#include <algorithm>

namespace vaspace::vulkan {

namespace {

constexpr std::uint64_t kMostTiles = std::uint64_t{1} << 31U;

std::uint32_t halved(std::uint32_t extent, std::uint32_t level) noexcept {
  return level < 32 ? std::max(1U, extent >> level) : 1U;
}

}  // namespace

TextureLayout::Three TextureLayout::tiles(std::uint32_t plane, std::uint32_t level) const noexcept {
  const Plane& of = planes_[plane];
  Three count{};
  if (level >= of.levels) return count;
  for (std::size_t i = 0; i < 3; ++i)
    count[i] = (halved(extent_[i], level) - 1) / of.tile[i] + 1;
  return count;
}

bool TextureLayout::add_plane(const SparseAspect& aspect) noexcept {
  Plane& plane = planes_[plane_count_];
  plane.aspects = aspect.aspects;
  plane.tile = aspect.tile;
  plane.levels = std::min(aspect.tail_first_level, levels_);
  plane.first = tile_count_;
  std::uint64_t per_layer = 0;
  for (std::uint32_t level = 0; level < plane.levels; ++level) {
    const Three count = tiles(plane_count_, level);
    const std::uint64_t flat = std::uint64_t{count[0]} * count[1];
    if (flat > kMostTiles || flat * count[2] > kMostTiles) return false;
    per_layer += flat * count[2];
  }
  if (per_layer > kMostTiles || per_layer * layers_ + tile_count_ >= kMostTiles) return false;
  plane.per_layer = static_cast<std::uint32_t>(per_layer);
  tile_count_ += plane.per_layer * layers_;
  ++plane_count_;
  return true;
}

// Nothing of a level is in the tail where the tail begins behind the last.
Result<void> TextureLayout::add_tails(const SparseAspect& aspect, Bytes block) noexcept {
  const bool none = aspect.tail_size == Bytes{} || (!aspect.metadata && aspect.tail_first_level >= levels_);
  if (none) return {};
  const std::uint32_t count = aspect.single_tail ? 1 : layers_;
  for (const Bytes unit : {aspect.tail_size, aspect.tail_offset, count == 1 ? Bytes{} : aspect.tail_stride})
    if (!is_aligned(unit, Alignment{block})) return fail(ErrorCode::driver_error);
  if (count > ~tail_count_) return fail(ErrorCode::too_large);
  Tails& tails = tails_[tail_kinds_++];
  tails = {.at = aspect.tail_offset,
           .size = aspect.tail_size,
           .stride = aspect.tail_stride,
           .count = count,
           .metadata = aspect.metadata};
  tail_count_ += tails.count;
  if (aspect.metadata) metadata_tails_ += tails.count;
  return {};
}

Result<TextureLayout> TextureLayout::of(const SparseImage& image, const VkImageCreateInfo& info) noexcept {
  TextureLayout layout;
  layout.image_ = image.image;
  layout.extent_ = {info.extent.width, info.extent.height, info.extent.depth};
  layout.levels_ = info.mipLevels;
  layout.layers_ = info.arrayLayers;
  if (!Alignment{image.block}.valid()) return fail(ErrorCode::driver_error);
  for (const bool metadata : {true, false}) {
    for (std::uint32_t i = 0; i < image.aspect_count; ++i) {
      const SparseAspect& aspect = image.aspects[i];
      if (aspect.metadata != metadata) continue;
      const bool bad_tile = std::find(aspect.tile.begin(), aspect.tile.end(), 0U) != aspect.tile.end();
      if (!metadata && bad_tile) return fail(ErrorCode::driver_error);
      if (!metadata && !layout.add_plane(aspect)) return fail(ErrorCode::too_large);
      if (const auto added = layout.add_tails(aspect, image.block); !added) return fail(added.error());
    }
  }
  if (layout.plane_count_ == 0) return fail(ErrorCode::driver_error);
  return layout;
}

bool TextureLayout::check(const TileBox& box) const noexcept {
  if (box.plane >= plane_count_ || box.layer >= layers_ || box.level >= planes_[box.plane].levels)
    return false;
  const Three count = tiles(box.plane, box.level);
  const auto inside = [](std::uint32_t at, std::uint32_t size, std::uint32_t all) {
    return size != 0 && at < all && size <= all - at;
  };
  return inside(box.x, box.width, count[0]) && inside(box.y, box.height, count[1]) &&
         inside(box.z, box.depth, count[2]);
}

std::uint32_t TextureLayout::index_of(const TileBox& box, std::uint32_t x, std::uint32_t y,
                                      std::uint32_t z) const noexcept {
  const Plane& plane = planes_[box.plane];
  std::uint32_t index = plane.first + box.layer * plane.per_layer;
  for (std::uint32_t level = 0; level < box.level; ++level) {
    const Three count = tiles(box.plane, level);
    index += count[0] * count[1] * count[2];
  }
  const Three count = tiles(box.plane, box.level);
  return index + (z * count[1] + y) * count[0] + x;
}

ImageBind TextureLayout::bind_of(const TileBox& box, std::uint32_t x, std::uint32_t y, std::uint32_t z,
                                 std::uint32_t count) const noexcept {
  const Plane& plane = planes_[box.plane];
  const Three at{x, y, z};
  const Three tiles{count, 1, 1};
  ImageBind bind;
  bind.image = image_;
  bind.aspect = plane.aspects;
  bind.level = box.level;
  bind.layer = box.layer;
  for (std::size_t i = 0; i < 3; ++i) {
    bind.offset[i] = at[i] * plane.tile[i];
    bind.extent[i] = std::min(tiles[i] * plane.tile[i], halved(extent_[i], box.level) - bind.offset[i]);
  }
  return bind;
}

TextureLayout::Tail TextureLayout::tail(std::uint32_t index) const noexcept {
  std::uint32_t kind = 0;
  for (; index >= tails_[kind].count; ++kind)
    index -= tails_[kind].count;
  const Tails& tails = tails_[kind];
  return {tails.at + tails.stride * index, tails.size, tails.metadata};
}

}  // namespace vaspace::vulkan
