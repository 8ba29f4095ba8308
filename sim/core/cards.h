// The simulated machine as cards.yaml describes it: driver, cards, links, scripted health, faults.
// A CardSet is plain data of fixed size: read once, then immutable, so any thread may read it.
// Schema, defaults and units: sim/README.md.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sim/core/text.h"
#include "sim/core/yaml.h"

namespace hami::sim {

inline constexpr int kMaxCards = 32;
inline constexpr int kMaxHealthSteps = 16;
inline constexpr int kMaxFaults = 32;
inline constexpr int kMaxHiddenPids = 32;

// PCIe distance of two cards, values of nvmlGpuTopologyLevel_t.
enum class PcieLevel : uint8_t {
  kInternal = 0,
  kSingle = 10,
  kMultiple = 20,
  kHostBridge = 30,
  kNode = 40,
  kSystem = 50,
};

enum class Health : uint8_t { kOk, kLost, kXid };

// From at_ms after the file's last modification on, the card is ok or lost, or reports an Xid once.
struct HealthStep {
  uint64_t at_ms = 0;
  Health state = Health::kOk;
  uint32_t xid = 0;
};

struct Card {
  char model[96] = "";
  char uuid[kUuidTextSize] = "";
  uint8_t uuid_bytes[16] = {};
  char pci_bus_id[16] = "";  // "0000:07:00.0"
  uint32_t pci_domain = 0, pci_bus = 0, pci_device = 0, pci_device_id = 0;
  uint32_t minor = 0;
  int32_t numa = -1;  // -1: the machine tells nothing
  uint64_t memory_bytes = 0;
  uint64_t context_bytes = 0;  // what one context of one process takes
  uint64_t module_bytes = 0;   // what a loaded module takes whose image does not tell
  uint64_t kernel_ns = 0;      // duration of a kernel that names none
  uint32_t sm_count = 0;
  int32_t cc_major = 0, cc_minor = 0;
  uint32_t architecture = 0;  // nvmlDeviceArchitecture_t
  uint32_t power_limit_mw = 0, sm_clock_mhz = 0, memory_clock_mhz = 0;
  uint32_t nvswitch_links = 0;
  bool is_mig = false;  // cut into instances: not usable as a whole
  int32_t parent = -1;  // of an instance: the card that it is cut from
  uint32_t gpu_instance = 0, compute_instance = 0, slices = 0;
  HealthStep health[kMaxHealthSteps];
  int health_count = 0;
};

// Every `every`-th call of a function in a process returns `code`; each call takes `latency_us`
// more. A name without version stands for all forms of the function.
struct Fault {
  char function[64] = "";
  uint32_t every = 0;  // 0: never fails
  int32_t code = 0;
  uint32_t latency_us = 0;
};

struct CardSet {
  char driver_version[32] = "535.261.03";
  int32_t cuda_version = 12020;  // 1000 * major + 10 * minor
  uint64_t seed = 0;
  uint64_t utilization_window_ns = 1'000'000'000;
  // NVML's samples of processes are so old, and so far apart; 0: of this moment, at any moment.
  uint64_t utilization_lag_ns = 0, utilization_sample_ns = 0;
  uint64_t pool_chunk_bytes = 2ull << 20;
  bool keep_data = false;
  int32_t pid_offset = 0;  // what NVML adds to every pid, as another pid namespace would
  bool hide_all_pids = false;
  int32_t hidden_pids[kMaxHiddenPids] = {};  // processes that NVML does not tell of
  int hidden_pid_count = 0;
  int64_t slice_ns = 0;    // of a time-sliced card; 0: first come, first served
  int count = 0;           // of whole cards; they come first
  int instances_from = 0;  // MIG instances stand in cards[] as well: they have memory and time
  int total = 0;           // of their own; [instances_from, total)
  Card cards[kMaxCards];
  uint8_t nvlinks[kMaxCards][kMaxCards] = {};  // direct links from row to column
  PcieLevel level[kMaxCards][kMaxCards] = {};
  Fault faults[kMaxFaults];
  int fault_count = 0;
  int64_t modified_ns = 0;  // of the file, CLOCK_REALTIME; origin of every health script
};

// Reads one document. False: error holds line, key, value and what was expected.
bool ParseCards(const char* text, size_t size, CardSet& set, ReadError& error);

// Reads the file and applies the FAKEGPU_* overrides. A null path gives FAKEGPU_COUNT default
// cards.
bool LoadCards(const char* path, CardSet& set, ReadError& error);

// Number `position` of the card's instances as an index in cards; -1: there are not so many.
int InstanceOf(const CardSet& set, int card, int position);

// Whether a fault's name means this exported function.
bool FaultMeans(const char* fault, const char* function);

// State of a card at a time (CLOCK_REALTIME ns) by its script: kOk or kLost.
Health HealthAt(const CardSet& set, const Card& card, int64_t now_ns);

}  // namespace hami::sim
