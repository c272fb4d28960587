#include "replay_vulkan.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <map>
#include <optional>

#include "failed.hpp"
#include "tally.hpp"
#include "verifier.hpp"
#include "vulkan_device.hpp"

namespace vaspace::tools {

namespace {

using Clock = std::chrono::steady_clock;

// VkBufferUsageFlagBits: TRANSFER_SRC, TRANSFER_DST, STORAGE, INDEX, VERTEX.
constexpr std::uint32_t kUsage = 0x1 | 0x2 | 0x20 | 0x40 | 0x80;

// What a row became.
struct Held {
  vulkan::Buffer buffer;
  VkImage image{};
  HeapAllocation memory{};  // of an image, or alone
  Allocation place{};       // where it lies, for the verifier
  Bytes size{};             // the row's
  bool live = false;
};

class VulkanReplay {
 public:
  VulkanReplay(const trace::Trace& trace, AllocatorKind allocator, const ReplayOptions& options)
      : trace_(trace),
        options_(options),
        opened_(open_vulkan(options.device)),
        held_(trace.allocation_count) {
    vulkan::HeapConfig config;
    // Nothing is retained: what is measured is what the traffic needs.
    config.memory.keep = Bytes{};
    config.memory.keep_percent = 0;
    config.sub_buffer_retain = Bytes{};
    config.sub_buffer_retain_percent = 0;
    if (allocator == AllocatorKind::default_allocator) config.memory.small = Bytes{};
    config.sparse = opened_.device->sparse_queue();
    config.transfer = opened_.device->queue();
    config.families = opened_.device->families();
    auto heap = vulkan::Heap::create(*opened_.backend, config);
    if (!heap)
      throw Failed(
          fmt::format("cannot make the heap: {} ({})", to_string(heap.error().code), heap.error().native));
    heap_.emplace(std::move(*heap));
    if (options.verify) verifier_ = std::make_unique<OverlapVerifier>();
  }

  ReplayRun run(const std::string& name, AllocatorKind allocator,
                const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    constexpr std::uint32_t kRowsPerProgress = 1024;
    std::vector<Tally> tallies;
    tallies.emplace_back(trace_.rows.size());
    Tally& tally = tallies.front();
    std::uint32_t operation = 0;
    for (std::uint32_t row = 0; row < trace_.rows.size(); ++row) {
      if (trace_.rows[row].op == trace::Op::frame) continue;
      if (trace_.rows[row].op == trace::Op::alloc) {
        allocate(row, tally);
      } else {
        free(trace_.rows[row].allocation, &tally);
      }
      settle(operation++, tally);
      if (progress && operation % kRowsPerProgress == 0) progress(row, trace_.rows.size());
    }
    ReplayRun run{.trace = name,
                  .allocator = allocator,
                  .backend = "vulkan",
                  .device = std::string(opened_.device->name()),
                  .device_size = opened_.backend->profile().heaps[0].size,
                  .page_size = {},
                  .threads = 1,
                  .result = merge(tallies),
                  .backend_calls = {},
                  .sub_buffers = {}};
    finish(run.result);
    const vulkan::HeapReport report = heap_->report();
    run.backend_calls = {{"vkAllocateMemory", report.memory.device_reserves + report.memory.guest_reserves},
                         {"vkAllocateMemory_pages", report.memory.guest_reserves},
                         {"vkFreeMemory", report.memory.device_releases + report.sparse_releases},
                         {"vkCreateBuffer", buffers_created_ + report.shared_buffers_created},
                         {"vkCreateImage", images_created_}};
    if (options_.sub_buffers) run.sub_buffers = sub_buffer_figures(operation);
    return run;
  }

 private:
  static std::uint64_t ns_between(Clock::time_point from, Clock::time_point to) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count());
  }
  [[nodiscard]] Alignment alignment_of(const trace::Row& row) const {
    Alignment alignment{row.alignment};
    if (row.kind == trace::Kind::buffer) alignment = std::max(alignment, options_.align_buffers);
    if (row.kind == trace::Kind::image_optimal) alignment = std::max(alignment, options_.align_images);
    return alignment;
  }

  void allocate(std::uint32_t row_number, Tally& tally) {
    const trace::Row& row = trace_.rows[row_number];
    Held& held = held_[row.allocation];
    const Clock::time_point begin = Clock::now();
    const Result<void> made = make(row, held);
    const Clock::time_point end = Clock::now();
    if (!made) {
      if (tally.failed++ == 0) {
        tally.first_failed_row = row_number;
        tally.first_failure = fmt::format("{} bytes, alignment {}: {} ({})", row.size, row.alignment,
                                          to_string(made.error().code), made.error().native);
      }
      return;
    }
    tally.allocate_ns.push_back(ns_between(begin, end));
    held.live = true;
    held.size = Bytes{row.size};
    live_ += row.size;
    if (row.kind == trace::Kind::buffer && options_.sub_buffers) buffer_live_ += row.size;
    if (verifier_)
      verifier_->begin(row.allocation, held.place, {.size = held.size, .alignment = alignment_of(row)});
  }

  Result<void> make(const trace::Row& row, Held& held) {
    const Bytes size{row.size};
    if (row.kind != trace::Kind::buffer) return make_image_or_memory(row, held);
    vulkan::BufferRequest request{.size = size, .usage = kUsage, .alignment = alignment_of(row)};
    auto buffer = options_.sub_buffers ? heap_->alloc_buffer(request) : heap_->create_buffer(request);
    if (!buffer) return fail(buffer.error());
    held.buffer = std::move(*buffer);
    const bool shares = held.buffer.is_sub_buffer();
    const HeapAllocation memory = held.buffer.memory();
    held.place = shares ? place((std::uint64_t)held.buffer.buffer(), held.buffer.offset(), size)
                        : place(memory.native, memory.offset, size);
    buffers_created_ += shares ? 0 : 1;
    return {};
  }

  // The row's own bits of memory types are another device's; what the image needs counts here.
  Result<void> make_image_or_memory(const trace::Row& row, Held& held) {
    const Bytes size{row.size};
    HeapRequest request;
    request.requirements = {size, alignment_of(row), ~0U};
    std::optional<vulkan::HeadlessDevice::Picture> picture;
    if (row.kind != trace::Kind::memory) {
      const bool optimal = row.kind == trace::Kind::image_optimal;
      request.kind = optimal ? ResourceKind::optimal : ResourceKind::linear;
      const auto made = opened_.device->create_image(size, optimal);
      if (made) {
        picture = *made;
        request.requirements.alignment = std::max(request.requirements.alignment, picture->needs.alignment);
        request.requirements.memory_type_bits = picture->needs.memory_type_bits;
      }
    }
    const auto memory = heap_->memory().allocate(request);
    Result<void> bound = memory ? Result<void>{} : fail(memory.error());
    if (bound && picture) bound = heap_->bind(picture->image, *memory);
    if (!bound) {
      if (picture) opened_.device->destroy(picture->image);
      if (memory) heap_->free(*memory);
      return bound;
    }
    held.image = picture ? picture->image : VkImage{};
    held.memory = *memory;
    held.place = place(memory->native, memory->offset, size);
    images_created_ += picture ? 1 : 0;
    return {};
  }

  // One line of addresses for all memory objects and shared buffers.
  Allocation place(std::uint64_t object, Bytes offset, Bytes size) {
    const auto base = bases_.try_emplace(object, (bases_.size() + 1) << 40U).first->second;
    return {Address{base} + offset, size, {}};
  }

  void free(std::uint32_t number, Tally* tally) {
    Held& held = held_[number];
    if (!held.live) return;
    if (verifier_) verifier_->end(number, held.place);
    const bool sub_buffer = held.buffer && options_.sub_buffers;
    const Clock::time_point begin = Clock::now();
    if (held.buffer) {
      held.buffer.reset();
    } else {
      if (held.image != VkImage{}) opened_.device->destroy(held.image);
      heap_->free(held.memory);
    }
    const Clock::time_point end = Clock::now();
    if (tally != nullptr) tally->free_ns.push_back(ns_between(begin, end));
    live_ -= held.size.value;
    if (sub_buffer) buffer_live_ -= held.size.value;
    held.live = false;
  }

  void settle(std::uint32_t operation, Tally& tally) {
    const Clock::time_point begin = Clock::now();
    heap_->collect();
    const Clock::time_point end = Clock::now();
    tally.collect_ns.push_back(ns_between(begin, end));
    const vulkan::HeapReport report = heap_->report();
    // Of sub-buffers in sparse buffers it has the memory objects, not only the pages that are bound.
    const Bytes committed = report.memory.total.committed;
    if (Bytes{live_} > tally.peak_live)
      tally.waste_at_peak = report.memory.total.used > report.memory.total.live
                                ? report.memory.total.used - report.memory.total.live
                                : Bytes{};
    tally.add({.live = Bytes{live_}, .reserved = committed, .committed = committed},
              std::size_t{operation} * Curve::kColumns / trace_.operation_count);
    if (!options_.sub_buffers) return;
    const Bytes behind = report.sparse_held != Bytes{} ? report.sparse_held : report.sub_buffer_committed;
    figures_.peak_live = std::max(figures_.peak_live, Bytes{buffer_live_});
    figures_.peak_committed = std::max(figures_.peak_committed, behind);
    buffer_live_sum_ += static_cast<long double>(buffer_live_);
    buffer_committed_sum_ += static_cast<long double>(behind.value);
  }

  SubBufferFigures sub_buffer_figures(std::uint32_t operations) {
    SubBufferFigures figures = figures_;
    if (operations == 0) return figures;
    figures.mean_live = static_cast<double>(buffer_live_sum_ / operations);
    figures.mean_committed = static_cast<double>(buffer_committed_sum_ / operations);
    return figures;
  }

  void finish(ReplayResult& result) {
    heap_->trim();
    result.end_live = Bytes{live_};
    result.end_committed = heap_->report().memory.total.committed;
    if (verifier_) {
      if (const char* wrong = heap_->validate(); wrong != nullptr) verifier_->report(wrong);
    }
    for (std::uint32_t number = 0; number < held_.size(); ++number)
      free(number, nullptr);
    heap_->trim();
    if (!verifier_) return;
    result.verify_errors = verifier_->errors();
    result.first_verify_error = verifier_->first_error();
  }

  const trace::Trace& trace_;
  const ReplayOptions& options_;
  VulkanDevice opened_;
  std::optional<vulkan::Heap> heap_;
  std::unique_ptr<Verifier> verifier_;
  std::vector<Held> held_;
  std::map<std::uint64_t, std::uint64_t> bases_;
  std::uint64_t live_ = 0;
  std::uint64_t buffer_live_ = 0;
  std::uint64_t buffers_created_ = 0;
  std::uint64_t images_created_ = 0;
  SubBufferFigures figures_;
  long double buffer_live_sum_ = 0;
  long double buffer_committed_sum_ = 0;
};

}  // namespace

ReplayRun replay_on_vulkan(const std::string& name, const trace::Trace& trace, AllocatorKind allocator,
                           const ReplayOptions& options,
                           const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  if (options.threads != 1) throw WrongUsage("--threads: the vulkan backend replays with one");
  return VulkanReplay(trace, allocator, options).run(name, allocator, progress);
}

}  // namespace vaspace::tools
