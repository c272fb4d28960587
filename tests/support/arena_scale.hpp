// How much a test may do where a sanitizer makes everything slower.
#pragma once

namespace vaspace::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

// `full`, or a tenth of it under a sanitizer.
constexpr int scaled(int full) {
  return kSanitized ? full / 10 : full;
}

}  // namespace vaspace::test
