// Two processes and one piece of device memory: the parent writes it and sends its descriptor through a
// socket, the child finds the bytes at an address of its own.
//
// Runs on any CUDA driver; without a GPU, on the simulated one:
//   VASPACE_CUDA_DRIVER=build/lib/simulated_cuda/libcuda.so.1 build/bin/sample_cuda_shared
#include "vaspace/frontends/cuda_shared.hpp"

#include <cstdio>
#include <cstring>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace vaspace;  // NOLINT: a sample

struct Message {
  std::uint64_t size = 0;
  int value = 0;
};

int fail(const char* what, Error error) {
  std::fprintf(stderr, "%s: %s (CUresult %d)\n", what, to_string(error.code), static_cast<int>(error.native));
  return 1;
}

// The descriptor travels beside the message: the receiver's is a new one for the same memory.
union Control {
  cmsghdr header;
  char room[CMSG_SPACE(sizeof(int))];
};

bool send_message(int socket, const Message& message, int descriptor) {
  iovec part{const_cast<Message*>(&message), sizeof message};
  Control control{};
  msghdr whole{};
  whole.msg_iov = &part;
  whole.msg_iovlen = 1;
  whole.msg_control = &control;
  whole.msg_controllen = sizeof control;
  cmsghdr* const rights = CMSG_FIRSTHDR(&whole);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  return sendmsg(socket, &whole, 0) == static_cast<ssize_t>(sizeof message);
}

bool receive_message(int socket, Message& message, int& descriptor) {
  iovec part{&message, sizeof message};
  Control control{};
  msghdr whole{};
  whole.msg_iov = &part;
  whole.msg_iovlen = 1;
  whole.msg_control = &control;
  whole.msg_controllen = sizeof control;
  if (recvmsg(socket, &whole, 0) != static_cast<ssize_t>(sizeof message)) return false;
  const cmsghdr* const rights = CMSG_FIRSTHDR(&whole);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS) return false;
  std::memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
  return true;
}

Result<HostObject<cuda::Backend>> open_device() {
  cuda::Refusal why;
  auto gpu = cuda::Backend::create({.exportable = true, .refusal = &why});
  if (!gpu) std::fprintf(stderr, "%s\n", why.text);
  return gpu;
}

int child(int socket) {
  const auto gpu = open_device();
  if (!gpu) return 1;
  Message message;
  int descriptor = -1;
  if (!receive_message(socket, message, descriptor)) return 1;
  auto memory = cuda::SharedMemory::import(**gpu, {descriptor}, Bytes{message.size});
  if (!memory) return fail("import", memory.error());
  std::byte last{};
  if (auto read = (*gpu)->copy_to_host(&last, memory->address() + memory->size() - 1_B, 1_B); !read)
    return fail("read", read.error());
  std::printf("the child finds %d at 0x%llx\n", std::to_integer<int>(last),
              static_cast<unsigned long long>(memory->address().value));
  return std::to_integer<int>(last) == message.value ? 0 : 1;
}

int parent(int socket) {
  const auto gpu = open_device();
  if (!gpu) return 1;
  auto memory = cuda::SharedMemory::create(**gpu, 3_MiB);
  if (!memory) return fail("create", memory.error());
  constexpr int kValue = 77;
  if (auto put = (*gpu)->fill(memory->address(), std::byte{kValue}, memory->size(), nullptr); !put)
    return fail("fill", put.error());
  if (auto idle = (*gpu)->wait_idle(); !idle) return fail("wait", idle.error());
  const auto handle = memory->export_handle();
  if (!handle) return fail("export", handle.error());
  const bool sent = send_message(socket, {memory->size().value, kValue}, handle->fd);
  close(handle->fd);
  std::printf("the parent wrote %d at 0x%llx\n", kValue,
              static_cast<unsigned long long>(memory->address().value));
  std::fflush(stdout);
  int status = 1;
  wait(&status);
  return sent && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

// A process that was forked from one that has used the driver cannot use it: the fork comes first.
int main() {
  int sockets[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) return 1;
  const pid_t forked = fork();
  if (forked < 0) return 1;
  return forked == 0 ? child(sockets[1]) : parent(sockets[0]);
}
