// The simulated libnvidia-ml.so.1: what all its exported functions share.
//
// One Library per process. NVML may be called from any thread; answers come from the immutable card
// set and from atomics of the shared state, so no function takes a lock of its own.
#pragma once

#include "sim/core/machine.h"
#include "sim/nvml/nvml_abi.h"

namespace hami::sim {

struct NvmlDevice {
  int card;  // index in the card set
};

class NvmlLibrary {
 public:
  static NvmlLibrary& Get();

  int Init();
  int Shutdown();

  // First lines of every function: initialised, file fresh, no failure injected.
  int Enter(FaultPoint& point);

  // The card behind a handle; fails for foreign pointers and lost cards.
  int Resolve(const NvmlDevice* device, const Card** card);
  int HandleOf(int card, NvmlDevice** device);
  // Among the visible cards, of an instance among its card's; -1 for what is neither.
  int IndexOf(const NvmlDevice* device) const;

  bool IsLost(int card) const;
  Machine& machine() { return machine_; }

 private:
  bool Owns(const NvmlDevice* device) const;

  Machine machine_;
  std::atomic<int> users_{0};
  NvmlDevice devices_[kMaxCards] = {};
};

}  // namespace hami::sim

#define SIM_NVML extern "C" __attribute__((visibility("default"))) int

// `SIM_NVML_CALL(nvmlFoo);` opens a function body; `SIM_NVML_CARD(device);` gives `card`.
#define SIM_NVML_CALL(name)                                            \
  static constinit ::hami::sim::FaultPoint sim_point{#name};           \
  ::hami::sim::NvmlLibrary& library = ::hami::sim::NvmlLibrary::Get(); \
  if (const int sim_code = library.Enter(sim_point); sim_code != 0) return sim_code
#define SIM_NVML_CARD(device)              \
  const ::hami::sim::Card* card = nullptr; \
  if (const int sim_code = library.Resolve(device, &card); sim_code != 0) return sim_code
#define SIM_NVML_OUT(pointer) \
  if ((pointer) == nullptr) return ::hami::sim::kNvmlInvalidArgument
