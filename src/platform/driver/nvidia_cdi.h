// CDI specs for NVIDIA cards, written by us from a driver root, without hooks
// (spec/device-plugin.md 10).
//
// Every driver library is mounted under its own name and under its soname in the folders that
// loaders search by default, so the container needs no ldconfig and no symlink step. Pure but for
// looking at files through the FileSystem given. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/fs.h"
#include "base/result.h"
#include "platform/driver/card_info.h"
#include "platform/driver/nvidia_edits.h"
#include "platform/driver/nvidia_options.h"

namespace hami::driver {

// One path as we see it and as the host does.
struct RootedPath {
  std::string here;
  std::string host;
};

struct DriverFiles {
  std::vector<std::pair<std::string, std::string>> libraries;  // host file -> file name inside
  std::vector<std::pair<std::string, std::string>> programs;   // host file -> path inside
  std::vector<std::pair<std::string, std::string>> sockets;    // host path -> path inside
};

// What the driver root holds for this driver version. `root.here` is where we read.
DriverFiles FindDriverFiles(FileSystem& fs, const RootedPath& root,
                            const std::string& driver_version);

// The nodes of `wanted` (e.g. "/dev/nvidiactl") that exist below `dev_root_here`.
std::vector<std::string> ExistingNodes(FileSystem& fs, const std::string& dev_root_here,
                                       const std::vector<std::string>& wanted);

struct CdiSpec {
  std::string file_name;  // k8s.device-plugin.nvidia.com-gpu.json
  std::string json;
};

// The spec of class gpu: one device per card, and "all".
CdiSpec GpuSpec(const NvidiaOptions& options, const NodeFacts& facts, const DriverFiles& files,
                const std::vector<CardInfo>& cards);
// A class whose devices are plain nodes, e.g. gdrcopy=all; `devices` maps name to nodes.
CdiSpec NodeSpec(const std::string& device_class, const NodeFacts& facts,
                 const std::vector<std::pair<std::string, std::vector<std::string>>>& devices);

}  // namespace hami::driver
