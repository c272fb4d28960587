// What SparseTextures holds. Creation and taking back are in sparse_texture.cpp, updates in
// sparse_texture_update.cpp.
//
// Two locks, in this order: `submitting` makes updates, creations and collect() take turns, and is held
// during their driver calls; `mutex` is for what is asked meanwhile, and no driver call is made under it.
// Freeing a texture takes `mutex` alone.
#pragma once

#include <mutex>

#include "vaspace/base/host_array.hpp"

#include "sparse_texture_layout.hpp"

namespace vaspace::vulkan {

// A texture. It is in the list of the living or of the dead.
struct SparseTextureRecord {
  explicit SparseTextureRecord(SparseTextures::State& state) noexcept;

  SparseTextures::State* owner;
  SparseImage image{};
  TextureLayout layout{};
  HeapRequest wish{};  // of its pages
  std::array<char, 32> name{};
  // Of each tile: the number of its page and 1, or 0; with kChanging while an update is about it.
  HostArray<std::uint32_t> tiles;
  HostArray<HeapAllocation> tails;
  std::uint64_t ready = 0;  // values of the chain: the tails are bound, the last bind is done
  std::uint64_t last_bind = 0;
  std::uint64_t resident = 0;
  Bytes tail_bytes{};
  std::array<TimelinePoint, Heap::kMaxPoints> points{};  // of who retired it
  std::size_t point_count = 0;
  SparseTextureRecord* next = nullptr;
  SparseTextureRecord* before = nullptr;

  static constexpr std::uint32_t kChanging = 1U << 31U;
};

struct SparseTextures::State {
  // The page of a tile.
  struct Page {
    HeapAllocation memory{};
    std::uint32_t next_free = kNone;
  };
  // A page whose unbind is done when the chain has passed the value.
  struct Waiting {
    std::uint32_t page = 0;
    std::uint64_t value = 0;
  };
  // A tile that an update changes. `page`: that it gets, or that it loses.
  struct Step {
    SparseTextureRecord* texture = nullptr;
    const TileBox* box = nullptr;
    std::uint32_t tile = 0;
    std::array<std::uint32_t, 3> at{};
    std::uint32_t page = kNone;
    bool resident = false;
  };
  static constexpr std::uint32_t kNone = ~0U;

  State(Heap& on, const HostAllocator& with) noexcept
      : heap(on), host(with), pages(with), waiting(with), steps(with), binds(with) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  // Under `submitting`.
  // Errors: those of Heap::allocate, out_of_host_memory.
  [[nodiscard]] Result<std::uint32_t> take_page(const SparseTextureRecord& texture) noexcept;
  void give_page(std::uint32_t page) noexcept;
  [[nodiscard]] Result<void> fill(SparseTextureRecord& texture) noexcept;
  [[nodiscard]] Result<void> bind_tails(SparseTextureRecord& texture, bool metadata) noexcept;
  void give_back_pages(std::uint64_t reached) noexcept;
  void destroy_dead(std::uint64_t reached) noexcept;
  void destroy(SparseTextureRecord& texture) noexcept;
  [[nodiscard]] bool has_passed(const SparseTextureRecord& texture, std::uint64_t reached) noexcept;

  [[nodiscard]] Result<void> plan(std::span<const TileChange> changes) noexcept;
  [[nodiscard]] Result<void> plan(const TileChange& change) noexcept;
  [[nodiscard]] Result<void> take_pages() noexcept;
  [[nodiscard]] Result<void> gather_binds() noexcept;
  [[nodiscard]] bool continues(const Step& before, const Step& step) const noexcept;
  void add_bind(const Step& step, std::uint32_t count) noexcept;
  void publish(std::uint64_t value) noexcept;
  void forget_steps() noexcept;

  // Under `mutex`.
  void link(SparseTextureRecord*& list, SparseTextureRecord& texture) noexcept;
  void unlink(SparseTextureRecord*& list, SparseTextureRecord& texture) noexcept;

  Heap& heap;
  HostAllocator host;
  HostObject<SparseImages> images;

  std::mutex submitting;  // of what follows
  HostArray<Page> pages;
  std::uint32_t free_page = kNone;
  HostArray<Waiting> waiting;  // values rise; there is room for every page
  std::uint64_t last = 0;      // of the chain
  HostArray<Step> steps;       // of the update in the making
  HostArray<ImageBind> binds;

  mutable std::mutex mutex;  // of what follows, and of every texture's tiles and figures
  SparseTextureRecord* living = nullptr;
  SparseTextureRecord* dead = nullptr;
  SparseTexturesReport figures{};
};

}  // namespace vaspace::vulkan
