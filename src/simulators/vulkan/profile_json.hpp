// The only place that knows how a profile is written.
#pragma once

#include <string>

#include "profile.hpp"

namespace vasim {

// Reads the file; "base" in it names one of `folders` that it changes (a JSON merge patch, RFC 7386). Throws
// std::runtime_error.
// `files`: gets the path of every file that was read.
Profile parse_profile(const std::string& path, const std::vector<std::string>& folders,
                      std::vector<std::string>& files);

}  // namespace vasim
