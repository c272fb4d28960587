// What a space answers to bad input, to stale and foreign plans, and to a driver or host that refuses. R7,
// R8.
#include <gtest/gtest.h>

#include "map_drawing.hpp"
#include "model_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

constexpr Bytes kPage = ModelBackend::kPage;
constexpr std::uint64_t kPages = 16;
constexpr Address kBase = ModelBackend::kBase;

Address at(std::uint64_t page) {
  return kBase + kPage * page;
}
Capabilities all() {
  Capabilities can;
  can.partial_unbind = can.physical_offset = can.aliasing = can.null_binds = can.set_access = true;
  return can;
}
MapRequest memory(std::uint64_t page, std::uint64_t count, std::uint64_t object, std::uint64_t offset = 0) {
  return {at(page), kPage * count, PhysicalId{object}, kPage * offset, Backing::memory};
}
MapRequest nothing(std::uint64_t page, std::uint64_t count, Backing backing) {
  return {at(page), kPage * count, {}, {}, backing};
}
template <class T>
ErrorCode code(const Result<T>& result) {
  return result ? ErrorCode::malformed : result.error().code;  // malformed: it was done
}
constexpr ErrorCode kDone = ErrorCode::malformed;

class VaSpaceTest : public testing::Test {
 protected:
  void open(const Capabilities& can = all(), const HostAllocator& host = default_host_allocator()) {
    space_.reset();
    backend_ = std::make_unique<ModelBackend>(kPages, can);
    auto made = VaSpace::create(*backend_, {.size = kPage * kPages, .host = host});
    ASSERT_TRUE(made);
    space_ = std::move(*made);
  }
  void SetUp() override { open(); }
  void TearDown() override {
    ASSERT_EQ(space_->validate(), nullptr);
    space_.reset();
    EXPECT_EQ(backend_->fault(), nullptr);
  }
  [[nodiscard]] std::string drawing() const { return draw(*space_); }

  TestHost host_;  // outlives what the test opens
  std::unique_ptr<ModelBackend> backend_;
  HostObject<VaSpace> space_;
};

TEST_F(VaSpaceTest, R8_BadRangesGetTypedErrorsAndChangeNothing) {
  ASSERT_TRUE(space_->map(memory(2, 4, 1)));
  const std::string before = drawing();
  const std::uint64_t calls = backend_->calls();
  struct Bad {
    Address address;
    Bytes size;
    ErrorCode code;
  };
  const Bad bad[] = {
      {at(0), Bytes{}, ErrorCode::invalid_size},
      {at(0), kMaxBytes, ErrorCode::invalid_size},
      {Address{~0ULL - 5}, Bytes{6}, ErrorCode::invalid_size},
      {Address{~0ULL - 5}, Bytes{5}, ErrorCode::unknown_address},
      {at(0) - kPage, kPage, ErrorCode::unknown_address},
      {at(0) - kPage, kPage * 2, ErrorCode::unknown_address},
      {at(kPages - 1), kPage * 2, ErrorCode::unknown_address},
      {at(kPages), kPage, ErrorCode::unknown_address},
      {at(0) + Bytes{1}, kPage, ErrorCode::invalid_argument},
      {at(0), kPage - Bytes{1}, ErrorCode::invalid_argument},
  };
  for (const Bad& b : bad) {
    EXPECT_EQ(code(space_->plan_unmap(b.address, b.size)), b.code) << b.address.value << "+" << b.size.value;
    EXPECT_EQ(code(space_->plan_map({b.address, b.size, PhysicalId{1}, {}, Backing::memory})), b.code);
    EXPECT_EQ(code(space_->map({b.address, b.size, {}, {}, Backing::sparse})), b.code);
  }
  EXPECT_EQ(drawing(), before);
  EXPECT_EQ(backend_->calls(), calls);
}

TEST_F(VaSpaceTest, BadRequestsGetTypedErrors) {
  const auto map = [&](PhysicalId physical, Bytes offset, Backing backing) {
    return code(space_->plan_map({at(0), kPage, physical, offset, backing}));
  };
  EXPECT_EQ(map({}, {}, Backing::memory), ErrorCode::invalid_argument);
  EXPECT_EQ(map({}, {}, Backing::read_only_memory), ErrorCode::invalid_argument);
  EXPECT_EQ(map(PhysicalId{1}, {}, Backing::null), ErrorCode::invalid_argument);
  EXPECT_EQ(map(PhysicalId{1}, {}, Backing::sparse), ErrorCode::invalid_argument);
  EXPECT_EQ(map({}, kPage, Backing::sparse), ErrorCode::invalid_argument);
  EXPECT_EQ(map(PhysicalId{1}, Bytes{4096}, Backing::memory), ErrorCode::invalid_argument);
  EXPECT_EQ(map(PhysicalId{1}, align_down(kMaxBytes, Alignment{kPage}), Backing::memory),
            ErrorCode::invalid_size);
  EXPECT_EQ(map(PhysicalId{1}, {}, Backing::read_only_memory), kDone);
  Capabilities can = all();
  can.null_binds = can.set_access = false;
  open(can);
  EXPECT_EQ(map({}, {}, Backing::null), ErrorCode::not_supported);
  EXPECT_EQ(map(PhysicalId{1}, {}, Backing::read_only_memory), ErrorCode::not_supported);
  EXPECT_EQ(map({}, {}, Backing::sparse), kDone);
}

TEST_F(VaSpaceTest, WhatIsNotMappedCannotBeUnmapped) {
  ASSERT_TRUE(space_->map(memory(2, 2, 1)));
  ASSERT_TRUE(space_->map(memory(5, 2, 2)));
  const std::string before = drawing();
  for (const auto& [page, count] : {std::pair{0, 1}, {0, 3}, {3, 2}, {2, 5}, {6, 4}, {0, 16}}) {
    EXPECT_EQ(code(space_->unmap(at(static_cast<unsigned>(page)), kPage * static_cast<unsigned>(count))),
              ErrorCode::wrong_state);
  }
  EXPECT_EQ(drawing(), before);
}

TEST_F(VaSpaceTest, APlanIsGoodForOneCommitOfItsOwnSpaceInItsOwnState) {
  auto first = space_->plan_map(memory(0, 4, 1));
  auto second = space_->plan_map(memory(8, 4, 2));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(code(space_->commit(*first)), kDone);
  EXPECT_EQ(code(space_->commit(*first)), ErrorCode::wrong_state) << "committed before";
  EXPECT_EQ(code(space_->commit(*second)), ErrorCode::stale_plan) << "another commit came between";
  auto unmap = space_->plan_unmap(at(1), kPage);
  ASSERT_TRUE(unmap);
  EXPECT_EQ(code(space_->map(memory(1, 1, 3))), kDone);
  EXPECT_EQ(code(space_->commit(*unmap)), ErrorCode::stale_plan);

  ModelBackend other_backend(kPages, all());
  auto other = VaSpace::create(other_backend, {.size = kPage * kPages});
  ASSERT_TRUE(other);
  auto foreign = (*other)->plan_map(memory(0, 4, 1));
  ASSERT_TRUE(foreign);
  EXPECT_EQ(code(space_->commit(*foreign)), ErrorCode::unknown_handle);
  EXPECT_EQ(code((*other)->commit(*foreign)), kDone) << "still good where it belongs";
  EXPECT_EQ(drawing().substr(0, 9), "|A|C|A A|");
}

TEST_F(VaSpaceTest, ARefusedCommitLeavesItsPlanGood_R7) {
  ASSERT_TRUE(space_->map(memory(0, 8, 1)));
  const std::string before = drawing();
  auto made = space_->plan_map(memory(2, 4, 2));
  ASSERT_TRUE(made);
  backend_->refuse(1);
  const auto refused = space_->commit(*made);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (Error{ErrorCode::driver_error, 42})) << "the driver's own words";
  EXPECT_EQ(drawing(), before);
  EXPECT_EQ(code(space_->commit(*made)), kDone);
}

// Two calls, because binds may overtake each other (V24): the second is refused, and so is taking back the
// first.
TEST_F(VaSpaceTest, ARefusedRollbackIsCountedAndMended_R7_V24) {
  Capabilities can = all();
  can.completes_later = true;
  open(can);
  ASSERT_TRUE(space_->map(memory(0, 4, 1)));
  ASSERT_TRUE(space_->map(memory(4, 4, 2)));
  backend_->refuse(2, 3);  // binds, restores together, the first of the restores alone
  EXPECT_EQ(code(space_->map(memory(2, 4, 3))), ErrorCode::driver_error);
  EXPECT_EQ(drawing(), "|A A A A|B B B B|. . . . . . . .|") << "the map stands";
  EXPECT_EQ(space_->report().torn, kPage * 2) << "the second restore alone was taken";
  EXPECT_EQ(space_->report().refused_rollbacks, 1U);
  EXPECT_TRUE(space_->is_torn(at(2)) && space_->is_torn(at(3)) && !space_->is_torn(at(4)));
  EXPECT_FALSE(backend_->pages()[2].bound());
  EXPECT_TRUE(backend_->pages()[4].bound());

  // Whatever is done to a torn range takes it as it is: unmapped without the driver, mapped by a bind alone.
  auto unmap = space_->plan_unmap(at(2), kPage);
  ASSERT_TRUE(unmap);
  EXPECT_EQ(unmap->calls(), 0U);
  ASSERT_TRUE(space_->commit(*unmap));
  EXPECT_EQ(space_->report().torn, kPage);
  EXPECT_EQ(space_->validate(), nullptr);
  EXPECT_EQ(space_->repair(), Bytes{});
  EXPECT_TRUE(backend_->pages()[3].bound());
  EXPECT_EQ(drawing(), "|A A|.|A|B B B B|. . . . . . . .|");
}

TEST_F(VaSpaceTest, WithoutHostMemoryNothingIsDone_R7) {
  TestHost& host = host_;
  for (std::int64_t nth = 1; nth < 60; ++nth) {
    open(all(), host.allocator());
    const auto fill = [&] {
      for (std::uint64_t page = 0; page < kPages; page += 2)
        if (!space_->map(memory(page, 2, page + 1))) return false;
      return true;
    };
    ASSERT_TRUE(fill());
    const std::string before = drawing();
    host.fail_at(nth);
    auto made = space_->plan_map(memory(1, 10, 40));
    const auto point = made ? space_->commit(*made) : Result<TimelinePoint>(fail(made.error()));
    host.fail_at(0);
    ASSERT_EQ(space_->validate(), nullptr);
    if (point) {
      ASSERT_GT(nth, 2) << "a plan and a commit ask the host for memory";
      return;
    }
    ASSERT_EQ(code(point), ErrorCode::out_of_host_memory);
    ASSERT_EQ(drawing(), before) << nth;
    for (std::uint64_t page = 0; page < kPages; ++page)
      ASSERT_EQ(backend_->pages()[page].physical.value, page / 2 * 2 + 1);
  }
  FAIL() << "it never succeeded";
}

TEST_F(VaSpaceTest, NullReadOnlyAndSparseReachTheDriverAsSuch) {
  ASSERT_TRUE(space_->map(nothing(0, 4, Backing::null)));
  ASSERT_TRUE(space_->map({at(4), kPage * 4, PhysicalId{1}, {}, Backing::read_only_memory}));
  const std::uint64_t calls = backend_->calls();
  ASSERT_TRUE(space_->map(nothing(8, 4, Backing::sparse)));
  EXPECT_EQ(backend_->calls(), calls) << "the driver knows nothing of sparse";
  EXPECT_TRUE(backend_->pages()[0].null);
  EXPECT_EQ(backend_->pages()[0].access, Access::read);
  EXPECT_EQ(backend_->pages()[5].access, Access::read);
  EXPECT_FALSE(backend_->pages()[8].bound());
  const VaSpaceReport report = space_->report();
  EXPECT_EQ(report.null, kPage * 4);
  EXPECT_EQ(report.memory, kPage * 4);
  EXPECT_EQ(report.sparse, kPage * 4);
  EXPECT_EQ(drawing(), "|= = = =|a a a a|~ ~ ~ ~|. . . .|");
  ASSERT_TRUE(space_->map(memory(9, 1, 2)));
  ASSERT_TRUE(space_->unmap(at(0), kPage * 12)) << "of all kinds at once";
  EXPECT_EQ(space_->mappings(), 0U);
}

TEST_F(VaSpaceTest, AddressesAreHandedOutWhereNothingIs) {
  const auto take = [&](AddressRequest request) { return space_->allocate(request); };
  const auto first = take({.size = Bytes{1}});
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, (AddressRange{at(0), kPage})) << "rounded up";
  EXPECT_EQ(*take({.size = kPage * 2, .at = at(4)}), (AddressRange{at(4), kPage * 2}));
  EXPECT_EQ(code(take({.size = kPage, .at = at(5)})), ErrorCode::out_of_space);
  EXPECT_EQ(code(take({.size = kPage * 2, .at = at(3)})), ErrorCode::out_of_space);
  ASSERT_TRUE(space_->map(memory(1, 1, 1))) << "mapped, though nobody took it";
  EXPECT_EQ(take({.size = kPage * 2})->address, at(2));
  EXPECT_EQ(code(take({.size = kPage, .at = at(1)})), ErrorCode::out_of_space);
  EXPECT_EQ(take({.size = kPage, .alignment = Alignment{kPage * 4}})->address, at(8));

  ASSERT_TRUE(space_->map(memory(4, 1, 2)));
  EXPECT_EQ(code(space_->free(at(4))), ErrorCode::wrong_state) << "something is mapped in it";
  ASSERT_TRUE(space_->unmap(at(4), kPage));
  EXPECT_EQ(code(space_->free(at(5))), ErrorCode::interior_address);
  EXPECT_EQ(code(space_->free(at(4))), kDone);
  EXPECT_EQ(code(space_->free(at(4))), ErrorCode::unknown_address) << "a double free";
  EXPECT_EQ(take({.size = kPage * 3})->address, at(4));
}

TEST_F(VaSpaceTest, NoBoundaryIsCrossed) {
  ASSERT_TRUE(space_->allocate({.size = kPage * 3}));
  EXPECT_EQ(space_->allocate({.size = kPage * 2, .boundary = kPage * 4})->address, at(4));
  EXPECT_EQ(space_->allocate({.size = kPage, .boundary = kPage * 4})->address, at(3))
      << "the hole left behind";
  EXPECT_EQ(space_->allocate({.size = kPage * 4, .boundary = kPage * 4})->address, at(8));
  EXPECT_EQ(code(space_->allocate({.size = kPage * 3, .at = at(13), .boundary = kPage * 2})),
            ErrorCode::too_large);
  EXPECT_EQ(code(space_->allocate({.size = kPage * 2, .at = at(13), .boundary = kPage * 2})),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code(space_->allocate({.size = kPage * 5, .boundary = kPage * 4})), ErrorCode::too_large);
  EXPECT_EQ(code(space_->allocate({.size = kPage, .boundary = kPage * 3})), ErrorCode::invalid_alignment);
}

TEST_F(VaSpaceTest, R8_BadAddressRequestsGetTypedErrors) {
  EXPECT_EQ(code(space_->allocate({.size = Bytes{}})), ErrorCode::invalid_size);
  EXPECT_EQ(code(space_->allocate({.size = kMaxBytes})), ErrorCode::invalid_size);
  EXPECT_EQ(code(space_->allocate({.size = kPage * (kPages + 1)})), ErrorCode::too_large);
  EXPECT_EQ(code(space_->allocate({.size = kPage, .alignment = Alignment{std::uint64_t{0}}})),
            ErrorCode::invalid_alignment);
  EXPECT_EQ(code(space_->allocate({.size = kPage, .alignment = Alignment{std::uint64_t{3}}})),
            ErrorCode::invalid_alignment);
  EXPECT_EQ(code(space_->allocate({.size = kPage, .at = at(kPages)})), ErrorCode::unknown_address);
  EXPECT_EQ(code(space_->allocate({.size = kPage * 2, .at = at(kPages - 1)})), ErrorCode::unknown_address);
  EXPECT_EQ(code(space_->allocate({.size = kPage, .at = Address{~0ULL}})), ErrorCode::unknown_address);
  EXPECT_EQ(code(space_->allocate({.size = kPage, .at = at(1) + Bytes{1}})), ErrorCode::invalid_argument);
  EXPECT_EQ(code(space_->allocate({.size = kPage, .alignment = Alignment{kPage * 16}, .at = at(1)})),
            ErrorCode::invalid_argument);
  EXPECT_EQ(space_->report().handed_out, Bytes{});
}

TEST(VaSpaceCreate, BadConfigurationsGetTypedErrors) {
  ModelBackend backend(kPages, all());
  EXPECT_EQ(code(VaSpace::create(backend, {})), ErrorCode::invalid_size);
  EXPECT_EQ(code(VaSpace::create(backend, {.size = kMaxBytes})), ErrorCode::invalid_size);
  EXPECT_EQ(code(VaSpace::create(backend, {.size = kPage, .alignment = Alignment{std::uint64_t{3}}})),
            ErrorCode::invalid_alignment);
  EXPECT_EQ(code(VaSpace::create(backend, {.size = kPage, .page_size = kPage * 2})),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code(VaSpace::create(backend, {.size = kPage * 1000})), ErrorCode::out_of_address_space);
  for (std::int64_t nth = 1;; ++nth) {
    TestHost host;
    host.fail_at(nth);
    const auto made = VaSpace::create(backend, {.size = kPage, .host = host.allocator()});
    if (made) break;
    EXPECT_EQ(code(made), ErrorCode::out_of_host_memory);
    EXPECT_EQ(host.blocks(), 0);
  }
}

}  // namespace
}  // namespace vaspace::test
