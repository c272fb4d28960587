#include "touch.hpp"

#include <algorithm>

#include "device.hpp"

namespace vasim {
namespace {

using Number = unsigned long long;

std::string written(const Bytes& bytes) {
  return text("[%llu, %llu)", Number{bytes.begin}, Number{bytes.end});
}

// Reports two operations that nothing orders, once for each pair.
void unordered(Resource& resource, const char* rule, OperationId one, OperationId other,
               const std::string& what) {
  if (resource.told.insert({std::min(one, other), std::max(one, other)}).second)
    report(rule, resource.describe(), what + "; no semaphore, fence or wait of the host orders the two");
}

void remember(Device& device, Resource& resource, const Touch& touch) {
  auto& all = resource.touches;
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const Touch& one) { return device.order.forgotten(one.operation); }),
            all.end());
  if (!all.empty()) {
    Touch& last = all.back();
    const bool same =
        last.operation == touch.operation && last.use == touch.use && last.unbound == touch.unbound;
    if (same && last.bytes.end >= touch.bytes.begin && last.bytes.begin <= touch.bytes.end) {
      last.bytes = {std::min(last.bytes.begin, touch.bytes.begin), std::max(last.bytes.end, touch.bytes.end)};
      return;
    }
  }
  all.push_back(touch);
}

void report_unbound(const Resource& resource, const Bytes& bytes, Use use) {
  if (!resource.residency) {
    report("V20", resource.describe(), "is used and not bound as a whole; it was created without residency");
  } else if (use == Use::Read && !resource.strict_holes) {
    report("V28", resource.describe(),
           "unbound bytes in " + written(bytes) + " are read without residencyNonResidentStrict");
  }
}

bool is_covered(const Resource& resource, const Bytes& bytes) {
  return resource.residency ? resource.map.covers(bytes.begin, bytes.end)
                            : resource.map.covers(0, resource.requirements.size);
}

// Memory that is behind the bytes now is in use by this operation; freed memory is not to be there.
void use_memory(Execution& execution, Resource& resource, const Bytes& bytes) {
  for (VkDeviceSize at = bytes.begin; at < bytes.end;) {
    VkDeviceSize begin = 0, run = 0;
    const SparseMap::Piece* const piece = resource.map.find(at, bytes.end, begin, run);
    at += run;
    if (piece == nullptr) continue;
    auto& users = piece->memory->users;
    if (users.empty() || users.back() != execution.batch.operation)
      users.push_back(execution.batch.operation);
    if (piece->memory->destroyed)
      report("V27", resource.describe(),
             "is used where it is bound to " + piece->memory->describe() + ", which is freed");
  }
}

void touch_sparse(Execution& execution, Resource& resource, Bytes bytes, Use use) {
  Device& device = execution.device;
  const Batch& batch = execution.batch;
  for (const Touch& one : resource.touches)
    if (one.use == Use::Bind && one.bytes.meets(bytes) && !device.order.before(one.operation, batch.known))
      unordered(resource, "V25", one.operation, batch.operation,
                "a command uses " + written(bytes) + " and a bind changes it");
  Touch mine{batch.operation, bytes, use, false};
  if (!is_covered(resource, bytes)) {
    const Bytes looked_at = resource.residency ? bytes : Bytes{0, resource.requirements.size};
    mine.unbound = is_bind_expected(resource, looked_at);
    // Where a bind is under way, it will find this use, and say what is missing: the bind or its order.
    if (!mine.unbound) report_unbound(resource, bytes, use);
    if (mine.unbound && !resource.residency) mine.bytes = looked_at;
  }
  use_memory(execution, resource, bytes);
  remember(device, resource, mine);
}

}  // namespace

void touch(Execution& execution, Resource& resource, Bytes bytes, Use use) {
  if (bytes.begin >= bytes.end) return;
  if (resource.sparse) return touch_sparse(execution, resource, bytes, use);
  if (resource.memory == nullptr)
    return report("D7", resource.describe(), "is used and no memory is bound to it");
  const auto& users = resource.memory->users;
  const bool was_in_use = std::find(users.begin(), users.end(), execution.batch.operation) != users.end();
  // Where it was freed after the submit, the free was reported.
  if (resource.memory->destroyed && !was_in_use)
    report("D7", resource.describe(), "is used and its " + resource.memory->describe() + " is freed");
}

void touch_by_bind(Device& device, Batch& batch, Resource& resource, Bytes bytes) {
  auto& expected = resource.pending_binds;
  expected.erase(std::remove_if(expected.begin(), expected.end(),
                                [&](const Touch& one) { return one.operation == batch.operation; }),
                 expected.end());
  for (const Touch& one : resource.touches) {
    if (one.operation == batch.operation || !one.bytes.meets(bytes)) continue;
    if (!device.order.before(one.operation, batch.known)) {
      const bool both_bind = one.use == Use::Bind;
      unordered(resource, both_bind ? "V24" : "V25", one.operation, batch.operation,
                both_bind ? "two binds change " + written(bytes)
                          : "a bind changes " + written(bytes) + " and a command uses it");
    } else if (one.unbound) {
      report_unbound(resource, one.bytes, one.use);
    }
  }
  remember(device, resource, {batch.operation, bytes, Use::Bind, false});
}

void expect_bind(OperationId operation, Resource& resource, Bytes bytes) {
  resource.pending_binds.push_back({operation, bytes, Use::Bind, false});
}

bool is_bind_expected(const Resource& resource, Bytes bytes) {
  return std::any_of(resource.pending_binds.begin(), resource.pending_binds.end(),
                     [&](const Touch& one) { return one.bytes.meets(bytes); });
}

}  // namespace vasim
