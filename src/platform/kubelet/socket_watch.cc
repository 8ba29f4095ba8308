#include "platform/kubelet/socket_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace hami::kubelet {

std::optional<SocketIdentity> IdentityOf(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return std::nullopt;
  return SocketIdentity{
      .device = info.st_dev,
      .inode = info.st_ino,
      .modified_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec};
}

SocketWatch::SocketWatch(const std::string& socket_path, Duration poll) : poll_(poll) {
  const std::filesystem::path folder = std::filesystem::path(socket_path).parent_path();
  folder_ = folder.string();
  parent_ = folder.parent_path().string();
  inotify_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  Arm();
}

SocketWatch::~SocketWatch() {
  if (inotify_ >= 0) ::close(inotify_);
  if (wake_ >= 0) ::close(wake_);
}

void SocketWatch::Arm() {
  // Adding a watch again for the same inode changes nothing; for a new folder it is what we need.
  ::inotify_add_watch(
      inotify_, folder_.c_str(),
      IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF);
  ::inotify_add_watch(inotify_, parent_.c_str(), IN_CREATE | IN_MOVED_TO);
}

void SocketWatch::Wait(Duration limit) {
  Arm();
  std::array<pollfd, 2> fds = {pollfd{.fd = inotify_, .events = POLLIN, .revents = 0},
                               pollfd{.fd = wake_, .events = POLLIN, .revents = 0}};
  const Duration wait = std::min(limit, poll_);
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  ::poll(fds.data(), fds.size(), static_cast<int>(std::max<int64_t>(ms, 0)));
  alignas(inotify_event) std::array<char, 4096> events;
  while (::read(inotify_, events.data(), events.size()) > 0) {
  }
  uint64_t count = 0;
  while (::read(wake_, &count, sizeof count) > 0) {
  }
}

void SocketWatch::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_, &one, sizeof one);
}

}  // namespace hami::kubelet
