// The backends by their names on the command line.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vaspace/device/backend.hpp"
#include "vaspace/device/counting_backend.hpp"

namespace vaspace::tools {

inline constexpr std::array<std::string_view, 4> kBackendNames{"cpu", "address", "vulkan", "cuda"};

[[nodiscard]] bool is_backend_name(std::string_view name);
// Whether this command was built with it.
[[nodiscard]] bool is_built_in(std::string_view backend);

// The devices found here, by name; an empty name where a backend has but one of its own making.
[[nodiscard]] std::vector<std::string> device_names(std::string_view backend);

// A backend, and in front of it one that counts the calls.
struct OpenBackend {
  std::shared_ptr<Backend> backend;
  std::unique_ptr<CountingBackend> counting;
  bool can_export = false;  // the device can, whether or not memory is made so here

  [[nodiscard]] const DeviceProfile& profile() const { return backend->profile(); }
  [[nodiscard]] std::string device_name() const { return profile().name.data(); }
};

// `device` empty: the backend's first. Throws Failed: not built in, no such device, or refused by the system.
[[nodiscard]] OpenBackend open_backend(std::string_view name, std::string_view device, Bytes device_size);

}  // namespace vaspace::tools
