#include "vaspace/base/misuse.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace vaspace {

void MisuseHandler::operator()(const Misuse& misuse) const noexcept {
  if (on_misuse != nullptr) {
    on_misuse(user, misuse);
    return;
  }
  std::fprintf(stderr, "vaspace: %s: %s: 0x%" PRIx64 "%s%.*s\n", misuse.function, to_string(misuse.code),
               misuse.subject, misuse.detail.empty() ? "" : ": ", static_cast<int>(misuse.detail.size()),
               misuse.detail.data());
  std::abort();
}

}  // namespace vaspace
