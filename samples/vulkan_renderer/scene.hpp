// What is to be seen: things that come, turn for a while and go. No word of Vulkan, nor of memory.
//
// Always true: the same frames bring the same things on every machine.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

struct Vertex {
  std::array<float, 2> position;  // within a circle of radius 1
  std::array<float, 2> texel;
};

// As the vertex shader reads it.
struct Place {
  std::array<float, 4> axes;  // where (1, 0) and (0, 1) of a mesh point to
  std::array<float, 4> centre;
};

// As the fragment shader reads it.
struct Material {
  std::array<float, 4> tint;
};

struct Thing {
  std::uint64_t number = 0;  // no two have the same
  std::uint64_t gone = 0;    // the frame in which it leaves
  std::uint32_t side = 0;    // of its texture, in texels
  std::uint32_t colour = 0;
  std::uint32_t corners = 0;  // of its mesh
  std::uint32_t rings = 0;    // of triangles, one around the other
  float x = 0, y = 0, radius = 0, spin = 0;

  // Of whom large meshes are, there are few; they are worth moving.
  [[nodiscard]] bool is_detailed() const { return rings > 1; }

  [[nodiscard]] std::vector<std::uint32_t> texels() const {
    std::vector<std::uint32_t> all(std::size_t{side} * side);
    for (std::uint32_t i = 0; i < all.size(); ++i) {
      const std::uint32_t x_of = i % side * 8 / side, y_of = i / side * 8 / side;
      all[i] = 0xff000000U | (colour + (x_of ^ y_of) * 0x1a0c16U);
    }
    return all;
  }

  // Triangles, corner by corner and ring by ring.
  [[nodiscard]] std::vector<Vertex> vertices() const {
    std::vector<Vertex> all;
    const auto vertex = [&](std::uint32_t corner, std::uint32_t ring) {
      const float angle = 6.2831853F * static_cast<float>(corner) / static_cast<float>(corners);
      const float away = static_cast<float>(ring) / static_cast<float>(rings);
      const float u = away * std::cos(angle), v = away * std::sin(angle);
      all.push_back({{u, v}, {0.5F + u / 2, 0.5F + v / 2}});
    };
    for (std::uint32_t ring = 0; ring < rings; ++ring) {
      for (std::uint32_t corner = 0; corner < corners; ++corner) {
        vertex(corner, ring), vertex(corner, ring + 1), vertex(corner + 1, ring + 1);
        if (ring != 0) vertex(corner, ring), vertex(corner + 1, ring + 1), vertex(corner + 1, ring);
      }
    }
    return all;
  }

  [[nodiscard]] Material material() const { return {{1.0F, 0.5F + radius, 1.0F - radius, 1.0F}}; }

  [[nodiscard]] Place place(std::uint64_t frame) const {
    const float angle = spin * static_cast<float>(frame);
    const float c = radius * std::cos(angle), s = radius * std::sin(angle);
    return {{c, s, -s, c}, {x, y, 0, 0}};
  }
};

class Scene {
 public:
  static constexpr std::uint32_t kComing = 3;  // a frame
  static constexpr std::uint32_t kLife = 40;   // frames, half or one and a half of it

  // Who comes in this frame; frames rise by one.
  [[nodiscard]] std::vector<Thing> arrivals(std::uint64_t frame) {
    std::vector<Thing> coming(kComing);
    for (Thing& thing : coming) {
      thing.number = ++count_;
      thing.gone = frame + kLife / 2 + below(kLife);
      thing.side = 32U << below(3);
      thing.colour = below(1U << 24U);
      thing.corners = 3 + below(6);
      thing.rings = 1;
      thing.x = within(-1.0F, 1.0F);
      thing.y = within(-1.0F, 1.0F);
      thing.radius = within(0.03F, 0.12F);
      thing.spin = within(-0.1F, 0.1F);
      if (below(8) == 0) {
        thing.corners = 24 + below(40);
        thing.rings = 4;
      }
    }
    return coming;
  }

 private:
  std::uint32_t below(std::uint32_t n) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>((state_ >> 33U) % n);
  }
  float within(float low, float high) { return low + (high - low) * static_cast<float>(below(4096)) / 4096; }

  std::uint64_t state_ = 2024;
  std::uint64_t count_ = 0;
};
