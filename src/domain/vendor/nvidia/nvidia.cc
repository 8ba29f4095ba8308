#include "domain/vendor/nvidia/nvidia.h"

#include <algorithm>
#include <limits>

#include "base/quantity.h"

namespace hami::vendor {
namespace {

using protocol::CorePolicy;
using protocol::NvidiaConfig;

Settings SettingsOf(const DeviceConfig& config) {
  const NvidiaConfig& c = config.nvidia;
  return {.enabled = c.present && !c.count_name.empty(),
          .count = c.count_name,
          .memory = c.memory_name,
          .memory_percent = c.memory_percent_name,
          .cores = c.core_name,
          .priority = c.priority_name,
          .memory_factor = c.memory_factor,
          .default_memory = c.default_memory,
          .default_cores = c.default_cores,
          .default_count = c.default_count};
}

// Appends an environment variable unless the user has set one of that name.
void AddEnv(const MutateContext& at, std::string_view name, std::string_view value, Mutation& out) {
  const auto& set = at.pod.containers[at.container].env_names;
  if (std::ranges::find(set, name) != set.end()) return;
  out.changes.push_back(
      {Change::Kind::kAddEnv, at.container, std::string(name), std::string(value)});
}

// The task priority that the in-container limiter reads: 0 high, 1 low, more levels below.
Result<void> AddPriority(const MutateContext& at, Mutation& out) {
  const std::string& name = at.config.nvidia.priority_name;
  const Container& container = at.pod.containers[at.container];
  auto limit = container.limits.find(name);
  if (name.empty() || limit == container.limits.end()) return {};
  auto quantity = ParseQuantity(limit->second);
  if (!quantity || !quantity->integral || quantity->value < 0 ||
      quantity->value > std::numeric_limits<int32_t>::max()) {
    return Fail(Code::kInvalidArgument, "container \"" + container.name + "\": " + name + " \"" +
                                            limit->second +
                                            "\": expected a whole number from 0 (0 high, 1 low)");
  }
  if (quantity->value > 1) {
    out.warnings.push_back("container \"" + container.name + "\": " + name + " \"" + limit->second +
                           "\": 0 is high and 1 is low; it ranks below both");
  }
  AddEnv(at, protocol::kEnvTaskPriority, std::to_string(quantity->value), out);
  return {};
}

void SetRuntimeClass(const MutateContext& at, Mutation& out) {
  const std::string& name = at.config.nvidia.runtime_class;
  if (name.empty() || !at.pod.runtime_class.empty()) return;
  Change change{Change::Kind::kSetRuntimeClass, 0, "", name};
  if (std::ranges::find(out.changes, change) == out.changes.end()) out.changes.push_back(change);
}

Result<void> MutateContainer(const MutateContext& at, Mutation& out) {
  const NvidiaConfig& config = at.config.nvidia;
  if (!at.wants) {
    if (config.overwrite_env && !at.elsewhere) {
      AddEnv(at, protocol::kEnvVisibleDevices, "none", out);
    }
    return {};
  }
  TRY(AddPriority(at, out));
  if (config.core_policy != CorePolicy::kDefault) {
    AddEnv(at, protocol::kEnvCorePolicy, protocol::CorePolicyText(config.core_policy), out);
  }
  SetRuntimeClass(at, out);
  return {};
}

}  // namespace

const Vendor& Nvidia() {
  static const Vendor kVendor = {
      .word = protocol::kNvidiaWord,
      .section = "nvidia",
      .keys = protocol::kNvidiaKeys,
      .pair_scores = protocol::kNvidiaPairScores,
      .mode_key = protocol::kVgpuMode,
      .register_csv = false,
      .exclusive_default = true,
      .rules =
          {.cordon = true, .numa_bind = true, .whole_card = true, .free_core = true, .mig = true},
      .hooks = {.settings = SettingsOf, .mutate = MutateContainer},
  };
  return kVendor;
}

}  // namespace hami::vendor
