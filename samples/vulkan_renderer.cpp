// A renderer without a window: a scene of hundreds of meshes and textures, streamed in and out over hundreds
// of frames, everything it owns from one heap. It draws by copies and blits, so that it needs no shader
// compiler: a texture is an image that is blitted into its cell of the picture, a mesh is a buffer of
// coloured runs that are copied over it, moved by the frame's offsets.
//
//   sample_vulkan_renderer [PICTURE.png]
//
// The scene is played twice, as it is and with defragmentation in every frame; each frame of both is the
// same.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "vaspace/frontends/vulkan.hpp"

#include "frame_queue.hpp"
#include "png_file.hpp"

namespace {

using namespace vaspace::literals;
using vaspace::Bytes;
using vaspace::vulkan::Buffer;
using vaspace::vulkan::Heap;
using vaspace::vulkan::Image;
using vaspace::vulkan::ResourceMove;

constexpr std::uint32_t kCells = 20;  // in a row and in a column
constexpr std::uint32_t kCell = 16;   // texels
constexpr std::uint32_t kSide = kCells * kCell;
constexpr std::uint64_t kFrames = 200;
constexpr std::uint32_t kComing = 3;  // objects a frame
constexpr std::uint64_t kLife = 50;   // frames, half or one and a half of it
// What textures are in between, and what is being written.
constexpr VkImageLayout kRead = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
constexpr VkImageLayout kWritten = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
constexpr VkImageLayout kFresh = VK_IMAGE_LAYOUT_UNDEFINED;
constexpr Bytes kPicture{std::uint64_t{kSide} * kSide * 4};

template <class T>
T must(vaspace::Result<T> result, const char* what) {
  if (!result)
    throw std::runtime_error(std::string(what) + ": " + to_string(result.error().code) + " " +
                             std::to_string(result.error().native));
  return std::move(*result);
}
void must(const vaspace::Result<void>& result, const char* what) {
  if (!result) throw std::runtime_error(std::string(what) + ": " + to_string(result.error().code));
}

// The same on every machine.
struct Random {
  std::uint64_t state;
  std::uint32_t below(std::uint32_t n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>((state >> 33U) % n);
  }
};

// A texture in a cell of the picture, and a mesh over it.
struct Object {
  std::uint32_t cell = 0;
  std::uint32_t side = 0;  // of the texture
  std::uint32_t rows = 0;  // of the mesh
  std::uint64_t gone = 0;  // the frame in which it leaves
  Image texture;
  Buffer mesh;
};

class Renderer {
 public:
  Renderer(HeadlessVulkan& vulkan, bool defragment)
      : defragment_(defragment),
        queue_(vulkan),
        gpu_(must(vaspace::vulkan::Backend::create({.instance = vulkan.instance,
                                                    .physical_device = vulkan.physical_device,
                                                    .device = vulkan.device,
                                                    .get_instance_proc_addr = vkGetInstanceProcAddr,
                                                    .features = {.timeline_semaphore = true}}),
                  "Backend::create")),
        heap_(must(Heap::create(*gpu_, config()), "Heap::create")),
        timeline_(must(heap_.add_timeline(queue_.timeline), "add_timeline")),
        ring_(must(vaspace::vulkan::UploadRing::create(heap_, {.capacity = 4_MiB, .timeline = timeline_}),
                   "ring")) {
    const VkImageCreateInfo info = image_info(kSide);
    picture_ = must(heap_.create_image({.info = &info, .name = "picture"}), "picture");
    seen_ = must(heap_.create_buffer({.size = kPicture,
                                      .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                      .intent = vaspace::Intent::readback,
                                      .mapping = vaspace::Mapping::required,
                                      .name = "picture for the host"}),
                 "readback");
  }

  // One frame; its picture's checksum.
  std::uint64_t play(std::uint64_t frame) {
    leave(frame);
    // Before what comes: that has no contents yet to be copied.
    const std::vector<ResourceMove> moves = defragment_ ? plan() : std::vector<ResourceMove>{};
    std::vector<Object> coming = arrive(frame);
    queue_.submit(frame, [&](VkCommandBuffer commands) {
      copy_moves(commands, moves);
      upload(commands, coming);
      for (Object& object : coming)
        objects_.push_back(std::move(object));
      commit(moves, frame);
      draw(commands);
    });
    must(ring_.close(frame), "close");
    queue_.wait_for(frame);  // to compare every frame; a renderer would go on
    heap_.collect();
    must(ring_.collect(), "collect");
    return checksum();
  }

  void write(const char* path) {
    write_png(path, reinterpret_cast<const std::uint8_t*>(seen_.mapped()), kSide, kSide);
  }

  void tell() const {
    const auto report = heap_.report();
    const auto mib = [](Bytes bytes) { return static_cast<double>(bytes.value) / 1048576.0; };
    std::printf(
        "%s: %zu objects at the end; %.2f MiB of buffers and images in %.2f MiB, at most %.2f; %llu memory "
        "objects, %llu vkAllocateMemory; %llu moves of %.2f MiB\n",
        defragment_ ? "defragmented" : "as it is", objects_.size(), mib(report.memory.total.live),
        mib(report.memory.total.committed), mib(peak_),
        static_cast<unsigned long long>(report.memory.memory_objects),
        static_cast<unsigned long long>(report.memory.device_reserves),
        static_cast<unsigned long long>(moves_), mib(moved_));
    if (heap_.validate() != nullptr) throw std::runtime_error(heap_.validate());
  }

 private:
  static vaspace::vulkan::HeapConfig config() {
    vaspace::vulkan::HeapConfig config;
    config.memory.small = {};           // textures and meshes are small here; let all of them move
    config.memory.first_block = 1_MiB;  // and many blocks hold them
    config.memory.largest_block = 1_MiB;
    config.memory.keep = {};
    config.memory.keep_percent = 0;
    return config;
  }
  static VkImageCreateInfo image_info(std::uint32_t side) {
    VkImageCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info.imageType = VK_IMAGE_TYPE_2D;
    info.format = VK_FORMAT_R8G8B8A8_UNORM;
    info.extent = {side, side, 1};
    info.mipLevels = info.arrayLayers = 1;
    info.samples = VK_SAMPLE_COUNT_1_BIT;
    info.usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    return info;
  }

  void leave(std::uint64_t frame) {
    for (std::size_t i = 0; i < objects_.size();) {
      if (objects_[i].gone > frame) {
        ++i;
        continue;
      }
      must(heap_.retire(std::move(objects_[i].texture), {timeline_, frame}), "retire");
      must(heap_.retire(std::move(objects_[i].mesh), {timeline_, frame}), "retire");
      taken_[objects_[i].cell] = false;
      objects_.erase(objects_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  // A cell of the picture for each, so that they can be drawn in any order.
  std::uint32_t free_cell() {
    std::uint32_t cell = random_.below(kCells * kCells);
    while (taken_[cell])
      cell = (cell + 1) % (kCells * kCells);
    taken_[cell] = true;
    return cell;
  }
  std::vector<Object> arrive(std::uint64_t frame) {
    std::vector<Object> coming;
    for (std::uint32_t i = 0; i < kComing; ++i) {
      Object object;
      object.cell = free_cell();
      object.side = 32U << random_.below(3);
      object.rows = 1 + random_.below(kCell);
      object.gone = frame + kLife / 2 + random_.below(kLife);
      const VkImageCreateInfo info = image_info(object.side);
      object.texture =
          must(heap_.create_image({.info = &info, .movable = true, .name = "texture"}), "texture");
      object.mesh = must(
          heap_.create_buffer({.size = Bytes{std::uint64_t{object.rows} * kCell * 4},
                               .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                               .movable = true,
                               .name = "mesh"}),
          "mesh");
      coming.push_back(std::move(object));
    }
    return coming;
  }

  std::vector<std::uint32_t> texels(std::uint32_t count) {
    const std::uint32_t colour = random_.below(1U << 24U);
    std::vector<std::uint32_t> all(count);
    for (std::uint32_t i = 0; i < count; ++i)
      all[i] = 0xff000000U | (colour + i * 0x010305U);
    return all;
  }

  void upload(VkCommandBuffer commands, std::vector<Object>& coming) {
    for (Object& object : coming) {
      const std::vector<std::uint32_t> image = texels(object.side * object.side);
      const auto piece = must(ring_.write(std::as_bytes(std::span(image))), "write");
      transition(commands, object.texture.image(), kFresh, kWritten);
      VkBufferImageCopy region{};
      region.bufferOffset = piece.offset.value;
      region.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
      region.imageExtent = {object.side, object.side, 1};
      vkCmdCopyBufferToImage(commands, piece.buffer, object.texture.image(), kWritten, 1, &region);
      transition(commands, object.texture.image(), kWritten, kRead);
      const std::vector<std::uint32_t> runs = texels(object.rows * kCell);
      const auto copy = must(ring_.upload(object.mesh, 0_B, std::as_bytes(std::span(runs))), "upload");
      const VkBufferCopy range{copy.source_offset.value, copy.destination_offset.value, copy.size.value};
      if (!copy.direct) vkCmdCopyBuffer(commands, copy.source, copy.destination, 1, &range);
    }
    barrier(commands);
  }

  std::vector<ResourceMove> plan() {
    std::vector<ResourceMove> moves(32);
    moves.resize(must(heap_.plan_moves({.bytes = 1_MiB}, moves), "plan_moves"));
    return moves;
  }
  void copy_moves(VkCommandBuffer commands, const std::vector<ResourceMove>& moves) {
    if (moves.empty()) return;
    barrier(commands);
    for (const ResourceMove& move : moves) {
      if (move.kind == ResourceMove::Kind::buffer) {
        const VkBufferCopy all{0, 0, move.size.value};
        vkCmdCopyBuffer(commands, move.source_buffer, move.destination_buffer, 1, &all);
        continue;
      }
      transition(commands, move.destination_image, kFresh, kWritten);
      VkImageCopy all{};
      all.srcSubresource = all.dstSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
      all.extent = extent_of(move);
      vkCmdCopyImage(commands, move.source_image, kRead, move.destination_image, kWritten, 1, &all);
      transition(commands, move.destination_image, kWritten, kRead);
    }
    barrier(commands);
  }
  [[nodiscard]] VkExtent3D extent_of(const ResourceMove& move) const {
    for (const Object& object : objects_) {
      if (object.texture.image() == move.source_image) return {object.side, object.side, 1};
    }
    throw std::runtime_error("a move of an image that is not in the scene");
  }
  void commit(const std::vector<ResourceMove>& moves, std::uint64_t frame) {
    const vaspace::TimelinePoint done{timeline_, frame};
    for (const ResourceMove& move : moves) {
      must(heap_.commit_move(move, {&done, 1}), "commit_move");
      ++moves_;
      moved_ += move.move.source.size;
    }
  }

  static VkOffset3D corner_of(const Object& object) {
    return {static_cast<std::int32_t>(object.cell % kCells * kCell),
            static_cast<std::int32_t>(object.cell / kCells * kCell), 0};
  }
  void blit_texture(VkCommandBuffer commands, const Object& object) {
    constexpr auto kWidth = static_cast<std::int32_t>(kCell);
    const auto side = static_cast<std::int32_t>(object.side);
    const VkOffset3D corner = corner_of(object);
    VkImageBlit blit{};
    blit.srcSubresource = blit.dstSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    blit.srcOffsets[1] = {side, side, 1};
    blit.dstOffsets[0] = corner;
    blit.dstOffsets[1] = {corner.x + kWidth, corner.y + kWidth, 1};
    vkCmdBlitImage(commands, object.texture.image(), kRead, picture_.image(), kWritten, 1, &blit,
                   VK_FILTER_NEAREST);
  }
  void copy_mesh(VkCommandBuffer commands, const Object& object) {
    VkBufferImageCopy runs{};
    runs.bufferOffset = object.mesh.offset().value;
    runs.bufferRowLength = kCell;
    runs.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    runs.imageOffset = corner_of(object);
    runs.imageExtent = {kCell / 2, (object.rows + 1) / 2, 1};
    vkCmdCopyBufferToImage(commands, object.mesh.buffer(), picture_.image(), kWritten, 1, &runs);
  }

  void draw(VkCommandBuffer commands) {
    const VkClearColorValue black{{0, 0, 0, 1}};
    const VkImageSubresourceRange whole{VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
    transition(commands, picture_.image(), kFresh, kWritten);
    vkCmdClearColorImage(commands, picture_.image(), kWritten, &black, 1, &whole);
    barrier(commands);
    for (const Object& object : objects_)
      blit_texture(commands, object);
    barrier(commands);  // the meshes lie over the textures
    for (const Object& object : objects_)
      copy_mesh(commands, object);
    transition(commands, picture_.image(), kWritten, kRead);
    VkBufferImageCopy all{};
    all.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    all.imageExtent = {kSide, kSide, 1};
    vkCmdCopyImageToBuffer(commands, picture_.image(), kRead, seen_.buffer(), 1, &all);
    barrier(commands);
  }

  std::uint64_t checksum() {
    must(heap_.invalidate(seen_), "invalidate");
    peak_ = std::max(peak_, heap_.report().memory.total.committed);
    std::uint64_t sum = 14695981039346656037ULL;
    for (std::uint64_t i = 0; i < kPicture.value; ++i)
      sum = (sum ^ static_cast<std::uint64_t>(seen_.mapped()[i])) * 1099511628211ULL;
    return sum;
  }

  bool defragment_;
  FrameQueue queue_;
  vaspace::HostObject<vaspace::vulkan::Backend> gpu_;
  Heap heap_;
  vaspace::TimelineId timeline_;
  vaspace::vulkan::UploadRing ring_;
  Image picture_;
  Buffer seen_;
  std::vector<Object> objects_;
  std::vector<bool> taken_ = std::vector<bool>(kCells * kCells);
  Random random_{2024};
  std::uint64_t moves_ = 0;
  Bytes moved_{}, peak_{};
};

int run(const char* path) {
  int messages = 0;
  std::uint64_t different = 0;
  {
    HeadlessVulkan vulkan(messages);
    Renderer plain(vulkan, false);
    Renderer tidy(vulkan, true);
    for (std::uint64_t frame = 1; frame <= kFrames; ++frame)
      different += plain.play(frame) != tidy.play(frame) ? 1 : 0;
    plain.tell();
    tidy.tell();
    if (path != nullptr) tidy.write(path);
  }
  std::printf("%llu frames, %llu of them different, %d validation messages\n",
              static_cast<unsigned long long>(kFrames), static_cast<unsigned long long>(different), messages);
  return different == 0 && messages == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : nullptr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
