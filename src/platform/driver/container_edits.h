// ContainerEdits: what a container gets, beside its image, to use the cards it was promised.
//
// Neutral form between a vendor (which knows names) and the node service (which speaks to kubelet).
// Plain values; no threads.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/units.h"

namespace hami::driver {

struct EditMount {
  std::string container_path;
  std::string host_path;
  bool read_only = false;
  bool operator==(const EditMount&) const = default;
};

struct EditDevice {
  std::string container_path;
  std::string host_path;
  std::string permissions;
  bool operator==(const EditDevice&) const = default;
};

struct ContainerEdits {
  std::map<std::string, std::string> envs;
  std::vector<EditMount> mounts;
  std::vector<EditDevice> devices;
  std::map<std::string, std::string> annotations;
  std::vector<std::string> cdi_devices;
  bool operator==(const ContainerEdits&) const = default;
};

// A container's share of one card.
struct CardShare {
  std::string uuid;
  uint32_t index = 0;  // the management library's, on the host
  uint32_t minor = 0;
  MiB memory;
  Percent cores;  // 0 = unlimited
  bool operator==(const CardShare&) const = default;
};

// Where the host keeps what the container mounts; all paths are the host's.
struct ContainerFiles {
  std::string hook_path;      // "/usr/local"; the limiter lives in <hook>/vgpu, there and inside
  std::string library;        // the limiter library file in force
  std::string container_dir;  // writable, holds the shared region
  std::string cache_name;     // file name of the region in it
  std::string limits_page;    // "" = none was made
  std::string lock_dir;       // "/tmp/vgpulock"
  bool licensed = false;      // <hook>/vgpu/license exists
};

struct EditRequest {
  std::string allocation_id;      // UUID form, same for a repeat of the same allocation
  std::vector<CardShare> shares;  // as the scheduler wrote them
  ContainerFiles files;
  bool limited = true;            // false: no limiter in this container (cards in MIG mode)
  bool control_disabled = false;  // the Pod's author switched the limiter off
};

}  // namespace hami::driver
