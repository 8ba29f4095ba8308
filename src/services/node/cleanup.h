// Cleanup: takes away what a node's plugin left behind (spec/device-plugin.md 14). Run by the chart
// before an uninstall; may be repeated. Blocking; main thread only.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/flags.h"
#include "base/fs.h"
#include "base/result.h"
#include "platform/driver/node_setup.h"
#include "platform/kube/client.h"
#include "services/node/settings.h"

namespace hami::node {

struct CleanupFlags {
  bool node_annotations = false;
  bool host_files = false;
  bool wait_cluster = false;
  std::string plugin_namespace;
  std::string plugin_selector;
  Duration wait_timeout = std::chrono::minutes(2);
};
void AddCleanupFlags(FlagSet& flags, CleanupFlags& values);

// Removes this node's annotations and files as asked. Files that live Pods use stay, and the log
// says so. Errors: what could not be removed.
Result<void> CleanNode(FileSystem& fs, kube::Client& client, const NodeFlags& flags,
                       const driver::VendorSetup& setup, const CleanupFlags& what);

// Waits until no plugin Pod runs and no node carries our annotation. Errors: kDeadlineExceeded
// naming what is left.
Result<void> WaitForCluster(kube::Client& client, std::string_view register_key,
                            const CleanupFlags& what);

}  // namespace hami::node
