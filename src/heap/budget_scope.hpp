// Under which budget policy this thread takes memory just now.
//
// An arena allocator asks its backend for more on the thread that allocates, and has no word for the policy
// of the request. Always true: it is `within`, but while a BudgetScope of this thread says otherwise.
#pragma once

#include <utility>

#include "vaspace/heap/heap_allocation.hpp"

namespace vaspace {

class BudgetScope {
 public:
  explicit BudgetScope(BudgetPolicy policy) noexcept : before_(std::exchange(policy_, policy)) {}
  BudgetScope(const BudgetScope&) = delete;
  BudgetScope& operator=(const BudgetScope&) = delete;
  ~BudgetScope() { policy_ = before_; }

  [[nodiscard]] static BudgetPolicy current() noexcept { return policy_; }

 private:
  static inline thread_local constinit BudgetPolicy policy_ = BudgetPolicy::within;

  BudgetPolicy before_;
};

}  // namespace vaspace
