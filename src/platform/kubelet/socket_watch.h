// SocketWatch: tells when a unix socket file appears, goes, or is replaced.
//
// inotify on its folder and on that folder's parent, and a look at the file at least once per
// `poll`: inotify misses a folder that was removed and made again (spec/device-plugin.md 16.25).
// One waiting thread; Wake may be called from any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace hami::kubelet {

// Which incarnation of a socket file this is.
struct SocketIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t modified_ns = 0;
  bool operator==(const SocketIdentity&) const = default;
};

// Nothing when there is no socket at that path.
std::optional<SocketIdentity> IdentityOf(const std::string& path);

class SocketWatch {
 public:
  explicit SocketWatch(const std::string& socket_path, Duration poll = std::chrono::seconds(1));
  ~SocketWatch();
  SocketWatch(const SocketWatch&) = delete;
  SocketWatch& operator=(const SocketWatch&) = delete;

  // Returns after a change in the folder, a Wake, `limit`, or `poll`, whichever is first.
  void Wait(Duration limit);
  void Wake();

 private:
  void Arm();
  std::string folder_;
  std::string parent_;
  Duration poll_;
  int inotify_ = -1;
  int wake_ = -1;
};

}  // namespace hami::kubelet
