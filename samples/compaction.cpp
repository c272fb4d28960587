// Compaction that keeps every address: a heap whose large pages are a third full, before and after. Each
// character is 64 KiB of addresses: '#' alone behind a page of its own, a letter where several share one page
// (the same letter, the same page), '=' behind a large page, '.' nothing.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "vaspace/backends/cpu.hpp"
#include "vaspace/va/paged_space.hpp"

using namespace vaspace;
using namespace vaspace::literals;

namespace {

struct Thing {
  Address address{};
  Bytes size{};

  [[nodiscard]] std::uint64_t* words() const {
    return reinterpret_cast<std::uint64_t*>(static_cast<std::uintptr_t>(address.value));
  }
  [[nodiscard]] std::uint64_t checksum() const {
    std::uint64_t sum = 14695981039346656037ULL;
    for (std::uint64_t i = 0; i < size.value / 8; ++i)
      sum = (sum ^ words()[i]) * 1099511628211ULL;
    return sum;
  }
};

std::uint64_t next_random() {
  static std::uint64_t state = 1;
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return state >> 33U;
}

std::uint64_t checksum(const std::vector<Thing>& things) {
  std::uint64_t sum = 0;
  for (const Thing& thing : things)
    sum = sum * 31 + thing.checksum();
  return sum;
}

// Objects of 4 to 64 KiB all over the space, two thirds of them freed again.
std::vector<Thing> churn(PagedSpace& space) {
  std::vector<Thing> things;
  for (Address at = space.begin(); at + 64_KiB <= space.end();) {
    const Thing thing{at, 4_KiB + 256_B * (next_random() % 241)};
    at += thing.size;
    if (!space.acquire(thing.address, thing.size)) return {};
    for (std::uint64_t i = 0; i < thing.size.value / 8; ++i)
      thing.words()[i] = next_random();
    things.push_back(thing);
  }
  std::vector<Thing> kept;
  for (const Thing& thing : things) {
    if (next_random() % 10 < 3) {
      kept.push_back(thing);
    } else if (!space.release(thing.address, thing.size)) {
      return {};
    }
  }
  return kept;
}

void draw(const PagedSpace& space) {
  constexpr std::uint32_t kColumns = 64;
  const auto pages = static_cast<std::uint32_t>((space.end() - space.begin()) / space.small_page());
  for (std::uint32_t page = 0; page < pages; ++page) {
    const PagedSpace::Behind behind = space.behind(space.begin() + space.small_page() * page);
    char mark = '.';
    if (behind.bound) mark = behind.large ? '=' : '#';
    if (behind.sharers > 1) mark = static_cast<char>('a' + behind.frame % 26);
    std::printf("%s%c%s", page % kColumns == 0 ? "  |" : "", mark,
                page % kColumns == kColumns - 1 ? "|\n" : "");
  }
}

double mib(Bytes bytes) {
  return static_cast<double>(bytes.value) / 1048576.0;
}

}  // namespace

int main() {
  auto backend = cpu::Backend::create({.physical_size = 256_MiB});
  if (!backend) return 1;
  auto made = PagedSpace::create(**backend, {.size = 32_MiB});
  if (!made) return 1;
  PagedSpace& space = **made;
  const std::vector<Thing> things = churn(space);
  if (things.empty()) return 1;
  const std::uint64_t sum = checksum(things);
  const Bytes before = *(*backend)->measured_physical();

  std::printf("before: %zu objects, %.1f MiB live, %.1f MiB resident, checksum %016llx\n", things.size(),
              mib(space.report().live), mib(before), (unsigned long long)sum);
  draw(space);

  int steps = 0;
  StepReport total;
  for (bool finished = false; !finished; ++steps) {
    const StepReport step = space.compact({.pages = 16});
    finished = step.finished;
    total.demoted += step.demoted;
    total.meshed += step.meshed;
    total.copied += step.copied;
  }
  (void)space.trim(Bytes{});

  const Bytes after = *(*backend)->measured_physical();
  const std::uint64_t now = checksum(things);
  std::printf(
      "after %d steps (%llu pages demoted, %llu meshed, %.1f MiB copied): %.1f MiB resident, checksum "
      "%016llx\n",
      steps, (unsigned long long)total.demoted, (unsigned long long)total.meshed, mib(total.copied),
      mib(after), (unsigned long long)now);
  draw(space);
  return now == sum && after < before ? 0 : 1;
}
