// NodeSetup: from flags and files to everything the node service needs of a vendor
// (spec/device-plugin.md 3). Names no vendor, so that services and programs need not either.
// Precedence: flag or environment > config.json > device-config.yaml >
// default. Main thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/flags.h"
#include "base/fs.h"
#include "base/result.h"
#include "domain/protocol/device_config.h"
#include "domain/protocol/names.h"
#include "platform/driver/node_vendor.h"
#include "platform/driver/nvidia_options.h"

namespace hami::driver {

// Flags that mean the same for each vendor; only those that were given.
struct Tuning {
  std::optional<int64_t> split_count;
  std::optional<double> memory_scaling;
  std::optional<double> core_scaling;
  std::optional<bool> disable_core_limit;
  std::optional<std::string> resource;
};

// Every vendor's own options; today NVIDIA's.
struct VendorOptions {
  NvidiaOptions nvidia;
};
void AddVendorFlags(FlagSet& flags, VendorOptions& options);

struct SetupInput {
  const FlagSet& given;
  VendorOptions options;
  Tuning tuning;
  std::string config_yaml;     // device-config.yaml, "" = none
  std::string overrides_json;  // config.json, "" = none
  std::string node;
  std::map<std::string, std::string, std::less<>> labels;  // of the node
  std::string health_off;                                  // DP_DISABLE_HEALTHCHECKS
  std::string health_on;                                   // DP_ENABLE_HEALTHCHECKS
};

struct VendorSetup {
  std::unique_ptr<NodeVendor> vendor;
  protocol::VendorKeys keys;
  protocol::NodeSettings settings;
  std::string resource;  // registered with kubelet
  std::string priority_resource;
  bool disable_core_limit = false;
  std::vector<std::string> warnings;
};

// Errors: kInvalidArgument naming flag or file and key. What is wrong in config.json, or not done
// by this build yet, is no error but `settings.refusal`, so that the plugin lives to tell it.
Result<VendorSetup> SetupVendor(FileSystem& fs, SetupInput input);

// First line of the `version` subcommand, as scripts of users know it.
std::string PluginVersionLine(const std::string& version);

}  // namespace hami::driver
