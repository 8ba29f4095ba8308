#include "services/node/host_files.h"

#include <utility>

#include "base/log.h"
#include "services/node/digest.h"

namespace hami::node {
namespace {

constexpr char kLibrary[] = "libvgpu.so";

std::string NameOf(const std::string& uid, const std::string& container) {
  return uid + "_" + container;
}

std::string UidOf(const std::string& name) { return name.substr(0, name.find('_')); }

Result<void> WriteIfOther(FileSystem& fs, const std::string& path, std::string_view data,
                          mode_t mode) {
  if (auto old = fs.Read(path); old && *old == data) return {};
  return fs.WriteAtomic(path, data, mode);
}

}  // namespace

Result<std::string> HostFiles::FindLibrary(const std::string& source) const {
  auto info = fs_.Stat(source);
  if (!info || !S_ISDIR(info->st_mode)) return source;
  std::vector<std::string> folders = {source};
  auto below = fs_.List(source);
  for (const std::string& name : below ? *below : std::vector<std::string>{}) {
    folders.push_back(source + "/" + name);
  }
  for (const std::string& folder : folders) {
    auto names = fs_.List(folder);
    std::string newest;
    for (const std::string& name : names ? *names : std::vector<std::string>{}) {
      if (name.starts_with(kLibrary)) newest = folder + "/" + name;
    }
    if (!newest.empty()) return newest;
  }
  return Fail(Code::kNotFound, "no " + std::string(kLibrary) + "* in " + source);
}

Result<void> HostFiles::Install(const std::string& library_source, const std::string& version) {
  auto library = FindLibrary(library_source).and_then([this](const std::string& file) {
    return fs_.Read(file);
  });
  if (!library) {
    return Fail(std::move(library.error()).With("install the limiter (--limiter-library)"));
  }
  TRY(fs_.MakeDirs(layout_.Root(), 0755));
  TRY(fs_.MakeDirs(layout_.Containers(), 0711));
  TRY(fs_.MakeDirs(layout_.Limits(), 0711));
  TRY(fs_.MakeDirs(layout_.State(), 0700));
  // Shared by containers of any user; after a reboot the runtime would make it for root alone.
  TRY(fs_.MakeDirs(layout_.lock_dir, 01777));
  // The content is in the name, so a rebuilt library of the same version never replaces a mapped
  // one.
  library_ =
      layout_.Root() + "/" + kLibrary + "." + version + "-" + Sha256Hex(*library).substr(0, 8);
  TRY(WriteIfOther(fs_, library_, *library, 0755));
  TRY(WriteIfOther(fs_, layout_.Root() + "/ld.so.preload", layout_.Root() + "/libvgpu.so\n", 0644));
  auto containers = fs_.List(layout_.Containers());
  if (containers && containers->empty()) {
    auto names = fs_.List(layout_.Root());
    for (const std::string& name : names ? *names : std::vector<std::string>{}) {
      const std::string path = layout_.Root() + "/" + name;
      if (name.starts_with(std::string(kLibrary) + ".") && path != library_) {
        TRY(fs_.Remove(path));
      }
    }
  }
  LOG(kInfo, "limiter installed").Kv("file", library_);
  return {};
}

Result<void> HostFiles::MakeContainer(const std::string& uid, const std::string& container) {
  TRY(fs_.MakeDirs(layout_.lock_dir, 01777));
  return fs_.MakeDirs(ContainerDir(uid, container), 0777);
}

void HostFiles::RemoveContainer(const std::string& uid, const std::string& container) {
  for (auto result :
       {fs_.RemoveTree(ContainerDir(uid, container)), fs_.Remove(LimitsPage(uid, container))}) {
    if (!result) {
      LOG(kWarn, "container folder stays").Kv("error", result.error().message);
    }
  }
}

void HostFiles::Collect(const std::function<bool(const std::string& uid)>& alive, WallTime before) {
  for (const std::string& folder : {layout_.Containers(), layout_.Limits()}) {
    auto names = fs_.List(folder);
    if (!names) continue;
    for (const std::string& name : *names) {
      if (name.find('_') == std::string::npos || alive(UidOf(name))) continue;
      const std::string path = folder + "/" + name;
      auto info = fs_.Stat(path);
      if (!info || info->st_mtim.tv_sec >= UnixSeconds(before)) continue;
      if (auto removed = fs_.RemoveTree(path); !removed) {
        LOG(kWarn, "container folder stays").Kv("error", removed.error().message);
      }
    }
  }
}

Result<std::vector<std::string>> HostFiles::RemoveAll(
    const std::function<bool(const std::string& uid)>& alive) {
  std::vector<std::string> kept;
  for (const std::string& folder : {layout_.Containers(), layout_.Limits(), layout_.State()}) {
    auto names = fs_.List(folder);
    for (const std::string& name : names ? *names : std::vector<std::string>{}) {
      const std::string path = folder + "/" + name;
      if (alive(UidOf(name))) {
        kept.push_back(path);
      } else {
        TRY(fs_.RemoveTree(path));
      }
    }
  }
  if (!kept.empty()) return kept;
  TRY(fs_.RemoveTree(layout_.Containers()));
  TRY(fs_.RemoveTree(layout_.Limits()));
  TRY(fs_.RemoveTree(layout_.State()));
  auto files = fs_.List(layout_.Root());
  for (const std::string& name : files ? *files : std::vector<std::string>{}) {
    if (name.starts_with(kLibrary) || name == "ld.so.preload") {
      TRY(fs_.Remove(layout_.Root() + "/" + name));
    }
  }
  // Empty, it goes; where it is a mount point of the node it stays.
  auto left = fs_.List(layout_.Root());
  if (left && left->empty()) static_cast<void>(fs_.RemoveTree(layout_.Root()));
  TRY(fs_.RemoveTree(layout_.lock_dir));
  return kept;
}

bool HostFiles::licensed() const { return fs_.Exists(layout_.Root() + "/license"); }

std::string HostFiles::ContainerDir(const std::string& uid, const std::string& container) const {
  return layout_.Containers() + "/" + NameOf(uid, container);
}

std::string HostFiles::LimitsPage(const std::string& uid, const std::string& container) const {
  return layout_.Limits() + "/" + NameOf(uid, container);
}

}  // namespace hami::node
