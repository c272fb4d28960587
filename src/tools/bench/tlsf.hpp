// TLSF, where its header and library are installed. Its books lie within the memory that it manages, so what
// it is given is real.
#pragma once

#include <memory>

#include "bench/session.hpp"

namespace vaspace::tools::bench {

[[nodiscard]] bool have_tlsf();
// Throws Failed where it was not built in, and where there is no address space.
[[nodiscard]] std::unique_ptr<Session> make_tlsf(const Setup& setup);

}  // namespace vaspace::tools::bench
