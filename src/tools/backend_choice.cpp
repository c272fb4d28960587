#include "backend_choice.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "vaspace/backends/cpu.hpp"
#include "vaspace/device/address_backend.hpp"

#include "failed.hpp"
#ifdef VASPACE_TOOLS_CUDA
#include "cuda_devices.hpp"
#endif
#ifdef VASPACE_TOOLS_VULKAN
#include "vulkan_device.hpp"
#endif

namespace vaspace::tools {

namespace {

// What the CPU backend offers, so that the two compare.
constexpr std::array<Bytes, 2> kPageSizes{64_KiB, 2_MiB};

template <class B>
std::shared_ptr<Backend> owned(Result<HostObject<B>> backend, std::string_view name) {
  if (!backend) {
    throw Failed(fmt::format("cannot open the {} backend: {} ({})", name, to_string(backend.error().code),
                             backend.error().native));
  }
  const HostDelete<B> give_back = backend->get_deleter();
  return std::shared_ptr<Backend>(backend->release(),
                                  [give_back](Backend* object) { give_back(static_cast<B*>(object)); });
}

std::shared_ptr<Backend> open_cpu(Bytes device_size) {
  cpu::BackendConfig config;
  config.physical_size = device_size;
  config.page_sizes = kPageSizes;
  return owned(cpu::Backend::create(config), "cpu");
}

std::shared_ptr<Backend> open_address(Bytes device_size) {
  AddressBackendConfig config;
  config.physical_size = device_size;
  config.page_sizes = kPageSizes;
  return owned(AddressBackend::create(config), "address");
}

OpenBackend open_by_name(std::string_view name, [[maybe_unused]] std::string_view device, Bytes device_size) {
  if (name == "cpu") return {.backend = open_cpu(device_size), .counting = nullptr};
  if (name == "address") return {.backend = open_address(device_size), .counting = nullptr};
#ifdef VASPACE_TOOLS_VULKAN
  if (name == "vulkan") return {.backend = open_vulkan_backend(device), .counting = nullptr};
#endif
#ifdef VASPACE_TOOLS_CUDA
  if (name == "cuda") {
    const std::shared_ptr<cuda::Backend> backend = open_cuda_backend(device);
    return {.backend = backend, .counting = nullptr, .can_export = backend->can_export()};
  }
#endif
  throw Failed(fmt::format("this vaspace was built without the {} backend", name));
}

}  // namespace

bool is_backend_name(std::string_view name) {
  return std::find(kBackendNames.begin(), kBackendNames.end(), name) != kBackendNames.end();
}

bool is_built_in(std::string_view backend) {
#ifdef VASPACE_TOOLS_VULKAN
  if (backend == "vulkan") return true;
#endif
#ifdef VASPACE_TOOLS_CUDA
  if (backend == "cuda") return true;
#endif
  return backend == "cpu" || backend == "address";
}

std::vector<std::string> device_names([[maybe_unused]] std::string_view backend) {
#ifdef VASPACE_TOOLS_VULKAN
  if (backend == "vulkan") return vulkan_device_names();
#endif
#ifdef VASPACE_TOOLS_CUDA
  if (backend == "cuda") return cuda_device_names();
#endif
  return {""};
}

OpenBackend open_backend(std::string_view name, std::string_view device, Bytes device_size) {
  OpenBackend open = open_by_name(name, device, device_size);
  // CUDA's has found it: by its number, which is not its name, or by its name.
  if (!device.empty() && name != "cuda" && device != open.device_name())
    throw Failed(
        fmt::format("the {} backend has no device \"{}\", only \"{}\"", name, device, open.device_name()));
  open.counting = std::make_unique<CountingBackend>(*open.backend);
  return open;
}

}  // namespace vaspace::tools
