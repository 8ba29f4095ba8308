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

// What the files ask for and this build does not do yet; "" = nothing.
std::string Unsupported(const protocol::NodeSettings& settings, const std::string& node) {
  if (settings.mode == protocol::OperatingMode::kMig) {
    return "node " + node + ": operatingmode mig is not supported yet, expected hami-core";
  }
  if (!settings.mig_strategy.empty() && settings.mig_strategy != "none") {
    return "node " + node + ": migstrategy " + settings.mig_strategy +
           " is not supported yet, expected none";
  }
  return "";
}

protocol::NodeSettings Settings(const protocol::NvidiaConfig& config, const SetupInput& input,
                                std::vector<std::string>& warnings) {
  Result<protocol::NodeOverrides> overrides = protocol::NodeOverrides();
  if (!input.overrides_json.empty()) {
    overrides = protocol::ParseNodeOverrides(input.overrides_json);
  }
  const protocol::NodeOverrides read = overrides.value_or(protocol::NodeOverrides());
  for (const std::string& text : read.warnings) warnings.push_back("config.json: " + text);
  protocol::NodeSettings out = protocol::SettingsFor(config, read, input.node, input.labels);
  // Nobody can tell what a file that cannot be read keeps from whom.
  if (!overrides) out.refusal = overrides.error().message;
  if (out.refusal.empty()) out.refusal = Unsupported(out, input.node);
  if (!out.refusal.empty()) out.refusal = "config.json: " + out.refusal;
  return out;
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
  const protocol::NvidiaConfig& nvidia = config.nvidia;
  out.settings = Settings(nvidia, input, out.warnings);
  TRY(Apply(input.tuning, out.settings));
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
