// A small Vulkan program without this project's library: a device, and what it makes on it. Everything that
// it made is destroyed with it, last first.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>
#include <vulkan/vulkan.h>

namespace vasim::test {

struct Options {
  std::string profile = "discrete_bar256";
  std::string settings;   // more of VASIM_VULKAN, "key=value;..."
  bool validate = false;  // under the Khronos validation layer, whose messages are counted
  bool features = true;   // enables what the device has of what these tests use; else nothing
  // Hears of the device's memory where it has VK_EXT_device_memory_report.
  PFN_vkDeviceMemoryReportCallbackEXT memory_listener = nullptr;
  void* memory_listener_data = nullptr;
};

struct ImageSpec {
  VkFormat format = VK_FORMAT_R8G8B8A8_UNORM;
  VkExtent3D extent{64, 64, 1};
  std::uint32_t levels = 1, layers = 1;
  VkImageTiling tiling = VK_IMAGE_TILING_OPTIMAL;
  VkImageUsageFlags usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
  VkImageCreateFlags flags = 0;
  const void* next = nullptr;
};

struct Point {
  VkSemaphore semaphore = VK_NULL_HANDLE;
  std::uint64_t value = 0;
};

// One batch of sparse binds.
struct Binds {
  std::vector<Point> waits, signals;
  std::vector<std::pair<VkBuffer, std::vector<VkSparseMemoryBind>>> buffers;
  std::vector<std::pair<VkImage, std::vector<VkSparseMemoryBind>>> opaque;
  std::vector<std::pair<VkImage, std::vector<VkSparseImageMemoryBind>>> tiles;
};

struct Submit {
  std::vector<Point> waits, signals;
  std::vector<VkCommandBuffer> buffers;
  VkFence fence = VK_NULL_HANDLE;
  bool with_values = true;  // chains the timelines' values
};

constexpr VkBufferUsageFlags kTransfer = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
constexpr VkMemoryPropertyFlags kHost =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

// Throws std::runtime_error where `result` is none of success.
void check(VkResult result, const char* what);

// What the validation layer has said so far, in this process.
int validation_messages();

class Program {
 public:
  explicit Program(const Options& options = {});
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  VkInstance instance = VK_NULL_HANDLE;
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  VkDevice device = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE;         // graphics, compute and transfer
  VkQueue sparse_queue = VK_NULL_HANDLE;  // may be the same; null where there is none
  std::uint32_t family = 0, sparse_family = 0;
  VkPhysicalDeviceProperties properties{};
  VkPhysicalDeviceFeatures features{};
  VkPhysicalDeviceSparseProperties sparse{};
  VkPhysicalDeviceMemoryProperties memory{};
  std::set<std::string> extensions;
  bool timeline = false, address = false, protected_memory = false;

  template <class Function>
  Function function(const char* name) const {
    return reinterpret_cast<Function>(vkGetDeviceProcAddr(device, name));
  }
  [[nodiscard]] bool has(const char* extension) const { return extensions.count(extension) != 0; }
  [[nodiscard]] VkPhysicalDeviceMemoryBudgetPropertiesEXT budget() const;

  // The first memory type in `bits` with all of `wanted` and none of `unwanted`; ~0u where there is none.
  [[nodiscard]] std::uint32_t type(VkMemoryPropertyFlags wanted, std::uint32_t bits = ~0U,
                                   VkMemoryPropertyFlags unwanted = VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT |
                                                                    VK_MEMORY_PROPERTY_PROTECTED_BIT) const;
  VkResult try_allocate(VkDeviceSize size, std::uint32_t memory_type, VkDeviceMemory& out,
                        const void* next = nullptr) const;
  VkDeviceMemory allocate(VkDeviceSize size, std::uint32_t memory_type, const void* next = nullptr);
  void free(VkDeviceMemory object);
  unsigned char* map(VkDeviceMemory object, VkDeviceSize offset = 0, VkDeviceSize size = VK_WHOLE_SIZE) const;

  VkBuffer buffer(VkDeviceSize size, VkBufferUsageFlags usage = kTransfer, VkBufferCreateFlags flags = 0,
                  const void* next = nullptr);
  VkImage image(const ImageSpec& spec);
  void destroy(VkBuffer object);
  void destroy(VkImage object);
  VkMemoryRequirements requirements(VkBuffer object) const;
  VkMemoryRequirements requirements(VkImage object) const;
  // Memory of its own behind it.
  VkDeviceMemory back(VkBuffer object, VkMemoryPropertyFlags wanted = kHost, const void* next = nullptr);
  VkDeviceMemory back(VkImage object, VkMemoryPropertyFlags wanted = 0, const void* next = nullptr);

  VkSemaphore semaphore(bool is_timeline = false, std::uint64_t initial = 0);
  VkFence fence();
  void wait(VkFence object) const;
  void wait(const Point& point) const;

  VkCommandBuffer record(const std::function<void(VkCommandBuffer)>& commands);
  void submit(const Submit& submit, VkQueue to = VK_NULL_HANDLE) const;
  // Records, submits and waits.
  void run(const std::function<void(VkCommandBuffer)>& commands);
  VkResult try_bind(const std::vector<Binds>& batches, VkFence fence = VK_NULL_HANDLE,
                    VkQueue to = VK_NULL_HANDLE) const;
  void bind(const std::vector<Binds>& batches, VkFence fence = VK_NULL_HANDLE) const;
  // Binds and waits.
  void bind_now(const Binds& binds);

  // All bytes of a buffer, read through another one.
  std::vector<unsigned char> contents(VkBuffer object, VkDeviceSize size);
  void fill(VkBuffer object, VkDeviceSize offset, VkDeviceSize size, std::uint32_t word);

 private:
  void begin(const Options& options);
  void end();
  void create_instance(const Options& options);
  void create_device(const Options& options);
  void choose_queues();
  void at_end(void* handle, std::function<void()> destroy);
  void ended(void* handle);

  struct Made {
    void* handle;
    std::function<void()> destroy;
  };
  std::vector<Made> made_;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  VkCommandPool pool_ = VK_NULL_HANDLE;
};

VkSparseMemoryBind sparse_bind(VkDeviceSize offset, VkDeviceSize size, VkDeviceMemory memory,
                               VkDeviceSize memory_offset = 0);

// Moves an image from undefined to the layout of transfers.
void to_general(VkCommandBuffer commands, VkImage image, std::uint32_t levels = 1, std::uint32_t layers = 1);
// Makes all writes of transfers visible to what comes later.
void barrier(VkCommandBuffer commands);

}  // namespace vasim::test
