#include "sim/core/cards.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sim/core/models.h"

namespace hami::sim {
namespace {

using Kind = YamlNode::Kind;

#define SIM_SV(text) static_cast<int>((text).size()), (text).data()

// Binds nodes to fields; every failure names the line, the path of the key, the value, the
// expectation.
class Binder {
 public:
  Binder(CardSet& set, ReadError& error) : set_(set), error_(error) {}

  bool Document(const YamlNode& root);

 private:
  bool Expected(const YamlNode& node, const char* path, const char* expectation);
  bool Unknown(const YamlNode& node, const char* path, const char* known);
  bool IsKind(const YamlNode& node, Kind kind, const char* path, const char* expectation);
  bool Number(const YamlNode& node, const char* path, uint64_t low, uint64_t high, uint64_t& out);
  template <class T>
  bool Small(const YamlNode& node, const char* path, uint64_t low, uint64_t high, T& out);
  template <size_t N>
  bool Text(const YamlNode& node, const char* path, char (&out)[N]);
  bool Version(const YamlNode& node, const char* path, int32_t& out);
  bool CardKey(const YamlNode& node, const char* path, Card& card);
  bool Model(const YamlNode& node, const char* path, Card& card);
  bool PciBusId(const YamlNode& node, const char* path, Card& card);
  bool CardGroup(const YamlNode& node, int index);
  bool Identity(const YamlNode& node, const char* path, uint64_t count, Card& card);
  bool HealthScript(const YamlNode& node, const char* path, Card& card);
  bool Links(const YamlNode& list);
  bool Link(const YamlNode& node, const char* path);
  bool Level(const YamlNode& node, const char* path, PcieLevel& level);
  bool Failures(const YamlNode& map);
  bool Distinct(const YamlNode& cards);

  CardSet& set_;
  ReadError& error_;
  Card defaults_;
  int64_t slice_ns_ = 2'000'000;
};

bool Binder::Expected(const YamlNode& node, const char* path, const char* expectation) {
  if (node.kind == Kind::kScalar) {
    error_.Set(node.line, "%s: expected %s, got \"%.*s\"", path, expectation, SIM_SV(node.text));
  } else {
    error_.Set(node.line, "%s: expected %s, got a %s", path, expectation,
               node.kind == Kind::kMap ? "map" : "list");
  }
  return false;
}

bool Binder::Unknown(const YamlNode& node, const char* path, const char* known) {
  error_.Set(node.line, "%s%sunknown key \"%.*s\"; known: %s", path, *path != '\0' ? ": " : "",
             SIM_SV(node.key), known);
  return false;
}

bool Binder::IsKind(const YamlNode& node, Kind kind, const char* path, const char* expectation) {
  return node.kind == kind || Expected(node, path, expectation);
}

bool Binder::Number(const YamlNode& node, const char* path, uint64_t low, uint64_t high,
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

template <class T>
bool Binder::Small(const YamlNode& node, const char* path, uint64_t low, uint64_t high, T& out) {
  uint64_t value = 0;
  if (!Number(node, path, low, high, value)) return false;
  out = static_cast<T>(value);
  return true;
}

template <size_t N>
bool Binder::Text(const YamlNode& node, const char* path, char (&out)[N]) {
  if (node.kind == Kind::kScalar && !node.text.empty() && CopyText(out, node.text)) return true;
  char expectation[48];
  snprintf(expectation, sizeof expectation, "a text of 1 to %zu characters", N - 1);
  return Expected(node, path, expectation);
}

bool Binder::Version(const YamlNode& node, const char* path, int32_t& out) {
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

bool Binder::Model(const YamlNode& node, const char* path, Card& card) {
  if (!Text(node, path, card.model)) return false;
  for (const ModelFacts& facts : kModels) {
    if (facts.name != node.text) continue;
    card.memory_bytes = uint64_t{facts.memory_mib} << 20;
    card.sm_count = facts.sm_count;
    card.cc_major = facts.cc_major;
    card.cc_minor = facts.cc_minor;
    card.architecture = facts.architecture;
    card.pci_device_id = facts.pci_device_id;
    card.power_limit_mw = facts.power_w * 1000;
    card.sm_clock_mhz = facts.sm_clock_mhz;
    card.memory_clock_mhz = facts.memory_clock_mhz;
  }
  return true;
}

bool Binder::PciBusId(const YamlNode& node, const char* path, Card& card) {
  unsigned domain = 0, bus = 0, device = 0, function = 0;
  char text[20] = "";
  int used = 0;
  if (node.kind != Kind::kScalar || !CopyText(text, node.text) ||
      sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &used) != 4 ||
      text[used] != '\0' || function != 0 || device > 31) {
    return Expected(node, path, "a PCI address such as \"0000:07:00.0\"");
  }
  card.pci_domain = domain;
  card.pci_bus = bus;
  card.pci_device = device;
  return true;
}

// Keys that stand in `defaults:` and on a card alike.
bool Binder::CardKey(const YamlNode& node, const char* path, Card& card) {
  constexpr uint64_t kMaxMib = 4 * 1024 * 1024 - 1;
  uint64_t mib = 0;
  if (node.key == "model") return Model(node, path, card);
  if (node.key == "memory_mib") {
    if (!Number(node, path, 1, kMaxMib, mib)) return false;
    card.memory_bytes = mib << 20;
    return true;
  }
  if (node.key == "context_mib") {
    if (!Number(node, path, 0, kMaxMib, mib)) return false;
    card.context_bytes = mib << 20;
    return true;
  }
  if (node.key == "kernel_ns") return Number(node, path, 1, 1'000'000'000'000, card.kernel_ns);
  if (node.key == "sm_count") return Small(node, path, 1, 1024, card.sm_count);
  if (node.key == "numa") return Small(node, path, 0, 1023, card.numa);
  if (node.key == "nvswitch_links") return Small(node, path, 0, 18, card.nvswitch_links);
  if (node.key == "power_w") {
    uint64_t watt = 0;
    if (!Number(node, path, 1, 100'000, watt)) return false;
    card.power_limit_mw = static_cast<uint32_t>(watt * 1000);
    return true;
  }
  if (node.key == "compute_capability") {
    const std::string_view t = node.text;
    uint64_t major = 0, minor = 0;
    const size_t dot = t.find('.');
    if (node.kind != Kind::kScalar || dot == std::string_view::npos ||
        !ParseUnsigned(Slice(t, 0, dot), major) || !ParseUnsigned(Slice(t, dot + 1), minor) ||
        major > 99 || minor > 9) {
      return Expected(node, path, "a compute capability such as 8.0");
    }
    card.cc_major = static_cast<int32_t>(major);
    card.cc_minor = static_cast<int32_t>(minor);
    return true;
  }
  return Unknown(node, "",
                 "model, memory_mib, context_mib, kernel_ns, sm_count, numa, nvswitch_links, "
                 "power_w, compute_capability; on a card also count, uuid, minor, pci_bus_id, "
                 "health_script");
}

bool Binder::HealthScript(const YamlNode& list, const char* path, Card& card) {
  if (!IsKind(list, Kind::kList, path, "a list of {at: 3s, state: lost}")) return false;
  card.health_count = 0;
  uint64_t last = 0;
  for (const YamlNode* item = list.first_child; item != nullptr; item = item->next) {
    char item_path[128];
    snprintf(item_path, sizeof item_path, "%s[%d]", path, card.health_count);
    if (!IsKind(*item, Kind::kMap, item_path, "{at: 3s, state: lost}")) return false;
    if (card.health_count == kMaxHealthSteps) {
      error_.Set(item->line, "%s: at most %d steps", path, kMaxHealthSteps);
      return false;
    }
    HealthStep step;
    bool has_at = false, has_state = false;
    for (const YamlNode* n = item->first_child; n != nullptr; n = n->next) {
      if (n->key == "at") {
        std::string_view t = n->text;
        uint64_t unit = 0;
        if (t.ends_with("ms")) {
          unit = 1;
          t.remove_suffix(2);
        } else if (t.ends_with("s")) {
          unit = 1000;
          t.remove_suffix(1);
        }
        if (n->kind != Kind::kScalar || unit == 0 || !ParseUnsigned(t, step.at_ms) ||
            step.at_ms > 86'400'000) {
          return Expected(*n, item_path, "at: a time such as 3s or 250ms");
        }
        step.at_ms *= unit;
        has_at = true;
      } else if (n->key == "state") {
        uint64_t xid = 0;
        if (n->text == "ok") {
          step.state = Health::kOk;
        } else if (n->text == "lost") {
          step.state = Health::kLost;
        } else if (n->text.starts_with("xid:") && ParseUnsigned(Slice(n->text, 4), xid) &&
                   xid <= 1000) {
          step.state = Health::kXid;
          step.xid = static_cast<uint32_t>(xid);
        } else {
          return Expected(*n, item_path, "state: ok, lost or xid:<number>");
        }
        has_state = true;
      } else {
        return Unknown(*n, item_path, "at, state");
      }
    }
    if (!has_at || !has_state || step.at_ms < last) {
      error_.Set(item->line, "%s: expected both at and state, in order of time", item_path);
      return false;
    }
    last = step.at_ms;
    card.health[card.health_count++] = step;
  }
  return true;
}

// Keys of one card alone.
bool Binder::Identity(const YamlNode& node, const char* path, uint64_t count, Card& card) {
  if (count != 1) {
    error_.Set(node.line, "%s: needs a card of its own (count is %llu)", path,
               static_cast<unsigned long long>(count));
    return false;
  }
  if (node.key == "pci_bus_id") return PciBusId(node, path, card);
  if (node.key == "minor") return Small(node, path, 0, 1023, card.minor);
  if (!Text(node, path, card.uuid)) return false;
  return ParseUuid(card.uuid, card.uuid_bytes) ||
         Expected(node, path, "a UUID such as GPU-01234567-89ab-cdef-0123-456789abcdef");
}

bool Binder::CardGroup(const YamlNode& node, int index) {
  char path[96];
  snprintf(path, sizeof path, "cards[%d]", index);
  if (!IsKind(node, Kind::kMap, path, "a map")) return false;
  uint64_t count = 1;
  Card card = defaults_;
  for (const YamlNode* n = node.first_child; n != nullptr; n = n->next) {
    snprintf(path, sizeof path, "cards[%d].%.*s", index, SIM_SV(n->key));
    if (n->key == "count" && !Number(*n, path, 1, kMaxCards, count)) return false;
    if (n->key == "model" && !Model(*n, path, card))
      return false;  // before the keys that refine it
  }
  if (set_.count + static_cast<int>(count) > kMaxCards) {
    error_.Set(node.line, "cards[%d]: more than %d cards", index, kMaxCards);
    return false;
  }
  const uint32_t first = static_cast<uint32_t>(set_.count);
  card.minor = first;
  card.pci_bus = 0xffff;  // not given
  for (const YamlNode* n = node.first_child; n != nullptr; n = n->next) {
    snprintf(path, sizeof path, "cards[%d].%.*s", index, SIM_SV(n->key));
    bool ok = true;
    if (n->key == "uuid" || n->key == "minor" || n->key == "pci_bus_id") {
      ok = Identity(*n, path, count, card);
    } else if (n->key == "health_script") {
      ok = HealthScript(*n, path, card);
    } else if (n->key != "count" && n->key != "model") {
      snprintf(path, sizeof path, "cards[%d].%.*s", index, SIM_SV(n->key));
      ok = CardKey(*n, path, card);
    }
    if (!ok) return false;
  }
  if (card.model[0] == '\0' || card.memory_bytes == 0) {
    error_.Set(node.line, "cards[%d]: expected model, and memory_mib for a model that is not known",
               index);
    return false;
  }
  for (uint64_t i = 0; i < count; ++i) {
    Card& made = set_.cards[set_.count] = card;
    const auto at = static_cast<uint32_t>(set_.count);
    if (count > 1) made.minor = at;
    if (made.pci_bus == 0xffff) {
      made.pci_domain = 0;
      made.pci_bus = 0x10 + at * 4;
      made.pci_device = 0;
    }
    snprintf(made.pci_bus_id, sizeof made.pci_bus_id, "%04x:%02x:%02x.0", made.pci_domain & 0xffff,
             made.pci_bus & 0xff, made.pci_device & 0x1f);
    if (made.uuid[0] == '\0') {
      const uint64_t parts[2] = {Mix(set_.seed + 2 * at), Mix(set_.seed + 2 * at + 1)};
      memcpy(made.uuid_bytes, parts, sizeof parts);
      FormatUuid(made.uuid_bytes, "GPU-", made.uuid, sizeof made.uuid);
    }
    ++set_.count;
  }
  return true;
}

bool Binder::Level(const YamlNode& node, const char* path, PcieLevel& level) {
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

bool Binder::Link(const YamlNode& node, const char* path) {
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

bool Binder::Links(const YamlNode& list) {
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

bool Binder::Failures(const YamlNode& map) {
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

// No two cards may share what names them.
bool Binder::Distinct(const YamlNode& cards) {
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

bool Binder::Document(const YamlNode& root) {
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
      ok = Number(*n, "utilization_window_ms", 20, 5000, value);
      if (ok) set_.utilization_window_ns = value * 1'000'000;
    } else if (n->key == "pool_chunk_mib") {
      ok = Number(*n, "pool_chunk_mib", 1, 1024, value);
      if (ok) set_.pool_chunk_bytes = value << 20;
    } else if (n->key == "data") {
      set_.keep_data = n->text == "kept";
      ok = n->text == "kept" || n->text == "discarded" || Expected(*n, "data", "kept or discarded");
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
      ok = Unknown(*n, "",
                   "driver, cuda, seed, utilization_window_ms, pool_chunk_mib, data, "
                   "scheduling, slice_us, defaults, cards, links, failures");
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

// The whole file; size and modification time by reference. Null: cannot be read.
char* ReadWhole(const char* path, size_t& size, int64_t& modified_ns, ReadError& error) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    error.Set(0, "cannot be opened");
    return nullptr;
  }
  struct stat info;
  char* text = nullptr;
  // The raw call: the wrapper's glibc version is too new.
  if (syscall(SYS_fstat, fd, &info) == 0 && info.st_size <= 256 * 1024) {
    const auto room = static_cast<size_t>(info.st_size);
    text = static_cast<char*>(malloc(room + 1));
    size = 0;
    while (text != nullptr && size < room) {
      const ssize_t n = read(fd, text + size, room - size);
      if (n <= 0) break;
      size += static_cast<size_t>(n);
    }
    modified_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  }
  close(fd);
  if (text == nullptr) error.Set(0, "cannot be read, or is larger than 256 KiB");
  return text;
}

void ApplyEnvironment(CardSet& set) {
  uint64_t value = 0;
  if (EnvUnsigned("FAKEGPU_COUNT", value) && value < static_cast<uint64_t>(set.count)) {
    set.count = static_cast<int>(value);
  }
  const char* driver = getenv("FAKEGPU_DRIVER");
  if (driver != nullptr && *driver != '\0') CopyText(set.driver_version, driver);
  if (EnvUnsigned("FAKEGPU_UTIL_MS", value) && value >= 20 && value <= 5000) {
    set.utilization_window_ns = value * 1'000'000;
  }
  const char* scheduling = getenv("FAKEGPU_SCHEDULING");
  if (scheduling != nullptr && strcmp(scheduling, "time_sliced") == 0) {
    if (set.slice_ns == 0) set.slice_ns = 2'000'000;
  } else if (scheduling != nullptr && strcmp(scheduling, "fifo") == 0) {
    set.slice_ns = 0;
  } else if (scheduling != nullptr && *scheduling != '\0') {
    Complain("FAKEGPU_SCHEDULING: expected fifo or time_sliced, got \"%s\"", scheduling);
  }
  for (int i = 0; i < set.count; ++i) {
    Card& card = set.cards[i];
    if (EnvUnsigned("FAKEGPU_MEM_MB", value) && value < 4 * 1024 * 1024) {
      card.memory_bytes = value << 20;
    }
    if (EnvUnsigned("FAKEGPU_CTX_MB", value) && value < 4 * 1024 * 1024) {
      card.context_bytes = value << 20;
    }
    if (EnvUnsigned("FAKEGPU_KERNEL_NS", value) && value > 0) card.kernel_ns = value;
  }
}

}  // namespace

bool ParseCards(const char* text, size_t size, CardSet& set, ReadError& error) {
  YamlDocument document;
  return document.Parse({text, size}, error) && Binder(set, error).Document(document.root());
}

bool LoadCards(const char* path, CardSet& set, ReadError& error) {
  bool ok = false;
  if (path != nullptr) {
    size_t size = 0;
    char* text = ReadWhole(path, size, set.modified_ns, error);
    ok = text != nullptr && ParseCards(text, size, set, error);
    free(text);
  } else {
    uint64_t count = 1;
    EnvUnsigned("FAKEGPU_COUNT", count);
    char text[96];
    const int size =
        snprintf(text, sizeof text, "cards: [{model: NVIDIA A100-SXM4-40GB, count: %d}]",
                 static_cast<int>(count < kMaxCards ? count : kMaxCards));
    if (count == 0) return true;
    ok = ParseCards(text, static_cast<size_t>(size), set, error);
  }
  if (ok) ApplyEnvironment(set);
  return ok;
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
