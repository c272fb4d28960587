#include "replay_run.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <memory>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"

#include "backend_choice.hpp"
#include "failed.hpp"
#include "replay_engine.hpp"
#ifdef VASPACE_TOOLS_VULKAN
#include "replay_vulkan.hpp"
#endif

namespace vaspace::tools {

namespace {

constexpr Bytes kSmallestDevice = 64_MiB;

std::unique_ptr<Verifier> make_verifier(const DeviceProfile& profile, bool wanted) {
  if (!wanted) return nullptr;
  if (profile.capabilities.host_addressable) return std::make_unique<PatternVerifier>();
  return std::make_unique<OverlapVerifier>();
}

// Nothing is retained: what is measured is what the traffic needs (DESIGN, decision 9).
template <class A, class Config>
ReplayResult replay_with(Backend& backend, Bytes page_size, const trace::Trace& trace,
                         const ReplaySettings& settings, Verifier* verifier) {
  Config config;
  config.page_size = page_size;
  config.retain = Bytes{};
  config.retain_percent = 0;
  Result<A> allocator = A::create(backend, config);
  if (!allocator) {
    throw Failed(fmt::format("cannot make the allocator: {} ({})", to_string(allocator.error().code),
                             allocator.error().native));
  }
  return Replay<A>(*allocator, trace, settings, verifier).run();
}

ReplayResult replay_through(AllocatorKind kind, Backend& backend, Bytes page_size, const trace::Trace& trace,
                            const ReplaySettings& settings, Verifier* verifier) {
  const bool threads = settings.threads > 1;
  if (kind == AllocatorKind::arena) {
    const auto replay = threads ? replay_with<ThreadSafeArenaAllocator, ArenaConfig>
                                : replay_with<ArenaAllocator, ArenaConfig>;
    return replay(backend, page_size, trace, settings, verifier);
  }
  const auto replay = threads ? replay_with<ThreadSafeDefaultAllocator, DefaultConfig>
                              : replay_with<DefaultAllocator, DefaultConfig>;
  return replay(backend, page_size, trace, settings, verifier);
}

BackendCalls calls_of(const CountingBackend& counting) {
  BackendCalls calls;
  counting.counts().each(
      [&calls](const char* name, std::uint64_t count) { calls.emplace_back(name, count); });
  return calls;
}

}  // namespace

Bytes page_size_for(const ReplayOptions& options) {
  const OpenBackend open = open_backend(options.backend, options.device, kSmallestDevice);
  const DeviceProfile& profile = open.profile();
  if (options.page_size == Bytes{}) return profile.page_size_count == 0 ? Bytes{} : profile.page_sizes[0];
  if (profile.offers_page(options.page_size)) return options.page_size;
  std::string offered;
  for (const Bytes page : profile.pages())
    offered += fmt::format("{}{}", offered.empty() ? "" : ", ", page.value);
  throw WrongUsage(fmt::format("--page-size: the {} backend offers {}, not {}", options.backend,
                               offered.empty() ? "no pages" : offered, options.page_size.value));
}

Bytes device_size_for(const ReplayOptions& options, Bytes peak_live, Bytes page_size) {
  const auto twice = checked_add(peak_live, peak_live);
  const Bytes wanted = options.device_size != Bytes{} ? options.device_size
                       : twice                        ? std::max(*twice, kSmallestDevice)
                                                      : kMaxBytes;
  const auto rounded = checked_align_up(wanted, Alignment{std::max(page_size, Bytes{1})});
  if (!rounded) throw Failed("the trace's peak is too large for any device: give --device-size");
  return *rounded;
}

ReplayRun replay_once(const std::string& name, const trace::Trace& trace, AllocatorKind allocator,
                      const ReplayOptions& options, const Ground& ground,
                      const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
#ifdef VASPACE_TOOLS_VULKAN
  if (options.backend == "vulkan") return replay_on_vulkan(name, trace, allocator, options, progress);
#endif
  const OpenBackend open = open_backend(options.backend, options.device, ground.device_size);
  const std::unique_ptr<Verifier> verifier = make_verifier(open.profile(), options.verify);
  const ReplaySettings settings{.align_buffers = options.align_buffers,
                                .align_images = options.align_images,
                                .threads = options.threads,
                                .progress = progress};
  ReplayRun run{.trace = name,
                .allocator = allocator,
                .backend = options.backend,
                .device = open.device_name(),
                .device_size = ground.device_size,
                .page_size = ground.page_size,
                .threads = options.threads,
                .result = {},
                .backend_calls = {},
                .sub_buffers = {}};
  run.result = replay_through(allocator, *open.counting, ground.page_size, trace, settings, verifier.get());
  run.backend_calls = calls_of(*open.counting);
  return run;
}

}  // namespace vaspace::tools
