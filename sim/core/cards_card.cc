// The part of cards.yaml that describes one card.
#include <cstring>

#include "sim/core/cards_binder.h"
#include "sim/core/models.h"

namespace hami::sim {

bool CardsBinder::Model(const YamlNode& node, const char* path, Card& card) {
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

bool CardsBinder::PciBusId(const YamlNode& node, const char* path, Card& card) {
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
bool CardsBinder::CardKey(const YamlNode& node, const char* path, Card& card) {
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
  if (node.key == "module_kib") {
    uint64_t kib = 0;
    if (!Number(node, path, 0, kMaxMib, kib)) return false;
    card.module_bytes = kib << 10;
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
  return Unknown(
      node, "",
      "model, memory_mib, context_mib, module_kib, kernel_ns, sm_count, numa, nvswitch_links, "
      "power_w, compute_capability; on a card also count, uuid, minor, pci_bus_id, "
      "health_script, mig");
}

bool CardsBinder::HealthScript(const YamlNode& list, const char* path, Card& card) {
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
bool CardsBinder::Identity(const YamlNode& node, const char* path, uint64_t count, Card& card) {
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

bool CardsBinder::CardGroup(const YamlNode& node, int index) {
  char path[96];
  snprintf(path, sizeof path, "cards[%d]", index);
  if (!IsKind(node, Kind::kMap, path, "a map")) return false;
  uint64_t count = 1;
  const YamlNode* mig = nullptr;
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
    } else if (n->key == "mig") {
      ok = IsKind(*n, Kind::kList, path, "a list such as [{profile: 1g.5gb, count: 7}]");
      card.is_mig = true;
      mig = n;
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
    mig_[set_.count] = mig;
    ++set_.count;
  }
  return true;
}

}  // namespace hami::sim
