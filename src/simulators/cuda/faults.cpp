#include "faults.hpp"

namespace vasim::cuda {
namespace {

// A well mixed number for (seed, n): a share of calls is the same in every run, whatever the threads do
// between.
std::uint64_t drawn(std::uint64_t seed, std::uint64_t n) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15U + n;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

bool strikes(const FaultRule& rule) {
  if (rule.per_million != 0) return drawn(rule.seed, rule.seen) % 1000000 < rule.per_million;
  return rule.seen >= rule.first && rule.seen - rule.first < rule.times;
}

}  // namespace

Strike Faults::next_call(std::string_view function) {
  Strike strike;
  for (FaultRule& rule : rules_) {
    if (rule.function != "*" && rule.function != function) continue;
    ++rule.seen;
    CUresult& code = rule.late ? strike.late : strike.now;
    if (code == CUDA_SUCCESS && strikes(rule)) code = rule.code;
  }
  return strike;
}

}  // namespace vasim::cuda
