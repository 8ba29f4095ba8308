// What a container with NVIDIA cards gets: envs, mounts, device nodes, CDI names
// (spec/device-plugin.md 6.4, 6.5). Pure: the caller says which files exist. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "platform/driver/container_edits.h"
#include "platform/driver/nvidia_options.h"

namespace hami::driver {

// What the limiter is told beside the shares.
struct LimiterSettings {
  bool oversubscribe = false;  // memory scaling above 1
  bool disable_core_limit = false;
  std::string log_level;  // "" = leave it to the library
};

// What exists on this node.
struct NodeFacts {
  std::string dev_root = "/";              // host root of device nodes
  std::vector<std::string> control_nodes;  // "/dev/nvidiactl", ...
  std::vector<std::string> imex_nodes;
  bool has_gdrcopy = false;  // a CDI spec of that class was written
  bool has_gds = false;
  bool has_mofed = false;
};

inline constexpr char kCdiVendor[] = "k8s.device-plugin.nvidia.com";

// One way to tell the runtime which cards a container has.
class ListStrategy {
 public:
  virtual ~ListStrategy() = default;
  // `ids` are card names in the runtime's terms, without repeats.
  virtual void Apply(const std::vector<std::string>& ids, const EditRequest& request,
                     ContainerEdits& edits) const = 0;
};
// `name` is one that ValidateNvidiaOptions passed. `options` and `facts` must outlive the strategy.
std::unique_ptr<ListStrategy> MakeListStrategy(std::string_view name, const NvidiaOptions& options,
                                               const NodeFacts& facts);

ContainerEdits NvidiaEdits(const NvidiaOptions& options, const NodeFacts& facts,
                           const LimiterSettings& limiter, const EditRequest& request);

}  // namespace hami::driver
