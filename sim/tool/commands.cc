#include "sim/tool/commands.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <vector>

namespace hami::sim {
namespace {

constexpr uint64_t kMiB = 1 << 20;

bool ReadCards(const std::string& path, CardSet& cards) {
  ReadError error;
  if (LoadCards(path.c_str(), cards, error)) return true;
  fprintf(stderr, "hami-sim: %s: %s\n", path.c_str(), error.text);
  return false;
}

}  // namespace

std::unique_ptr<Opened> OpenFiles(const ToolOptions& options, bool with_state) {
  auto opened = std::make_unique<Opened>();
  FindFiles("", opened->location);
  if (!options.config.empty()) {
    CopyText(opened->location.config, options.config);
    const size_t slash = options.config.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : options.config.substr(0, slash);
    if (getenv("FAKEGPU_STATE") == nullptr) CopyText(opened->location.state, folder + "/state");
  }
  if (!options.state.empty()) CopyText(opened->location.state, options.state);
  if (opened->location.config[0] == '\0') {
    fprintf(stderr, "hami-sim: no cards.yaml (looked for %s); give --config or FAKEGPU_CONFIG\n",
            opened->location.searched);
    return nullptr;
  }
  if (!ReadCards(opened->location.config, opened->cards)) return nullptr;
  ReadError error;
  if (with_state && !opened->ledger.Open(opened->location.state, true, error)) {
    fprintf(stderr, "hami-sim: %s\n", error.text);
    return nullptr;
  }
  return opened;
}

void PrintJsonText(const char* text) {
  putchar('"');
  for (; *text != '\0'; ++text) {
    const auto c = static_cast<unsigned char>(*text);
    if (c == '"' || c == '\\') {
      printf("\\%c", c);
    } else if (c < 0x20) {
      printf("\\u%04x", c);
    } else {
      putchar(c);
    }
  }
  putchar('"');
}

namespace {

int PrintCards(const CardSet& set, bool json) {
  if (json) {
    printf("{\"driver\":");
    PrintJsonText(set.driver_version);
    printf(",\"cuda\":\"%d.%d\",\"cards\":[", set.cuda_version / 1000,
           set.cuda_version % 1000 / 10);
    for (int i = 0; i < set.count; ++i) {
      const Card& card = set.cards[i];
      printf("%s{\"index\":%d,\"model\":", i == 0 ? "" : ",", i);
      PrintJsonText(card.model);
      printf(",\"uuid\":\"%s\",\"memory_bytes\":%" PRIu64 ",\"context_bytes\":%" PRIu64
             ",\"minor\":%u,\"pci_bus_id\":\"%s\",\"numa\":%d,\"sm_count\":%u}",
             card.uuid, card.memory_bytes, card.context_bytes, card.minor, card.pci_bus_id,
             card.numa, card.sm_count);
    }
    printf("]}\n");
    return kDone;
  }
  printf("driver %s, CUDA %d.%d, %d cards\n", set.driver_version, set.cuda_version / 1000,
         set.cuda_version % 1000 / 10, set.count);
  for (int i = 0; i < set.count; ++i) {
    const Card& card = set.cards[i];
    printf("%2d  %-26s %8" PRIu64 " MiB  nvidia%-3u %s  %s\n", i, card.model,
           card.memory_bytes / kMiB, card.minor, card.pci_bus_id, card.uuid);
  }
  return kDone;
}

// One living process on one card.
struct Holding {
  int slot;
  uint64_t used;
};

std::vector<Holding> HoldingsOn(const StateFile& file, int card) {
  std::vector<Holding> found;
  for (int slot = 0; slot < file.slots_high.load(); ++slot) {
    if (file.slots[slot].used.load() == 0) continue;
    const uint64_t used = file.lines[slot][card].used.load();
    if (used != 0) found.push_back({slot, used});
  }
  return found;
}

std::vector<int> GroupsOn(const StateFile& file, int card) {
  std::vector<int> found;
  for (int group = 0; group < kMaxGroups; ++group) {
    if (file.groups[group].key.load() == 0) continue;
    if (file.groups[group].accounts[card].peak.load() != 0) found.push_back(group);
  }
  return found;
}

constexpr const char* kKindNames[] = {"context", "data", "pool", "vmm", "array", "module", "graph"};
static_assert(std::size(kKindNames) == static_cast<size_t>(Kind::kCount));

void PrintCardJson(const Opened& opened, int card) {
  const StateFile& file = *opened.ledger.file();
  const Card& about = opened.cards.cards[card];
  printf("{\"index\":%d,\"uuid\":\"%s\",\"total_bytes\":%" PRIu64 ",\"used_bytes\":%" PRIu64
         ",\"peak_bytes\":%" PRIu64 ",\"processes\":[",
         card, about.uuid, about.memory_bytes, file.cards[card].account.word.load() >> 22,
         opened.ledger.Peak(card));
  bool first = true;
  for (const Holding& holding : HoldingsOn(file, card)) {
    const Slot& slot = file.slots[holding.slot];
    const Line& line = file.lines[holding.slot][card];
    printf("%s{\"pid\":%d,\"pid_inside\":%d,\"name\":", first ? "" : ",",
           opened.ledger.PidOf(holding.slot), slot.pid);
    PrintJsonText(slot.name);
    printf(",\"container\":");
    PrintJsonText(file.groups[slot.group].name);
    printf(",\"used_bytes\":%" PRIu64 ",\"peak_bytes\":%" PRIu64 ",\"kinds\":{", holding.used,
           line.peak.load());
    for (size_t kind = 0; kind < std::size(kKindNames); ++kind) {
      printf("%s\"%s\":%" PRIu64, kind == 0 ? "" : ",", kKindNames[kind], line.kinds[kind].load());
    }
    const Ring& ring = file.rings[holding.slot][card];
    const bool ran = (slot.rings.load() >> card & 1) != 0;
    printf("},\"launches\":%" PRIu64 ",\"busy_ns\":%" PRIu64 "}", ran ? ring.launches.load() : 0,
           ran ? ring.busy_total_ns.load() : 0);
    first = false;
  }
  printf("],\"containers\":[");
  first = true;
  for (int group : GroupsOn(file, card)) {
    printf("%s{\"name\":", first ? "" : ",");
    PrintJsonText(file.groups[group].name);
    printf(",\"used_bytes\":%" PRIu64 ",\"peak_bytes\":%" PRIu64 "}",
           opened.ledger.GroupUsed(group, card), opened.ledger.GroupPeak(group, card));
    first = false;
  }
  printf("]}");
}

void PrintCardTable(const Opened& opened, int card) {
  const StateFile& file = *opened.ledger.file();
  const Card& about = opened.cards.cards[card];
  printf("card %d  %s  %s\n  used %" PRIu64 " of %" PRIu64 " MiB, peak %" PRIu64 " MiB\n", card,
         about.model, about.uuid, (file.cards[card].account.word.load() >> 22) / kMiB,
         about.memory_bytes / kMiB, opened.ledger.Peak(card) / kMiB);
  for (const Holding& holding : HoldingsOn(file, card)) {
    const Slot& slot = file.slots[holding.slot];
    printf("  process %d (%d in %s)  %s  %" PRIu64 " MiB, peak %" PRIu64 " MiB\n",
           opened.ledger.PidOf(holding.slot), slot.pid, file.groups[slot.group].name, slot.name,
           holding.used / kMiB, file.lines[holding.slot][card].peak.load() / kMiB);
  }
  for (int group : GroupsOn(file, card)) {
    printf("  container %s  %" PRIu64 " MiB, peak %" PRIu64 " MiB\n", file.groups[group].name,
           opened.ledger.GroupUsed(group, card) / kMiB,
           opened.ledger.GroupPeak(group, card) / kMiB);
  }
}

}  // namespace

int ValidateCards(const std::string& path, const ToolOptions& options) {
  auto cards = std::make_unique<CardSet>();
  return ReadCards(path, *cards) ? PrintCards(*cards, options.json) : kBadFile;
}

int ShowCards(const ToolOptions& options) {
  const auto opened = OpenFiles(options, false);
  return opened ? PrintCards(opened->cards, options.json) : kBadFile;
}

int ShowState(const ToolOptions& options) {
  const auto opened = OpenFiles(options, true);
  if (!opened) return kBadFile;
  opened->ledger.Reap();
  if (options.json) {
    printf("{\"cards\":[");
    for (int card = 0; card < opened->cards.count; ++card) {
      if (card != 0) putchar(',');
      PrintCardJson(*opened, card);
    }
    printf("]}\n");
    return kDone;
  }
  for (int card = 0; card < opened->cards.count; ++card) PrintCardTable(*opened, card);
  return kDone;
}

int ResetPeaks(const ToolOptions& options) {
  const auto opened = OpenFiles(options, true);
  if (!opened) return kBadFile;
  opened->ledger.Reap();
  opened->ledger.ResetPeaks();
  return kDone;
}

int InjectXid(uint32_t xid, const ToolOptions& options) {
  const auto opened = OpenFiles(options, true);
  if (!opened) return kBadFile;
  if (options.card >= opened->cards.count) {
    fprintf(stderr, "hami-sim: inject xid: card %d does not exist, there are %d\n", options.card,
            opened->cards.count);
    return kWrongUse;
  }
  opened->ledger.AddEvent(options.card, xid);
  return kDone;
}

}  // namespace hami::sim
