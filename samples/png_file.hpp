// A PNG file of 8-bit RGBA, uncompressed: stored deflate blocks, two checksums, three chunks.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace png {

using Bytes = std::vector<std::uint8_t>;

inline void put32(Bytes& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

inline std::uint32_t crc_of(const Bytes& bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc & 1U) != 0 ? 0xedb88320U ^ (crc >> 1U) : crc >> 1U;
  }
  return ~crc;
}

inline void put_chunk(Bytes& out, const char* type, const Bytes& content) {
  put32(out, static_cast<std::uint32_t>(content.size()));
  Bytes checked(type, type + 4);
  checked.insert(checked.end(), content.begin(), content.end());
  out.insert(out.end(), checked.begin(), checked.end());
  put32(out, crc_of(checked));
}

// A zlib stream that stores: blocks of at most 65,535 bytes, then Adler's sum.
inline Bytes stored(const Bytes& raw) {
  Bytes out = {0x78, 0x01};
  for (std::size_t at = 0; at < raw.size();) {
    const std::size_t size = std::min<std::size_t>(raw.size() - at, 0xffff);
    const auto length = static_cast<std::uint16_t>(size);
    out.push_back(at + size == raw.size() ? 1 : 0);
    for (const std::uint16_t half : {length, static_cast<std::uint16_t>(~length)}) {
      out.push_back(static_cast<std::uint8_t>(half & 0xffU));
      out.push_back(static_cast<std::uint8_t>(half >> 8U));
    }
    out.insert(out.end(), raw.begin() + static_cast<std::ptrdiff_t>(at),
               raw.begin() + static_cast<std::ptrdiff_t>(at + size));
    at += size;
  }
  std::uint32_t a = 1, b = 0;
  for (const std::uint8_t byte : raw) {
    a = (a + byte) % 65521U;
    b = (b + a) % 65521U;
  }
  put32(out, b << 16U | a);
  return out;
}

}  // namespace png

// Throws std::runtime_error.
inline void write_png(const char* path, const std::uint8_t* rgba, std::uint32_t width, std::uint32_t height) {
  png::Bytes raw;
  for (std::uint32_t y = 0; y < height; ++y) {
    raw.push_back(0);  // no filter
    raw.insert(raw.end(), rgba + std::size_t{y} * width * 4, rgba + std::size_t{y + 1} * width * 4);
  }
  png::Bytes header;
  png::put32(header, width);
  png::put32(header, height);
  header.insert(header.end(), {8, 6, 0, 0, 0});
  png::Bytes file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  png::put_chunk(file, "IHDR", header);
  png::put_chunk(file, "IDAT", png::stored(raw));
  png::put_chunk(file, "IEND", {});
  std::FILE* const out = std::fopen(path, "wb");
  const bool good = out != nullptr && std::fwrite(file.data(), 1, file.size(), out) == file.size();
  if (out != nullptr) std::fclose(out);
  if (!good) throw std::runtime_error(std::string("cannot write ") + path);
}
