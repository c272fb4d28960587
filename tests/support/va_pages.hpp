// Batches of pages, as a test fills and reads them.
#pragma once

#include <cstdint>
#include <vector>

#include "vaspace/va/page_table.hpp"

namespace vaspace::test {

class PageRows {
 public:
  // Physical memory for every page of the batch, never the same twice.
  void fill(PageBatch& batch) {
    for (std::uint32_t i = 0; i < batch.count; ++i)
      batch.physical[i] = PhysicalId{++last_};
  }
  [[nodiscard]] static std::vector<std::uint32_t> of(const PageBatch& batch) {
    return {batch.pages.begin(), batch.pages.begin() + batch.count};
  }

 private:
  std::uint64_t last_ = 0;
};

}  // namespace vaspace::test
