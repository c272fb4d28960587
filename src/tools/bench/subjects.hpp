// The library's allocators, and the oracle, as subjects.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <fmt/format.h>
#include <string_view>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"
#include "vaspace/backends/cpu.hpp"
#include "vaspace/device/address_backend.hpp"
#include "vaspace/range/object_allocator.hpp"
#include "vaspace/range/slab_allocator.hpp"

#include "bench/limits.hpp"
#include "bench/setup.hpp"
#include "failed.hpp"
#include "support/oracle.hpp"

namespace vaspace::tools::bench {

// What a Result holds, or Failed.
template <class T>
T value_of(Result<T> result, std::string_view what) {
  if (!result) throw Failed(fmt::format("cannot make {}: {}", what, to_string(result.error().code)));
  return std::move(*result);
}

template <class Allocator>
Allocator make_range_allocator(const Setup& setup) {
  if constexpr (std::same_as<Allocator, SlabAllocator>) {
    const Bytes capacity = Bytes{setup.slot} * setup.handles;
    return value_of(
        SlabAllocator::create(
            {.slot_size = Bytes{setup.slot}, .window = capacity, .capacity = capacity, .host = setup.host}),
        "a slab allocator");
  } else if constexpr (std::same_as<Allocator, ObjectAllocator>) {
    return value_of(ObjectAllocator::create({.capacity = setup.heap, .host = setup.host}),
                    "an object allocator");
  } else {
    return Allocator(setup.handles, setup.slot);  // a limit
  }
}

// Allocators of ranges: the caller holds 8 bytes. kWrapped: their calls lie in a header, and would be
// inlined.
template <class Allocator, bool kWrapped>
class RangeSubject {
 public:
  using Handle = RangeId;

  explicit RangeSubject(const Setup& setup) : allocator_(make_range_allocator<Allocator>(setup)) {}
  Handle allocate(std::uint32_t size, unsigned alignment_log2) {
    const Result<Range> range = call_allocate({Bytes{size}, Alignment{std::uint64_t{1} << alignment_log2}});
    if (!range) [[unlikely]] {
      ++refused_;
      return {};
    }
    return range->id;
  }
  void free(Handle handle) {
    if (!call_free(handle)) [[unlikely]]
      ++misused_;
  }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  [[nodiscard]] const Allocator& allocator() const { return allocator_; }
  [[nodiscard]] Bytes largest_free() const { return allocator_.largest_free(); }

 private:
  [[gnu::noinline]] Result<Range> wrapped_allocate(RangeRequest request) {
    return allocator_.allocate(request);
  }
  [[gnu::noinline]] Result<void> wrapped_free(RangeId id) { return allocator_.try_free(id); }
  Result<Range> call_allocate(RangeRequest request) {
    if constexpr (kWrapped) {
      return wrapped_allocate(request);
    } else {
      return allocator_.allocate(request);
    }
  }
  Result<void> call_free(RangeId id) {
    if constexpr (kWrapped) {
      return wrapped_free(id);
    } else {
      return allocator_.try_free(id);
    }
  }

  Allocator allocator_;
  std::uint64_t refused_ = 0;
  std::uint64_t misused_ = 0;
};

using LifoSubject = RangeSubject<Lifo, true>;
using LifoWithMutexSubject = RangeSubject<LifoWithMutex, true>;
using BitmapSubject = RangeSubject<OneLevelBitmap, true>;
using SlabSubject = RangeSubject<SlabAllocator, true>;
using ObjectSubject = RangeSubject<ObjectAllocator, false>;

// Exact best fit in std containers.
class OracleSubject {
 public:
  struct Handle {
    std::uint64_t begin = kNone;
  };

  explicit OracleSubject(const Setup& setup) : oracle_(256, setup.heap.value) {
    oracle_.add_span(0, setup.heap.value);
  }
  [[gnu::noinline]] Handle allocate(std::uint32_t size, unsigned alignment_log2) {
    const auto begin = oracle_.allocate(size, std::uint64_t{1} << alignment_log2);
    if (!begin) ++refused_;
    return begin ? Handle{*begin} : Handle{};
  }
  [[gnu::noinline]] void free(Handle handle) {
    if (handle.begin != kNone) oracle_.free(handle.begin);
  }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  [[nodiscard]] Bytes largest_free() const { return Bytes{oracle_.largest_free()}; }

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  test::BestFitOracle oracle_;
  std::uint64_t refused_ = 0;
};

// The two kinds of backend that allocators are measured on.
struct OnAddresses {
  using Backend = AddressBackend;
  // No pages: what is measured is the allocator.
  static HostObject<AddressBackend> make(Bytes physical) {
    return value_of(AddressBackend::create({.physical_size = physical}), "an address-only backend");
  }
};
struct OnCpu {
  using Backend = cpu::Backend;
  static HostObject<cpu::Backend> make(Bytes physical) {
    static constexpr std::array<Bytes, 1> kPages{64_KiB};
    return value_of(cpu::Backend::create({.physical_size = physical, .page_sizes = kPages}), "a CPU backend");
  }
};

// arena and default. The caller holds the id, 8 bytes, which is what free takes.
template <class Allocator, class On, const auto& kClasses = kStandardSizeClasses>
class VaSubject {
 public:
  using Handle = AllocationId;

  explicit VaSubject(const Setup& setup)
      : backend_(On::make(setup.heap)),
        allocator_(value_of(Allocator::create(*backend_, config_of(setup)), "an allocator")) {}
  Handle allocate(std::uint32_t size, unsigned alignment_log2) {
    const Result<Allocation> allocation = allocator_.allocate(
        {.size = Bytes{size}, .alignment = Alignment{std::uint64_t{1} << alignment_log2}});
    if (!allocation) [[unlikely]] {
      ++refused_;
      return {};
    }
    return allocation->id;
  }
  void free(Handle handle) { allocator_.free(handle); }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  [[nodiscard]] Allocator& allocator() { return allocator_; }
  // The largest allocation that it would serve, by asking.
  [[nodiscard]] Bytes largest_free() const;

 private:
  static constexpr bool kArena =
      std::same_as<Allocator, ArenaAllocator> || std::same_as<Allocator, ThreadSafeArenaAllocator>;

  static auto config_of(const Setup& setup) {
    std::conditional_t<kArena, ArenaConfig, DefaultConfig> config{
        .host = setup.host, .on_misuse = {nullptr, &ignore_misuse}, .on_leak = {nullptr, &ignore_leak}};
    if constexpr (kArena) config.classes = kClasses;
    return config;
  }
  // Freeing none is a misuse, and changes nothing.
  static void ignore_misuse(void*, const Misuse&) noexcept {}
  // What is live when a session ends is dropped.
  static void ignore_leak(void*, const AllocationInfo&) noexcept {}

  HostObject<typename On::Backend> backend_;
  Allocator allocator_;
  std::atomic<std::uint64_t> refused_{0};  // several threads may be refused
};

template <class Allocator, class On, const auto& kClasses>
Bytes VaSubject<Allocator, On, kClasses>::largest_free() const {
  std::uint64_t fits = 0, fails = backend_->profile().heaps[0].size.value + 1;
  while (fails - fits > 256) {
    const std::uint64_t size = fits + (fails - fits) / 2;
    (allocator_.can_allocate({.size = Bytes{size}}) ? fits : fails) = size;
  }
  return Bytes{fits};
}

}  // namespace vaspace::tools::bench
