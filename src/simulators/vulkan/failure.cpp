#include "failure.hpp"

namespace vasim {

bool Failures::configure(const Settings& settings) {
  clear();
  for (auto& count : counts_)
    count = 0;
  injected_ = 0;
  for (const FailureRule& rule : settings.failures)
    if (!add(rule, settings.seed)) return false;
  return true;
}

bool Failures::add(const FailureRule& rule, std::uint64_t seed) {
  Plan plan;
  plan.any = rule.function == "*";
  if (!plan.any) {
    const std::optional<Call> call = call_named(rule.function);
    if (!call) return false;
    plan.call = *call;
  }
  plan.left = rule.nth;
  plan.probability = rule.probability;
  plan.random.seed(seed);
  plan.result = rule.result;
  const std::lock_guard lock(mutex_);
  plans_.push_back(std::move(plan));
  planned_ = true;
  return true;
}

void Failures::clear() {
  const std::lock_guard lock(mutex_);
  plans_.clear();
  planned_ = false;
}

bool Failures::strikes(Plan& plan) {
  if (plan.left > 0) return --plan.left == 0;
  return std::uniform_real_distribution<double>(0, 1)(plan.random) < plan.probability;
}

VkResult Failures::begin(Call call, Failing failing) {
  ++counts_[static_cast<std::size_t>(call)];
  if (failing == Failing::Never || !planned_) return VK_SUCCESS;
  const std::lock_guard lock(mutex_);
  for (auto plan = plans_.begin(); plan != plans_.end(); ++plan) {
    if (plan->any ? failing != Failing::ByNameOrAny : plan->call != call) continue;
    const bool once = plan->left > 0;
    if (!strikes(*plan)) continue;
    const VkResult result = plan->result;
    if (once) plans_.erase(plan);
    ++injected_;
    return result;
  }
  return VK_SUCCESS;
}

}  // namespace vasim
