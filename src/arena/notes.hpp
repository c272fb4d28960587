// Names and user data of allocations, beside them: nothing of this exists until the first one is given.
//
// Always true: a note belongs to one live allocation; taking it away asks for no host memory (R7).
#pragma once

#include <cstring>
#include <string_view>
#include <utility>

#include "vaspace/base/host_array.hpp"

namespace vaspace {

// A name's copy and user data, on the way into a table. Empty when neither was given.
class Note {
 public:
  explicit Note(const HostAllocator& host) noexcept : name_(host) {}

  // False: no host memory.
  [[nodiscard]] bool set(std::string_view name, std::uint64_t user_data) noexcept {
    if (!name_.reserve(name.size())) return false;
    for (const char c : name)
      name_.push_back_reserved(c);
    user_data_ = user_data;
    return true;
  }
  [[nodiscard]] bool empty() const noexcept { return name_.empty() && user_data_ == 0; }
  [[nodiscard]] std::string_view name() const noexcept { return {name_.data(), name_.size()}; }
  [[nodiscard]] std::uint64_t user_data() const noexcept { return user_data_; }

 private:
  HostArray<char> name_;
  std::uint64_t user_data_ = 0;
};

// Notes by slot or node index, in chunks made when first needed.
class NoteTable {
 public:
  explicit NoteTable(const HostAllocator& host) noexcept : chunks_(host) {}
  NoteTable(const NoteTable&) = delete;
  NoteTable& operator=(const NoteTable&) = delete;
  ~NoteTable() {
    const HostAllocator& host = chunks_.host();
    for (Note* chunk : chunks_) {
      if (chunk == nullptr) continue;
      for (std::uint32_t i = 0; i < kChunk; ++i)
        chunk[i].~Note();
      host.deallocate(host.user, chunk, sizeof(Note) * kChunk, alignof(Note));
    }
  }

  [[nodiscard]] bool any() const noexcept { return count_ != 0; }

  // Room for a note at `index`; false: no host memory.
  [[nodiscard]] bool prepare(std::uint32_t index) noexcept {
    const std::size_t at = index / kChunk;
    if (at >= chunks_.size()) {
      if (!chunks_.reserve_more(at + 1 - chunks_.size())) return false;
      while (chunks_.size() <= at)
        chunks_.push_back_reserved(nullptr);
    }
    if (chunks_[at] != nullptr) return true;
    const HostAllocator& host = chunks_.host();
    auto* memory = static_cast<Note*>(host.allocate(host.user, sizeof(Note) * kChunk, alignof(Note)));
    if (memory == nullptr) return false;
    for (std::uint32_t i = 0; i < kChunk; ++i)
      ::new (static_cast<void*>(memory + i)) Note(host);
    chunks_[at] = memory;
    return true;
  }
  // The index has been prepared.
  void put(std::uint32_t index, Note&& note) noexcept {
    if (note.empty()) return;
    chunks_[index / kChunk][index % kChunk] = std::move(note);
    ++count_;
  }
  void remove(std::uint32_t index) noexcept {
    Note* note = find(index);
    if (note == nullptr || note->empty()) return;
    *note = Note(chunks_.host());
    --count_;
  }
  // Null, or the note, which may be empty.
  [[nodiscard]] Note* find(std::uint32_t index) const noexcept {
    const std::size_t at = index / kChunk;
    return at < chunks_.size() && chunks_[at] != nullptr ? chunks_[at] + index % kChunk : nullptr;
  }

 private:
  static constexpr std::uint32_t kChunk = 64;

  HostArray<Note*> chunks_;
  std::uint64_t count_ = 0;
};

}  // namespace vaspace
