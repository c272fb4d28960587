#include "cuda_devices.hpp"

#include <charconv>
#include <fmt/format.h>
#include <optional>

#include "failed.hpp"

namespace vaspace::tools {

namespace {

constexpr std::string_view kNumberPrefix = "cuda:";

std::shared_ptr<cuda::Backend> open_number(int number) {
  cuda::Refusal why;
  cuda::BackendConfig config;
  config.device = number;
  config.refusal = &why;
  auto backend = cuda::Backend::create(config);
  if (!backend) {
    throw Failed(fmt::format("cannot open CUDA device {}: {} ({}, {})", number, why.text,
                             to_string(backend.error().code), backend.error().native));
  }
  return {std::move(*backend)};
}

int count_devices() {
  cuda::Refusal why;
  const Result<int> count = cuda::device_count(nullptr, &why);
  if (!count) throw Failed(fmt::format("cannot open the cuda backend: {}", why.text));
  return *count;
}

// "1" or "cuda:1".
std::optional<int> number_in(std::string_view device) {
  if (device.substr(0, kNumberPrefix.size()) == kNumberPrefix) device.remove_prefix(kNumberPrefix.size());
  int number = 0;
  const char* const end = device.data() + device.size();
  const auto [stop, error] = std::from_chars(device.data(), end, number);
  if (error != std::errc() || stop != end || number < 0) return std::nullopt;
  return number;
}

}  // namespace

std::vector<std::string> cuda_device_names() {
  std::vector<std::string> names;
  const int count = cuda::device_count().value_or(0);
  for (int i = 0; i < count; ++i)
    names.push_back(fmt::format("{}{}", kNumberPrefix, i));
  return names;
}

// A device that cannot be opened has no name to be found by, and is no reason to miss those behind it.
std::shared_ptr<cuda::Backend> open_cuda_backend(std::string_view device) {
  const int count = count_devices();
  if (device.empty()) return open_number(0);
  if (const std::optional<int> number = number_in(device)) {
    if (*number < count) return open_number(*number);
    throw Failed(fmt::format("the cuda backend has no device \"{}\": it has {}", device, count));
  }
  std::string refused;
  for (int i = 0; i < count; ++i) {
    try {
      std::shared_ptr<cuda::Backend> backend = open_number(i);
      if (device == backend->profile().name.data()) return backend;
    } catch (const Failed& failed) {
      refused += fmt::format("; {}", failed.what());
    }
  }
  throw Failed(fmt::format("the cuda backend has no device \"{}\"{}", device, refused));
}

}  // namespace vaspace::tools
