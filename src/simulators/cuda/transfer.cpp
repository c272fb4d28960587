#include "transfer.hpp"

#include <cstring>

#include "queueing.hpp"

namespace vasim::cuda {
namespace {

using Pins = std::vector<std::shared_ptr<Physical>>;

// From the first byte to behind the last one of a box; 0 where that overflows.
std::uint64_t span_of(const Box& box, std::uint64_t pitch, std::uint64_t rows) {
  std::uint64_t slices = 0, lines = 0, total = 0, slice = 0;
  if (__builtin_mul_overflow(pitch, rows, &slice) || __builtin_mul_overflow(box.depth - 1, slice, &slices) ||
      __builtin_mul_overflow(box.height - 1, pitch, &lines) ||
      __builtin_add_overflow(slices, lines, &total) || __builtin_add_overflow(total, box.width, &total))
    return 0;
  return total;
}

template <class Row>
bool for_each_row(const Side& side, const Box& box, Row row) {
  for (std::uint64_t z = 0; z != box.depth; ++z) {
    for (std::uint64_t y = 0; y != box.height; ++y)
      if (!row(side.address + (z * side.rows + y) * side.pitch)) return false;
  }
  return true;
}

// The device addresses of a call, as far as they can be judged when it is made. Whether anything is mapped
// there is only known when the work runs.
CUresult check_device_range(Call& call, Stream& stream, std::uint64_t begin, std::uint64_t size) {
  AddressSpace& space = call.driver.space;
  const std::string object = range_text(begin, size);
  Region* region = space.region_at(begin);
  if (region == nullptr && space.reservation_at(begin) == nullptr) {
    return space.was_freed(begin)
               ? call.broken("freed-range", object, "it was freed", CUDA_ERROR_INVALID_VALUE)
               : CUDA_ERROR_INVALID_VALUE;
  }
  if (region == nullptr) return CUDA_SUCCESS;
  if (region->freed) return call.undefined("freed-range", object, region_text(*region) + " was freed");
  if (region->kind == RegionKind::mapping) return CUDA_SUCCESS;
  if (size > region->end() - begin) return CUDA_ERROR_INVALID_VALUE;
  const Point born = region->born;
  if (born.stream != stream.id && !stream.clock.covers(born) && !call.driver.host.covers(born)) {
    (void)call.undefined("C13", object,
                         region_text(*region) + ": this stream does not wait for its allocation");
  }
  return CUDA_SUCCESS;
}

// Why a piece of work failed on the device; it takes the context with it.
CUresult device_fault(Driver& driver, const char* name, const Fault& fault) {
  driver.reports.add({fault.rule,
                      range_text(fault.address, 0).substr(0, range_text(fault.address, 0).find(' ')),
                      std::string(name) + ": " + fault.reason, CUDA_ERROR_ILLEGAL_ADDRESS});
  return CUDA_ERROR_ILLEGAL_ADDRESS;
}

bool resolve_side(Driver& driver, const Side& side, const Box& box, bool writes,
                  std::vector<Segment>& segments, Pins& pins, Fault& fault) {
  return for_each_row(side, box, [&](std::uint64_t row) {
    if (!side.on_host)
      return driver.space.resolve({row, box.width}, side.device, writes, segments, pins, fault);
    segments.push_back({reinterpret_cast<char*>(row), box.width});
    return true;
  });
}

void copy_segments(const std::vector<Segment>& to, const std::vector<Segment>& from) {
  std::size_t i = 0, j = 0;
  std::uint64_t to_done = 0, from_done = 0;
  while (i != to.size() && j != from.size()) {
    const std::uint64_t part = std::min(to[i].size - to_done, from[j].size - from_done);
    std::memmove(to[i].data + to_done, from[j].data + from_done, part);
    to_done += part;
    from_done += part;
    if (to_done == to[i].size) ++i, to_done = 0;
    if (from_done == from[j].size) ++j, from_done = 0;
  }
}

CUresult run_copy(Driver& driver, Lock& lock, const char* name, const Copy& what) {
  std::vector<Segment> to, from;
  Pins pins;
  Fault fault;
  if (!resolve_side(driver, what.from, what.box, false, from, pins, fault) ||
      !resolve_side(driver, what.to, what.box, true, to, pins, fault))
    return device_fault(driver, name, fault);
  lock.unlock();
  copy_segments(to, from);
  lock.lock();  // before the pins go: memory returns to its device under the lock
  return CUDA_SUCCESS;
}

// `phase`: bytes of the pattern that lie before the segment.
void fill_segment(const Segment& segment, std::uint32_t value, std::uint32_t element, std::uint64_t phase) {
  for (std::uint64_t i = 0; i != segment.size; ++i)
    segment.data[i] = static_cast<char>(value >> (8 * ((phase + i) % element)) & 0xffU);
}

CUresult run_fill(Driver& driver, Lock& lock, const char* name, const Fill& what) {
  std::vector<Segment> segments;
  Pins pins;
  Fault fault;
  const Side side{what.address, false, what.device, what.pitch, 0};
  if (!resolve_side(driver, side, what.box, true, segments, pins, fault))
    return device_fault(driver, name, fault);
  lock.unlock();
  std::uint64_t phase = 0;
  for (const Segment& segment : segments) {
    if (what.element == 1) {
      std::memset(segment.data, static_cast<int>(what.value & 0xffU), segment.size);
    } else {
      fill_segment(segment, what.value, what.element, phase);
    }
    phase += segment.size;
  }
  lock.lock();
  return CUDA_SUCCESS;
}

bool pageable(Call& call, const Side& side) {
  const Region* region = call.driver.space.region_at(side.address);
  return side.on_host && (region == nullptr || !region->on_host());
}

// What the source holds now: the program may change it as soon as the call returns.
Side staged(const Side& side, const Box& box, std::vector<char>& stage) {
  stage.reserve(box.width * box.height * box.depth);
  for_each_row(side, box, [&](std::uint64_t row) {
    const char* const bytes = reinterpret_cast<const char*>(row);
    stage.insert(stage.end(), bytes, bytes + box.width);
    return true;
  });
  return {reinterpret_cast<std::uint64_t>(stage.data()), true, 0, box.width, box.height};
}

CUresult check_side(Call& call, Stream& stream, const Side& side, const Box& box) {
  const std::uint64_t span = span_of(box, side.pitch, side.rows);
  if (span == 0 || (box.height > 1 && side.pitch < box.width)) return CUDA_ERROR_INVALID_VALUE;
  if (!side.on_host) return check_device_range(call, stream, side.address, span);
  const Region* region = call.driver.space.region_at(side.address);
  if (region == nullptr)
    return call.driver.space.known(side.address) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  return region->on_host() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

Side side_at(Call& call, std::uint64_t address) {
  Side side;
  side.address = address;
  side.device = call.context->device;
  const Region* region = call.driver.space.region_at(address);
  side.on_host = region != nullptr ? region->on_host() : call.driver.space.reservation_at(address) == nullptr;
  // A freed allocation is reported as what it was.
  if (side.on_host && region == nullptr && call.driver.space.was_freed(address)) side.on_host = false;
  // Plain allocations are copied through the host where no peer access exists, so their own device reaches
  // them.
  if (region != nullptr && region->kind == RegionKind::device) side.device = region->device;
  return side;
}

CUresult copy(Call& call, Stream& stream, Copy what, bool waits) {
  if (what.box.width == 0 || what.box.height == 0 || what.box.depth == 0) return CUDA_SUCCESS;
  for (const Side* side : {&what.to, &what.from}) {
    const CUresult sound = check_side(call, stream, *side, what.box);
    if (sound != CUDA_SUCCESS) return sound;
  }
  Work work;
  work.name = call.name;
  for (const Side* side : {&what.to, &what.from})
    work.touches.push_back({side->address, span_of(what.box, side->pitch, side->rows)});
  waits = (waits && (what.to.on_host || what.from.on_host)) || pageable(call, what.to);
  std::shared_ptr<std::vector<char>> stage;
  if (!waits && pageable(call, what.from)) {
    stage = std::make_shared<std::vector<char>>();
    what.from = staged(what.from, what.box, *stage);
  }
  work.run = [&driver = call.driver, name = call.name, what, stage](Lock& lock, const Clock&) {
    return run_copy(driver, lock, name, what);
  };
  (void)submit(call, stream, std::move(work));
  return waits ? await(call, stream) : CUDA_SUCCESS;
}

CUresult fill(Call& call, Stream& stream, const Fill& what) {
  if (what.box.width == 0 || what.box.height == 0) return CUDA_SUCCESS;
  if (what.address % what.element != 0 || what.pitch % what.element != 0) return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t span = span_of(what.box, what.pitch, 0);
  if (span == 0 || (what.box.height > 1 && what.pitch < what.box.width)) return CUDA_ERROR_INVALID_VALUE;
  const CUresult sound = check_device_range(call, stream, what.address, span);
  if (sound != CUDA_SUCCESS) return sound;
  Work work;
  work.name = call.name;
  work.touches.push_back({what.address, span});
  work.run = [&driver = call.driver, name = call.name, what](Lock& lock, const Clock&) {
    return run_fill(driver, lock, name, what);
  };
  (void)submit(call, stream, std::move(work));
  return CUDA_SUCCESS;
}

}  // namespace vasim::cuda
