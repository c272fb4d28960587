// A renderer without a window: hundreds of textured meshes, streamed in and out over hundreds of frames,
// everything they are made of from one heap.
//
//   sample_vulkan_renderer [PICTURE.png]
//
// The scene is played twice, as it is and with defragmentation in every frame: each frame of both is the
// same, to the last bit. What there is to read: vulkan_renderer/renderer.hpp.
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

// Every frame's checksum.
std::vector<std::uint64_t> play(HeadlessVulkan& vulkan, bool defragment, const char* picture) {
  Renderer renderer(vulkan, defragment);
  for (std::uint64_t frame = 1; frame <= kFrames; ++frame)
    renderer.play(frame);
  renderer.finish();
  tell(defragment ? "defragmented" : "as it is", renderer.figures());
  if (picture != nullptr) write_png(picture, renderer.pixels(), Renderer::kSide, Renderer::kSide);
  return renderer.checksums();
}

int run(const char* picture) {
  int messages = 0;
  std::uint64_t different = 0;
  bool moving = false;
  {
    HeadlessVulkan vulkan(messages);
    const std::vector<std::uint64_t> plain = play(vulkan, false, nullptr);
    const std::vector<std::uint64_t> tidy = play(vulkan, true, picture);
    for (std::uint64_t frame = 0; frame < kFrames; ++frame)
      different += plain[frame] != tidy[frame] ? 1 : 0;
    moving = plain[kFrames - 1] != plain[kFrames - 2];
  }
  std::printf("%" PRIu64 " frames, %" PRIu64 " of them different, %d validation messages\n", kFrames,
              different, messages);
  return different == 0 && moving && messages == 0 ? 0 : 1;
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
