// The devices that the VA allocators are tried on. A new one joins by a row of kDevices.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "vaspace/backends/cpu.hpp"
#include "vaspace/device/address_backend.hpp"

namespace vaspace::test {

inline constexpr std::array<Bytes, 1> kPages64{64_KiB};
inline constexpr std::array<Bytes, 1> kPages2M{2_MiB};

struct Device {
  const char* name;
  Bytes physical;
  Bytes page;         // 0: none, so nothing is committed page by page
  bool memory;        // what is allocated can be written and read
  bool commits;       // reserving takes memory
  bool same_address;  // every run gets the same reservations (R9)
  std::shared_ptr<Backend> (*make)(Bytes physical);

  [[nodiscard]] std::shared_ptr<Backend> open() const { return make(physical); }
  [[nodiscard]] Device of_size(Bytes bytes) const {
    Device other = *this;
    other.physical = bytes;
    return other;
  }
  friend std::ostream& operator<<(std::ostream& out, const Device& device) { return out << device.name; }
};

template <class Made>
[[nodiscard]] std::shared_ptr<Backend> owned(Made made) {
  if (!made) return nullptr;
  return std::shared_ptr<Backend>(std::move(*made));
}
[[nodiscard]] inline std::shared_ptr<Backend> cpu_device(cpu::BackendConfig config, Bytes physical) {
  config.physical_size = physical;
  return owned(cpu::Backend::create(config));
}

inline constexpr Device kDevices[] = {
    {"Address",
     256_MiB,
     {},
     false,
     false,
     true,
     [](Bytes size) { return owned(AddressBackend::create({.physical_size = size})); }},
    {"AddressPages", 256_MiB, 64_KiB, false, false, true,
     [](Bytes size) {
       return owned(AddressBackend::create({.physical_size = size, .page_sizes = kPages64}));
     }},
    {"AddressCommits",
     256_MiB,
     {},
     false,
     true,
     true,
     [](Bytes size) {
       return owned(AddressBackend::create({.physical_size = size, .reserve_commits = true}));
     }},
    {"Cpu64KiB", 256_MiB, 64_KiB, true, false, false,
     [](Bytes size) { return cpu_device({.page_sizes = kPages64}, size); }},
    {"Cpu2MiB", 256_MiB, 2_MiB, true, false, false,
     [](Bytes size) { return cpu_device({.page_sizes = kPages2M}, size); }},
    {"CpuLikeCuda", 256_MiB, 2_MiB, true, false, false,
     [](Bytes size) {
       return cpu_device(
           {.page_sizes = kPages2M, .partial_unbind = false, .physical_offset = false, .aliasing = false},
           size);
     }},
    {"CpuCommits",
     256_MiB,
     {},
     true,
     true,
     false,
     [](Bytes size) { return cpu_device({.reserve_commits = true}, size); }},
    {"CpuLater", 256_MiB, 64_KiB, true, false, false,
     [](Bytes size) { return cpu_device({.page_sizes = kPages64, .bind_latency_ns = 20'000}, size); }},
    {"CpuSmall", 64_MiB, 64_KiB, true, false, false,
     [](Bytes size) { return cpu_device({.page_sizes = kPages64}, size); }},
};

[[nodiscard]] inline const Device& device_named(std::string_view name) {
  for (const Device& device : kDevices)
    if (name == device.name) return device;
  std::abort();
}

}  // namespace vaspace::test
