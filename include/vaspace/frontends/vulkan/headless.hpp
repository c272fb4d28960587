// A Vulkan device of one's own, without a window: for tools, and for programs that want memory of a GPU and
// have no Vulkan code. No Vulkan header is needed to use it.
//
// Always true: every feature and extension that the library can use and the device has is enabled; there is
// one queue of the first family with graphics or compute, and one of a family that binds sparse memory where
// there is any; everything goes with the object, which outlives all backends and heaps on it.
#pragma once

#include <string_view>

#include "vaspace/frontends/vulkan/heap.hpp"

namespace vaspace::vulkan {

class HeadlessDevice {
  struct State;

 public:
  // Calls visit with the name of every physical device. Errors: io_error (no loader), driver_error.
  [[nodiscard]] static Result<void> each(void (*visit)(void* user, std::string_view name) noexcept,
                                         void* user) noexcept;
  // The first device with this name; empty: the first. Errors: as each(), not_supported (no such device, or
  // below Vulkan 1.1), out_of_host_memory, the driver's own.
  [[nodiscard]] static Result<HostObject<HeadlessDevice>> create(std::string_view name = {}) noexcept;
  explicit HeadlessDevice(HostObject<State> state) noexcept;  // create() makes them
  ~HeadlessDevice();

  [[nodiscard]] std::string_view name() const noexcept;
  [[nodiscard]] BackendConfig config() const noexcept;
  [[nodiscard]] Queue queue() const noexcept;
  [[nodiscard]] Queue sparse_queue() const noexcept;  // null where there is none
  [[nodiscard]] std::span<const std::uint32_t> families() const noexcept;

  // The largest square RGBA image of at most so many bytes; what it needs. Not bound. Errors: too_large (none
  // is so small or so large), the driver's own.
  struct Picture {
    VkImage image{};
    MemoryRequirements needs{};
  };
  [[nodiscard]] Result<Picture> create_image(Bytes at_most, bool optimal) noexcept;
  void destroy(VkImage image) noexcept;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::vulkan
