// What it takes to make a movable resource again somewhere else.
//
// Always true: a record lives as long as its resource, and as long as a move of it is open; what a stale
// number and generation name is not found.
// Externally synchronised.
#pragma once

#include <array>

#include "vaspace/base/host_array.hpp"

#include "resource_calls.hpp"

namespace vaspace::vulkan {

struct MovableRecord {
  static constexpr std::uint32_t kMaxFamilies = SparseConfig::kMaxFamilies;

  ResourceMove::Kind kind = ResourceMove::Kind::buffer;
  VkBuffer buffer = VK_NULL_HANDLE;
  VkImage image = VK_NULL_HANDLE;
  HeapAllocation memory{};
  VkBufferCreateInfo buffer_info{};
  VkImageCreateInfo image_info{};
  std::array<std::uint32_t, kMaxFamilies> families{};
  std::array<char, ResourceCalls::kLongestName + 1> name{};
  std::uint64_t user_data = 0;
  std::uint32_t next_free = 0;
  bool live = false;
  // While a move is open. A resource that has ended meanwhile is parked: its owner is gone, its memory is the
  // core's already, and its handles go when the move ends, after these points too.
  bool moving = false;
  bool ended = false;
  std::uint32_t move_index = 0;
  std::uint32_t move_generation = 0;
  VkBuffer new_buffer = VK_NULL_HANDLE;
  VkImage new_image = VK_NULL_HANDLE;
  std::uint32_t point_count = 0;
  std::array<TimelinePoint, Heap::kMaxPoints> points{};
};

class MovableRecords {
 public:
  explicit MovableRecords(const HostAllocator& host) noexcept : records_(host) {}

  // Errors: out_of_host_memory.
  [[nodiscard]] Result<std::uint32_t> add(const MovableRecord& record) noexcept {
    std::uint32_t number = free_;
    if (number == kNone) {
      number = static_cast<std::uint32_t>(records_.size());
      if (!records_.push_back(record)) return fail(ErrorCode::out_of_host_memory);
    } else {
      free_ = records_[number].next_free;
      records_[number] = record;
    }
    records_[number].live = true;
    return number;
  }
  void remove(std::uint32_t number) noexcept {
    records_[number].live = false;
    records_[number].next_free = free_;
    free_ = number;
  }
  [[nodiscard]] MovableRecord& operator[](std::uint32_t number) noexcept { return records_[number]; }
  // The live record of this memory; kNone: there is none. O(records).
  [[nodiscard]] std::uint32_t of(const HeapAllocation& memory) const noexcept {
    for (std::uint32_t i = 0; i < records_.size(); ++i) {
      if (records_[i].live && !records_[i].ended && records_[i].memory.id == memory.id &&
          records_[i].memory.address == memory.address)
        return i;
    }
    return kNone;
  }
  [[nodiscard]] bool is_in(std::uint32_t number, const vaspace::Move& move) const noexcept {
    return number < records_.size() && records_[number].live && records_[number].moving &&
           records_[number].move_index == move.index && records_[number].move_generation == move.generation;
  }
  [[nodiscard]] std::span<const MovableRecord> all() const noexcept { return records_.span(); }
  static constexpr std::uint32_t kNone = ~0U;

 private:
  HostArray<MovableRecord> records_;
  std::uint32_t free_ = kNone;
};

}  // namespace vaspace::vulkan
