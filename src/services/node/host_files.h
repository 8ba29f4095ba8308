// HostFiles: what lies on the host for the limiter: its library, the preload file, a folder per
// container (spec/device-plugin.md 6.5, 14).
//
//   <hook>/vgpu/libvgpu.so.<version>-<sha8>   never changed in place: running programs have it
//   mapped <hook>/vgpu/ld.so.preload <hook>/vgpu/containers/<uid>_<container>  0777, holds the
//   shared region <hook>/vgpu/limits/<uid>_<container>      limits.ro <hook>/vgpu/state/ the
//   journal
//
// One thread at a time.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fs.h"
#include "base/result.h"

namespace hami::node {

struct HostLayout {
  std::string hook_path = "/usr/local";
  std::string lock_dir = "/tmp/vgpulock";

  std::string Root() const { return hook_path + "/vgpu"; }
  std::string State() const { return Root() + "/state"; }
  std::string Containers() const { return Root() + "/containers"; }
  std::string Limits() const { return Root() + "/limits"; }
};

class HostFiles {
 public:
  HostFiles(FileSystem& fs, HostLayout layout) : fs_(fs), layout_(std::move(layout)) {}

  // Puts the library and the preload file in place and makes the folders. Call before serving.
  // `library_source` is the file, or a folder in which (or one level below) a libvgpu.so* lies.
  // Errors: the library cannot be read (kNotFound names --limiter-library) or written.
  Result<void> Install(const std::string& library_source, const std::string& version);
  // Makes what a container mounts. A folder that is there is kept: processes may have it mapped.
  Result<void> MakeContainer(const std::string& uid, const std::string& container);
  void RemoveContainer(const std::string& uid, const std::string& container);
  // Removes folders of Pods that are not `alive` and were last touched before `before`.
  void Collect(const std::function<bool(const std::string& uid)>& alive, WallTime before);
  // For uninstalling: everything of ours. What belongs to a live Pod (folder, limits page, record)
  // stays and is the answer; with any of it the library stays, too.
  Result<std::vector<std::string>> RemoveAll(
      const std::function<bool(const std::string& uid)>& alive);

  const HostLayout& layout() const { return layout_; }
  const std::string& library() const { return library_; }  // in force, after Install
  bool licensed() const;
  std::string ContainerDir(const std::string& uid, const std::string& container) const;
  std::string LimitsPage(const std::string& uid, const std::string& container) const;

 private:
  Result<std::string> FindLibrary(const std::string& source) const;
  FileSystem& fs_;
  HostLayout layout_;
  std::string library_;
};

}  // namespace hami::node
