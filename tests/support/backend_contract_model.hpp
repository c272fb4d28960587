// The backend contract, last part: random batches against a naive model of what is bound where. See
// backend_contract.hpp.
#pragma once

#include <array>
#include <map>
#include <random>
#include <set>

#include "support/backend_fixture.hpp"

namespace vaspace::test {

// One page at a time, by number within one reservation.
class BindModel {
 public:
  struct Object {
    PhysicalId id{};
    std::uint64_t pages = 0;
    bool live = false;
  };
  struct Page {
    std::size_t object = 0;
    std::uint64_t offset = 0;  // in the object
    std::uint64_t bind = 0;    // which one put it there
  };
  struct Op {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    std::optional<std::size_t> object;
    std::uint64_t offset = 0;
  };

  BindModel(const Capabilities& can, std::uint64_t pages) : can_(can), pages_(pages) {}

  std::vector<Object> objects;
  std::map<std::uint64_t, Page> bound;
  std::map<std::pair<std::size_t, std::uint64_t>, std::uint8_t> contents;  // of (object, page in it)

  // Every error that fits what is wrong with `op` now; none: it works.
  [[nodiscard]] std::set<std::string> wrongs(const Op& op) const {
    std::set<std::string> found;
    if (op.count == 0 || op.first + op.count > pages_) return {"invalid_argument"};
    if (op.object) {
      bind_wrongs(op, found);
    } else {
      unbind_wrongs(op, found);
    }
    return found;
  }
  void apply(const Op& op) {
    ++binds_;
    for (std::uint64_t i = 0; i < op.count; ++i) {
      if (op.object) {
        bound[op.first + i] = {*op.object, op.offset + i, binds_};
      } else {
        bound.erase(op.first + i);
      }
    }
  }
  [[nodiscard]] bool is_bound(std::size_t object) const {
    for (const auto& [number, page] : bound)
      if (page.object == object) return true;
    return false;
  }

 private:
  void bind_wrongs(const Op& op, std::set<std::string>& found) const {
    const Object& object = objects[*op.object];
    if (!object.live) found.insert("unknown_handle");
    if (op.offset + op.count > object.pages) found.insert("invalid_argument");
    if (op.offset != 0 && !can_.physical_offset) found.insert("not_supported");
    for (const auto& [number, page] : bound) {
      if (number >= op.first && number < op.first + op.count) found.insert("wrong_state");
      const bool same =
          page.object == *op.object && page.offset >= op.offset && page.offset < op.offset + op.count;
      if (same && !can_.aliasing) found.insert("not_supported");
    }
  }
  void unbind_wrongs(const Op& op, std::set<std::string>& found) const {
    for (std::uint64_t i = 0; i < op.count; ++i)
      if (bound.count(op.first + i) == 0) found.insert("wrong_state");
    if (!can_.partial_unbind && (cuts(op.first) || cuts(op.first + op.count))) found.insert("not_supported");
  }
  [[nodiscard]] bool cuts(std::uint64_t number) const {
    const auto left = number == 0 ? bound.end() : bound.find(number - 1);
    const auto right = bound.find(number);
    return left != bound.end() && right != bound.end() && left->second.bind == right->second.bind;
  }

  Capabilities can_;
  std::uint64_t pages_;
  std::uint64_t binds_ = 0;
};

TEST_P(BackendContract, R7_RandomBatchesDoWhatANaiveModelDoes) {
  if (!can().bind) return expect_binds_denied();
  constexpr std::uint64_t kPages = 16;
  constexpr std::size_t kObjects = 8;
  constexpr int kRounds = 1500;
  std::mt19937 random(20240229);
  const auto below = [&](std::uint64_t n) { return static_cast<std::uint64_t>(random() % n); };
  const Reservation reservation = reserve_pages(kPages);
  const auto address_of = [&](std::uint64_t number) { return reservation.address + page() * number; };
  BindModel model(can(), reservation.size / page());
  model.objects.resize(kObjects);

  const auto churn = [&](std::size_t index) {
    BindModel::Object& object = model.objects[index];
    if (object.live) {
      const bool bound = model.is_bound(index);
      ASSERT_EQ(code(destroy(object.id)), bound ? "wrong_state" : "ok");
      object.live = bound;
      return;
    }
    object.pages = 1 + below(4);
    object.id = create(page() * object.pages, 1, below(2) == 0 ? address_of(below(kPages)) : Address{})[0];
    object.live = true;
    for (std::uint64_t i = 0; i < object.pages; ++i)
      model.contents[{index, i}] = 0;
  };
  const auto random_op = [&] {
    BindModel::Op op;
    op.first = below(kPages);
    op.count = 1 + below(4);
    if (below(5) < 3) {
      op.object = below(kObjects);
      const std::uint64_t pages = model.objects[*op.object].pages;
      if (pages != 0 && below(4) == 0) op.offset = below(pages);
      if (pages > op.offset && below(8) != 0) op.count = 1 + below(pages - op.offset);
    }
    return op;
  };
  const auto batch = [&] {
    BindModel after = model;
    std::vector<BindOp> ops;
    std::set<std::string> wrongs;
    for (std::uint64_t i = 1 + below(4); i != 0 && wrongs.empty(); --i) {
      const BindModel::Op op = random_op();
      const PhysicalId id = op.object ? after.objects[*op.object].id : PhysicalId{};
      if (op.object && !id) continue;  // 0 would mean unbind
      ops.push_back({address_of(op.first), page() * op.count, id, page() * op.offset});
      wrongs = after.wrongs(op);
      if (wrongs.empty()) after.apply(op);
    }
    const std::string answer = code(bind(ops));
    if (wrongs.empty()) {
      ASSERT_EQ(answer, "ok");
      model = after;
    } else {
      ASSERT_EQ(wrongs.count(answer), 1U) << answer;
    }
  };
  const auto check_contents = [&] {
    for (const auto& [number, at] : model.bound) {
      auto* first = host_pointer(address_of(number), page());
      ASSERT_EQ(static_cast<std::uint8_t>(*first), (model.contents[{at.object, at.offset}])) << number;
    }
    if (model.bound.empty()) return;
    const auto& [number, at] = *std::next(model.bound.begin(), static_cast<long>(below(model.bound.size())));
    const auto value = static_cast<std::uint8_t>(random());
    *host_pointer(address_of(number), page()) = static_cast<std::byte>(value);
    model.contents[{at.object, at.offset}] = value;
  };

  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    if (below(4) == 0) {
      churn(below(kObjects));
    } else {
      batch();
    }
    if (can().host_addressable) check_contents();
    if (HasFatalFailure()) return;
    Bytes live{};
    for (const BindModel::Object& object : model.objects)
      if (object.live) live += page() * object.pages;
    ASSERT_EQ(used(), live);
  }
}

}  // namespace vaspace::test
