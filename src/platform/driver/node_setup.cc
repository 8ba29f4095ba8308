#include "platform/driver/node_setup.h"

#include <utility>

#include "base/yaml.h"
#include "platform/driver/nvidia_node.h"

namespace hami::driver {
namespace {

Error OutOfRange(std::string_view flag, const std::string& value, std::string_view expected) {
  return {Code::kInvalidArgument,
          "invalid " + std::string(flag) + " " + value + ": expected " + std::string(expected)};
}

Result<void> Apply(const Tuning& tuning, protocol::NodeSettings& settings) {
  if (tuning.split_count) {
    if (*tuning.split_count < 1 || *tuning.split_count > 10'000) {
      return Fail(
          OutOfRange("--device-split-count", std::to_string(*tuning.split_count), "1 to 10000"));
    }
    settings.split_count = static_cast<int32_t>(*tuning.split_count);
  }
  if (tuning.memory_scaling) {
    if (!(*tuning.memory_scaling > 0)) {
      return Fail(OutOfRange("--device-memory-scaling", std::to_string(*tuning.memory_scaling),
                             "more than 0"));
    }
    settings.memory_scaling = *tuning.memory_scaling;
  }
  if (tuning.core_scaling) {
    if (!(*tuning.core_scaling > 0)) {
      return Fail(OutOfRange("--device-cores-scaling", std::to_string(*tuning.core_scaling),
                             "more than 0"));
    }
    settings.core_scaling = *tuning.core_scaling;
  }
  return {};
}

Result<void> CheckMode(const protocol::NodeSettings& settings, const std::string& node) {
  if (settings.mode == protocol::OperatingMode::kMig) {
    return Fail(Code::kUnimplemented,
                "node " + node + ": operatingmode mig is not supported yet: hami-core is");
  }
  if (!settings.mig_strategy.empty() && settings.mig_strategy != "none") {
    return Fail(Code::kUnimplemented, "node " + node + ": migstrategy " + settings.mig_strategy +
                                          " is not supported yet: none is");
  }
  return {};
}

}  // namespace

void AddVendorFlags(FlagSet& flags, VendorOptions& options) {
  AddNvidiaFlags(flags, options.nvidia);
}

Result<VendorSetup> SetupVendor(FileSystem& fs, SetupInput input) {
  VendorSetup out;
  protocol::DeviceConfig config = protocol::DefaultDeviceConfig();
  if (!input.config_yaml.empty()) {
    auto parsed = protocol::ParseDeviceConfig(input.config_yaml);
    if (!parsed) return Fail(std::move(parsed.error()).With("--config-file"));
    config = *std::move(parsed);
    TRY_ASSIGN(const Json file, ParseYaml(input.config_yaml));
    TRY_ASSIGN(std::vector<std::string> more,
               ApplyUpstreamFile(file, input.given, input.options.nvidia));
    out.warnings = std::move(config.warnings);
    out.warnings.insert(out.warnings.end(), more.begin(), more.end());
  }
  TRY(ValidateNvidiaOptions(input.options.nvidia));
  protocol::NodeOverrides overrides;
  if (!input.overrides_json.empty()) {
    if (auto parsed = protocol::ParseNodeOverrides(input.overrides_json)) {
      overrides = *std::move(parsed);
      out.warnings.insert(out.warnings.end(), overrides.warnings.begin(), overrides.warnings.end());
    } else {
      out.overrides_broken = true;
      out.warnings.push_back("config.json is not used: " + parsed.error().message);
    }
  }
  const protocol::NvidiaConfig& nvidia = config.nvidia;
  out.settings = protocol::SettingsFor(nvidia, overrides, input.node, input.labels);
  TRY(Apply(input.tuning, out.settings));
  TRY(CheckMode(out.settings, input.node));
  out.keys = protocol::kNvidiaKeys;
  out.resource = input.tuning.resource.value_or(nvidia.count_name);
  if (out.resource.find('/') == std::string::npos) {
    return Fail(OutOfRange("--resource-name", out.resource, "domain/name"));
  }
  out.priority_resource = nvidia.priority_name;
  out.disable_core_limit = input.tuning.disable_core_limit.value_or(nvidia.disable_core_limit);
  const LimiterSettings limiter{.oversubscribe = out.settings.memory_scaling > 1,
                                .disable_core_limit = out.disable_core_limit,
                                .log_level = std::to_string(out.settings.log_level)};
  TRY_ASSIGN(XidFilter filter, XidFilter::Parse(input.health_off, input.health_on));
  out.vendor = MakeNvidiaNode(fs, std::move(input.options.nvidia), limiter, std::move(filter));
  return out;
}

std::string PluginVersionLine(const std::string& version) {
  return "NVIDIA Device Plugin version: " + version;
}

}  // namespace hami::driver
