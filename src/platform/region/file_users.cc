#include "platform/region/file_users.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/fs.h"
#include "platform/region/process_life.h"

namespace hami::region {
namespace {

struct Place {
  struct stat file = {}, folder = {};
  std::string folder_name;  // last component
};

std::string_view NextWord(std::string_view& line) {
  const size_t begin = std::min(line.find_first_not_of(' '), line.size());
  line.remove_prefix(begin);
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

template <class Visit>
bool AnyLine(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (visit(line)) return true;
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return false;
}

// Line of maps: addresses, rights, offset, device, inode, path.
bool Maps(const std::string& process, const Place& place) {
  const auto text = RealFileSystem().Read(process + "/maps");
  const std::string device =
      fmt::format("{:02x}:{:02x}", major(place.file.st_dev), minor(place.file.st_dev));
  const std::string inode = std::to_string(place.file.st_ino);
  return text && AnyLine(*text, [&](std::string_view line) {
           for (int skipped = 0; skipped < 3; ++skipped) NextWord(line);
           return NextWord(line) == device && NextWord(line) == inode;
         });
}

// Line of mountinfo: id, parent, device, root within the file system, mount point, ...
bool Mounts(const std::string& process, const Place& place) {
  const auto text = RealFileSystem().Read(process + "/mountinfo");
  return text && AnyLine(*text, [&](std::string_view line) {
           for (int skipped = 0; skipped < 3; ++skipped) NextWord(line);
           const std::string_view root = NextWord(line);
           const std::string_view point = NextWord(line);
           if (!root.ends_with("/" + place.folder_name)) return false;
           struct stat status = {};
           const std::string seen = process + "/root" + std::string(point);
           return stat(seen.c_str(), &status) == 0 && status.st_ino == place.folder.st_ino &&
                  status.st_dev == place.folder.st_dev;
         });
}

}  // namespace

std::string WhyHidden(bool root, int init_error, bool machines_namespace) {
  if (!root) return "only root sees every process";
  if (init_error != 0) {
    return std::string("/proc/1/ns/pid cannot be looked at (") + strerror(init_error) +
           "), so whether this is the machine's own pid namespace is unknown";
  }
  return machines_namespace ? "" : "this is not the machine's own pid namespace";
}

Result<std::vector<int>> UsersOf(const std::string& path) {
  struct stat init = {};
  const int error = stat("/proc/1/ns/pid", &init) == 0 ? 0 : errno;
  const std::string hidden = WhyHidden(geteuid() == 0, error, SeesWholeMachine());
  if (!hidden.empty()) {
    return Fail(Code::kFailedPrecondition, "who uses " + path + " cannot be told: " + hidden);
  }
  const size_t slash = path.rfind('/');
  std::string folder =
      slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
  if (char* real = realpath(folder.c_str(), nullptr)) {
    folder = real;
    free(real);
  }
  Place place{.folder_name = folder.substr(folder.rfind('/') + 1)};
  TRY_ASSIGN(place.file, RealFileSystem().Stat(path));
  TRY_ASSIGN(place.folder, RealFileSystem().Stat(folder));
  TRY_ASSIGN(const std::vector<std::string> entries, RealFileSystem().List("/proc"));
  std::vector<int> users;
  for (const std::string& entry : entries) {
    int pid = 0;
    std::from_chars(entry.data(), entry.data() + entry.size(), pid);
    if (pid <= 0 || pid == getpid()) continue;
    const std::string process = "/proc/" + entry;
    if (Maps(process, place) || Mounts(process, place)) users.push_back(pid);
  }
  return users;
}

}  // namespace hami::region
