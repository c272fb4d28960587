// The renderer: a scene's meshes, materials and textures, streamed through three frames in flight.
//
//   frame      leave ─► plan moves ─► arrive ─► record: copy moves, upload, draw, read back ─► submit
//   memory     retire                 create,            commit, with the frame as their point
//                                     alloc
//
// Always true: the host writes, reuses or frees nothing of a frame that the device may still be at; it waits
// only for the frame of three frames ago. A frame's number is its point on the timeline.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "vaspace/frontends/vulkan.hpp"

#include "commands.hpp"
#include "frame_queue.hpp"
#include "pipeline.hpp"
#include "scene.hpp"
#include "vulkan_must.hpp"

namespace memory = vaspace::vulkan;
using namespace vaspace::literals;

class Renderer {
 public:
  static constexpr std::uint32_t kSide = 256;  // of the picture
  static constexpr std::uint32_t kInFlight = 3;
  static constexpr vaspace::Bytes kPicture{std::uint64_t{kSide} * kSide * 4};

  Renderer(HeadlessVulkan& vulkan, bool defragment)
      : defragment_(defragment),
        queue_(vulkan),
        gpu_(must(memory::Backend::create({.instance = vulkan.instance,
                                           .physical_device = vulkan.physical_device,
                                           .device = vulkan.device,
                                           .get_instance_proc_addr = vkGetInstanceProcAddr,
                                           .features = {.timeline_semaphore = true}}),
                  "Backend::create")),
        heap_(must(memory::Heap::create(*gpu_, config()), "Heap::create")),
        timeline_(must(heap_.add_timeline(queue_.timeline), "add_timeline")),
        ring_(must(memory::UploadRing::create(heap_, {.capacity = 4_MiB, .timeline = timeline_}), "ring")),
        places_(must(memory::FrameMemory::create(heap_, {.capacity = 128_KiB,
                                                         .frames = kInFlight,
                                                         .timeline = timeline_,
                                                         .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT}),
                     "frame memory")) {
    const VkImageCreateInfo info =
        image_info(kSide, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT);
    picture_ = must(heap_.create_image({.info = &info, .name = "picture"}), "picture");
    for (memory::Buffer& seen : seen_)
      seen = must(heap_.create_buffer({.size = kPicture,
                                       .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                       .intent = vaspace::Intent::readback,
                                       .mapping = vaspace::Mapping::required,
                                       .name = "picture for the host"}),
                  "readback");
    pipeline_.emplace(vulkan.device, picture_.image(), kSide);
  }
  Renderer(const Renderer&) = delete;
  Renderer& operator=(const Renderer&) = delete;
  ~Renderer() {
    queue_.wait_for_all();
    for (const Object& object : objects_)
      pipeline_->destroy(object.view);
    for (const Unused& unused : unused_)
      pipeline_->destroy(unused.view);
  }

  // Frames are played one after the other, from 1 on.
  void play(std::uint64_t frame) {
    if (frame > kInFlight) finish(frame - kInFlight);
    must(places_.begin(frame, ~std::uint64_t{0}), "begin");
    leave(frame);
    const std::vector<memory::ResourceMove> moves = plan();
    const std::size_t first_new = objects_.size();
    arrive(frame);
    queue_.submit(frame, [&](VkCommandBuffer commands) {
      order_copies(commands);
      for (const memory::ResourceMove& move : moves)
        record(commands, move);
      for (std::size_t i = first_new; i < objects_.size(); ++i)
        upload(commands, objects_[i]);
      order_drawing(commands);
      commit(moves, frame);
      draw(commands, frame);
      const VkBufferImageCopy all = packed(0, kSide);
      vkCmdCopyImageToBuffer(commands, picture_.image(), of(Use::copied_from).layout, seen(frame).buffer(), 1,
                             &all);
      order_reading(commands);
    });
    must(ring_.close(frame), "close");
    last_ = frame;
  }
  // The device is done with all frames afterwards.
  void finish() {
    for (std::uint64_t frame = done_ + 1; frame <= last_; ++frame)
      finish(frame);
  }

  // Of every frame that is finished, what its picture adds up to.
  [[nodiscard]] const std::vector<std::uint64_t>& checksums() const { return checksums_; }
  // The last frame, in rows of RGBA; finish() comes first.
  [[nodiscard]] const std::uint8_t* pixels() const {
    return reinterpret_cast<const std::uint8_t*>(seen_[last_ % kInFlight].mapped());
  }

  struct Figures {
    std::uint64_t things = 0;  // seen in the last frame
    std::uint64_t buffers_moved = 0;
    std::uint64_t images_moved = 0;
    vaspace::Bytes bytes_moved{};
    vaspace::Bytes most_live{};
    vaspace::Bytes most_committed{};
    memory::HeapReport heap{};
  };
  [[nodiscard]] Figures figures() const {
    if (const char* wrong = heap_.validate(); wrong != nullptr) throw std::runtime_error(wrong);
    Figures all = figures_;
    all.things = objects_.size();
    all.heap = heap_.report();
    return all;
  }

 private:
  struct Object {
    Thing thing;
    memory::Image texture;
    memory::Buffer mesh;
    memory::Buffer material;
    std::uint32_t vertices = 0;
    VkImageView view = VK_NULL_HANDLE;
    VkDescriptorSet set = VK_NULL_HANDLE;
  };
  // What no frame after this one uses.
  struct Unused {
    std::uint64_t frame = 0;
    VkImageView view = VK_NULL_HANDLE;
    VkDescriptorSet set = VK_NULL_HANDLE;
  };

  static memory::HeapConfig config() {
    memory::HeapConfig config;
    config.memory.first_block =
        1_MiB;  // a scene of some MiB, so that it has as many blocks as large ones have
    config.memory.largest_block = 1_MiB;
    config.memory.keep = {};  // and what is emptied is seen to go
    config.memory.keep_percent = 0;
    return config;
  }
  static VkImageCreateInfo image_info(std::uint32_t side, VkImageUsageFlags usage) {
    VkImageCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info.imageType = VK_IMAGE_TYPE_2D;
    info.format = kFormat;
    info.extent = {side, side, 1};
    info.mipLevels = info.arrayLayers = 1;
    info.samples = VK_SAMPLE_COUNT_1_BIT;
    info.usage = usage;
    return info;
  }
  [[nodiscard]] memory::Buffer& seen(std::uint64_t frame) { return seen_[frame % kInFlight]; }

  // ---- coming and going

  // Retired memory comes back when the device is past the last frame that may have used it.
  void leave(std::uint64_t frame) {
    const vaspace::TimelinePoint last_use{timeline_, frame - 1};
    const auto stays = [&](const Object& object) { return object.thing.gone > frame; };
    const auto leaving = std::stable_partition(objects_.begin(), objects_.end(), stays);
    for (auto object = leaving; object != objects_.end(); ++object) {
      must(heap_.retire(std::move(object->texture), last_use), "retire");
      must(heap_.retire(std::move(object->mesh), last_use), "retire");
      must(heap_.retire(std::move(object->material), last_use), "retire");
      unused_.push_back({frame - 1, object->view, object->set});
    }
    objects_.erase(leaving, objects_.end());
  }

  // Textures and large meshes have memory of their own, which may move; what is small is a range of a shared
  // buffer.
  void arrive(std::uint64_t frame) {
    for (Thing& thing : scene_.arrivals(frame)) {
      Object object;
      const VkImageCreateInfo info =
          image_info(thing.side, VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT);
      object.texture = must(
          heap_.create_image({.info = &info, .movable = true, .name = "texture", .user_data = thing.number}),
          "texture");
      object.vertices = static_cast<std::uint32_t>(thing.vertices().size());
      const memory::BufferRequest mesh{
          .size = vaspace::Bytes{object.vertices * sizeof(Vertex)},
          .usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
          .movable = thing.is_detailed(),
          .name = "mesh",
          .user_data = thing.number};
      object.mesh = must(mesh.movable ? heap_.create_buffer(mesh) : heap_.alloc_buffer(mesh), "mesh");
      object.material =
          must(heap_.alloc_buffer(vaspace::Bytes{sizeof(Material)}, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT),
               "material");
      object.thing = thing;
      describe(object);
      objects_.push_back(std::move(object));
    }
  }

  void describe(Object& object) {
    object.view = pipeline_->view_of(object.texture.image());
    object.set = pipeline_->describe(places_.buffer(), object.material.buffer(),
                                     object.material.offset().value, object.view);
  }

  // ---- moving

  std::vector<memory::ResourceMove> plan() {
    std::vector<memory::ResourceMove> moves(defragment_ ? 16 : 0);
    if (defragment_) moves.resize(must(heap_.plan_moves({.bytes = 1_MiB}, moves), "plan_moves"));
    return moves;
  }
  void record(VkCommandBuffer commands, const memory::ResourceMove& move) {
    if (move.kind == memory::ResourceMove::Kind::buffer) {
      const VkBufferCopy all{0, 0, move.size.value};
      vkCmdCopyBuffer(commands, move.source_buffer, move.destination_buffer, 1, &all);
      return;
    }
    transition(commands, move.source_image, Use::sampled, Use::copied_from);
    transition(commands, move.destination_image, Use::fresh, Use::copied_to);
    copy_image(commands, move.source_image, move.destination_image, mover_of(move).thing.side);
    transition(commands, move.destination_image, Use::copied_to, Use::sampled);
    // Where the move comes to nothing, the source is drawn on.
    transition(commands, move.source_image, Use::copied_from, Use::sampled);
  }
  // Frames that are under way use the old place, this one and all after it the new one.
  void commit(const std::vector<memory::ResourceMove>& moves, std::uint64_t frame) {
    const vaspace::TimelinePoint done{timeline_, frame};
    for (const memory::ResourceMove& move : moves) {
      const bool is_image = move.kind == memory::ResourceMove::Kind::image;
      if (!must(heap_.commit_move(move, {&done, 1}), "commit_move")) continue;
      (is_image ? figures_.images_moved : figures_.buffers_moved) += 1;
      figures_.bytes_moved += move.move.source.size;
      if (!is_image) continue;
      Object& object = mover_of(move);
      unused_.push_back({frame, object.view, object.set});
      describe(object);
    }
  }
  [[nodiscard]] Object& mover_of(const memory::ResourceMove& move) {
    const auto is_it = [&](const Object& object) { return object.thing.number == move.user_data; };
    const auto found = std::find_if(objects_.begin(), objects_.end(), is_it);
    if (found == objects_.end()) throw std::runtime_error("a move of what is not in the scene");
    return *found;
  }

  // ---- filling and drawing

  void upload(VkCommandBuffer commands, const memory::Buffer& destination, std::span<const std::byte> bytes) {
    const memory::Upload copy = must(ring_.upload(destination, 0_B, bytes), "upload");
    const VkBufferCopy range{copy.source_offset.value, copy.destination_offset.value, copy.size.value};
    if (!copy.direct) vkCmdCopyBuffer(commands, copy.source, copy.destination, 1, &range);
  }
  void upload(VkCommandBuffer commands, const Object& object) {
    const std::vector<Vertex> vertices = object.thing.vertices();
    const Material material = object.thing.material();
    upload(commands, object.mesh, std::as_bytes(std::span(vertices)));
    upload(commands, object.material, std::as_bytes(std::span(&material, 1)));
    const std::vector<std::uint32_t> texels = object.thing.texels();
    const memory::Piece piece = must(ring_.write(std::as_bytes(std::span(texels))), "write");
    const VkBufferImageCopy all = packed(piece.offset.value, object.thing.side);
    transition(commands, object.texture.image(), Use::fresh, Use::copied_to);
    vkCmdCopyBufferToImage(commands, piece.buffer, object.texture.image(), of(Use::copied_to).layout, 1,
                           &all);
    transition(commands, object.texture.image(), Use::copied_to, Use::sampled);
  }

  void draw(VkCommandBuffer commands, std::uint64_t frame) {
    pipeline_->begin(commands);
    for (const Object& object : objects_) {
      const Place place = object.thing.place(frame);
      const memory::Piece piece = must(places_.allocate(vaspace::Bytes{sizeof(Place)}), "place");
      std::memcpy(piece.mapped, &place, sizeof(Place));
      pipeline_->draw(commands, object.set, static_cast<std::uint32_t>(piece.offset.value),
                      object.mesh.buffer(), object.mesh.offset().value, object.vertices);
    }
    Pipeline::end(commands);
    must(places_.flush(), "flush");
  }

  // ---- the end of a frame

  void finish(std::uint64_t frame) {
    queue_.wait_for(frame);
    done_ = frame;
    const memory::HeapReport now = heap_.report();
    figures_.most_live = std::max(figures_.most_live, now.memory.total.live);
    figures_.most_committed = std::max(figures_.most_committed, now.memory.total.committed);
    heap_.collect();
    must(ring_.collect(), "collect");
    const auto used = [&](const Unused& unused) { return unused.frame > done_; };
    const auto gone = std::stable_partition(unused_.begin(), unused_.end(), used);
    for (auto unused = gone; unused != unused_.end(); ++unused) {
      pipeline_->free(unused->set);
      pipeline_->destroy(unused->view);
    }
    unused_.erase(gone, unused_.end());
    must(heap_.invalidate(seen(frame)), "invalidate");
    std::uint64_t sum = 14695981039346656037ULL;
    for (std::uint64_t at = 0; at < kPicture.value; at += sizeof(sum)) {
      std::uint64_t pixels = 0;
      std::memcpy(&pixels, seen(frame).mapped() + at, sizeof(pixels));
      sum = (sum ^ pixels) * 1099511628211ULL;
    }
    checksums_.push_back(sum);
  }

  bool defragment_;
  FrameQueue queue_;
  vaspace::HostObject<memory::Backend> gpu_;
  memory::Heap heap_;
  vaspace::TimelineId timeline_;
  memory::UploadRing ring_;
  memory::FrameMemory places_;
  memory::Image picture_;
  std::array<memory::Buffer, kInFlight> seen_;
  std::optional<Pipeline> pipeline_;
  Scene scene_;
  std::vector<Object> objects_;
  std::vector<Unused> unused_;
  std::uint64_t last_ = 0;  // submitted
  std::uint64_t done_ = 0;
  std::vector<std::uint64_t> checksums_;
  Figures figures_;
};
