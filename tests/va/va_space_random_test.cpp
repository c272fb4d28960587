// Random maps and unmaps of every kind against an array of pages: on a device that checks every rule, and on
// real memory. R7.
//
// VASPACE_RANDOM_OPS in the environment sets how many (10^7 takes a minute).
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

#include "vaspace/backends/cpu.hpp"
#include "vaspace/va/va_space.hpp"

#include "model_backend.hpp"
#include "support/random.hpp"

namespace vaspace::test {
namespace {

std::uint64_t operations(std::uint64_t usual) {
  const char* wanted = std::getenv("VASPACE_RANDOM_OPS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : usual;
}

constexpr std::uint64_t kObjects = 8;
constexpr std::uint64_t kObjectPages = 32;

struct Cell {
  std::uint64_t object = 0;  // 0: none
  std::uint64_t offset = 0;
  Backing backing = Backing::memory;
  bool mapped = false;

  friend bool operator==(const Cell&, const Cell&) = default;
};

// A space and the array that it must equal.
struct Mirror {
  VaSpace& space;
  Bytes page;
  std::vector<PhysicalId> objects;
  std::vector<Cell> cells;

  Mirror(VaSpace& of, std::vector<PhysicalId> physical)
      : space(of),
        page(of.page_size()),
        objects(std::move(physical)),
        cells((of.end() - of.begin()) / page) {}

  [[nodiscard]] MapRequest request(std::uint64_t begin, std::uint64_t count, const Cell& first) const {
    MapRequest r;
    r.address = space.begin() + page * begin;
    r.size = page * count;
    r.backing = first.backing;
    if (first.object != 0) r.physical = objects[first.object - 1];
    r.offset = page * first.offset;
    return r;
  }
  void set(std::uint64_t begin, std::uint64_t count, const Cell& first) {
    for (std::uint64_t i = 0; i < count; ++i) {
      cells[begin + i] = first;
      if (first.object != 0) cells[begin + i].offset += i;
    }
  }
  [[nodiscard]] bool all_mapped(std::uint64_t begin, std::uint64_t count) const {
    for (std::uint64_t i = begin; i < begin + count; ++i)
      if (!cells[i].mapped) return false;
    return true;
  }
  // Of one range, by look-ups.
  void check(std::uint64_t begin, std::uint64_t count) const {
    for (std::uint64_t i = begin; i < begin + count; ++i) {
      const Address address = space.begin() + page * i;
      const auto found = space.find(address);
      ASSERT_EQ(found.has_value(), cells[i].mapped) << i;
      if (!found) continue;
      const Mapping here = found->mapping.advanced(address - found->address);
      const Cell cell{here.physical ? index_of(here.physical) : 0, here.offset / page, here.backing, true};
      ASSERT_EQ(cell, cells[i]) << i;
    }
  }
  [[nodiscard]] std::uint64_t index_of(PhysicalId id) const {
    for (std::size_t i = 0; i < objects.size(); ++i)
      if (objects[i] == id) return i + 1;
    return ~0ULL;
  }
};

Cell random_cell(TestRandom& random, std::uint64_t count, bool offsets) {
  Cell cell;
  cell.mapped = true;
  const std::uint64_t kind = random.below(8);
  if (kind == 0) cell.backing = Backing::null;
  if (kind == 1) cell.backing = Backing::sparse;
  if (kind == 2) cell.backing = Backing::read_only_memory;
  if (kind < 2) return cell;
  cell.object = 1 + random.below(kObjects);
  if (offsets) cell.offset = random.below(kObjectPages - count + 1);
  return cell;
}

// One op. False: it was refused and had to be.
bool step(Mirror& mirror, TestRandom& random) {
  const std::uint64_t pages = mirror.cells.size();
  const std::uint64_t begin = random.below(pages);
  const std::uint64_t count = 1 + random.below(std::min<std::uint64_t>(pages - begin, 24));
  if (random.below(3) == 0) {
    const auto point = mirror.space.unmap(mirror.space.begin() + mirror.page * begin, mirror.page * count);
    const bool unmapped = !point && point.error().code == ErrorCode::wrong_state;
    EXPECT_EQ(unmapped, !mirror.all_mapped(begin, count));
    if (point) mirror.set(begin, count, {});
    return point.has_value();
  }
  const Cell cell = random_cell(random, count, mirror.space.shape().physical_offset);
  const auto point = mirror.space.map(mirror.request(begin, count, cell));
  if (point) mirror.set(begin, count, cell);
  return point.has_value();
}

class OnModel : public testing::TestWithParam<int> {};

TEST_P(OnModel, EqualsAnArrayOfPages_R7) {
  constexpr std::uint64_t kPages = 256;
  Capabilities can;
  can.null_binds = can.set_access = true;
  can.partial_unbind = (GetParam() & 1) != 0;
  can.physical_offset = (GetParam() & 2) != 0;
  can.completes_later = (GetParam() & 4) != 0;
  can.replace = (GetParam() & 8) != 0;
  can.aliasing = (GetParam() & 16) != 0;
  ModelBackend backend(kPages, can);
  auto space = VaSpace::create(backend, {.size = ModelBackend::kPage * kPages});
  ASSERT_TRUE(space);
  std::vector<PhysicalId> objects;
  for (std::uint64_t i = 1; i <= kObjects; ++i)
    objects.push_back(PhysicalId{i});
  Mirror mirror(**space, objects);
  TestRandom random(static_cast<std::uint64_t>(GetParam()) + 1);
  std::uint64_t done = 0;
  const std::uint64_t wanted = operations(100'000) / 16;
  for (std::uint64_t i = 0; i < wanted && !HasFailure(); ++i) {
    const bool refusing = random.below(16) == 0;
    if (refusing) backend.refuse(1 + random.below(3));
    done += step(mirror, random) ? 1U : 0U;
    backend.refuse(0);
    ASSERT_EQ((*space)->repair(), Bytes{});
    const std::uint64_t from = random.below(kPages - 16);
    mirror.check(from, 16);
    if (i % 256 != 0) continue;
    mirror.check(0, kPages);
    ASSERT_EQ((*space)->validate(), nullptr);
    ASSERT_EQ(backend.fault(), nullptr);
  }
  EXPECT_GT(done, wanted / 8);
  for (std::uint64_t i = 0; i < kPages; ++i) {
    const bool bound = mirror.cells[i].mapped && mirror.cells[i].backing != Backing::sparse;
    ASSERT_EQ(backend.pages()[i].bound(), bound) << i;
  }
}
INSTANTIATE_TEST_SUITE_P(CapabilitySets, OnModel, testing::Range(0, 32));

// Every page of every object holds its own number, and is read through whatever addresses lie before it.
class OnRealMemory : public testing::TestWithParam<bool> {};

TEST_P(OnRealMemory, WhatIsReadIsWhatIsMapped_R7) {
  constexpr std::uint64_t kPages = 128;
  cpu::BackendConfig config;
  config.physical_size = 256_MiB;
  config.partial_unbind = GetParam();
  auto backend = cpu::Backend::create(config);
  ASSERT_TRUE(backend);
  const Bytes page = (*backend)->profile().page_sizes[0];
  std::vector<PhysicalId> objects(kObjects);
  ASSERT_TRUE((*backend)->create_physical({page * kObjectPages, 0, {}}, objects));
  {
    auto space = VaSpace::create(**backend, {.size = page * kPages});
    ASSERT_TRUE(space);
    Mirror mirror(**space, objects);
    const auto word = [&](std::uint64_t i) {
      return reinterpret_cast<volatile std::uint64_t*>((mirror.space.begin() + page * i).value);
    };
    for (std::uint64_t object = 1; object <= kObjects; ++object) {
      ASSERT_TRUE((*space)->map(mirror.request(0, kObjectPages, {object, 0, Backing::memory, true})));
      for (std::uint64_t i = 0; i < kObjectPages; ++i)
        *word(i) = object * 1000 + i;
    }
    ASSERT_TRUE((*space)->unmap((*space)->begin(), page * kObjectPages));
    TestRandom random(77);
    const std::uint64_t wanted = operations(100'000) / 20;
    for (std::uint64_t n = 0; n < wanted && !HasFailure(); ++n) {
      (void)step(mirror, random);
      for (std::uint64_t i = random.below(8); i < kPages; i += 8) {
        const Cell& cell = mirror.cells[i];
        if (!cell.mapped || cell.backing == Backing::sparse) continue;
        ASSERT_EQ(*word(i), cell.object == 0 ? 0 : cell.object * 1000 + cell.offset) << n << " " << i;
      }
      if (n % 256 == 0) {
        mirror.check(0, kPages);
        ASSERT_EQ((*space)->validate(), nullptr);
      }
    }
  }
  EXPECT_TRUE((*backend)->destroy_physical(objects)) << "the space has let go of everything";
}
INSTANTIATE_TEST_SUITE_P(PartsOrPages, OnRealMemory, testing::Bool());

}  // namespace
}  // namespace vaspace::test
