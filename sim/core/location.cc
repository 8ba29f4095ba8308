#include "sim/core/location.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "sim/core/text.h"

namespace hami::sim {
namespace {

// Folders in which a driver root keeps its libraries (spec device-plugin.md 4); longest first. A
// plain /lib is none: any build tree may have one.
constexpr std::string_view kLibraryFolders[] = {"/usr/lib/x86_64-linux-gnu",
                                                "/usr/lib/aarch64-linux-gnu",
                                                "/lib/x86_64-linux-gnu",
                                                "/lib/aarch64-linux-gnu",
                                                "/usr/lib64",
                                                "/lib64"};

// Root above a known library folder ("" is the machine's own root); false for a build tree.
bool RootOf(std::string_view library, std::string_view& root) {
  const size_t slash = library.rfind('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view folder = Slice(library, 0, slash);
  for (std::string_view known : kLibraryFolders) {
    if (!folder.ends_with(known)) continue;
    root = Slice(folder, 0, folder.size() - known.size());
    return true;
  }
  return false;
}

bool TryConfig(Location& location, std::string_view root) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%.*s/run/fakegpu/cards.yaml", static_cast<int>(root.size()),
           root.data());
  if (access(path, R_OK) == 0) {
    CopyText(location.config, path);
    return true;
  }
  const size_t used = strlen(location.searched);
  snprintf(location.searched + used, sizeof location.searched - used, "%s%s", used == 0 ? "" : ", ",
           path);
  return false;
}

}  // namespace

void FindFiles(const char* library_path, Location& location) {
  std::string_view root;
  const bool has_root = RootOf(library_path, root);
  const char* config = getenv("FAKEGPU_CONFIG");
  if (config != nullptr && *config != '\0') {
    CopyText(location.config, config);
  } else if (!TryConfig(location, "") && has_root && !root.empty()) {
    TryConfig(location, root);
  }
  const char* state = getenv("FAKEGPU_STATE");
  const char* slash = strrchr(location.config, '/');
  if (state != nullptr && *state != '\0') {
    CopyText(location.state, state);
  } else if (slash != nullptr) {
    snprintf(location.state, sizeof location.state, "%.*s/state",
             static_cast<int>(slash - location.config), location.config);
  } else {
    CopyText(location.state, "/dev/shm/fakegpu.state");
  }
  const char* devices = getenv("FAKEGPU_DEV");
  if (devices != nullptr && *devices != '\0') {
    if (strcmp(devices, "all") != 0) CopyText(location.devices, devices);
  } else if (has_root) {
    snprintf(location.devices, sizeof location.devices, "%.*s/dev", static_cast<int>(root.size()),
             root.data());
  }
}

void PathOfObject(const void* address, char (&path)[PATH_MAX]) {
  path[0] = '\0';
  Dl_info info;
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return;
  if (realpath(info.dli_fname, path) == nullptr) CopyText(path, info.dli_fname);
}

bool IsVisible(const Location& location, const Card& card) {
  if (location.devices[0] == '\0') return true;
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/nvidia%u", location.devices, card.minor);
  // Opening is the only test that sees permissions, nodev mounts and device cgroups alike.
  const int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return false;
  close(fd);
  return true;
}

}  // namespace hami::sim
