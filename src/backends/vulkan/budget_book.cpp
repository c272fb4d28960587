#include "budget_book.hpp"

#include <algorithm>

namespace vaspace::vulkan {

void BudgetBook::take(std::uint32_t heap, Bytes size) noexcept {
  heaps_[heap].held += size;
  changed();
}

void BudgetBook::give_back(std::uint32_t heap, Bytes size) noexcept {
  heaps_[heap].held -= size;
  changed();
}

void BudgetBook::read(std::uint32_t heap, Bytes budget, Bytes usage) noexcept {
  Entry& entry = heaps_[heap];
  entry = {
      .held = entry.held, .has_reading = true, .budget = budget, .usage = usage, .held_then = entry.held};
}

Budget BudgetBook::of(std::uint32_t heap, Bytes heap_size) const noexcept {
  const Entry& entry = heaps_[heap];
  if (!entry.has_reading) return {.size = heap_size, .budget = heap_size, .usage = entry.held};
  // A driver that says 0 says nothing; some say more than there is.
  const Bytes budget = entry.budget == Bytes{} ? heap_size : std::min(entry.budget, heap_size);
  // The driver's number may lag behind and hold less than what was given back since.
  const Bytes others = entry.usage > entry.held_then ? entry.usage - entry.held_then : Bytes{};
  return {.size = heap_size, .budget = budget, .usage = others + entry.held};
}

void read_budgets(const Driver& driver, const DeviceProfile& profile, std::mutex& mutex,
                  BudgetBook& budgets) noexcept {
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
  budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
  VkPhysicalDeviceMemoryProperties2 answer{};
  answer.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  answer.pNext = &budget;
  driver.get_memory_properties2(driver.physical_device, &answer);
  const std::lock_guard lock(mutex);
  for (std::uint32_t heap = 0; heap < profile.heap_count; ++heap)
    budgets.read(heap, Bytes{budget.heapBudget[heap]}, Bytes{budget.heapUsage[heap]});
  budgets.reading_done();
}

}  // namespace vaspace::vulkan
