// A texture of 341 MiB on some 20 MiB: the tiles around a view that wanders are resident, those that were not
// looked at for the longest time go, and the mip tail stays, so that there is always something to show.
#include "vaspace/frontends/vulkan/sparse_texture.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

#include "sparse_texture_uploads.hpp"

using namespace vaspace;
using namespace vaspace::literals;
using vulkan::TileBox;
using vulkan::TileChange;

namespace {

constexpr std::uint32_t kSide = 8192;
constexpr std::uint32_t kLevels = 14;
constexpr std::size_t kMostPages = 256;  // 16 MiB
constexpr int kFrames = 48;

// A tile by its place, and when it was last looked at.
using Place = std::array<std::uint32_t, 3>;  // level, y, x
using LastUse = std::map<Place, int>;

TileBox box_of(const Place& place) {
  return {.level = place[0], .x = place[2], .y = place[1]};
}

Word word_of(const Place& place) {
  return {box_of(place), place[0] << 24U | place[1] << 12U | place[2]};
}

// On every level the tiles around the same point, 7 x 5 of them: near by in detail, far away coarse.
std::vector<Place> seen_from(const vulkan::SparseTexture& texture, double u, double v) {
  std::vector<Place> seen;
  for (std::uint32_t level = 0; level < texture.tiled_levels(); ++level) {
    const auto tiles = texture.tiles(level);
    const int x = static_cast<int>(u * tiles[0]), y = static_cast<int>(v * tiles[1]);
    for (int ty = std::max(0, y - 2); ty <= std::min<int>(static_cast<int>(tiles[1]) - 1, y + 2); ++ty)
      for (int tx = std::max(0, x - 3); tx <= std::min<int>(static_cast<int>(tiles[0]) - 1, x + 3); ++tx)
        seen.push_back({level, static_cast<std::uint32_t>(ty), static_cast<std::uint32_t>(tx)});
  }
  return seen;
}

// The least recently used of those that are not looked at now.
LastUse::iterator oldest(LastUse& uses, int frame) {
  auto found = uses.end();
  for (auto at = uses.begin(); at != uses.end(); ++at)
    if (at->second != frame && (found == uses.end() || at->second < found->second)) found = at;
  return found;
}

// Level 0, eight tiles to a character: # most are looked at now, + some resident, . none.
void draw(const vulkan::SparseTexture& texture, const LastUse& uses, int frame) {
  const auto tiles = texture.tiles(0);
  std::printf("\nframe %d\n", frame);
  for (std::uint32_t y = 0; y < tiles[1]; y += 4) {
    for (std::uint32_t x = 0; x < tiles[0]; x += 2) {
      int resident = 0, now = 0;
      for (std::uint32_t i = 0; i < 8; ++i) {
        const Place place{0, y + i / 2, x + i % 2};
        resident += texture.resident(box_of(place)) ? 1 : 0;
        const auto use = uses.find(place);
        now += use != uses.end() && use->second == frame ? 1 : 0;
      }
      std::putchar(now > 3 ? '#' : resident != 0 ? '+' : '.');
    }
    std::putchar('\n');
  }
}

bool run(vulkan::HeadlessDevice& device) {
  auto backend = must(vulkan::Backend::create(device.config()), "a backend");
  auto heap = must(vulkan::Heap::create(*backend), "a heap");
  auto textures = must(vulkan::SparseTextures::create(heap, {.sparse = device.sparse_queue()}), "textures");
  VkImageCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
  info.imageType = VK_IMAGE_TYPE_2D;
  info.format = VK_FORMAT_R8G8B8A8_UNORM;
  info.extent = {kSide, kSide, 1};
  info.mipLevels = kLevels;
  info.arrayLayers = 1;
  info.samples = VK_SAMPLE_COUNT_1_BIT;
  info.usage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
  const auto terrain = must(textures.create_texture({.info = &info, .name = "terrain"}), "a texture");
  Uploads uploads(device, heap, textures, terrain, kMostPages);

  LastUse uses;
  std::uint64_t peak = 0, streamed = 0, evicted = 0;
  TimelinePoint bound = terrain.ready();
  for (int frame = 0; frame < kFrames; ++frame) {
    const double turn = frame * 6.28 / kFrames;
    std::vector<TileChange> changes;
    std::vector<Word> fresh;
    for (const Place& place :
         seen_from(terrain, 0.5 + 0.4 * std::cos(turn), 0.5 + 0.35 * std::sin(2 * turn))) {
      if (uses.count(place) == 0) {
        changes.push_back({&terrain, box_of(place), true});
        fresh.push_back(word_of(place));
      }
      uses[place] = frame;
    }
    while (uses.size() > kMostPages) {
      const auto gone = oldest(uses, frame);
      if (gone == uses.end()) return false;
      changes.push_back({&terrain, box_of(gone->first), false});
      uses.erase(gone);
      ++evicted;
    }
    // One batch: what comes and what goes. It waits for the last use of what goes.
    const TimelinePoint used = uploads.last();
    bound = must(textures.update(changes, {&used, 1}), "an update");
    if (!fresh.empty()) uploads.fill(fresh, bound);
    textures.collect();
    streamed += fresh.size();
    peak = std::max(peak, textures.report().resident + textures.report().waiting);
    if (frame % 12 == 5) draw(terrain, uses, frame);
  }

  std::vector<Word> words;
  for (const auto& [place, frame] : uses)
    words.push_back(word_of(place));
  const auto mib = [](Bytes bytes) { return static_cast<double>(bytes.value) / (1 << 20); };
  std::printf("\n%llu tiles streamed in, %llu evicted; all of the texture would be %.1f MiB\n",
              (unsigned long long)streamed, (unsigned long long)evicted, mib(terrain.whole_bytes()));
  std::printf("at most %llu pages, %.1f MiB, and a mip tail of %.2f MiB: %.1f %% of it\n",
              (unsigned long long)peak, mib(terrain.tile_bytes() * peak), mib(terrain.tail_bytes()),
              100 * mib(terrain.tile_bytes() * peak + terrain.tail_bytes()) / mib(terrain.whole_bytes()));
  return uploads.all_there(words, bound) && textures.validate() == nullptr;
}

}  // namespace

int main() {
  try {
    auto device = must(vulkan::HeadlessDevice::create(), "a device");
    if (!device->config().features.sparse_residency_image_2d) {
      std::printf("%.*s has no sparse images\n", static_cast<int>(device->name().size()),
                  device->name().data());
      return 0;
    }
    if (run(*device)) return 0;
    std::fprintf(stderr, "tiles are not what they should be\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}
