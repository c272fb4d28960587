// A ring and how it stands, for its tests.
#pragma once

#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <utility>

#include "vaspace/range/ring_allocator.hpp"

#include "range/requests.hpp"

namespace vaspace::test {

inline RingAllocator make_ring(Bytes capacity, std::uint32_t pending_closes = 8) {
  auto made = RingAllocator::create({.capacity = capacity, .pending_closes = pending_closes});
  EXPECT_TRUE(made);
  return std::move(*made);
}

inline std::string state_of(const RingAllocator& ring) {
  const RingReport r = ring.report();
  return std::to_string(r.used.value) + "/" + std::to_string(r.skipped.value) + "/" +
         std::to_string(r.open.value) + "/" + std::to_string(r.largest_free.value) + "/" +
         std::to_string(r.pending);
}

}  // namespace vaspace::test
