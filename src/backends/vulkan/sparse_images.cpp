#include "vaspace/backends/vulkan/sparse_images.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "profile.hpp"
#include "sparse_chain.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

}  // namespace

namespace {

// With all of its aspects: no device's blocks are above 2 MiB.
constexpr Bytes kMostOfATile = 4_MiB;
// Beyond 2^63 no device's address space is.
constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max() / 2;

// kMost, where it would be more.
std::uint64_t product(std::uint64_t a, std::uint64_t b) noexcept {
  return a != 0 && b > kMost / a ? kMost : a * b;
}

// Of a whole chain (V20): the last level is one texel.
std::uint32_t most_levels(const VkExtent3D& extent) noexcept {
  return static_cast<std::uint32_t>(std::bit_width(std::max({extent.width, extent.height, extent.depth})));
}

}  // namespace

// `submitting` makes binds one at a time and is held during their driver call.
struct SparseImages::State {
  State(const BackendConfig& device, const Queue& sparse) noexcept
      : config(device), queue(sparse), timelines(device.host), chain(device.host) {}

  [[nodiscard]] Result<void> open() noexcept;
  [[nodiscard]] bool complete() const noexcept;
  [[nodiscard]] Result<VkImageCreateInfo> checked(const VkImageCreateInfo& info) const noexcept;
  [[nodiscard]] Result<VkExtent3D> tile_of(const VkImageCreateInfo& info) noexcept;
  [[nodiscard]] Result<Bytes> expected_size(const VkImageCreateInfo& info) noexcept;
  [[nodiscard]] Result<void> describe(SparseImage& image) noexcept;
  [[nodiscard]] bool claim(Bytes size) noexcept;
  void give_back(Bytes size) noexcept;

  BackendConfig config;
  Queue queue;
  Driver driver;
  DeviceProfile profile;
  DeviceLimits limits;
  bool strict = false;
  TimelineTable timelines;
  SparseChain chain;
  DeviceAccount own_account;
  DeviceAccount* account = &own_account;  // the one that counts (V30)

  std::mutex submitting;
};

bool SparseImages::State::complete() const noexcept {
  const VolkDeviceTable& call = driver.functions;
  return call.vkCreateImage != nullptr && call.vkDestroyImage != nullptr &&
         call.vkGetImageMemoryRequirements != nullptr &&
         call.vkGetImageSparseMemoryRequirements2 != nullptr && call.vkQueueBindSparse != nullptr &&
         call.vkCreateSemaphore != nullptr && call.vkDestroySemaphore != nullptr &&
         driver.get_sparse_formats != nullptr && driver.get_counter_value != nullptr &&
         driver.wait_semaphores != nullptr;
}

Result<void> SparseImages::State::open() noexcept {
  if (queue.queue == nullptr) return fail(ErrorCode::invalid_configuration);
  if (!config.features.sparse_binding || !config.features.timeline_semaphore)
    return fail(ErrorCode::not_supported);
  if (const auto loaded = Driver::load(config, driver); !loaded) return loaded;
  config.functions = {};  // only read until here
  if (!complete()) return fail(ErrorCode::driver_error);
  if (const auto read = read_device(driver, config, profile, limits); !read) return read;
  own_account.set_limits(profile.capabilities.max_reservations, limits.sparse_address_space);
  if (config.account != nullptr) account = config.account;
  VkPhysicalDeviceProperties properties{};
  driver.get_properties(driver.physical_device, &properties);
  strict = properties.sparseProperties.residencyNonResidentStrict == VK_TRUE;
  SparseConfig wish;
  wish.device = config;
  wish.sparse = queue;
  if (const auto fits = check_families(driver, wish); !fits) return fits;
  return chain.create(driver, wish);
}

Result<HostObject<SparseImages>> SparseImages::create(const BackendConfig& device,
                                                      const Queue& sparse) noexcept {
  auto state = make_host_object<State>(device.host, device, sparse);
  if (!state) return fail(ErrorCode::out_of_host_memory);
  if (const auto opened = state->open(); !opened) return fail(opened.error());
  auto images = make_host_object<SparseImages>(device.host, std::move(state));
  if (!images) return fail(ErrorCode::out_of_host_memory);
  return images;
}

SparseImages::SparseImages(HostObject<State> state) noexcept : state_(std::move(state)) {}
SparseImages::~SparseImages() = default;

bool SparseImages::non_resident_strict() const noexcept {
  return state_->strict;
}

// ---- images

Result<VkImageCreateInfo> SparseImages::State::checked(const VkImageCreateInfo& info) const noexcept {
  const bool flat = info.imageType == VK_IMAGE_TYPE_2D;
  const bool deep = info.imageType == VK_IMAGE_TYPE_3D;
  if ((!flat && !deep) || info.tiling != VK_IMAGE_TILING_OPTIMAL || info.mipLevels == 0 ||
      info.arrayLayers == 0 || info.extent.width == 0 || info.extent.height == 0 || info.extent.depth == 0 ||
      info.mipLevels > most_levels(info.extent))
    return fail(ErrorCode::invalid_argument);
  const DeviceFeatures& can = config.features;
  const bool enabled = flat ? can.sparse_residency_image_2d : can.sparse_residency_image_3d;
  if (!enabled || info.samples != VK_SAMPLE_COUNT_1_BIT) return fail(ErrorCode::not_supported);
  VkImageCreateInfo sparse = info;
  sparse.flags |= VK_IMAGE_CREATE_SPARSE_BINDING_BIT | VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT;
  return sparse;
}

// In texels, of the first aspect.
Result<VkExtent3D> SparseImages::State::tile_of(const VkImageCreateInfo& info) noexcept {
  VkPhysicalDeviceSparseImageFormatInfo2 asked{};
  asked.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SPARSE_IMAGE_FORMAT_INFO_2;
  asked.format = info.format;
  asked.type = info.imageType;
  asked.samples = info.samples;
  asked.usage = info.usage;
  asked.tiling = info.tiling;
  std::uint32_t count = SparseImage::kMaxAspects;
  VkSparseImageFormatProperties2 answers[SparseImage::kMaxAspects]{};
  for (VkSparseImageFormatProperties2& one : answers)
    one.sType = VK_STRUCTURE_TYPE_SPARSE_IMAGE_FORMAT_PROPERTIES_2;
  driver.get_sparse_formats(driver.physical_device, &asked, &count, answers);
  const VkExtent3D tile = answers[0].properties.imageGranularity;
  if (count == 0 || tile.width == 0 || tile.height == 0 || tile.depth == 0)
    return fail(ErrorCode::not_supported);
  return tile;
}

// No less than the image will need, in so far as that can be known before it is made: an image of one tile
// says what a tile has, and every level is counted in whole tiles.
Result<Bytes> SparseImages::State::expected_size(const VkImageCreateInfo& info) noexcept {
  const auto tile = tile_of(info);
  if (!tile) return fail(tile.error());
  VkImageCreateInfo one = info;
  one.extent = *tile;
  one.mipLevels = one.arrayLayers = 1;
  one.flags &= ~VkImageCreateFlags{VK_IMAGE_CREATE_CUBE_COMPATIBLE_BIT};
  // It counts too, and what it needs is known only when it is there.
  if (!claim(kMostOfATile)) return fail(ErrorCode::out_of_address_space);
  VkImage probe = VK_NULL_HANDLE;
  VkMemoryRequirements needs{};
  const VkResult result = driver.functions.vkCreateImage(driver.device, &one, nullptr, &probe);
  if (result == VK_SUCCESS) {
    driver.functions.vkGetImageMemoryRequirements(driver.device, probe, &needs);
    driver.functions.vkDestroyImage(driver.device, probe, nullptr);
  }
  give_back(kMostOfATile);
  if (result != VK_SUCCESS) return refusal(result, "vkCreateImage");

  const auto tiles = [](std::uint32_t extent, std::uint32_t level, std::uint32_t by) {
    const std::uint64_t texels = std::max(1U, extent >> level);
    return (texels + by - 1) / by;
  };
  std::uint64_t count = 0;
  for (std::uint32_t level = 0; level < info.mipLevels && count < kMost; ++level) {
    const std::uint64_t flat =
        product(tiles(info.extent.width, level, tile->width), tiles(info.extent.height, level, tile->height));
    count += product(flat, tiles(info.extent.depth, level, tile->depth));
  }
  // needs.size: all aspects of one tile.
  const std::uint64_t size = product(product(count, info.arrayLayers), std::max(needs.size, needs.alignment));
  if (size >= kMost) return fail(ErrorCode::out_of_address_space);
  return Bytes{size};
}

bool SparseImages::State::claim(Bytes size) noexcept {
  return account->claim_sparse(size);
}

void SparseImages::State::give_back(Bytes size) noexcept {
  account->give_back_sparse(size);
}

// What the driver says of an image that is there.
Result<void> SparseImages::State::describe(SparseImage& image) noexcept {
  VkMemoryRequirements needs{};
  driver.functions.vkGetImageMemoryRequirements(driver.device, image.image, &needs);
  image.block = Bytes{needs.alignment};
  image.memory_type_bits = needs.memoryTypeBits;
  VkImageSparseMemoryRequirementsInfo2 asked{};
  asked.sType = VK_STRUCTURE_TYPE_IMAGE_SPARSE_MEMORY_REQUIREMENTS_INFO_2;
  asked.image = image.image;
  VkSparseImageMemoryRequirements2 answers[SparseImage::kMaxAspects]{};
  for (VkSparseImageMemoryRequirements2& one : answers)
    one.sType = VK_STRUCTURE_TYPE_SPARSE_IMAGE_MEMORY_REQUIREMENTS_2;
  image.aspect_count = SparseImage::kMaxAspects;
  driver.functions.vkGetImageSparseMemoryRequirements2(driver.device, &asked, &image.aspect_count, answers);
  for (std::uint32_t i = 0; i < image.aspect_count; ++i) {
    const VkSparseImageMemoryRequirements& said = answers[i].memoryRequirements;
    const VkSparseImageFormatProperties& format = said.formatProperties;
    SparseAspect& aspect = image.aspects[i];
    aspect.aspects = format.aspectMask;
    aspect.metadata = (format.aspectMask & VK_IMAGE_ASPECT_METADATA_BIT) != 0;
    aspect.tile = {format.imageGranularity.width, format.imageGranularity.height,
                   format.imageGranularity.depth};
    aspect.tail_first_level = said.imageMipTailFirstLod;
    aspect.single_tail = (format.flags & VK_SPARSE_IMAGE_FORMAT_SINGLE_MIPTAIL_BIT) != 0;
    aspect.tail_size = Bytes{said.imageMipTailSize};
    aspect.tail_offset = Bytes{said.imageMipTailOffset};
    aspect.tail_stride = Bytes{said.imageMipTailStride};
  }
  // The account has what was expected, which is rarely less.
  const Bytes size{needs.size};
  if (size > image.size && !claim(size - image.size)) return fail(ErrorCode::out_of_address_space);
  if (size < image.size) give_back(image.size - size);
  image.size = size;
  return {};
}

Result<SparseImage> SparseImages::create_image(const VkImageCreateInfo& info) noexcept {
  State& state = *state_;
  const auto sparse = state.checked(info);
  if (!sparse) return fail(sparse.error());
  const auto expected = state.expected_size(*sparse);
  if (!expected) return fail(expected.error());
  if (!state.claim(*expected)) return fail(ErrorCode::out_of_address_space);
  SparseImage image;
  image.size = *expected;
  const VkResult result =
      state.driver.functions.vkCreateImage(state.driver.device, &*sparse, nullptr, &image.image);
  if (result != VK_SUCCESS) {
    state.give_back(image.size);
    return refusal(result, "vkCreateImage");
  }
  const auto described = state.describe(image);
  if (described) return image;
  destroy(image);
  return fail(described.error());
}

void SparseImages::destroy(const SparseImage& image) noexcept {
  state_->driver.functions.vkDestroyImage(state_->driver.device, image.image, nullptr);
  state_->give_back(image.size);
}

// ---- binds

Result<TimelinePoint> SparseImages::bind(std::span<const ImageBind> binds,
                                         std::span<const TimelinePoint> waits) noexcept {
  State& state = *state_;
  const Lock one_at_a_time(state.submitting);
  if (const auto set = state.chain.set_waits(waits, state.timelines); !set) return fail(set.error());
  const auto value = state.chain.submit_image_binds(binds);
  if (!value) return fail(value.error());
  return TimelinePoint{TimelineId{}, *value};
}

VkSemaphore SparseImages::timeline() const noexcept {
  return state_->chain.semaphore();
}

Result<TimelineId> SparseImages::add_timeline(VkSemaphore semaphore) noexcept {
  if (semaphore == VK_NULL_HANDLE) return fail(ErrorCode::invalid_argument);
  return state_->timelines.add(semaphore);
}

Result<void> SparseImages::forget_timeline(TimelineId timeline) noexcept {
  return state_->timelines.forget(timeline);
}

Result<bool> SparseImages::completed(TimelinePoint point) noexcept {
  if (point.timeline == TimelineId{}) return state_->chain.passed(point.value);
  const auto semaphore = state_->timelines.find(point.timeline);
  if (!semaphore) return fail(semaphore.error());
  return has_reached(state_->driver, *semaphore, point.value);
}

Result<void> SparseImages::wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept {
  if (point.timeline == TimelineId{}) return state_->chain.wait(point.value, timeout_ns);
  const auto semaphore = state_->timelines.find(point.timeline);
  if (!semaphore) return fail(semaphore.error());
  return wait_for(state_->driver, *semaphore, point.value, timeout_ns);
}

void SparseImages::drain() noexcept {
  state_->chain.drain();
}

std::uint64_t SparseImages::reached() noexcept {
  return state_->chain.reached(state_->chain.last());
}

}  // namespace vaspace::vulkan
