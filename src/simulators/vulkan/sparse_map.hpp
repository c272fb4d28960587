// Which memory lies behind which bytes of a sparse resource.
#pragma once

#include <map>
#include <memory>
#include <vulkan/vulkan_core.h>

namespace vasim {

struct Memory;

class SparseMap {
 public:
  struct Piece {
    VkDeviceSize size = 0;
    std::shared_ptr<Memory> memory;
    VkDeviceSize offset = 0;  // in the memory
  };
  using Pieces = std::map<VkDeviceSize, Piece>;  // by offset in the resource; disjoint

  // Binds a range, or unbinds it where `memory` is null. What was there is cut away.
  void assign(VkDeviceSize begin, VkDeviceSize size, const std::shared_ptr<Memory>& memory,
              VkDeviceSize offset);

  // The piece that holds this byte, or null; `run` says how many bytes from it on are in the same state.
  [[nodiscard]] const Piece* find(VkDeviceSize at, VkDeviceSize end, VkDeviceSize& begin,
                                  VkDeviceSize& run) const;
  [[nodiscard]] bool covers(VkDeviceSize begin, VkDeviceSize end) const;
  [[nodiscard]] const Pieces& pieces() const { return pieces_; }

 private:
  void cut(VkDeviceSize at);

  Pieces pieces_;
};

}  // namespace vasim
