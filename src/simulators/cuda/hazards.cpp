#include "hazards.hpp"

#include <cstdio>

#include "queueing.hpp"

namespace vasim::cuda {
namespace {

std::string use_text(std::uint64_t stream, const Use& use) {
  char text[128];
  std::snprintf(text, sizeof text, "%s on stream 0x%llx", use.work, static_cast<unsigned long long>(stream));
  return text;
}

}  // namespace

void check_no_work(Call& call, const Region& region) {
  for (const auto& [stream, use] : region.uses) {
    if (call.driver.host.covers({stream, use.number})) continue;
    const char* state = is_over(call.driver, {stream, use.number})
                            ? ": over by luck, nobody waited for it"
                            : ": not over, the memory is taken from under it";
    (void)call.undefined("C13", region_text(region), use_text(stream, use) + state);
  }
}

void check_ordered(Call& call, const Region& region, const Clock& order) {
  for (const auto& [stream, use] : region.uses) {
    const Point point{stream, use.number};
    if (order.covers(point) || call.driver.host.covers(point)) continue;
    (void)call.undefined("C13", region_text(region),
                         use_text(stream, use) + ": the stream that frees does not wait for it");
  }
}

void await_work(Call& call, const Region& region) {
  const auto uses = region.uses;
  for (const auto& [stream, use] : uses) {
    const Point point{stream, use.number};
    Clock known;
    known.raise(point);
    (void)await(call, point, known);
  }
}

}  // namespace vasim::cuda
