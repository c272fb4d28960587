// What a space says of addresses that it refuses: each piece of advice, followed, makes the allocation
// succeed, and what it denies does not.
#include <gtest/gtest.h>

#include "vaspace/va/va_space.hpp"

#include "model_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

constexpr Bytes kPage = ModelBackend::kPage;
constexpr Address kBase = ModelBackend::kBase;
constexpr std::uint64_t kPages = 16;

Address at(std::uint64_t page) {
  return kBase + kPage * page;
}

class AddressesExplained : public testing::Test {
 protected:
  void SetUp() override {
    Capabilities can;
    can.partial_unbind = can.physical_offset = true;
    model_ = std::make_unique<ModelBackend>(kPages, can);
    auto made = VaSpace::create(*model_, {.size = kPage * kPages, .host = host_.allocator()});
    ASSERT_TRUE(made);
    space_ = std::move(*made);
  }
  void TearDown() override {
    ASSERT_EQ(space_->validate(), nullptr);
    space_.reset();
  }
  void take(std::uint64_t page, std::uint64_t count) {
    ASSERT_TRUE(space_->allocate({.size = kPage * count, .at = at(page)}));
  }
  void map(std::uint64_t page) {
    ASSERT_TRUE(space_->map({.address = at(page), .size = kPage, .physical = PhysicalId{page + 1}}));
  }
  // Explained, and every piece of advice tried: what helps does, what does not is refused.
  AddressShortfall explained(const AddressRequest& request) {
    const VaSpaceReport before = space_->report();
    const auto shortfall = space_->explain(request);
    EXPECT_TRUE(shortfall);
    if (!shortfall) return {};
    EXPECT_EQ(space_->report().handed_out, before.handed_out) << "nothing changes";
    EXPECT_EQ(gives(request), shortfall->fits);
    AddressRequest other = request;
    other.size = shortfall->largest;
    EXPECT_TRUE(shortfall->largest == 0_B || gives(other));
    if (shortfall->fits) return *shortfall;
    other.size += kPage;
    EXPECT_FALSE(gives(other)) << "there is a larger one";
    other = request;
    other.alignment = {};
    EXPECT_EQ(gives(other), shortfall->alignment_helps);
    other.boundary = {};
    EXPECT_EQ(gives(other), shortfall->both_help);
    other.alignment = request.alignment;
    EXPECT_EQ(gives(other), shortfall->boundary_helps);
    if (request.at) {
      other = request;
      other.at.reset();
      EXPECT_EQ(gives(other), shortfall->elsewhere_helps);
    }
    return *shortfall;
  }
  bool gives(const AddressRequest& request) {
    const auto given = space_->allocate(request);
    if (given) {
      EXPECT_TRUE(space_->free(given->address));
    }
    return given.has_value();
  }

  TestHost host_;
  std::unique_ptr<ModelBackend> model_;
  HostObject<VaSpace> space_;
};

TEST_F(AddressesExplained, HolesThatAreTooSmall) {
  take(3, 1);
  take(8, 2);
  const AddressShortfall shortfall = explained({.size = kPage * 7});
  EXPECT_EQ(shortfall.free, kPage * 13);
  EXPECT_EQ(shortfall.largest, kPage * 6);
  EXPECT_FALSE(shortfall.alignment_helps || shortfall.boundary_helps || shortfall.both_help ||
               shortfall.unmapping_helps);
}

TEST_F(AddressesExplained, AlignmentsAndBoundariesThatNoHoleMeets) {
  take(0, 1);
  take(4, 1);
  take(8, 1);
  take(12, 1);
  EXPECT_TRUE(explained({.size = kPage * 2, .alignment = Alignment{kPage * 4}}).alignment_helps);
  take(1, 1);
  take(7, 1);
  take(9, 1);
  take(15, 1);
  // Holes of two and three pages, none of which two pages of a boundary of two lie in, but for 2 and 10.
  EXPECT_TRUE(explained({.size = kPage * 2, .boundary = kPage * 2}).fits);
  take(2, 1);
  take(10, 1);
  take(6, 1);
  take(14, 1);
  // Left: 3, 5, 11, 13.
  EXPECT_FALSE(explained({.size = kPage * 2, .boundary = kPage * 2}).both_help);
  ASSERT_TRUE(space_->free(at(6)));
  const AddressShortfall crossing = explained({.size = kPage * 2, .boundary = kPage * 2});
  EXPECT_TRUE(crossing.boundary_helps);
  const AddressShortfall both =
      explained({.size = kPage * 2, .alignment = Alignment{kPage * 2}, .boundary = kPage * 2});
  EXPECT_TRUE(both.both_help);
  EXPECT_FALSE(both.alignment_helps || both.boundary_helps);
}

TEST_F(AddressesExplained, AddressesThatAreAnothers) {
  take(5, 2);
  const AddressShortfall shortfall = explained({.size = kPage * 4, .at = at(3)});
  EXPECT_EQ(shortfall.in_the_way, (AddressRange{at(5), kPage * 2}));
  EXPECT_TRUE(shortfall.elsewhere_helps);
  EXPECT_EQ(shortfall.largest, kPage * 2);
  ASSERT_TRUE(space_->free(shortfall.in_the_way->address));
  EXPECT_TRUE(explained({.size = kPage * 4, .at = at(3)}).fits);
}

TEST_F(AddressesExplained, TheFirstMappingInTheWayIsSaid) {
  map(2);
  map(5);
  map(6);
  take(7, 2);
  const AddressShortfall shortfall = explained({.size = kPage * 5 - 1_B, .at = at(3)});
  ASSERT_TRUE(shortfall.mapped_in_the_way && shortfall.in_the_way);
  EXPECT_EQ(shortfall.mapped_in_the_way->address, at(5));
  EXPECT_EQ(shortfall.mapped_in_the_way->mapping.physical, PhysicalId{6});
  EXPECT_EQ(shortfall.in_the_way, (AddressRange{at(7), kPage * 2}));
  const AddressShortfall beside = explained({.size = kPage * 2, .at = at(8)});
  EXPECT_EQ(beside.in_the_way, (AddressRange{at(7), kPage * 2})) << "it began before";
  EXPECT_FALSE(beside.mapped_in_the_way);
  ASSERT_TRUE(space_->unmap(at(2), kPage));
  ASSERT_TRUE(space_->unmap(at(5), kPage));
  ASSERT_TRUE(space_->unmap(at(6), kPage));
}

TEST_F(AddressesExplained, AddressesThatAreMappedThoughNobodyHasThem) {
  for (std::uint64_t page = 2; page < kPages; page += 4)
    map(page);
  const AddressRequest request{.size = kPage * 8};
  EXPECT_TRUE(explained(request).unmapping_helps);
  for (std::uint64_t page = 2; page < kPages; page += 4)
    ASSERT_TRUE(space_->unmap(at(page), kPage));
  EXPECT_TRUE(explained(request).fits);
}

TEST_F(AddressesExplained, BadRequestsGetTheErrorsThatAllocateHas) {
  for (const AddressRequest& request :
       {AddressRequest{.size = 0_B}, AddressRequest{.size = kPage * 17},
        AddressRequest{.size = kPage, .alignment = Alignment{3}},
        AddressRequest{.size = kPage * 4, .boundary = kPage * 2}, AddressRequest{.size = kPage, .at = at(16)},
        AddressRequest{.size = kPage, .alignment = Alignment{kPage * 2}, .at = at(1)}})
    EXPECT_EQ(space_->explain(request).error().code, space_->allocate(request).error().code);
}

TEST_F(AddressesExplained, R7_HostMemoryThatIsRefusedIsSaidSo) {
  for (std::int64_t nth = 1;; ++nth) {
    ASSERT_LT(nth, 20);
    host_.fail_at(nth);
    const auto shortfall = space_->explain({.size = kPage});
    host_.fail_at(0);
    if (shortfall) break;
    EXPECT_EQ(shortfall.error().code, ErrorCode::out_of_host_memory);
  }
}

}  // namespace
}  // namespace vaspace::test
