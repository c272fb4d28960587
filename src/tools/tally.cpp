#include "tally.hpp"

namespace vaspace::tools {

namespace {

void make_room(std::vector<std::uint64_t>& samples, std::size_t count) {
  samples.resize(count);  // touches every page
  samples.clear();
}

std::vector<std::uint64_t> together(std::vector<Tally>& tallies, std::vector<std::uint64_t> Tally::*samples) {
  std::vector<std::uint64_t> all = std::move(tallies.front().*samples);
  for (std::size_t i = 1; i < tallies.size(); ++i)
    all.insert(all.end(), (tallies[i].*samples).begin(), (tallies[i].*samples).end());
  return all;
}

Spread spread_over(std::vector<Tally>& tallies, std::vector<std::uint64_t> Tally::*samples) {
  std::vector<std::uint64_t> all = together(tallies, samples);
  return spread_of(all);
}

void merge_peaks(ReplayResult& result, const Tally& tally) {
  if (tally.peak_live > result.peak_live) {
    result.peak_live = tally.peak_live;
    result.internal_waste = tally.waste_at_peak;
  }
  result.peak_reserved = std::max(result.peak_reserved, tally.peak_reserved);
  result.peak_committed = std::max(result.peak_committed, tally.peak_committed);
  result.curve.raise(tally.curve);
}

}  // namespace

Tally::Tally(std::size_t rows) {
  make_room(allocate_ns, rows);
  make_room(free_ns, rows);
  make_room(collect_ns, rows);
}

void Tally::add(const Sample& sample, std::size_t column) {
  ++operations;
  peak_live = std::max(peak_live, sample.live);
  peak_reserved = std::max(peak_reserved, sample.reserved);
  peak_committed = std::max(peak_committed, sample.committed);
  live_sum += static_cast<long double>(sample.live.value);
  committed_sum += static_cast<long double>(sample.committed.value);
  curve.raise(column, sample.live, sample.committed);
}

ReplayResult merge(std::vector<Tally>& tallies) {
  ReplayResult result;
  long double live_sum = 0;
  long double committed_sum = 0;
  std::uint64_t first_failed_row = ~std::uint64_t{0};
  for (const Tally& tally : tallies) {
    result.operations += tally.operations;
    result.failed += tally.failed;
    live_sum += tally.live_sum;
    committed_sum += tally.committed_sum;
    merge_peaks(result, tally);
    if (tally.first_failed_row >= first_failed_row) continue;
    first_failed_row = tally.first_failed_row;
    result.first_failure = tally.first_failure;
  }
  if (result.operations != 0) {
    result.mean_live = static_cast<double>(live_sum / static_cast<long double>(result.operations));
    result.mean_committed = static_cast<double>(committed_sum / static_cast<long double>(result.operations));
  }
  result.curve.fill_gaps();
  result.allocate_ns = spread_over(tallies, &Tally::allocate_ns);
  result.free_ns = spread_over(tallies, &Tally::free_ns);
  result.collect_ns = spread_over(tallies, &Tally::collect_ns);
  return result;
}

}  // namespace vaspace::tools
