// How full the heaps of a device are: by this process, and by "another" one that tests invent.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "profile.hpp"
#include "settings.hpp"

namespace vasim {

class Heaps {
 public:
  explicit Heaps(const Profile& profile);

  void configure(const std::vector<OtherUsage>& other);

  // Takes bytes of a heap; false where they do not fit beside what is taken.
  bool take(std::uint32_t heap, VkDeviceSize bytes);
  void give_back(std::uint32_t heap, VkDeviceSize bytes);
  void set_other(std::uint32_t heap, VkDeviceSize bytes);

  // Another allocation begins: what the "other process" does at the nth takes effect.
  void begin_allocation();

  [[nodiscard]] VkDeviceSize used(std::uint32_t heap);
  [[nodiscard]] VkDeviceSize budget(std::uint32_t heap);

 private:
  struct Heap {
    VkDeviceSize size = 0, used = 0, other = 0;
  };

  void apply_plans();

  std::mutex mutex_;
  std::vector<Heap> heaps_;
  std::vector<OtherUsage> plans_;
  std::uint64_t allocations_ = 0;
  double share_;
  VkDeviceSize absolute_;
};

}  // namespace vasim
