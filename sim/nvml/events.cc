// Event sets: Xids from health scripts and from `hami-sim inject`.
#include <cstdlib>
#include <new>

#include "sim/core/timeline.h"
#include "sim/nvml/library.h"

namespace hami::sim {

// Made and used by one thread at a time, as NVML demands.
struct NvmlEventSet {
  uint64_t mask[kMaxCards] = {};           // registered event types per card
  int64_t script_seen_ns[kMaxCards] = {};  // script steps up to this time were delivered
  int64_t script_of_ns[kMaxCards] = {};    // the file that time belongs to
  uint64_t injected_seen = 0;              // number of the last event taken from the state file
};

namespace {

constexpr uint64_t kSupportedEvents = kEventSingleBitEcc | kEventDoubleBitEcc | kEventXid;

struct Found {
  int card = -1;
  uint32_t xid = 0;
};

Found NextScripted(const CardSet& cards, NvmlEventSet& set, int64_t now_ns) {
  for (int index = 0; index < cards.count; ++index) {
    if ((set.mask[index] & kEventXid) == 0) continue;
    if (set.script_of_ns[index] != cards.modified_ns) {
      // A new script, all of it to come. (Its times may lie before the registration: the file
      // system's clock ticks every few milliseconds only.)
      set.script_of_ns[index] = cards.modified_ns;
      set.script_seen_ns[index] = cards.modified_ns - 1;
    }
    const Card& card = cards.cards[index];
    for (int i = 0; i < card.health_count; ++i) {
      const HealthStep& step = card.health[i];
      const int64_t due = cards.modified_ns + static_cast<int64_t>(step.at_ms) * 1'000'000;
      if (step.state != Health::kXid || due <= set.script_seen_ns[index] || due > now_ns) continue;
      set.script_seen_ns[index] = due;
      return {index, step.xid};
    }
  }
  return {};
}

Found NextInjected(const StateFile& file, NvmlEventSet& set) {
  const uint64_t made = file.events_made.load(std::memory_order_acquire);
  if (made - set.injected_seen > kMaxEvents) set.injected_seen = made - kMaxEvents;
  while (set.injected_seen < made) {
    const Event& event = file.events[set.injected_seen % kMaxEvents];
    if (event.number.load(std::memory_order_acquire) != set.injected_seen + 1) return {};
    ++set.injected_seen;
    const bool known = event.card >= 0 && event.card < kMaxCards;
    if (known && (set.mask[event.card] & kEventXid) != 0) return {event.card, event.xid};
  }
  return {};
}

// One look: an event, a lost card, or nothing yet (kNvmlTimeout).
int Look(NvmlLibrary& library, NvmlEventSet& set, NvmlEventData* data) {
  Machine& machine = library.machine();
  machine.Refresh();
  Found found = NextScripted(machine.cards(), set, NowRealtimeNs());
  if (found.card < 0 && machine.ledger().is_open()) {
    found = NextInjected(*machine.ledger().file(), set);
  }
  if (found.card >= 0) {
    *data = NvmlEventData{nullptr, kEventXid, found.xid, kNoInstance, kNoInstance};
    library.HandleOf(found.card, &data->device);
    return kNvmlSuccess;
  }
  for (int card = 0; card < machine.cards().count; ++card) {
    if (set.mask[card] != 0 && library.IsLost(card)) return kNvmlGpuIsLost;
  }
  return kNvmlTimeout;
}

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_NVML nvmlEventSetCreate(NvmlEventSet** set) {
  SIM_NVML_CALL(nvmlEventSetCreate);
  SIM_NVML_OUT(set);
  void* room = malloc(sizeof(NvmlEventSet));
  if (room == nullptr) return kNvmlUnknown;
  *set = new (room) NvmlEventSet;
  Ledger& ledger = library.machine().ledger();
  if (ledger.is_open()) (*set)->injected_seen = ledger.file()->events_made.load();
  return kNvmlSuccess;
}

SIM_NVML nvmlEventSetFree(NvmlEventSet* set) {
  SIM_NVML_CALL(nvmlEventSetFree);
  free(set);
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetSupportedEventTypes(NvmlDevice* device, uint64_t* types) {
  SIM_NVML_CALL(nvmlDeviceGetSupportedEventTypes);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(types);
  *types = kSupportedEvents;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceRegisterEvents(NvmlDevice* device, uint64_t types, NvmlEventSet* set) {
  SIM_NVML_CALL(nvmlDeviceRegisterEvents);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(set);
  if ((types & ~kSupportedEvents) != 0) return kNvmlNotSupported;
  if (set->mask[device->card] == 0) {
    set->script_seen_ns[device->card] = NowRealtimeNs();
    set->script_of_ns[device->card] = library.machine().cards().modified_ns;
  }
  set->mask[device->card] |= types;
  return kNvmlSuccess;
}

SIM_NVML nvmlEventSetWait_v2(NvmlEventSet* set, NvmlEventData* data, unsigned timeout_ms) {
  SIM_NVML_CALL(nvmlEventSetWait_v2);
  SIM_NVML_OUT(set);
  SIM_NVML_OUT(data);
  constexpr int64_t kPollNs = 20'000'000;
  const int64_t deadline = NowMonotonicNs() + int64_t{timeout_ms} * 1'000'000;
  for (;;) {
    const int code = Look(library, *set, data);
    const int64_t now = NowMonotonicNs();
    if (code != kNvmlTimeout || now >= deadline) return code;
    SleepUntil(now + kPollNs < deadline ? now + kPollNs : deadline);
  }
}

SIM_NVML nvmlEventSetWait(NvmlEventSet* set, NvmlEventDataV1* data, unsigned timeout_ms) {
  SIM_NVML_OUT(data);
  NvmlEventData full;
  const int code = nvmlEventSetWait_v2(set, &full, timeout_ms);
  if (code == kNvmlSuccess) *data = NvmlEventDataV1{full.device, full.type, full.data};
  return code;
}
