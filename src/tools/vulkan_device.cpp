#include "vulkan_device.hpp"

#include <fmt/format.h>

#include "failed.hpp"

namespace vaspace::tools {

std::vector<std::string> vulkan_device_names() {
  std::vector<std::string> names;
  (void)vulkan::HeadlessDevice::each(
      [](void* user, std::string_view name) noexcept {
        static_cast<std::vector<std::string>*>(user)->emplace_back(name);
      },
      &names);
  return names;
}

VulkanDevice open_vulkan(std::string_view name) {
  auto device = vulkan::HeadlessDevice::create(name);
  if (!device && device.error().code == ErrorCode::not_supported && !name.empty())
    throw Failed(fmt::format("the vulkan backend has no device \"{}\"", name));
  if (!device)
    throw Failed(fmt::format("cannot open a Vulkan device: {} ({})", to_string(device.error().code),
                             device.error().native));
  auto backend = vulkan::Backend::create((*device)->config());
  if (!backend)
    throw Failed(fmt::format("cannot open the vulkan backend: {} ({})", to_string(backend.error().code),
                             backend.error().native));
  return {std::move(*device), std::move(*backend)};
}

std::shared_ptr<Backend> open_vulkan_backend(std::string_view name) {
  const auto opened = std::make_shared<VulkanDevice>(open_vulkan(name));
  return {opened, opened->backend.get()};
}

}  // namespace vaspace::tools
