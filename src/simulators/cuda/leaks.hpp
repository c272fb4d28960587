// What a program would leave behind.
#pragma once

#include "driver.hpp"

namespace vasim::cuda {

// Reports it all, and gives the number.
std::uint64_t report_leaks(Driver& driver);

}  // namespace vasim::cuda
