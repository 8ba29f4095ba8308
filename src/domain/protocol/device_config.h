// Device configuration: device-config.yaml of the scheduler and the plugins, and the plugin's
// per-node overrides (spec/scheduler.md 2, spec/device-plugin.md 3).
//
// A key that is absent has the chart's default. Pure: text in, value out; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace hami::protocol {

struct MigAllowance {
  std::vector<std::string> models;    // substrings of the registered model
  std::vector<std::string> profiles;  // "1g.10gb"
  bool operator==(const MigAllowance&) const = default;
};

enum class CorePolicy : uint8_t { kDefault, kForce, kDisable };
std::string_view CorePolicyText(CorePolicy policy);

struct NvidiaConfig {
  bool present = false;  // the section exists; without it the vendor is off
  std::string count_name = "nvidia.com/gpu";
  std::string memory_name = "nvidia.com/gpumem";
  std::string memory_percent_name = "nvidia.com/gpumem-percentage";
  std::string core_name = "nvidia.com/gpucores";
  std::string priority_name = "nvidia.com/priority";
  bool overwrite_env = false;
  MiB default_memory;  // 0: the whole card
  Percent default_cores;
  int32_t default_count = 1;  // 0: do not inject
  int64_t memory_factor = 1;  // MiB per requested unit
  CorePolicy core_policy = CorePolicy::kDefault;
  bool disable_core_limit = false;
  std::string runtime_class;
  int32_t split_count = 10;
  double memory_scaling = 1;
  double core_scaling = 1;
  MiB preconfigured_memory;  // for cards whose driver cannot tell
  int log_level = 1;         // 0 error, 1 warn, 3 info, 4 debug
  bool numa_topology = false;
  std::vector<MigAllowance> mig_allowlist;
  bool operator==(const NvidiaConfig&) const = default;
};

struct DeviceConfig {
  NvidiaConfig nvidia;
  std::map<std::string, Json, std::less<>> other;  // every other section, as it stands
  std::vector<std::string> warnings;  // unknown keys of `nvidia`, with the nearest known
};

// Errors: kInvalidArgument naming section, key, value and expectation; `all configurations are
// empty` when no section has content.
Result<DeviceConfig> ParseDeviceConfig(std::string_view yaml);

// The chart's configuration: section `nvidia` with every default.
DeviceConfig DefaultDeviceConfig();

enum class OperatingMode : uint8_t { kHamiCore, kMig, kMps };
std::string_view OperatingModeText(OperatingMode mode);  // "hami-core", "mig", "mps"

// One entry of /config/config.json. Absent keys leave the value below alone; present ones override
// it, a present `false` too.
struct NodeOverride {
  std::string name;  // exact, or with * as in a shell
  std::map<std::string, std::string, std::less<>> node_selector;
  std::optional<OperatingMode> mode;
  std::optional<double> memory_scaling;
  std::optional<double> core_scaling;
  std::optional<int32_t> split_count;
  std::optional<MiB> preconfigured_memory;
  std::optional<int> log_level;
  std::optional<bool> numa_topology;
  std::optional<std::string> mig_strategy;
  std::optional<bool> preferred_allocation;
  std::vector<std::string> filter_uuids;
  std::vector<int64_t> filter_indexes;
  std::string error;  // entry, key, and what is wrong with it; "" = nothing
};

struct NodeOverrides {
  std::vector<NodeOverride> entries;
  std::vector<std::string> warnings;  // entries that name no node, keys that nobody here knows
};

// Keys in any letter case, as Go reads them. A wrong entry is the matter of the nodes that it names
// alone. Errors: kInvalidArgument for a text that is no list of entries.
Result<NodeOverrides> ParseNodeOverrides(std::string_view json);

// What one node's plugin runs with: the configuration with every matching entry laid over it in
// order.
struct NodeSettings {
  OperatingMode mode = OperatingMode::kHamiCore;
  double memory_scaling = 1;
  double core_scaling = 1;
  int32_t split_count = 10;
  MiB preconfigured_memory;
  int log_level = 1;
  bool numa_topology = false;
  std::string mig_strategy = "none";
  bool preferred_allocation = true;
  std::vector<std::string> filter_uuids;
  std::vector<int64_t> filter_indexes;
  std::string refusal;  // why these must not be used: the node keeps its cards back; "" = fine
  bool operator==(const NodeSettings&) const = default;
};

NodeSettings SettingsFor(const NvidiaConfig& config, const NodeOverrides& overrides,
                         std::string_view node,
                         const std::map<std::string, std::string, std::less<>>& labels);

}  // namespace hami::protocol
