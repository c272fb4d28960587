// Which arena serves a size class: its own once the class has earned one, and until then the one that all
// classes share. So a class that holds little does not have a page of its own that is mostly empty.
//
//   bytes of the class   ___/''''\_______      in the shared arena; what passes `earn` goes to its own from
//   its home             shared | its own      then on, until that has no reservation left
//
// Always true: a class's volume is what it holds in the shared arena. Externally synchronised by that arena's
// lock, but for of(), which anybody may ask: what is placed by an old answer is as good.
#pragma once

#include <array>
#include <cstdint>

#include "vaspace/arena/size_class.hpp"

#include "arena/figure.hpp"

namespace vaspace {

class Homes {
 public:
  // `earn`: 0: every class has its own from the beginning.
  void set_up(std::uint32_t classes, std::uint32_t shared, Bytes earn) noexcept {
    shared_ = shared;
    earn_ = earn;
    for (std::uint32_t k = 0; k < classes; ++k)
      home_[k].set(static_cast<std::uint8_t>(earn == Bytes{} ? k : shared));
  }
  [[nodiscard]] bool shares() const noexcept { return earn_ != Bytes{}; }
  [[nodiscard]] std::uint32_t shared() const noexcept { return shared_; }
  [[nodiscard]] std::uint32_t of(std::uint32_t k) const noexcept { return home_[k].get(); }
  [[nodiscard]] bool has_own(std::uint32_t k) const noexcept { return of(k) == k; }

  // Whether the class has an arena of its own from now on.
  [[nodiscard]] bool add(std::uint32_t k, Bytes size) noexcept {
    volume_[k] += size;
    if (volume_[k] <= earn_ || has_own(k)) return false;
    home_[k].set(static_cast<std::uint8_t>(k));
    return true;
  }
  void remove(std::uint32_t k, Bytes size) noexcept { volume_[k] -= size; }
  // Its own is empty.
  void lose(std::uint32_t k) noexcept { home_[k].set(static_cast<std::uint8_t>(shared_)); }

 private:
  std::uint32_t shared_ = 0;
  Bytes earn_{};
  std::array<Figure<std::uint8_t>, kMaxSizeClasses> home_;
  std::array<Bytes, kMaxSizeClasses> volume_{};
};

}  // namespace vaspace
