// What is in use: memory, time, processes.
#include <algorithm>

#include "sim/core/timeline.h"
#include "sim/nvml/processes.h"

using namespace hami::sim;  // NOLINT: only exported C functions below

namespace {

uint64_t UsedOn(NvmlLibrary& library, int card) {
  Ledger& ledger = library.machine().ledger();
  if (!ledger.is_open()) return 0;
  ledger.Reap();  // an observer from outside always sees the truth
  uint64_t used = ledger.Used(card);
  const CardSet& set = library.machine().cards();
  for (int at = 0; InstanceOf(set, card, at) >= 0; ++at) {
    used += ledger.Used(InstanceOf(set, card, at));
  }
  return used;
}

template <class Info, class Fill>
int ListProcesses(NvmlLibrary& library, int card, unsigned* count, Info* infos, Fill fill) {
  if (count == nullptr) return kNvmlInvalidArgument;
  const unsigned room = infos == nullptr ? 0 : *count;
  unsigned found = 0;
  const CardSet& set = library.machine().cards();
  for (int at = -1, on = card; on >= 0; on = InstanceOf(set, card, ++at)) {  // itself, then its own
    ForEachProcess(library, on, [&](int, uint32_t pid, uint64_t bytes) {
      if (found < room) fill(infos[found], pid, bytes, set.cards[on]);
      ++found;
    });
  }
  *count = found;
  return found > room ? kNvmlInsufficientSize : kNvmlSuccess;
}

int ListV1(NvmlLibrary& library, int card, unsigned* count, NvmlProcessV1* infos) {
  return ListProcesses(library, card, count, infos,
                       [](NvmlProcessV1& info, uint32_t pid, uint64_t bytes, const Card&) {
                         info = NvmlProcessV1{pid, bytes};
                       });
}

int ListV2(NvmlLibrary& library, int card, unsigned* count, NvmlProcessV2* infos) {
  return ListProcesses(library, card, count, infos,
                       [](NvmlProcessV2& info, uint32_t pid, uint64_t bytes, const Card& on) {
                         const bool part = on.parent >= 0;
                         info = NvmlProcessV2{pid, bytes, part ? on.gpu_instance : kNoInstance,
                                              part ? on.compute_instance : kNoInstance};
                       });
}

uint32_t Percent(uint64_t busy_ns, uint64_t window_ns) {
  const uint64_t percent = (busy_ns * 100 + window_ns / 2) / window_ns;
  return static_cast<uint32_t>(percent > 100 ? 100 : percent);
}

}  // namespace

SIM_NVML nvmlDeviceGetMemoryInfo(NvmlDevice* device, NvmlMemory* memory) {
  SIM_NVML_CALL(nvmlDeviceGetMemoryInfo);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(memory);
  const uint64_t used = UsedOn(library, device->card);
  *memory = NvmlMemory{card->memory_bytes, card->memory_bytes - used, used};
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetMemoryInfo_v2(NvmlDevice* device, NvmlMemoryV2* memory) {
  SIM_NVML_CALL(nvmlDeviceGetMemoryInfo_v2);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(memory);
  if (memory->version != kMemoryV2) return kNvmlVersionMismatch;
  const uint64_t used = UsedOn(library, device->card);
  *memory = NvmlMemoryV2{kMemoryV2, card->memory_bytes, 0, card->memory_bytes - used, used};
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetBAR1MemoryInfo(NvmlDevice* device, NvmlBar1* memory) {
  SIM_NVML_CALL(nvmlDeviceGetBAR1MemoryInfo);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(memory);
  constexpr uint64_t kBar1 = 256ull << 20;
  *memory = NvmlBar1{kBar1, kBar1, 0};
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetComputeRunningProcesses(NvmlDevice* device, unsigned* count,
                                              NvmlProcessV1* infos) {
  SIM_NVML_CALL(nvmlDeviceGetComputeRunningProcesses);
  SIM_NVML_CARD(device);
  return ListV1(library, device->card, count, infos);
}

SIM_NVML nvmlDeviceGetComputeRunningProcesses_v2(NvmlDevice* device, unsigned* count,
                                                 NvmlProcessV2* infos) {
  SIM_NVML_CALL(nvmlDeviceGetComputeRunningProcesses_v2);
  SIM_NVML_CARD(device);
  return ListV2(library, device->card, count, infos);
}

SIM_NVML nvmlDeviceGetComputeRunningProcesses_v3(NvmlDevice* device, unsigned* count,
                                                 NvmlProcessV2* infos) {
  SIM_NVML_CALL(nvmlDeviceGetComputeRunningProcesses_v3);
  SIM_NVML_CARD(device);
  return ListV2(library, device->card, count, infos);
}

// Nobody draws on simulated cards, and there is no MPS server.
#define SIM_NVML_NO_PROCESSES(name)                           \
  SIM_NVML name(NvmlDevice* device, unsigned* count, void*) { \
    SIM_NVML_CALL(name);                                      \
    SIM_NVML_CARD(device);                                    \
    SIM_NVML_OUT(count);                                      \
    *count = 0;                                               \
    return kNvmlSuccess;                                      \
  }
SIM_NVML_NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses)
SIM_NVML_NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2)
SIM_NVML_NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3)
SIM_NVML_NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses)
SIM_NVML_NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v2)
SIM_NVML_NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3)

SIM_NVML nvmlDeviceGetUtilizationRates(NvmlDevice* device, NvmlUtilization* rates) {
  SIM_NVML_CALL(nvmlDeviceGetUtilizationRates);
  SIM_NVML_CARD(device);
  if (card->is_mig || card->parent >= 0) return kNvmlNotSupported;
  SIM_NVML_OUT(rates);
  const uint64_t window = library.machine().cards().utilization_window_ns;
  uint64_t busy = 0;
  Ledger& ledger = library.machine().ledger();
  if (ledger.is_open()) {
    library.machine().timeline().Advance(device->card);
    // The dead included: the card was busy.
    busy = BusyWithin(ledger.file()->card_rings[device->card], NowMonotonicNs(), window);
  }
  const uint32_t percent = Percent(busy, window);
  *rates = NvmlUtilization{percent, percent / 2};
  return kNvmlSuccess;
}

namespace {

// The while that a query is about: what was sampled since a stamp of the caller's, or the window of
// cards.yaml where it names none.
struct Sampled {
  int64_t until_ns;    // monotonic
  uint64_t window_ns;  // 0: nothing was sampled since
  uint64_t stamp_us;   // of the newest sample
};

constexpr uint64_t kRemembersNs = kHistoryBuckets * kBucketNs;

Sampled SampledSince(const CardSet& cards, uint64_t last_seen_us) {
  const auto now_us = static_cast<uint64_t>(NowRealtimeNs() / 1000);
  uint64_t age_ns = cards.utilization_lag_ns;
  if (cards.utilization_sample_ns != 0) {
    age_ns += (now_us * 1000 - age_ns) % cards.utilization_sample_ns;
  }
  Sampled sampled = {NowMonotonicNs() - static_cast<int64_t>(age_ns), cards.utilization_window_ns,
                     now_us - age_ns / 1000};
  if (last_seen_us == 0) return sampled;
  if (last_seen_us >= sampled.stamp_us) {
    sampled.window_ns = 0;
    return sampled;
  }
  const uint64_t since_ns = (sampled.stamp_us - last_seen_us) * 1000;
  sampled.window_ns = std::clamp<uint64_t>(since_ns, 2 * kBucketNs, kRemembersNs - age_ns);
  return sampled;
}

}  // namespace

SIM_NVML nvmlDeviceGetProcessUtilization(NvmlDevice* device, NvmlProcessSample* samples,
                                         unsigned* count, uint64_t last_seen_us) {
  SIM_NVML_CALL(nvmlDeviceGetProcessUtilization);
  SIM_NVML_CARD(device);
  if (card->is_mig || card->parent >= 0) return kNvmlNotSupported;
  SIM_NVML_OUT(count);
  if (library.machine().ledger().is_open()) library.machine().timeline().Advance(device->card);
  const Sampled sampled = SampledSince(library.machine().cards(), last_seen_us);
  const unsigned room = samples == nullptr ? 0 : *count;
  unsigned found = 0;
  ForEachProcess(library, device->card, [&](int slot, uint32_t pid, uint64_t) {
    const uint64_t busy = BusyWithin(library.machine().ledger().file()->rings[slot][device->card],
                                     sampled.until_ns, sampled.window_ns);
    if (busy == 0) return;
    const uint32_t percent = Percent(busy, sampled.window_ns);
    if (found < room) {
      samples[found] = NvmlProcessSample{pid, sampled.stamp_us, percent, percent / 2, 0, 0};
    }
    ++found;
  });
  *count = found;
  if (found > room) return kNvmlInsufficientSize;
  return found == 0 ? kNvmlNotFound : kNvmlSuccess;
}
