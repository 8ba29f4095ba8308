#include "limiter/hook/graph.h"

#include <optional>

#include "abi/region.h"
#include "limiter/account/charge.h"
#include "limiter/core/kernel_names.h"
#include "limiter/hook/graph_nodes.h"
#include "limiter/hook/prologue.h"

namespace hami::limiter::hook {

constinit std::atomic<uint32_t> graph_devices{0};

namespace {

using account::Record;
using account::Reservation;
using account::Space;
using core::KernelNames;

// The driver's reserve for the graphs of one card.
struct Reserve {
  sys::Lock lock;
  int ordinal = -1;
  uint64_t booked = 0;   // bytes in the account
  uint64_t changes = 0;  // operations begun or ended: tells that a reading of the driver is stale
  uint32_t running = 0;  // launches whose growth is booked and may not be reserved yet
  uint64_t trims = 1;    // graphs launched before the last trim may have to grow again
};
constinit Reserve reserves[HAMI_EXT_DEVICES];

// An executable graph has one record for each card that it allocates on.
uint64_t KeyOn(CUgraphExec exec, unsigned device) { return KeyOf(exec) | uint64_t{device} << 56; }

// For the calls that need an ordinal of a card of the region.
void LearnOrdinals() {
  const auto get_count = HAMI_REAL(cuDeviceGetCount);
  int count = 0;
  if (get_count == nullptr || get_count(&count) != CUDA_SUCCESS) return;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    const int index = IndexOf(ordinal);
    if (index >= 0) reserves[index].ordinal = ordinal;
  }
}

std::optional<uint64_t> Attribute(int ordinal, int attribute) {
  const auto get = HAMI_REAL(cuDeviceGetGraphMemAttribute);
  uint64_t bytes = 0;
  if (get == nullptr || get(ordinal, attribute, &bytes) != CUDA_SUCCESS) return std::nullopt;
  return bytes;
}

// What the graph may add to the card's reserve: nothing if its memory is still there, else what the
// reserve has not free.
uint64_t Growth(Reserve& reserve, const Record& graph) {
  {
    const sys::Guard guard(reserve.lock);
    if (graph.link == reserve.trims) return 0;
  }
  const auto reserved = Attribute(reserve.ordinal, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT);
  const auto used = Attribute(reserve.ordinal, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT);
  const uint64_t free_bytes = reserved && used && *reserved > *used ? *reserved - *used : 0;
  return graph.size > free_bytes ? graph.size - free_bytes : 0;
}

// Books room for a launch. False: there is none.
bool Enter(unsigned device, uint64_t growth) {
  Reserve& reserve = reserves[device];
  if (growth != 0) {
    Reservation room = Reservation::Of(device, growth);
    if (!room.granted()) return false;
    room.Keep(HAMI_KIND_POOL, growth);
  }
  const sys::Guard guard(reserve.lock);
  reserve.booked += growth;
  ++reserve.changes;
  ++reserve.running;
  return true;
}

// Brings the account to what the driver reports. True: it went down.
bool Refresh(unsigned device) {
  Reserve& reserve = reserves[device];
  reserve.lock.Acquire();
  const uint64_t changes = reserve.changes;
  reserve.lock.Release();
  const auto reserved = Attribute(reserve.ordinal, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT);
  if (!reserved) return false;
  uint64_t surplus = 0, missing = 0;
  {
    const sys::Guard guard(reserve.lock);
    if (*reserved > reserve.booked) {
      missing = *reserved - reserve.booked;
      reserve.booked = *reserved;
    } else if (reserve.running == 0 && reserve.changes == changes) {
      surplus = reserve.booked - *reserved;
      reserve.booked = *reserved;
    }
  }
  if (missing != 0) account::Charge(device, HAMI_KIND_POOL, missing);
  if (surplus != 0) account::Release(device, HAMI_KIND_POOL, surplus);
  return surplus != 0;
}

void Leave(unsigned device) {
  {
    const sys::Guard guard(reserves[device].lock);
    --reserves[device].running;
    ++reserves[device].changes;
  }
  Refresh(device);
}

// The graph's memory is there from now on, until a trim.
void MarkBacked(CUgraphExec exec, unsigned device) {
  auto graph = OwnRecords().Take(Space::kGraph, KeyOn(exec, device));
  if (!graph) return;
  {
    const sys::Guard guard(reserves[device].lock);
    graph->link = reserves[device].trims;
  }
  OwnRecords().Insert(*graph);
}

// Calls act(device) for each bit.
template <class Act>
void ForEachDevice(uint32_t devices, Act act) {
  for (; devices != 0; devices &= devices - 1) {
    act(static_cast<unsigned>(__builtin_ctz(devices)));
  }
}

void Remember(CUgraphExec exec, const Footprint& footprint) {
  ForEachDevice(footprint.devices, [&](unsigned device) {
    Record record;
    record.key = KeyOn(exec, device);
    record.size = footprint.bytes[device];
    record.space = Space::kGraph;
    record.device = static_cast<int8_t>(device);
    record.references = 1;
    OwnRecords().Insert(record);
  });
}

template <class Call>
CUresult InstantiateWithRoom(CUgraphExec* exec, const Footprint& footprint, bool uploads,
                             Call call) {
  if (footprint.devices == 0 || exec == nullptr) return call();
  if ((graph_devices.load() | footprint.devices) != graph_devices.load()) LearnOrdinals();
  graph_devices.fetch_or(footprint.devices);
  uint32_t begun = 0;
  bool refused = false;
  ForEachDevice(uploads ? footprint.devices : 0, [&](unsigned device) {
    refused = refused || !Enter(device, footprint.bytes[device]);
    if (!refused) begun |= 1u << device;
  });
  const CUresult result = refused ? CUDA_ERROR_OUT_OF_MEMORY : call();
  if (result == CUDA_SUCCESS) Remember(*exec, footprint);
  ForEachDevice(begun, Leave);
  return result;
}

template <class Call>
CUresult Instantiate(CUgraphExec* exec, CUgraph graph, bool uploads, Call call) {
  const Survey found = SurveyOf(graph);
  const CUresult result =
      InstantiateWithRoom(exec, FootprintOf(graph, found.allocations), uploads, call);
  if (result == CUDA_SUCCESS) KernelNames::Own().Set(KeyOf(*exec), found.name);
  return result;
}

}  // namespace

void GraphLaunch::Begin(uint32_t devices) {
  ForEachDevice(devices, [this](unsigned device) {
    const auto graph = OwnRecords().Find(Space::kGraph, KeyOn(exec_, device));
    if (!graph || refused_) return;
    refused_ = !Enter(device, Growth(reserves[device], *graph));
    if (!refused_) begun_ |= 1u << device;
  });
}

void GraphLaunch::End() {
  ForEachDevice(begun_, [this](unsigned device) {
    Leave(device);
    if (ran_) MarkBacked(exec_, device);
  });
}

void RefreshGraphs() {
  ForEachDevice(graph_devices.load(), [](unsigned d) { Refresh(d); });
}

bool TrimGraphs(unsigned device) {
  if ((graph_devices.load(std::memory_order_acquire) >> device & 1) == 0) return false;
  const auto trim = HAMI_REAL(cuDeviceGraphMemTrim);
  Reserve& reserve = reserves[device];
  if (trim == nullptr || trim(reserve.ordinal) != CUDA_SUCCESS) return false;
  {
    const sys::Guard guard(reserve.lock);
    ++reserve.trims;
  }
  return Refresh(device);
}

void ForgetGraphsAfterFork() {
  graph_devices.store(0);
  for (Reserve& reserve : reserves) {
    reserve.lock.Reset();
    reserve.booked = 0;
    reserve.running = 0;
  }
}

}  // namespace hami::limiter::hook

using namespace hami::limiter::hook;  // NOLINT: only exported functions below
using hami::limiter::account::Record;
using hami::limiter::account::Space;

extern "C" {

CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  HAMI_ACT(cuGraphInstantiateWithParams, exec, graph, params);
  const bool uploads =
      params != nullptr && (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) != 0;
  return Instantiate(exec, graph, uploads, [&] { return real(exec, graph, params); });
}

CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec* exec, CUgraph graph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  HAMI_ACT(cuGraphInstantiateWithParams_ptsz, exec, graph, params);
  const bool uploads =
      params != nullptr && (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) != 0;
  return Instantiate(exec, graph, uploads, [&] { return real(exec, graph, params); });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  HAMI_ACT(cuGraphInstantiateWithFlags, exec, graph, flags);
  return Instantiate(exec, graph, false, [&] { return real(exec, graph, flags); });
}

CUresult cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode* error_node, char* log,
                               size_t log_size) {
  HAMI_ACT(cuGraphInstantiate_v2, exec, graph, error_node, log, log_size);
  return Instantiate(exec, graph, false,
                     [&] { return real(exec, graph, error_node, log, log_size); });
}

CUresult cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode* error_node, char* log,
                            size_t log_size) {
  HAMI_ACT(cuGraphInstantiate, exec, graph, error_node, log, log_size);
  return Instantiate(exec, graph, false,
                     [&] { return real(exec, graph, error_node, log, log_size); });
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream) {
  HAMI_ACT(cuGraphUpload, exec, stream);
  GraphLaunch launch(exec);
  return launch.refused() ? CUDA_ERROR_OUT_OF_MEMORY : launch.Ran(real(exec, stream));
}

CUresult cuGraphUpload_ptsz(CUgraphExec exec, CUstream stream) {
  HAMI_ACT(cuGraphUpload_ptsz, exec, stream);
  GraphLaunch launch(exec);
  return launch.refused() ? CUDA_ERROR_OUT_OF_MEMORY : launch.Ran(real(exec, stream));
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  HAMI_ACT(cuGraphExecDestroy, exec);
  Record taken[HAMI_EXT_DEVICES];  // before the driver may give the handle to another thread
  uint32_t devices = 0;
  ForEachDevice(graph_devices.load(), [&](unsigned device) {
    const auto graph = OwnRecords().Take(Space::kGraph, KeyOn(exec, device));
    if (!graph) return;
    taken[device] = *graph;
    devices |= 1u << device;
  });
  KernelNames::Own().Set(KeyOf(exec), 0);
  const CUresult result = real(exec);
  ForEachDevice(devices, [&](unsigned device) {
    if (result == CUDA_SUCCESS) {
      Refresh(device);
    } else {
      OwnRecords().Insert(taken[device]);
    }
  });
  return result;
}

// A graph that was changed is another one.
#define HAMI_GRAPH_CHANGE(name, parameters, ...) \
  CUresult name parameters {                     \
    HAMI_ACT(name, __VA_ARGS__);                 \
    KernelNames::Own().Set(KeyOf(exec), 0);      \
    return real(__VA_ARGS__);                    \
  }

HAMI_GRAPH_CHANGE(cuGraphExecUpdate,
                  (CUgraphExec exec, CUgraph graph, CUgraphNode* error_node, int* what), exec,
                  graph, error_node, what)
HAMI_GRAPH_CHANGE(cuGraphExecUpdate_v2, (CUgraphExec exec, CUgraph graph, void* what), exec, graph,
                  what)
HAMI_GRAPH_CHANGE(cuGraphExecKernelNodeSetParams,
                  (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params), exec,
                  node, params)
HAMI_GRAPH_CHANGE(cuGraphExecKernelNodeSetParams_v2,
                  (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params), exec,
                  node, params)
HAMI_GRAPH_CHANGE(cuGraphExecNodeSetParams, (CUgraphExec exec, CUgraphNode node, void* params),
                  exec, node, params)
HAMI_GRAPH_CHANGE(cuGraphExecChildGraphNodeSetParams,
                  (CUgraphExec exec, CUgraphNode node, CUgraph child), exec, node, child)
HAMI_GRAPH_CHANGE(cuGraphNodeSetEnabled, (CUgraphExec exec, CUgraphNode node, unsigned enabled),
                  exec, node, enabled)

CUresult cuDeviceGraphMemTrim(CUdevice device) {
  HAMI_ACT(cuDeviceGraphMemTrim, device);
  const int index = IndexOf(device);
  if (index < 0 || (graph_devices.load() >> index & 1) == 0) return real(device);
  const CUresult result = real(device);
  if (result != CUDA_SUCCESS) return result;
  {
    const hami::limiter::sys::Guard guard(reserves[index].lock);
    ++reserves[index].trims;
  }
  Refresh(static_cast<unsigned>(index));
  return result;
}

}  // extern "C"
