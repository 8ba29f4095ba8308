// Memory of graphs. An allocation node takes nothing when it is made; the driver maps memory when
// the graph is first launched or uploaded, and keeps it for the card's graphs until it is trimmed.
//
// So room for what a graph may add is booked before a launch, and the account brought to what the
// driver has reserved afterwards. Any thread; no lock is held across a driver call.
//
//   GraphLaunch launch(exec);                 // free of charge while no graph allocates
//   if (launch.refused()) return CUDA_ERROR_OUT_OF_MEMORY;
//   return launch.Ran(real(exec, stream));    // books the truth at the end of the scope
#pragma once

#include <atomic>
#include <cstdint>

#include "limiter/hook/cuda_api.h"

namespace hami::limiter::hook {

// Bit d: a graph was instantiated that allocates on the card with index d.
extern std::atomic<uint32_t> graph_devices;

class GraphLaunch {
 public:
  explicit GraphLaunch(CUgraphExec exec) : exec_(exec) {
    const uint32_t devices = graph_devices.load(std::memory_order_acquire);
    if (__builtin_expect(devices != 0, 0)) Begin(devices);
  }
  ~GraphLaunch() {
    if (__builtin_expect(begun_ != 0, 0)) End();
  }
  GraphLaunch(const GraphLaunch&) = delete;
  GraphLaunch& operator=(const GraphLaunch&) = delete;

  bool refused() const { return refused_; }
  CUresult Ran(CUresult result) {
    ran_ = result == CUDA_SUCCESS;
    return result;
  }

 private:
  void Begin(uint32_t devices);
  void End();

  CUgraphExec exec_;
  uint32_t begun_ = 0;
  bool refused_ = false;
  bool ran_ = false;
};

// Makes the graphs of a card give back what they do not need. True: the account went down.
bool TrimGraphs(unsigned device);

// A context has gone, and with it what its graphs had.
void RefreshGraphs();

void ForgetGraphsAfterFork();

}  // namespace hami::limiter::hook
