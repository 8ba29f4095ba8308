// hami-sim busy: the judge of the core limit. It adds up whole buckets of the timeline, each once
// it is certainly over, so the sums are exact for the window that it names.
#include <signal.h>

#include <cinttypes>
#include <cstdio>
#include <map>
#include <tuple>

#include "sim/core/timeline.h"
#include "sim/tool/commands.h"

namespace hami::sim {
namespace {

constexpr auto kBucket = static_cast<int64_t>(kBucketNs);
// A launching thread may be stopped between taking its place and booking it.
constexpr int64_t kSettled = 100'000'000;
constexpr int64_t kLook = 200'000'000;

volatile sig_atomic_t g_stop = 0;

struct Process {
  int32_t pid = 0, pid_inside = 0;
  std::string name, container;
  uint64_t busy_ns = 0;
};

class Watch {
 public:
  Watch(Opened& opened, int64_t from_ns) : opened_(opened), from_(from_ns), at_(from_ns) {}

  int64_t window_ns() const { return at_ - from_; }

  // Adds what happened up to the time, a bucket's end.
  void AdvanceTo(int64_t to_ns) {
    if (to_ns <= at_) return;
    StateFile& file = *opened_.ledger.file();
    for (int card = 0; card < opened_.cards.count; ++card) {
      Timeline{opened_.ledger, opened_.cards.slice_ns}.Advance(card);
      cards_[card] += BusyBetween(file.card_rings[card], at_, to_ns);
      for (int group = 0; group < kMaxGroups; ++group) {
        if (file.groups[group].key.load() == 0) continue;
        const uint64_t busy = BusyBetween(file.group_rings[group][card], at_, to_ns);
        if (busy != 0) containers_[{card, group}] += busy;
      }
      for (int slot = 0; slot < file.slots_high.load(); ++slot) AddProcess(card, slot, to_ns);
    }
    at_ = to_ns;
  }

  void Print(bool json) const {
    if (json) printf("{\"window_ns\":%" PRId64 ",\"cards\":[", window_ns());
    for (int card = 0; card < opened_.cards.count; ++card) PrintCard(card, json);
    if (json) printf("]}\n");
  }

 private:
  void AddProcess(int card, int slot, int64_t to_ns) {
    const StateFile& file = *opened_.ledger.file();
    const Slot& about = file.slots[slot];
    if ((about.rings.load() >> card & 1) == 0) return;
    const uint64_t busy = BusyBetween(file.rings[slot][card], at_, to_ns);
    if (busy == 0) return;
    const uint32_t owner = about.used.load() != 0 ? about.epoch.load() : about.epoch.load() - 1;
    Process& process = processes_[{card, slot, owner}];
    if (process.busy_ns == 0) {
      process.pid = about.used.load() != 0 ? opened_.ledger.PidOf(slot) : 0;
      process.pid_inside = about.pid;
      process.name = about.name;
      process.container = file.groups[about.group].name;
    }
    process.busy_ns += busy;
  }

  double Percent(uint64_t busy_ns) const {
    return 100.0 * static_cast<double>(busy_ns) / static_cast<double>(window_ns());
  }

  void PrintCard(int card, bool json) const {
    const StateFile& file = *opened_.ledger.file();
    const auto found = cards_.find(card);
    const uint64_t all = found == cards_.end() ? 0 : found->second;
    if (json) {
      printf("%s{\"index\":%d,\"uuid\":\"%s\",\"busy_ns\":%" PRIu64 ",\"processes\":[",
             card == 0 ? "" : ",", card, opened_.cards.cards[card].uuid, all);
    } else {
      printf("card %d  busy %.2f %% of %.2f s\n", card, Percent(all),
             static_cast<double>(window_ns()) / 1e9);
    }
    bool first = true;
    for (const auto& [key, process] : processes_) {
      if (std::get<0>(key) != card) continue;
      if (json) {
        printf("%s{\"pid\":%d,\"pid_inside\":%d,\"name\":", first ? "" : ",", process.pid,
               process.pid_inside);
        PrintJsonText(process.name.c_str());
        printf(",\"container\":");
        PrintJsonText(process.container.c_str());
        printf(",\"busy_ns\":%" PRIu64 "}", process.busy_ns);
      } else {
        printf("  process %d (%d in %s)  %s  %.2f %%\n", process.pid, process.pid_inside,
               process.container.c_str(), process.name.c_str(), Percent(process.busy_ns));
      }
      first = false;
    }
    if (json) printf("],\"containers\":[");
    first = true;
    for (const auto& [key, busy] : containers_) {
      if (key.first != card) continue;
      if (json) {
        printf("%s{\"name\":", first ? "" : ",");
        PrintJsonText(file.groups[key.second].name);
        printf(",\"busy_ns\":%" PRIu64 "}", busy);
      } else {
        printf("  container %s  %.2f %%\n", file.groups[key.second].name, Percent(busy));
      }
      first = false;
    }
    if (json) printf("]}");
  }

  Opened& opened_;
  int64_t from_;
  int64_t at_;
  std::map<int, uint64_t> cards_;
  std::map<std::pair<int, int>, uint64_t> containers_;
  std::map<std::tuple<int, int, uint32_t>, Process> processes_;
};

}  // namespace

int ShowBusy(const ToolOptions& options) {
  const auto opened = OpenFiles(options, true);
  if (!opened) return kBadFile;
  struct sigaction stop = {};
  stop.sa_handler = [](int) { g_stop = 1; };
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  const int64_t from = (NowMonotonicNs() / kBucket + 1) * kBucket;
  int64_t to = options.for_ns < 0 ? INT64_MAX : from + options.for_ns / kBucket * kBucket;
  if (to <= from) to = from + kBucket;
  Watch watch(*opened, from);
  for (;;) {
    const int64_t now = NowMonotonicNs();
    if (g_stop != 0 && now < to)
      to = now / kBucket * kBucket > from ? now / kBucket * kBucket : from + kBucket;
    const int64_t settled = (now - kSettled) / kBucket * kBucket;
    watch.AdvanceTo(settled < to ? settled : to);
    if (settled >= to) break;
    SleepUntil(to - now + kSettled < kLook ? to + kSettled + kBucket : now + kLook);
  }
  watch.Print(options.json);
  return kDone;
}

}  // namespace hami::sim
