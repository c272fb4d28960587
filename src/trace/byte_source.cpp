#include "byte_source.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failing.hpp"
#include "zlib_host.hpp"

namespace vaspace::trace {

namespace {

constexpr std::size_t kInputBytes = 65536;
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30U;  // zlib counts in 32 bits
constexpr int kGzipOnly = 16 + MAX_WBITS;

Expected<HostObject<ByteSource>> make(const HostAllocator& host, int fd,
                                      std::span<const std::byte> memory) noexcept {
  auto source = make_host_object<ByteSource>(host, host, fd, memory);
  if (source) return source;
  if (fd >= 0) ::close(fd);
  return tl::unexpected(out_of_memory(0));
}

}  // namespace

Expected<HostObject<ByteSource>> ByteSource::open(const char* path, const HostAllocator& host) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tl::unexpected(io_failure("cannot open it", errno));
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    ::close(fd);
    return tl::unexpected(io_failure("cannot read it", EISDIR));
  }
  return make(host, fd, {});
}

Expected<HostObject<ByteSource>> ByteSource::from_memory(std::span<const std::byte> bytes,
                                                         const HostAllocator& host) noexcept {
  return make(host, -1, bytes);
}

ByteSource::~ByteSource() {
  if (inflating_) inflateEnd(&stream_);
  if (fd_ >= 0) ::close(fd_);
}

bool ByteSource::give_up(const Failure& why) noexcept {
  failure_ = why;
  return false;
}

bool ByteSource::refill() noexcept {
  if (fd_ < 0) {
    waiting_ = {reinterpret_cast<const unsigned char*>(memory_.data()), memory_.size()};
    memory_ = {};
  } else {
    ssize_t got = 0;
    do {
      got = ::read(fd_, input_.data(), input_.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) return give_up(io_failure("cannot read it", errno));
    waiting_ = input_.span().first(static_cast<std::size_t>(got));
  }
  ended_ = waiting_.empty();
  return true;
}

bool ByteSource::prepare() noexcept {
  begun_ = true;
  if (fd_ >= 0 && !input_.resize(kInputBytes)) return give_up(out_of_memory(0));
  if (!refill()) return false;
  gzip_ = waiting_.size() >= 2 && waiting_[0] == 0x1f && waiting_[1] == 0x8b;
  if (!gzip_) return true;
  use_host_memory(stream_, host_);
  if (inflateInit2(&stream_, kGzipOnly) != Z_OK) return give_up(out_of_memory(0));
  inflating_ = true;
  return true;
}

Expected<std::size_t> ByteSource::read(std::span<char> to) noexcept {
  if (!begun_ && !prepare()) return tl::unexpected(*failure_);
  const std::size_t got = failure_ ? 0 : gzip_ ? read_gzip(to) : read_raw(to);
  if (got == 0 && failure_) return tl::unexpected(*failure_);
  return got;
}

std::size_t ByteSource::read_raw(std::span<char> to) noexcept {
  if (waiting_.empty() && !ended_ && !refill()) return 0;
  const std::size_t bytes = std::min(to.size(), waiting_.size());
  if (bytes != 0) std::memcpy(to.data(), waiting_.data(), bytes);
  waiting_ = waiting_.subspan(bytes);
  return bytes;
}

// A file may hold several gzip members, one after the other; anything else behind one is damage.
bool ByteSource::next_member() noexcept {
  if (waiting_[0] != 0x1f) return give_up(malformed("gzip damage: other bytes follow the stream"));
  if (inflateReset(&stream_) != Z_OK) return give_up(malformed("gzip damage"));
  member_done_ = false;
  return true;
}

// How many bytes it made; what it answered stays in `answer`.
std::size_t ByteSource::inflate_some(std::span<char> to, int& answer) noexcept {
  const std::size_t given = std::min(waiting_.size(), kMostAtOnce);
  const std::size_t room = std::min(to.size(), kMostAtOnce);
  stream_.next_in = const_cast<unsigned char*>(waiting_.data());  // zlib only reads it
  stream_.avail_in = static_cast<unsigned>(given);
  stream_.next_out = reinterpret_cast<unsigned char*>(to.data());
  stream_.avail_out = static_cast<unsigned>(room);
  answer = inflate(&stream_, Z_NO_FLUSH);
  waiting_ = waiting_.subspan(given - stream_.avail_in);
  return room - stream_.avail_out;
}

std::size_t ByteSource::read_gzip(std::span<char> to) noexcept {
  std::size_t got = 0;
  while (got == 0) {
    if (waiting_.empty() && !ended_ && !refill()) return 0;
    if (waiting_.empty()) {
      if (!member_done_) give_up(malformed("the gzip stream ends early"));
      return 0;
    }
    if (member_done_ && !next_member()) return 0;
    int answer = Z_OK;
    got = inflate_some(to, answer);
    member_done_ = answer == Z_STREAM_END;
    if (answer == Z_OK || answer == Z_STREAM_END || answer == Z_BUF_ERROR) continue;
    give_up(answer == Z_MEM_ERROR
                ? out_of_memory(0)
                : malformed("gzip damage: %s", stream_.msg != nullptr ? stream_.msg : "not a stream"));
    return got;
  }
  return got;
}

}  // namespace vaspace::trace
