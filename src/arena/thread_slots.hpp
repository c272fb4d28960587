// Small numbers for the threads that use thread-safe allocators, and word of a thread's end.
//
// Always true: no two living threads have the same number; a number is given out again only after every
// listener has heard that its thread ends. 0 is no number: a thread that has not joined, could not, or is
// ending has it.
//
// This is the only state of the library that is the process's: a thread ends without knowing which allocators
// it has used. It is looked at when a thread joins or ends and when an allocator comes or goes, never
// between.
#pragma once

#include <cstdint>

namespace vaspace {

class ThreadSlots {
 public:
  static constexpr std::uint32_t kCount = 256;  // numbers are below this

  class Listener {
   public:
    // On the thread that ends, the last that it does here. No allocator comes or goes meanwhile.
    virtual void thread_ends(std::uint32_t number) noexcept = 0;

   protected:
    ~Listener() = default;

   private:
    friend ThreadSlots;
    Listener* next_ = nullptr;
    Listener* previous_ = nullptr;
  };

  // The calling thread's number, or 0. No call, no lock.
  [[nodiscard]] static std::uint32_t mine() noexcept { return mine_; }
  // Gives the calling thread the lowest number that is free; 0: all are taken, or the thread is ending.
  static std::uint32_t join() noexcept;

  static void add(Listener& listener) noexcept;
  // Returns once no call of the listener is under way.
  static void remove(Listener& listener) noexcept;

 private:
  struct Exit;

  static void leave() noexcept;

  static inline thread_local constinit std::uint32_t mine_ = 0;
};

}  // namespace vaspace
