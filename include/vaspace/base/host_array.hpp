// A growable array of trivially copyable elements in host memory that never throws.
//
// Always true: size() <= capacity(); a growth that fails changes nothing; nothing but reserve() asks the host
// allocator for memory.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "vaspace/base/host_allocator.hpp"

namespace vaspace {

template <class T>
class HostArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  HostArray() noexcept = default;
  explicit HostArray(const HostAllocator& host) noexcept : host_(host) {}
  HostArray(HostArray&& other) noexcept
      : host_(other.host_),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  HostArray& operator=(HostArray&& other) noexcept {
    if (this != &other) {
      release();
      host_ = other.host_;
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
      capacity_ = std::exchange(other.capacity_, 0);
    }
    return *this;
  }
  HostArray(const HostArray&) = delete;
  HostArray& operator=(const HostArray&) = delete;
  ~HostArray() { release(); }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept {
    assert(i < size_);
    return data_[i];
  }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept {
    assert(i < size_);
    return data_[i];
  }
  [[nodiscard]] T& back() noexcept { return (*this)[size_ - 1]; }
  [[nodiscard]] const T& back() const noexcept { return (*this)[size_ - 1]; }
  [[nodiscard]] T* begin() noexcept { return data_; }
  [[nodiscard]] T* end() noexcept { return data_ + size_; }
  [[nodiscard]] const T* begin() const noexcept { return data_; }
  [[nodiscard]] const T* end() const noexcept { return data_ + size_; }
  [[nodiscard]] std::span<T> span() noexcept { return {data_, size_}; }
  [[nodiscard]] std::span<const T> span() const noexcept { return {data_, size_}; }

  // Room for `capacity` elements, or false. Grows to exactly that.
  [[nodiscard]] bool reserve(std::size_t capacity) noexcept {
    if (capacity <= capacity_) return true;
    if (capacity > static_cast<std::size_t>(-1) / sizeof(T)) return false;
    auto* memory = static_cast<T*>(host_.allocate(host_.user, capacity * sizeof(T), alignof(T)));
    if (memory == nullptr) return false;
    if (size_ != 0) std::memcpy(static_cast<void*>(memory), data_, size_ * sizeof(T));
    const std::size_t size = size_;
    release();
    data_ = memory;
    size_ = size;
    capacity_ = capacity;
    return true;
  }
  // Room for `more` further elements, amortised: at least half as much again.
  [[nodiscard]] bool reserve_more(std::size_t more) noexcept {
    if (more <= capacity_ - size_) return true;
    const std::size_t grown = capacity_ + capacity_ / 2;
    return reserve(size_ + more > grown ? size_ + more : grown);
  }
  [[nodiscard]] bool push_back(const T& value) noexcept {
    const T copy = value;  // `value` may lie in this array
    if (!reserve_more(1)) return false;
    push_back_reserved(copy);
    return true;
  }
  // The caller has reserved the room.
  void push_back_reserved(const T& value) noexcept {
    assert(size_ < capacity_);
    ::new (static_cast<void*>(data_ + size_)) T(value);
    ++size_;
  }
  void pop_back() noexcept {
    assert(size_ != 0);
    --size_;
  }
  [[nodiscard]] bool resize(std::size_t size, const T& fill = T{}) noexcept {
    if (!reserve(size)) return false;
    for (std::size_t i = size_; i < size; ++i)
      ::new (static_cast<void*>(data_ + i)) T(fill);
    size_ = size;
    return true;
  }
  void clear() noexcept { size_ = 0; }
  void release() noexcept {
    if (data_ != nullptr) host_.deallocate(host_.user, data_, capacity_ * sizeof(T), alignof(T));
    data_ = nullptr;
    size_ = capacity_ = 0;
  }
  [[nodiscard]] const HostAllocator& host() const noexcept { return host_; }

 private:
  HostAllocator host_ = default_host_allocator();
  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace vaspace
