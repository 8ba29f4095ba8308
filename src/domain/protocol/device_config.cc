#include "domain/protocol/device_config.h"

#include <limits>

#include "base/yaml.h"
#include "domain/protocol/config_reader.h"

namespace hami::protocol {
namespace {

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

// The chart's table, and beside its model names those that the driver really reports.
std::vector<MigAllowance> DefaultMigAllowlist() {
  return {
      {{"A30"}, {"1g.6gb", "2g.12gb", "4g.24gb"}},
      {{"A100-SXM4-40GB", "A100-40GB-PCIe", "A100-PCIE-40GB"},
       {"1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"}},
      {{"A100-SXM4-80GB", "A100-80GB-PCIe", "A100-PCIE-80GB", "A100 80GB PCIe", "A800"},
       {"1g.10gb", "2g.20gb", "3g.40gb", "7g.79gb", "7g.80gb"}},
      {{"H100-PCIE-80GB", "H100-SXM5-80GB", "H100 80GB HBM3", "H100 PCIe"},
       {"1g.10gb", "2g.20gb", "3g.40gb", "7g.80gb"}},
      {{"H100-PCIE-94GB", "H100-SXM5-94GB", "H100 NVL"},
       {"1g.12gb", "2g.24gb", "3g.47gb", "7g.94gb"}},
      {{"H20", "H100 on GH200", "GH200"}, {"1g.12gb", "2g.24gb", "3g.48gb", "7g.96gb"}},
      {{"H200 NVL", "H200-SXM5", "NVIDIA H200"}, {"1g.18gb", "2g.35gb", "3g.71gb", "7g.141gb"}},
      {{"B200"}, {"1g.23gb", "2g.45gb", "3g.90gb", "7g.180gb"}},
      {{"RTX PRO 6000 Blackwell Server"}, {"1g.24gb", "2g.48gb", "4g.96gb"}},
  };
}

// "<n>g.<rest>": the part before the first dot is a number and "g".
bool IsMigProfile(std::string_view name) {
  size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot < 2 || dot + 1 == name.size()) return false;
  return name[dot - 1] == 'g' &&
         name.substr(0, dot - 1).find_first_not_of("0123456789") == std::string_view::npos;
}

Result<std::vector<MigAllowance>> ReadMigAllowlist(const Json& value) {
  constexpr std::string_view kName = "nvidia.migProfileAllowlist";
  const auto* list = value.if_array();
  if (list == nullptr) {
    return Fail(Code::kInvalidArgument, std::string(kName) + ": expected a list");
  }
  std::vector<MigAllowance> out;
  for (const Json& item : *list) {
    ConfigReader r(item, std::string(kName) + "[" + std::to_string(out.size()) + "]");
    MigAllowance row{r.Strings("models"), r.Strings("profiles")};
    if (row.models.empty()) r.Fail("models", "at least one part of a model's name", "none");
    if (row.profiles.empty()) r.Fail("profiles", "at least one profile", "none");
    for (const std::string& profile : row.profiles) {
      if (!IsMigProfile(profile))
        r.Fail("profiles", "names such as 1g.10gb", "\"" + profile + "\"");
    }
    if (r.error()) return Fail(*r.error());
    out.push_back(std::move(row));
  }
  return out;
}

template <class T, class U>
void Take(const std::optional<U>& from, T& to) {
  if (from) to = static_cast<T>(*from);
}
template <class Tag>
void Take(const std::optional<int64_t>& from, Quantity64<Tag>& to) {
  if (from) to.value = *from;
}

void ReadNames(ConfigReader& r, NvidiaConfig& c) {
  Take(r.String("resourceCountName"), c.count_name);
  Take(r.String("resourceMemoryName"), c.memory_name);
  Take(r.String("resourceMemoryPercentageName"), c.memory_percent_name);
  Take(r.String("resourceCoreName"), c.core_name);
  Take(r.String("resourcePriorityName"), c.priority_name);
  Take(r.String("runtimeClassName"), c.runtime_class);
}

void ReadNumbers(ConfigReader& r, NvidiaConfig& c) {
  Take(r.Bool("overwriteEnv"), c.overwrite_env);
  Take(r.Int("defaultMemory", 0, kInt32Max), c.default_memory);
  Take(r.Int("defaultCores", 0, 100), c.default_cores);
  Take(r.Int("defaultGPUNum", 0, 1024), c.default_count);
  Take(r.Int("memoryFactor", 0, kInt32Max), c.memory_factor);
  if (c.memory_factor == 0) c.memory_factor = 1;
  Take(r.Bool("disableCoreLimit"), c.disable_core_limit);
  Take(r.Int("deviceSplitCount", 1, 10'000), c.split_count);
  Take(r.Positive("deviceMemoryScaling"), c.memory_scaling);
  Take(r.Positive("deviceCoreScaling"), c.core_scaling);
  Take(r.Int("preConfiguredDeviceMemory", 0, kInt32Max), c.preconfigured_memory);
  Take(r.Int("libCudaLogLevel", 0, 9), c.log_level);
  Take(r.Bool("enableNumaTopology"), c.numa_topology);
}

void ReadCorePolicy(ConfigReader& r, NvidiaConfig& c) {
  auto text = r.String("gpuCorePolicy");
  if (!text || text->empty()) return;
  for (CorePolicy policy : {CorePolicy::kDefault, CorePolicy::kForce, CorePolicy::kDisable}) {
    if (*text == CorePolicyText(policy)) {
      c.core_policy = policy;
      return;
    }
  }
  r.Fail("gpuCorePolicy", "default, force or disable", "\"" + *text + "\"");
}

Result<NvidiaConfig> ReadNvidia(const Json& section, std::vector<std::string>& warnings) {
  NvidiaConfig c;
  c.present = true;
  c.mig_allowlist = DefaultMigAllowlist();
  ConfigReader r(section, "nvidia");
  ReadNames(r, c);
  ReadNumbers(r, c);
  ReadCorePolicy(r, c);
  if (const Json* list = r.Value("migProfileAllowlist")) {
    TRY_ASSIGN(c.mig_allowlist, ReadMigAllowlist(*list));
  }
  if (r.Value("knownMigGeometries") != nullptr) {
    warnings.emplace_back("nvidia.knownMigGeometries: no longer used, see migProfileAllowlist");
  }
  if (r.error()) return Fail(*r.error());
  for (auto& unknown : r.UnknownKeys()) warnings.push_back(std::move(unknown.text));
  return c;
}

bool HasContent(const Json& section) {
  if (section.is_null()) return false;
  if (const auto* object = section.if_object()) return !object->empty();
  if (const auto* list = section.if_array()) return !list->empty();
  return true;
}

}  // namespace

std::string_view CorePolicyText(CorePolicy policy) {
  switch (policy) {
    case CorePolicy::kDefault:
      return "default";
    case CorePolicy::kForce:
      return "force";
    case CorePolicy::kDisable:
      return "disable";
  }
  return "default";
}

Result<DeviceConfig> ParseDeviceConfig(std::string_view yaml) {
  TRY_ASSIGN(Json tree, ParseYaml(yaml));
  DeviceConfig out;
  if (!tree.is_object() && !tree.is_null()) {
    return Fail(Code::kInvalidArgument,
                "device config: expected sections, got " + ToJson(tree).substr(0, 64));
  }
  if (tree.is_null()) tree = boost::json::object();
  for (const auto& [key, section] : tree.get_object()) {
    if (!HasContent(section)) continue;
    if (key != "nvidia") {
      out.other.emplace(std::string_view(key), section);
      continue;
    }
    if (!section.is_object()) {
      return Fail(Code::kInvalidArgument,
                  "nvidia: expected keys and values, got " + ToJson(section).substr(0, 64));
    }
    TRY_ASSIGN(out.nvidia, ReadNvidia(section, out.warnings));
  }
  if (!out.nvidia.present && out.other.empty()) {
    return Fail(Code::kInvalidArgument, "all configurations are empty");
  }
  return out;
}

DeviceConfig DefaultDeviceConfig() {
  DeviceConfig out;
  out.nvidia.present = true;
  out.nvidia.mig_allowlist = DefaultMigAllowlist();
  return out;
}

}  // namespace hami::protocol
