#include "byte_sink.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "failing.hpp"
#include "zlib_host.hpp"

namespace vaspace::trace {

namespace {

constexpr std::size_t kPackedBytes = 65536;
constexpr int kGzip = 16 + MAX_WBITS;
constexpr int kMemoryLevel = 8;  // zlib's default

}  // namespace

Expected<HostObject<ByteSink>> ByteSink::create(const char* path, bool gzip,
                                                const HostAllocator& host) noexcept {
  auto sink = make_host_object<ByteSink>(host, host);
  if (!sink || !sink->prepare(gzip)) return tl::unexpected(out_of_memory(0));
  sink->fd_ = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (sink->fd_ < 0) return tl::unexpected(io_failure("cannot write it", errno));
  return sink;
}

bool ByteSink::prepare(bool gzip) noexcept {
  if (!text_.resize(kMaxText)) return false;
  if (!gzip) return true;
  if (!packed_.resize(kPackedBytes)) return false;
  use_host_memory(stream_, host_);
  gzip_ =
      deflateInit2(&stream_, Z_BEST_COMPRESSION, Z_DEFLATED, kGzip, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK;
  return gzip_;
}

ByteSink::~ByteSink() {
  (void)close();
  if (gzip_) deflateEnd(&stream_);
}

Expected<void> ByteSink::write(std::string_view text) noexcept {
  if (failure_) return tl::unexpected(*failure_);
  if (text.size() > text_.size() - waiting_) {
    if (auto drained = drain(false); !drained) return drained;
  }
  std::memcpy(text_.data() + waiting_, text.data(), text.size());
  waiting_ += text.size();
  return {};
}

Expected<void> ByteSink::close() noexcept {
  if (fd_ < 0) return failure_ ? Expected<void>(tl::unexpected(*failure_)) : Expected<void>();
  Expected<void> drained = failure_ ? Expected<void>(tl::unexpected(*failure_)) : drain(true);
  // The number is gone even where close() answers an error.
  if (::close(fd_) != 0 && drained) drained = tl::unexpected(io_failure("cannot write it", errno));
  fd_ = -1;
  if (!drained) failure_ = drained.error();
  return drained;
}

Expected<void> ByteSink::drain(bool last) noexcept {
  Expected<void> drained = gzip_ ? pack(last) : put(text_.data(), waiting_);
  waiting_ = 0;
  if (!drained) failure_ = drained.error();
  return drained;
}

Expected<void> ByteSink::pack(bool last) noexcept {
  stream_.next_in = reinterpret_cast<unsigned char*>(text_.data());
  stream_.avail_in = static_cast<unsigned>(waiting_);
  do {
    stream_.next_out = packed_.data();
    stream_.avail_out = static_cast<unsigned>(packed_.size());
    (void)deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
    if (auto written = put(packed_.data(), packed_.size() - stream_.avail_out); !written) return written;
  } while (stream_.avail_out == 0);
  return {};
}

Expected<void> ByteSink::put(const void* bytes, std::size_t size) noexcept {
  const char* from = static_cast<const char*>(bytes);
  while (size != 0) {
    const ssize_t written = ::write(fd_, from, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return tl::unexpected(io_failure("cannot write it", errno));
    from += written;
    size -= static_cast<std::size_t>(written);
  }
  return {};
}

}  // namespace vaspace::trace
