// A renderer without a window: hundreds of textured meshes, streamed in and out over hundreds of frames,
// everything they are made of from one heap.
//
//   sample_vulkan_renderer [PICTURE.png]
//
// The scene is played twice, as it is and with defragmentation in every frame, which has to move something:
// each frame of both is the same, to the last bit. What there is to read: vulkan_renderer/renderer.hpp.
#include <cinttypes>
#include <cstdio>

#include "png_file.hpp"
#include "vulkan_renderer/renderer.hpp"

namespace {

constexpr std::uint64_t kFrames = 200;

void tell(const char* name, const Renderer::Figures& figures) {
  const auto mib = [](vaspace::Bytes bytes) { return static_cast<double>(bytes.value) / 1048576.0; };
  const memory::HeapReport& heap = figures.heap;
  std::printf("%s: %" PRIu64 " things; %" PRIu64 " buffers, %" PRIu64 " images, %" PRIu64
              " sub-buffers of %u pools\n",
              name, figures.things, heap.buffers, heap.images, heap.sub_buffers, heap.sub_buffer_pools);
  std::printf("  memory: %.2f MiB of %.2f in use, at most %.2f of %.2f; %" PRIu64 " memory objects, %" PRIu64
              " vkAllocateMemory\n",
              mib(heap.memory.total.live), mib(heap.memory.total.committed), mib(figures.most_live),
              mib(figures.most_committed), heap.memory.memory_objects, heap.memory.device_reserves);
  std::printf("  sub-buffers: %.2f MiB of %.2f; moves: %" PRIu64 " buffers, %" PRIu64 " images, %.2f MiB\n",
              mib(heap.sub_buffer_live), mib(heap.sub_buffer_committed), figures.buffers_moved,
              figures.images_moved, mib(figures.bytes_moved));
}

struct Played {
  std::vector<std::uint64_t> frames;  // every frame's checksum
  bool moved = false;                 // buffers and images too
};

Played play(HeadlessVulkan& vulkan, bool defragment, const char* picture) {
  Renderer renderer(vulkan, defragment);
  for (std::uint64_t frame = 1; frame <= kFrames; ++frame)
    renderer.play(frame);
  renderer.finish();
  const Renderer::Figures figures = renderer.figures();
  tell(defragment ? "defragmented" : "as it is", figures);
  if (picture != nullptr) write_png(picture, renderer.pixels(), Renderer::kSide, Renderer::kSide);
  return {renderer.checksums(), figures.buffers_moved != 0 && figures.images_moved != 0};
}

int run(const char* picture) {
  int messages = 0;
  std::uint64_t different = 0;
  bool turning = false, moved = false;
  {
    HeadlessVulkan vulkan(messages);
    const Played plain = play(vulkan, false, nullptr);
    const Played tidy = play(vulkan, true, picture);
    for (std::uint64_t frame = 0; frame < kFrames; ++frame)
      different += plain.frames[frame] != tidy.frames[frame] ? 1 : 0;
    turning = plain.frames[kFrames - 1] != plain.frames[kFrames - 2];
    moved = tidy.moved && !plain.moved;
  }
  std::printf("%" PRIu64 " frames, %" PRIu64 " of them different, %d validation messages\n", kFrames,
              different, messages);
  if (!moved) std::printf("defragmentation has moved nothing\n");
  return different == 0 && turning && moved && messages == 0 ? 0 : 1;
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
