// The VA allocators behind one virtual interface, so that a test is compiled once for all of them. A new one
// joins by a row of kSubjects.
#pragma once

#include <memory>
#include <ostream>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"

namespace vaspace::test {

class Va {
 public:
  virtual ~Va() = default;
  virtual Result<Allocation> allocate(const AllocationRequest& request) = 0;
  virtual void free(const Allocation& allocation) = 0;
  virtual void free(Address address) = 0;
  virtual Result<void> try_free(const Allocation& allocation) = 0;
  virtual Result<void> try_free(Address address) = 0;
  virtual Result<AllocationInfo> find(Address address) = 0;
  virtual bool can_allocate(const AllocationRequest& request) = 0;
  virtual Result<AllocationShortfall> explain(const AllocationRequest& request) = 0;
  virtual void collect() = 0;
  virtual void flush() = 0;
  virtual AllocatorReport report() = 0;
  virtual Bytes live() = 0;
  virtual Bytes used() = 0;
  virtual Bytes reserved() = 0;
  virtual Bytes committed() = 0;
  virtual const char* validate() = 0;
};

template <VaAllocator A>
class VaOf final : public Va {
 public:
  explicit VaOf(A allocator) : a_(std::move(allocator)) {}

  Result<Allocation> allocate(const AllocationRequest& request) override { return a_.allocate(request); }
  void free(const Allocation& allocation) override { a_.free(allocation); }
  void free(Address address) override { a_.free(address); }
  Result<void> try_free(const Allocation& allocation) override { return a_.try_free(allocation); }
  Result<void> try_free(Address address) override { return a_.try_free(address); }
  Result<AllocationInfo> find(Address address) override { return a_.find(address); }
  bool can_allocate(const AllocationRequest& request) override { return a_.can_allocate(request); }
  Result<AllocationShortfall> explain(const AllocationRequest& request) override {
    return a_.explain(request);
  }
  void collect() override { a_.collect(); }
  void flush() override { a_.flush(); }
  AllocatorReport report() override { return a_.report(); }
  Bytes live() override { return a_.live(); }
  Bytes used() override { return a_.used(); }
  Bytes reserved() override { return a_.reserved(); }
  Bytes committed() override { return a_.committed(); }
  const char* validate() override { return a_.validate(); }

 private:
  A a_;
};

// What both kinds of allocator take, of an ArenaConfig.
[[nodiscard]] inline DefaultConfig default_config(const ArenaConfig& config) {
  return {.page_size = config.page_size,
          .memory_type = config.memory_type,
          .granule = config.granule,
          .retain = config.retain,
          .retain_percent = config.retain_percent,
          .collect_step = config.collect_step,
          .index_addresses = config.index_addresses,
          .host = config.host,
          .on_misuse = config.on_misuse,
          .observer = config.observer,
          .on_leak = config.on_leak};
}

template <class A>
[[nodiscard]] Result<A> create_as(Backend& backend, const ArenaConfig& config) {
  if constexpr (requires { A::create(backend, config); }) {
    return A::create(backend, config);
  } else {
    return A::create(backend, default_config(config));
  }
}

template <class A>
[[nodiscard]] Result<std::unique_ptr<Va>> make_va(Backend& backend, const ArenaConfig& config) {
  Result<A> made = create_as<A>(backend, config);
  if (!made) return fail(made.error());
  return std::unique_ptr<Va>(new VaOf<A>(std::move(*made)));
}

struct Subject {
  const char* name;
  bool arena;  // reservations on demand; otherwise one, made at creation
  bool threaded;
  Result<std::unique_ptr<Va>> (*make)(Backend& backend, const ArenaConfig& config);

  friend std::ostream& operator<<(std::ostream& out, const Subject& subject) { return out << subject.name; }
};

inline constexpr Subject kSubjects[] = {
    {"Arena", true, false, &make_va<ArenaAllocator>},
    {"ThreadSafeArena", true, true, &make_va<ThreadSafeArenaAllocator>},
    {"Default", false, false, &make_va<DefaultAllocator>},
    {"ThreadSafeDefault", false, true, &make_va<ThreadSafeDefaultAllocator>},
};

}  // namespace vaspace::test
