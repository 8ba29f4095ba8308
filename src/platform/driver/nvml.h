// NVML: NVIDIA's management library, found and loaded at run time; nothing is linked.
//
// Each symbol is optional: what a driver does not export is unknown, never a crash. One nvmlInit
// for the life of the object (it costs up to a second on big nodes). Thread-safe as NVML is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/result.h"
#include "platform/driver/card_info.h"

namespace hami::driver {

struct NvmlOptions {
  std::string library;      // exact file; "" = search
  std::string driver_root;  // where the host's driver root is mounted here; "" = none
  std::string sysfs = "/sys";
};

// Files that are tried in order: under the driver root in the usual library folders, then the bare
// name, which the loader resolves (spec/device-plugin.md 4).
std::vector<std::string> NvmlCandidates(FileSystem& fs, const NvmlOptions& options);

// Errors: kNotFound when no library loads (message: each place tried), kUnavailable when nvmlInit
// fails ("Failed to initialize NVML: <NVML's words>").
Result<std::unique_ptr<Backend>> LoadNvml(FileSystem& fs, NvmlOptions options);

}  // namespace hami::driver
