// What a process may hold of each heap, without asking the driver on every allocation (V16).
//
// Always true: held(heap) is what this backend holds; a budget never exceeds its heap; a reading is corrected
// by what was taken and given back since, and is due for renewal after kBudgetReadingLife such changes.
// The book is externally synchronised and makes no driver call.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "vaspace/backends/vulkan.hpp"

#include "driver.hpp"

namespace vaspace::vulkan {

class BudgetBook {
 public:
  void take(std::uint32_t heap, Bytes size) noexcept;
  void give_back(std::uint32_t heap, Bytes size) noexcept;

  [[nodiscard]] Bytes held(std::uint32_t heap) const noexcept { return heaps_[heap].held; }
  [[nodiscard]] bool reading_due() const noexcept { return left_ == 0; }
  // A new reading of one heap begins to count from now on; the driver's numbers as they are.
  void read(std::uint32_t heap, Bytes budget, Bytes usage) noexcept;
  void reading_done() noexcept { left_ = Backend::kBudgetReadingLife; }

  // Without any reading the whole heap is the budget, and what is held the usage.
  [[nodiscard]] Budget of(std::uint32_t heap, Bytes heap_size) const noexcept;

 private:
  struct Entry {
    Bytes held{};
    bool has_reading = false;
    Bytes budget{};
    Bytes usage{};
    Bytes held_then{};
  };
  void changed() noexcept { left_ -= left_ != 0 ? 1U : 0U; }

  std::array<Entry, kMaxHeaps> heaps_{};
  std::uint32_t left_ = 0;  // changes until the reading is due for renewal
};

// Asks the driver, and writes what it said under `mutex`.
void read_budgets(const Driver& driver, const DeviceProfile& profile, std::mutex& mutex,
                  BudgetBook& budgets) noexcept;

}  // namespace vaspace::vulkan
