#include <algorithm>
#include <limits>

#include "domain/protocol/config_reader.h"
#include "domain/protocol/device_config.h"

namespace hami::protocol {
namespace {

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

// Shell-like, "*" only.
bool Matches(std::string_view pattern, std::string_view text) {
  size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  pattern.remove_prefix(star + 1);
  for (size_t from = star; from <= text.size(); ++from) {
    if (Matches(pattern, text.substr(from))) return true;
  }
  return false;
}

std::optional<OperatingMode> ReadMode(ConfigReader& r) {
  auto text = r.String("operatingmode");
  if (!text || text->empty()) return std::nullopt;
  for (OperatingMode mode : {OperatingMode::kHamiCore, OperatingMode::kMig, OperatingMode::kMps}) {
    if (*text == OperatingModeText(mode)) return mode;
  }
  r.Fail("operatingmode", "hami-core, mig or mps", "\"" + *text + "\"");
  return std::nullopt;
}

void ReadFilter(ConfigReader& parent, const std::string& name, NodeOverride& out,
                std::vector<ConfigReader::UnknownKey>& unknown) {
  const Json* section = parent.Value("filterdevices");
  if (section == nullptr) return;
  if (!section->is_object()) return parent.Fail("filterdevices", "an object", ToJson(*section));
  ConfigReader r(*section, name + ".filterdevices", ConfigReader::KeyCase::kAny);
  out.filter_uuids = r.Strings("uuid");
  const Json* indexes = r.Value("index");
  if (indexes != nullptr && indexes->is_array()) {
    for (const Json& item : indexes->get_array()) {
      auto index = IntAt(item, {});
      if (!index || *index < 0) return parent.Fail("filterdevices.index", "indexes", ToJson(item));
      out.filter_indexes.push_back(*index);
    }
  } else if (indexes != nullptr) {
    parent.Fail("filterdevices.index", "a list of indexes", ToJson(*indexes));
  }
  if (r.error()) parent.Fail("filterdevices", "uuid and index lists", r.error()->message);
  unknown = r.UnknownKeys();
}

void ReadSelector(ConfigReader& r, NodeOverride& out) {
  const Json* section = r.Value("nodeSelector");
  if (section == nullptr) return;
  if (!section->is_object()) return r.Fail("nodeSelector", "labels", ToJson(*section));
  for (const auto& [key, value] : section->get_object()) {
    if (!value.is_string()) {
      out.node_selector.clear();  // half of it would select more nodes than were meant
      return r.Fail("nodeSelector", "labels", ToJson(*section));
    }
    out.node_selector.emplace(std::string_view(key), std::string_view(value.get_string()));
  }
}

template <class T>
std::optional<T> Narrow(std::optional<int64_t> value) {
  if (!value) return std::nullopt;
  return static_cast<T>(*value);
}

// Nothing, and a warning, for an entry that does not say which nodes it is for.
std::optional<NodeOverride> ReadEntry(const Json& item, size_t i,
                                      std::vector<std::string>& warnings) {
  std::string name = "nodeconfig[" + std::to_string(i) + "]";
  if (!item.is_object()) {
    warnings.push_back(name + ": expected an object, got " + ToJson(item).substr(0, 64));
    return std::nullopt;
  }
  NodeOverride out;
  out.name = ConfigReader(item, name, ConfigReader::KeyCase::kAny).String("name").value_or("");
  // Errors name the node rather than a position.
  if (!out.name.empty()) name = "nodeconfig \"" + out.name + "\"";
  ConfigReader r(item, name, ConfigReader::KeyCase::kAny);
  r.String("name");
  ReadSelector(r, out);
  if (out.name.empty() && out.node_selector.empty()) r.Fail("name", "a node's name", "none");
  out.mode = ReadMode(r);
  out.memory_scaling = r.Positive("devicememoryscaling");
  out.core_scaling = r.Positive("devicecorescaling");
  out.split_count = Narrow<int32_t>(r.Int("devicesplitcount", 1, 10'000));
  if (auto memory = r.Int("preconfigureddevicememory", 0, kInt32Max)) {
    out.preconfigured_memory = MiB{*memory};
  }
  out.log_level = Narrow<int>(r.Int("libcudaloglevel", 0, 9));
  out.numa_topology = r.Bool("enablenumatopology");
  out.mig_strategy = r.String("migstrategy");
  out.preferred_allocation = r.Bool("enablegetpreferredallocation");
  std::vector<ConfigReader::UnknownKey> unknown;
  ReadFilter(r, name, out, unknown);
  for (auto& one : r.UnknownKeys()) unknown.push_back(std::move(one));
  if (r.error()) out.error = r.error()->message;
  for (auto& [text, misspelt] : unknown) {
    // A setting that was meant and does not hold is as wrong as a wrong value; a key that nobody
    // here knows may be another program's.
    if (misspelt && out.error.empty()) {
      out.error = text;
    } else {
      warnings.push_back(std::move(text));
    }
  }
  if (!out.name.empty() || !out.node_selector.empty()) return out;
  warnings.push_back(out.error);
  return std::nullopt;
}

bool Applies(const NodeOverride& entry, std::string_view node,
             const std::map<std::string, std::string, std::less<>>& labels) {
  if (!entry.name.empty() && !Matches(entry.name, node)) return false;
  return std::ranges::all_of(entry.node_selector, [&](const auto& want) {
    auto it = labels.find(want.first);
    return it != labels.end() && it->second == want.second;
  });
}

template <class T>
void Lay(const std::optional<T>& over, T& value) {
  if (over) value = *over;
}

template <class T>
void Append(const std::vector<T>& more, std::vector<T>& list) {
  list.insert(list.end(), more.begin(), more.end());
}

}  // namespace

std::string_view OperatingModeText(OperatingMode mode) {
  switch (mode) {
    case OperatingMode::kHamiCore:
      return "hami-core";
    case OperatingMode::kMig:
      return "mig";
    case OperatingMode::kMps:
      return "mps";
  }
  return "hami-core";
}

Result<NodeOverrides> ParseNodeOverrides(std::string_view json) {
  NodeOverrides out;
  TRY_ASSIGN(Json tree, ParseJson(json));
  if (!tree.is_object()) {
    return Fail(Code::kInvalidArgument, "node overrides: expected {\"nodeconfig\": [...]}");
  }
  ConfigReader r(tree, "config.json", ConfigReader::KeyCase::kAny);
  const Json* list = r.Value("nodeconfig");
  const auto unknown = r.UnknownKeys();
  for (const auto& [text, misspelt] : unknown) {
    if (list == nullptr && misspelt) return Fail(Code::kInvalidArgument, "node overrides: " + text);
  }
  if (list != nullptr && !list->is_array()) {
    return Fail(Code::kInvalidArgument, "node overrides: nodeconfig: expected a list");
  }
  if (list != nullptr) {
    size_t i = 0;
    for (const Json& item : list->get_array()) {
      auto entry = ReadEntry(item, i++, out.warnings);
      if (entry) out.entries.push_back(*std::move(entry));
    }
  }
  for (const auto& [text, misspelt] : unknown) out.warnings.push_back(text);
  return out;
}

NodeSettings SettingsFor(const NvidiaConfig& config, const NodeOverrides& overrides,
                         std::string_view node,
                         const std::map<std::string, std::string, std::less<>>& labels) {
  NodeSettings out;
  out.memory_scaling = config.memory_scaling;
  out.core_scaling = config.core_scaling;
  out.split_count = config.split_count;
  out.preconfigured_memory = config.preconfigured_memory;
  out.log_level = config.log_level;
  out.numa_topology = config.numa_topology;
  for (const NodeOverride& entry : overrides.entries) {
    if (!Applies(entry, node, labels)) continue;
    if (out.refusal.empty()) out.refusal = entry.error;
    Lay(entry.mode, out.mode);
    Lay(entry.memory_scaling, out.memory_scaling);
    Lay(entry.core_scaling, out.core_scaling);
    Lay(entry.split_count, out.split_count);
    Lay(entry.preconfigured_memory, out.preconfigured_memory);
    Lay(entry.log_level, out.log_level);
    Lay(entry.numa_topology, out.numa_topology);
    Lay(entry.mig_strategy, out.mig_strategy);
    Lay(entry.preferred_allocation, out.preferred_allocation);
    Append(entry.filter_uuids, out.filter_uuids);
    Append(entry.filter_indexes, out.filter_indexes);
  }
  return out;
}

}  // namespace hami::protocol
