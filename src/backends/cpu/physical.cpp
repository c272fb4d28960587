// Memory: taken from the OS when it is created, given back when it is destroyed.
#include <cerrno>

#include "state.hpp"

namespace vaspace::cpu {
namespace {

// Neighbouring offsets, for one system call.
struct OffsetRun {
  std::uint64_t offset = 0;
  Bytes size{};

  // Whether [at, at + more) continues this run; it does now, then.
  bool extend(std::uint64_t at, Bytes more) noexcept {
    if (size.value == 0) offset = at;
    if (offset + size.value == at) {
      size += more;
      return true;
    }
    if (at + more.value != offset) return false;
    offset = at;
    size += more;
    return true;
  }
};

// What create_physical has in hand until its memory is there.
struct Batch {
  explicit Batch(const HostAllocator& host) noexcept : ids(host), runs(host) {}
  [[nodiscard]] bool reserve(std::size_t count) noexcept { return ids.reserve(count) && runs.reserve(count); }
  void add(PhysicalId id, std::uint64_t offset, Bytes size) noexcept {
    ids.push_back_reserved(id);
    if (runs.empty() || !runs.back().extend(offset, size)) runs.push_back_reserved({offset, size});
  }

  HostArray<PhysicalId> ids;
  HostArray<OffsetRun> runs;
};

// All at home, else each at home or elsewhere, else all together elsewhere.
void place(HeapFile& file, PhysicalTable& objects, const PhysicalRequest& request, Address near,
           std::size_t count, Batch& batch) noexcept {
  const auto add = [&](std::uint64_t offset) noexcept {
    batch.add(objects.add(offset, request.size, request.memory_type), offset, request.size);
  };
  const Bytes total = request.size * count;
  const bool all_home = file.take_home(near, total, count);
  const bool together = all_home || near.value == 0;
  std::uint64_t next = near.value;
  if (together && !all_home) next = file.take_elsewhere(total, count);
  for (std::size_t i = 0; i < count; ++i, next += request.size.value) {
    const bool home = together || file.take_home(Address{next}, request.size, 1);
    add(home ? next : file.take_elsewhere(request.size, 1));
  }
}

// The hint, or 0 where no page could be bound there.
Address usable_hint(const DeviceProfile& profile, const PhysicalRequest& request, Bytes total) noexcept {
  const bool aligned = is_aligned(request.near, Alignment{profile.page_sizes[0]});
  return aligned && has_home(request.near, total) ? request.near : Address{};
}

// All of the batch's memory or none. 0 or errno.
int take_memory(HeapFile& file, std::span<const OffsetRun> runs) noexcept {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const int refusal = file.take_memory(runs[i].offset, runs[i].size);
    if (refusal == 0) continue;
    for (std::size_t taken = 0; taken < i; ++taken)
      (void)file.give_memory(runs[taken].offset, runs[taken].size);
    return refusal;
  }
  return 0;
}

void forget(Backend::State& s, std::span<const PhysicalId> ids) noexcept {
  for (const PhysicalId id : ids) {
    const PhysicalObject& object = s.objects[PhysicalTable::slot_of(id)];
    const std::uint32_t heap = s.heap_of(object.memory_type);
    s.files[heap]->give_offset(object.place, object.size);
    s.used[heap] -= object.size;
    s.objects.remove(id);
  }
}

Error memory_error(int refusal) noexcept {
  const bool full = refusal == ENOSPC || refusal == ENOMEM;
  return {full ? ErrorCode::out_of_device_memory : ErrorCode::driver_error, refusal};
}

// The longest run that the objects from `first` on make in one heap's file.
struct HeapRun {
  std::uint32_t heap = 0;
  OffsetRun run;
  std::size_t next = 0;  // the first object behind it
};
HeapRun run_from(Backend::State& s, std::span<const PhysicalId> ids, std::size_t first) noexcept {
  HeapRun found;
  for (found.next = first; found.next < ids.size(); ++found.next) {
    const PhysicalObject& object = s.objects[PhysicalTable::slot_of(ids[found.next])];
    const std::uint32_t heap = s.heap_of(object.memory_type);
    if (found.next == first) found.heap = heap;
    if (heap != found.heap || !found.run.extend(object.place, object.size)) break;
  }
  return found;
}

}  // namespace

Result<void> Backend::create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept {
  State& s = *state_;
  const Result<Bytes> total = check_physical_request(s.profile, request, out.size());
  if (!total) return fail(total.error());
  if (out.empty()) return {};
  const std::uint32_t heap = s.heap_of(request.memory_type);
  HeapFile& file = *s.files[heap];
  Batch batch(s.host);
  {
    const std::lock_guard lock(s.mutex);
    if (*total > s.unused(heap)) return fail(ErrorCode::out_of_device_memory);
    const bool room = batch.reserve(out.size()) && s.objects.reserve(out.size()) && file.reserve(out.size());
    if (!room) return fail(ErrorCode::out_of_host_memory);
    place(file, s.objects, request, usable_hint(s.profile, request, *total), out.size(), batch);
    s.used[heap] += *total;
  }
  const int refusal = take_memory(file, batch.runs.span());
  if (refusal != 0) {
    const std::lock_guard lock(s.mutex);
    forget(s, batch.ids.span());
    return fail(memory_error(refusal));
  }
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = batch.ids[i];
  return {};
}

// Needs no host memory. Where the OS refuses to take memory back (it should not), all objects live on; what
// was punched before then reads as zeros and is taken again when it is touched.
Result<void> Backend::destroy_physical(std::span<const PhysicalId> objects) noexcept {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  const Result<void> advanced = s.advance();
  if (!advanced) return advanced;
  if (!s.profile.capabilities.bind) return fail(ErrorCode::not_supported);
  const Result<void> unused = hide_unused(s.objects, objects, s.done);
  if (!unused) return unused;
  for (std::size_t next = 0; next < objects.size();) {
    const HeapRun found = run_from(s, objects, next);
    lock.unlock();
    const int refusal = s.files[found.heap]->give_memory(found.run.offset, found.run.size);
    lock.lock();
    if (refusal != 0) {
      for (const PhysicalId id : objects)
        s.objects.show(id);
      return fail(ErrorCode::driver_error, refusal);
    }
    next = found.next;
  }
  forget(s, objects);
  return {};
}

}  // namespace vaspace::cpu
