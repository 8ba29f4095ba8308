#include "sim/core/cards.h"

#include <cstring>

#include "sim/core/cards_binder.h"

namespace hami::sim {

bool CardsBinder::Expected(const YamlNode& node, const char* path, const char* expectation) {
  if (node.kind == Kind::kScalar) {
    error_.Set(node.line, "%s: expected %s, got \"%.*s\"", path, expectation, SIM_SV(node.text));
  } else {
    error_.Set(node.line, "%s: expected %s, got a %s", path, expectation,
               node.kind == Kind::kMap ? "map" : "list");
  }
  return false;
}

bool CardsBinder::Unknown(const YamlNode& node, const char* path, const char* known) {
  error_.Set(node.line, "%s%sunknown key \"%.*s\"; known: %s", path, *path != '\0' ? ": " : "",
             SIM_SV(node.key), known);
  return false;
}

bool CardsBinder::IsKind(const YamlNode& node, Kind kind, const char* path,
                         const char* expectation) {
  return node.kind == kind || Expected(node, path, expectation);
}

bool CardsBinder::Number(const YamlNode& node, const char* path, uint64_t low, uint64_t high,
                         uint64_t& out) {
  uint64_t value = 0;
  if (node.kind == Kind::kScalar && !node.quoted && ParseUnsigned(node.text, value) &&
      value >= low && value <= high) {
    out = value;
    return true;
  }
  char expectation[80];
  snprintf(expectation, sizeof expectation, "an integer of %llu to %llu",
           static_cast<unsigned long long>(low), static_cast<unsigned long long>(high));
  return Expected(node, path, expectation);
}

bool CardsBinder::Milliseconds(const YamlNode& node, const char* path, uint64_t low, uint64_t high,
                               uint64_t& ns) {
  uint64_t value = 0;
  if (!Number(node, path, low, high, value)) return false;
  ns = value * 1'000'000;
  return true;
}

bool CardsBinder::Version(const YamlNode& node, const char* path, int32_t& out) {
  const size_t dot = node.text.find('.');
  uint64_t major = 0;
  uint64_t minor = 0;
  if (node.kind != Kind::kScalar || dot == std::string_view::npos ||
      !ParseUnsigned(Slice(node.text, 0, dot), major) ||
      !ParseUnsigned(Slice(node.text, dot + 1), minor) || major < 9 || major > 99 || minor > 9) {
    return Expected(node, path, "a CUDA version such as 12.2");
  }
  out = static_cast<int32_t>(major * 1000 + minor * 10);
  return true;
}

bool CardsBinder::Level(const YamlNode& node, const char* path, PcieLevel& level) {
  constexpr struct {
    std::string_view name;
    PcieLevel level;
  } kLevels[] = {{"internal", PcieLevel::kInternal}, {"single", PcieLevel::kSingle},
                 {"multiple", PcieLevel::kMultiple}, {"host_bridge", PcieLevel::kHostBridge},
                 {"node", PcieLevel::kNode},         {"system", PcieLevel::kSystem}};
  for (const auto& entry : kLevels) {
    if (node.kind == Kind::kScalar && entry.name == node.text) {
      level = entry.level;
      return true;
    }
  }
  return Expected(node, path, "pcie: internal, single, multiple, host_bridge, node or system");
}

bool CardsBinder::Link(const YamlNode& node, const char* path) {
  constexpr const char* kShape = "{between: [0, 1], nvlink: 4, pcie: single}";
  if (!IsKind(node, Kind::kMap, path, kShape)) return false;
  int members[kMaxCards];
  int member_count = 0;
  bool one_way = false, has_nvlink = false, has_level = false;
  uint8_t nvlink = 0;
  PcieLevel level = PcieLevel::kSystem;
  for (const YamlNode* n = node.first_child; n != nullptr; n = n->next) {
    if (n->key == "between" || n->key == "from_to") {
      one_way = n->key == "from_to";
      if (member_count != 0 || !IsKind(*n, Kind::kList, path, kShape)) {
        return Expected(*n, path, "either between or from_to");
      }
      for (const YamlNode* m = n->first_child; m != nullptr; m = m->next) {
        if (member_count == kMaxCards) return Expected(*n, path, "each card once");
        if (!Small(*m, path, 0, static_cast<uint64_t>(set_.count - 1), members[member_count])) {
          return false;
        }
        ++member_count;
      }
    } else if (n->key == "nvlink") {
      if (!Small(*n, path, 0, 18, nvlink)) return false;
      has_nvlink = true;
    } else if (n->key == "pcie") {
      if (!Level(*n, path, level)) return false;
      has_level = true;
    } else {
      return Unknown(*n, path, "between, from_to, nvlink, pcie");
    }
  }
  if (member_count < 2 || (one_way && member_count != 2) || (!has_nvlink && !has_level)) {
    return Expected(node, path, kShape);
  }
  for (int a = 0; a < member_count; ++a) {
    for (int b = 0; b < member_count; ++b) {
      if (members[a] == members[b] || (one_way && a > b)) continue;
      if (has_nvlink) set_.nvlinks[members[a]][members[b]] = nvlink;
      if (has_level) set_.level[members[a]][members[b]] = level;
    }
  }
  return true;
}

bool CardsBinder::Links(const YamlNode& list) {
  if (!IsKind(list, Kind::kList, "links", "a list")) return false;
  int index = 0;
  for (const YamlNode* n = list.first_child; n != nullptr; n = n->next, ++index) {
    char path[32];
    snprintf(path, sizeof path, "links[%d]", index);
    if (!Link(*n, path)) return false;
  }
  for (int a = 0; a < set_.count; ++a) {
    uint32_t links = set_.cards[a].nvswitch_links;
    for (int b = 0; b < set_.count; ++b) links += set_.nvlinks[a][b];
    if (links > 18) {
      error_.Set(list.line, "links: card %d has %u NVLinks, at most 18 exist", a, links);
      return false;
    }
  }
  return true;
}

bool CardsBinder::Failures(const YamlNode& map) {
  if (!IsKind(map, Kind::kMap, "failures", "a map of function names")) return false;
  for (const YamlNode* f = map.first_child; f != nullptr; f = f->next) {
    char path[96];
    snprintf(path, sizeof path, "failures.%.*s", SIM_SV(f->key));
    if (set_.fault_count == kMaxFaults) return Expected(*f, path, "at most 32 functions");
    if (!IsKind(*f, Kind::kMap, path, "{every: 7, code: 2}")) return false;
    Fault& fault = set_.faults[set_.fault_count];
    if (!CopyText(fault.function, f->key) ||
        !(f->key.starts_with("cu") || f->key.starts_with("nvml"))) {
      return Expected(*f, path, "the exported name of a function, such as cuMemAlloc_v2");
    }
    bool has_code = false;
    for (const YamlNode* n = f->first_child; n != nullptr; n = n->next) {
      bool ok = true;
      if (n->key == "every") {
        ok = Small(*n, path, 1, 1'000'000'000, fault.every);
      } else if (n->key == "code") {
        ok = Small(*n, path, 1, 9999, fault.code);
        has_code = true;
      } else if (n->key == "latency_us") {
        ok = Small(*n, path, 0, 60'000'000, fault.latency_us);
      } else {
        ok = Unknown(*n, path, "every, code, latency_us");
      }
      if (!ok) return false;
    }
    if (has_code != (fault.every != 0)) return Expected(*f, path, "every and code together");
    ++set_.fault_count;
  }
  return true;
}

bool CardsBinder::HiddenPids(const YamlNode& node) {
  set_.hide_all_pids = node.kind == Kind::kScalar && node.text == "all";
  if (set_.hide_all_pids) return true;
  if (!IsKind(node, Kind::kList, "hidden_pids", "all, or a list of pids")) return false;
  for (const YamlNode* n = node.first_child; n != nullptr; n = n->next) {
    if (set_.hidden_pid_count == kMaxHiddenPids) return Expected(*n, "hidden_pids", "at most 32");
    if (!Small(*n, "hidden_pids", 1, 0x7fffffff, set_.hidden_pids[set_.hidden_pid_count])) {
      return false;
    }
    ++set_.hidden_pid_count;
  }
  return true;
}

// No two cards may share what names them.
bool CardsBinder::Distinct(const YamlNode& cards) {
  for (int a = 0; a < set_.count; ++a) {
    for (int b = 0; b < a; ++b) {
      const Card& x = set_.cards[a];
      const Card& y = set_.cards[b];
      const char* what = strcmp(x.uuid, y.uuid) == 0               ? "uuid"
                         : strcmp(x.pci_bus_id, y.pci_bus_id) == 0 ? "pci_bus_id"
                         : x.minor == y.minor                      ? "minor"
                                                                   : nullptr;
      if (what == nullptr) continue;
      error_.Set(cards.line, "cards: card %d and card %d have the same %s", b, a, what);
      return false;
    }
  }
  return true;
}

bool CardsBinder::Document(const YamlNode& root) {
  const YamlNode* cards = nullptr;
  const YamlNode* links = nullptr;
  const YamlNode* defaults = nullptr;
  for (const YamlNode* n = root.first_child; n != nullptr; n = n->next) {
    bool ok = true;
    uint64_t value = 0;
    if (n->key == "driver") {
      ok = Text(*n, "driver", set_.driver_version);
    } else if (n->key == "cuda") {
      ok = Version(*n, "cuda", set_.cuda_version);
    } else if (n->key == "seed") {
      set_.seed = HashText(n->text);
      ok = IsKind(*n, Kind::kScalar, "seed", "a text");
    } else if (n->key == "utilization_window_ms") {
      ok = Milliseconds(*n, "utilization_window_ms", 20, 5000, set_.utilization_window_ns);
    } else if (n->key == "utilization_lag_ms") {
      ok = Milliseconds(*n, "utilization_lag_ms", 0, 2000, set_.utilization_lag_ns);
    } else if (n->key == "utilization_sample_ms") {
      ok = Milliseconds(*n, "utilization_sample_ms", 0, 2000, set_.utilization_sample_ns);
    } else if (n->key == "pool_chunk_mib") {
      ok = Number(*n, "pool_chunk_mib", 1, 1024, value);
      if (ok) set_.pool_chunk_bytes = value << 20;
    } else if (n->key == "data") {
      set_.keep_data = n->text == "kept";
      ok = n->text == "kept" || n->text == "discarded" || Expected(*n, "data", "kept or discarded");
    } else if (n->key == "pid_offset") {
      ok = Small(*n, "pid_offset", 0, 1'000'000'000, set_.pid_offset);
    } else if (n->key == "hidden_pids") {
      ok = HiddenPids(*n);
    } else if (n->key == "scheduling") {
      set_.slice_ns = n->text == "time_sliced" ? slice_ns_ : 0;
      ok = n->text == "fifo" || n->text == "time_sliced" ||
           Expected(*n, "scheduling", "fifo or time_sliced");
    } else if (n->key == "slice_us") {
      ok = Number(*n, "slice_us", 50, 1'000'000, value);
      slice_ns_ = static_cast<int64_t>(value) * 1000;
      if (set_.slice_ns != 0) set_.slice_ns = slice_ns_;
    } else if (n->key == "defaults") {
      defaults = n;
    } else if (n->key == "cards") {
      cards = n;
    } else if (n->key == "links") {
      links = n;
    } else if (n->key == "failures") {
      ok = Failures(*n);
    } else {
      ok = Unknown(
          *n, "",
          "driver, cuda, seed, utilization_window_ms, utilization_lag_ms, utilization_sample_ms, "
          "pool_chunk_mib, data, "
          "scheduling, slice_us, pid_offset, hidden_pids, defaults, cards, links, failures");
    }
    if (!ok) return false;
  }
  defaults_.kernel_ns = 100'000;
  defaults_.context_bytes = 256ull << 20;
  defaults_.sm_count = 80;
  defaults_.cc_major = 8;
  defaults_.architecture = 7;
  defaults_.pci_device_id = 0x20b010de;
  defaults_.power_limit_mw = 300'000;
  defaults_.sm_clock_mhz = 1500;
  defaults_.memory_clock_mhz = 1500;
  if (defaults != nullptr) {
    if (!IsKind(*defaults, Kind::kMap, "defaults", "a map")) return false;
    for (const YamlNode* n = defaults->first_child; n != nullptr; n = n->next) {
      if (n->key == "model" && !Model(*n, "defaults.model", defaults_)) return false;
    }
    for (const YamlNode* n = defaults->first_child; n != nullptr; n = n->next) {
      char path[96];
      snprintf(path, sizeof path, "defaults.%.*s", SIM_SV(n->key));
      if (n->key != "model" && !CardKey(*n, path, defaults_)) return false;
    }
  }
  if (cards == nullptr) {
    error_.Set(root.line, "cards: missing; expected a list such as [{model: Tesla T4, count: 2}]");
    return false;
  }
  if (!IsKind(*cards, Kind::kList, "cards", "a list")) return false;
  int index = 0;
  for (const YamlNode* n = cards->first_child; n != nullptr; n = n->next, ++index) {
    if (!CardGroup(*n, index)) return false;
  }
  if (!Distinct(*cards)) return false;
  set_.instances_from = set_.total = set_.count;
  for (int i = 0; i < set_.count; ++i) {
    if (mig_[i] != nullptr && !Instances(*mig_[i], i)) return false;
  }
  for (int a = 0; a < set_.count; ++a) {
    for (int b = 0; b < set_.count; ++b) {
      const bool same = set_.cards[a].numa == set_.cards[b].numa;
      set_.level[a][b] = a == b ? PcieLevel::kInternal
                         : same ? PcieLevel::kNode
                                : PcieLevel::kSystem;
    }
  }
  return links == nullptr || Links(*links);
}

bool ParseCards(const char* text, size_t size, CardSet& set, ReadError& error) {
  YamlDocument document;
  return document.Parse({text, size}, error) && CardsBinder(set, error).Document(document.root());
}

int InstanceOf(const CardSet& set, int card, int position) {
  if (card >= set.count) return -1;
  for (int i = set.instances_from; i < set.total; ++i) {
    if (set.cards[i].parent == card && position-- == 0) return i;
  }
  return -1;
}

bool FaultMeans(const char* fault, const char* function) {
  const size_t size = strlen(fault);
  if (strncmp(fault, function, size) != 0) return false;
  for (const char* rest = function + size; *rest != '\0';) {
    if (strcmp(rest, "_ptsz") == 0 || strcmp(rest, "_ptds") == 0) return true;
    if (rest[0] != '_' || rest[1] != 'v' || rest[2] < '0' || rest[2] > '9') return false;
    for (rest += 2; *rest >= '0' && *rest <= '9'; ++rest) {
    }
  }
  return true;
}

Health HealthAt(const CardSet& set, const Card& card, int64_t now_ns) {
  Health state = Health::kOk;
  for (int i = 0; i < card.health_count; ++i) {
    const HealthStep& step = card.health[i];
    if (now_ns - set.modified_ns < static_cast<int64_t>(step.at_ms) * 1'000'000) break;
    if (step.state != Health::kXid) state = step.state;
  }
  return state;
}

}  // namespace hami::sim
