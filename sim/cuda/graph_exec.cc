// Graphs that run. An executable graph is a flat list of nodes in an order that its edges allow; on
// the card it is one piece of work, as long as its kernels together.
//
// Memory that its nodes allocate: physical memory is reserved at the first launch (or upload), as
// much as lives at once at most, and stays with the process until cuDeviceGraphMemTrim finds it
// idle. An allocation that the graph does not free outlives the launch, and the graph too.
#include <cstdlib>
#include <cstring>

#include "sim/core/timeline.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/host_queue.h"
#include "sim/cuda/stream_forms.h"

namespace hami::sim {

struct ExecNode {
  GraphNode* source;
  NodeType type;
  bool enabled;
  Context* context;
  CudaNodeParams params;
};

struct GraphExec : Tagged {
  static constexpr int kList = 11;
  static constexpr uint32_t kTag = 0x47455845;
  ExecNode* nodes = nullptr;
  int count = 0;
  uint64_t flags = 0;
  Context* context = nullptr;
  Graph* graph = nullptr;        // of its memory nodes, null without such
  int memory_card = -1;          // card of its allocations, -1: none
  uint64_t footprint = 0;        // most bytes that its own allocations take at once
  bool has_pages = false;        // the footprint is part of the card's `used`
  CudaStream* stream = nullptr;  // of the last launch
  int64_t last = 0;              // mark of it
  GraphExec* previous = nullptr;
  GraphExec* next = nullptr;
};

namespace {

constexpr uint64_t kAutoFree = 1, kUpload = 2, kKnownFlags = 0xf;

// Of this process; memory_mutex guards it.
struct GraphMemory {
  uint64_t used = 0, used_high = 0, reserved = 0, reserved_high = 0;
};
GraphMemory g_memory[kMaxCards];
GraphExec* g_execs = nullptr;

uint64_t RoundUp(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

uint64_t Pages(Driver& driver, uint64_t size) {
  return RoundUp(size, driver.machine().cards().pool_chunk_bytes);
}

Block* GraphBlock(Driver& driver, uint64_t address) {
  Block* block = driver.addresses().Find(address);
  return block != nullptr && block->kind == BlockKind::kGraph ? block : nullptr;
}

// memory_mutex held.
int AddPages(Driver& driver, int card, uint64_t bytes) {
  GraphMemory& memory = g_memory[card];
  if (memory.used + bytes > memory.reserved) {
    const uint64_t more = memory.used + bytes - memory.reserved;
    if (const int code = driver.Charge(card, more, Kind::kGraph); code != 0) return code;
    memory.reserved += more;
    if (memory.reserved > memory.reserved_high) memory.reserved_high = memory.reserved;
  }
  memory.used += bytes;
  if (memory.used > memory.used_high) memory.used_high = memory.used;
  return kCudaSuccess;
}

bool HasLiveBlock(Driver& driver, const GraphExec& exec) {
  for (int i = 0; i < exec.count; ++i) {
    if (exec.nodes[i].type != NodeType::kMemAlloc) continue;
    const Block* block = GraphBlock(driver, exec.nodes[i].params.alloc.address);
    if (block != nullptr && block->is_allocated) return true;
  }
  return false;
}

// memory_mutex held. Idle graphs give up their pages, the card gets back what nothing uses.
void TrimCard(Driver& driver, int card) {
  GraphMemory& memory = g_memory[card];
  for (GraphExec* exec = g_execs; exec != nullptr; exec = exec->next) {
    if (exec->memory_card != card || !exec->has_pages || HasLiveBlock(driver, *exec)) continue;
    if (!driver.IsDone(exec->context->card, exec->last)) continue;
    exec->has_pages = false;
    memory.used -= exec->footprint;
  }
  if (memory.reserved > memory.used) {
    driver.ledger().Give(card, memory.reserved - memory.used, Kind::kGraph);
    memory.reserved = memory.used;
  }
}

// memory_mutex held. The node's block goes when nobody names it any more.
void DropReference(Driver& driver, Block* block) {
  if (--block->graph_nodes == 0 && !block->is_allocated) driver.FreeBlock(block);
}

// Depth first along the dependencies; false for a cycle.
bool Visit(GraphNode* node, ExecNode* out, int& at) {
  constexpr int kOpen = 1, kClosed = 2;
  if (node->mark == kClosed) return true;
  if (node->mark == kOpen) return false;
  node->mark = kOpen;
  for (int i = 0; i < node->dependencies.count; ++i) {
    if (!Visit(node->dependencies.items[i], out, at)) return false;
  }
  node->mark = kClosed;
  if (node->type == NodeType::kGraph) {
    Graph* child = node->params.graph;
    for (GraphNode* n = child->first; n != nullptr; n = n->next) n->mark = 0;
    for (GraphNode* n = child->first; n != nullptr; n = n->next) {
      if (!Visit(n, out, at)) return false;
    }
  }
  out[at++] = ExecNode{node, node->type, true, node->context, node->params};
  return true;
}

int CountNodes(const Graph& graph) {
  int count = graph.count;
  for (const GraphNode* n = graph.first; n != nullptr; n = n->next) {
    if (n->type == NodeType::kGraph) count += CountNodes(*n->params.graph);
  }
  return count;
}

// memory_mutex held. What the exec's own allocations need at once.
int PlanMemory(Driver& driver, GraphExec& exec) {
  uint64_t live = 0;
  for (int i = 0; i < exec.count; ++i) {
    const ExecNode& node = exec.nodes[i];
    if (node.type == NodeType::kMemAlloc) {
      Block* block = GraphBlock(driver, node.params.alloc.address);
      if (exec.memory_card >= 0 && exec.memory_card != block->card) return kCudaNotSupported;
      exec.memory_card = block->card;
      ++block->graph_nodes;
      live += Pages(driver, block->size);
      if (live > exec.footprint) exec.footprint = live;
    } else if (node.type == NodeType::kMemFree) {
      for (int j = 0; j < i; ++j) {
        if (exec.nodes[j].type != NodeType::kMemAlloc ||
            exec.nodes[j].params.alloc.address != node.params.free) {
          continue;
        }
        live -= Pages(driver, exec.nodes[j].params.alloc.size);
      }
    }
  }
  return kCudaSuccess;
}

int Instantiate(Driver& driver, GraphExec** out, Graph* graph, uint64_t flags) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(graph) || graph->is_captured || (flags & ~kKnownFlags) != 0) {
    return kCudaInvalidValue;
  }
  if (graph->has_memory && graph->instantiated) return kCudaNotSupported;  // one at a time
  const int count = CountNodes(*graph);
  auto* nodes = static_cast<ExecNode*>(malloc(static_cast<size_t>(count + 1) * sizeof(ExecNode)));
  auto* exec = driver.New<GraphExec>();
  if (nodes == nullptr || exec == nullptr) {
    free(nodes);
    return kCudaOutOfMemory;
  }
  exec->nodes = nodes;
  exec->flags = flags;
  exec->context = context;
  for (GraphNode* n = graph->first; n != nullptr; n = n->next) n->mark = 0;
  int code = kCudaSuccess;
  for (GraphNode* n = graph->first; n != nullptr && code == 0; n = n->next) {
    if (!Visit(n, nodes, exec->count)) code = kCudaInvalidValue;
  }
  if (code == kCudaSuccess && graph->has_memory) {
    MutexGuard memory_guard(driver.memory_mutex);
    code = PlanMemory(driver, *exec);
    exec->graph = graph;
  }
  if (code != kCudaSuccess) {
    free(nodes);
    driver.Delete(exec);
    return code;
  }
  graph->instantiated = true;
  MutexGuard memory_guard(driver.memory_mutex);
  exec->next = g_execs;
  if (g_execs != nullptr) g_execs->previous = exec;
  g_execs = exec;
  *out = exec;
  return kCudaSuccess;
}

// memory_mutex held.
int GetPages(Driver& driver, GraphExec& exec) {
  if (exec.memory_card < 0 || exec.has_pages) return kCudaSuccess;
  if (const int code = AddPages(driver, exec.memory_card, exec.footprint); code != 0) return code;
  exec.has_pages = true;
  return kCudaSuccess;
}

// The allocations and frees of one launch, all or none of them.
int RunMemoryNodes(Driver& driver, GraphExec& exec) {
  if (exec.graph == nullptr) return kCudaSuccess;
  MutexGuard guard(driver.memory_mutex);
  const bool auto_free = (exec.flags & kAutoFree) != 0;
  if (!auto_free && HasLiveBlock(driver, exec)) return kCudaInvalidValue;
  for (int i = 0; i < exec.count; ++i) {  // a foreign block must be there to be freed
    const ExecNode& node = exec.nodes[i];
    if (node.type != NodeType::kMemFree) continue;
    bool own = false;
    for (int j = 0; j < i; ++j) {
      own = own || (exec.nodes[j].type == NodeType::kMemAlloc &&
                    exec.nodes[j].params.alloc.address == node.params.free);
    }
    const Block* block = GraphBlock(driver, node.params.free);
    if (block == nullptr || (!own && !block->is_allocated)) return kCudaInvalidValue;
  }
  if (const int code = GetPages(driver, exec); code != 0) return code;
  for (int i = 0; i < exec.count; ++i) {
    const ExecNode& node = exec.nodes[i];
    if (node.type == NodeType::kMemAlloc) {
      GraphBlock(driver, node.params.alloc.address)->is_allocated = true;
    } else if (node.type == NodeType::kMemFree) {
      FreeGraphBlock(driver, GraphBlock(driver, node.params.free));
    }
  }
  return kCudaSuccess;
}

void RunKernels(const GraphExec& exec, CudaStream* stream) {
  int64_t duration[kMaxCards] = {};
  uint64_t kernels[kMaxCards] = {};
  for (int i = 0; i < exec.count; ++i) {
    const ExecNode& node = exec.nodes[i];
    if (node.type != NodeType::kKernel || !node.enabled) continue;
    const int card = IsLive(node.context) ? node.context->card : stream->context->card;
    duration[card] += KernelNs(node.params.kernel.function, card);
    ++kernels[card];
  }
  for (int card = 0; card < kMaxCards; ++card) {
    if (kernels[card] != 0) RunOn(stream, card, duration[card], kernels[card]);
  }
}

int RunOthers(Driver& driver, const GraphExec& exec, CudaStream* stream) {
  for (int i = 0; i < exec.count; ++i) {
    const ExecNode& node = exec.nodes[i];
    if (!node.enabled) continue;
    int code = kCudaSuccess;
    if (node.type == NodeType::kMemcpy) code = CopyNow(driver, node.params.copy.copy);
    if (node.type == NodeType::kMemset) code = FillNow(driver, node.params.memset);
    if (node.type == NodeType::kHost) {
      HostCall call;
      call.function = node.params.host.function;
      call.data = node.params.host.data;
      const uint64_t ticket = QueueHostCall(stream->context->card, LastOf(stream), call);
      if (ticket == 0) return kCudaOutOfMemory;
      stream->host_ticket = ticket;
    }
    if (node.type == NodeType::kRecordEvent && IsLive(node.params.event)) {
      CudaEvent& event = *node.params.event;
      event.card = stream->context->card;
      event.mark = LastOf(stream);
      event.recorded_ns = NowMonotonicNs();
    }
    if (code != kCudaSuccess) return code;
  }
  return kCudaSuccess;
}

int cuGraphLaunchForm(Driver& driver, bool per_thread, GraphExec* exec, CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (!IsLive(exec)) return kCudaInvalidValue;
  if (target.capture != nullptr) {
    if (exec->graph != nullptr) return kCudaNotSupported;
    // Captured as the nodes that it has, one behind the other.
    for (int i = 0; i < exec->count; ++i) {
      if (exec->nodes[i].type == NodeType::kGraph) continue;  // its nodes stand before it
      CudaNodeParams params = exec->nodes[i].params;
      const int code = Record(driver, target, exec->nodes[i].type, params);
      if (code != kCudaSuccess) return code;
    }
    return kCudaSuccess;
  }
  CudaStream* stream = target.stream;
  if (exec->stream != nullptr && IsLive(exec->stream) && exec->stream != stream) {
    // Never at the same time as its former launch.
    RaiseTo(stream->not_before_ns, driver.DoneAt(exec->context->card, exec->last));
  }
  if (const int code = RunMemoryNodes(driver, *exec); code != 0) return code;
  RunKernels(*exec, stream);
  exec->stream = stream;
  exec->last = LastOf(stream);
  return RunOthers(driver, *exec, stream);
}

int cuGraphUploadForm(Driver& driver, bool per_thread, GraphExec* exec, CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (!IsLive(exec)) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  return GetPages(driver, *exec);
}

int cuGraphInstantiateWithParamsForm(Driver& driver, bool per_thread, GraphExec** out, Graph* graph,
                                     CudaInstantiateParams* params) {
  SIM_CUDA_OUT(params);
  const int code = Instantiate(driver, out, graph, params->flags);
  params->error_node = nullptr;
  params->result = code == kCudaSuccess ? 0 : 1;
  if (code != kCudaSuccess || (params->flags & kUpload) == 0) return code;
  return cuGraphUploadForm(driver, per_thread, *out, params->upload_stream);
}

ExecNode* FindNode(GraphExec* exec, const GraphNode* source, NodeType type) {
  if (!IsLive(exec)) return nullptr;
  for (int i = 0; i < exec->count; ++i) {
    if (exec->nodes[i].source == source && exec->nodes[i].type == type) return &exec->nodes[i];
  }
  return nullptr;
}

int SetExecKernel(GraphExec* exec, const GraphNode* node, const CudaKernelNode* kernel,
                  size_t size) {
  SIM_CUDA_OUT(kernel);
  ExecNode* found = FindNode(exec, node, NodeType::kKernel);
  if (found == nullptr) return kCudaInvalidValue;
  CudaKernelNode checked = {};
  memcpy(&checked, kernel, size);
  if (checked.function == nullptr) checked.function = checked.kernel;
  if (checked.function == nullptr) return kCudaInvalidHandle;
  if (const int code = CheckGrid(checked.grid, checked.block); code != 0) return code;
  found->params.kernel = checked;
  return kCudaSuccess;
}

// Takes over the parameters of a graph of the same shape; null, or the node that does not fit.
GraphNode* UpdateFrom(GraphExec& exec, const Graph& graph) {
  GraphNode* node = graph.first;
  int last_top_level = 0;
  for (int i = 0; i < exec.count; ++i) {
    if (node == nullptr) return graph.last;
    if (exec.nodes[i].type != node->type) return node;
    if (node->type == NodeType::kGraph || node->type == NodeType::kMemAlloc) return node;
    last_top_level = i;
    node = node->next;
  }
  if (node != nullptr) return node;
  node = graph.first;
  for (int i = 0; exec.count != 0 && i <= last_top_level; ++i, node = node->next) {
    exec.nodes[i].params = node->params;
    exec.nodes[i].context = node->context;
    exec.nodes[i].source = node;
  }
  return nullptr;
}

}  // namespace

int FreeGraphBlock(Driver& driver, Block* block) {
  if (!block->is_allocated) return kCudaInvalidValue;
  block->is_allocated = false;
  if (block->is_orphan) {
    g_memory[block->card].used -= Pages(driver, block->size);
    block->is_orphan = false;
  }
  if (block->graph_nodes == 0) driver.FreeBlock(block);
  return kCudaSuccess;
}

namespace {

// memory_mutex held. With `keep_live`, what was allocated outlives the graph.
void EndMemory(Driver& driver, GraphExec& exec, bool keep_live) {
  if (exec.memory_card < 0) return;
  GraphMemory& memory = g_memory[exec.memory_card];
  if (exec.has_pages) memory.used -= exec.footprint;
  exec.has_pages = false;
  for (int i = 0; i < exec.count; ++i) {
    if (exec.nodes[i].type != NodeType::kMemAlloc) continue;
    Block* block = GraphBlock(driver, exec.nodes[i].params.alloc.address);
    if (block == nullptr) continue;
    if (block->is_allocated && keep_live) {
      block->is_orphan = true;
      memory.used += Pages(driver, block->size);
    } else {
      block->is_allocated = false;
    }
    DropReference(driver, block);
  }
  exec.memory_card = -1;
}

}  // namespace

void EndGraphMemoryOf(Driver& driver, Context* context) {
  MutexGuard guard(driver.memory_mutex);
  for (GraphExec* exec = g_execs; exec != nullptr; exec = exec->next) {
    if (exec->context == context) EndMemory(driver, *exec, false);
  }
  TrimCard(driver, context->card);
}

}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuGraphInstantiate(GraphExec** out, Graph* graph, GraphNode** error_node, char* log,
                            size_t log_size) {
  SIM_CUDA_CALL(cuGraphInstantiate);
  if (error_node != nullptr) *error_node = nullptr;
  if (log != nullptr && log_size != 0) *log = '\0';
  return Instantiate(driver, out, graph, 0);
}
SIM_CUDA cuGraphInstantiate_v2(GraphExec** out, Graph* graph, GraphNode** error_node, char* log,
                               size_t log_size) {
  SIM_CUDA_CALL(cuGraphInstantiate_v2);
  if (error_node != nullptr) *error_node = nullptr;
  if (log != nullptr && log_size != 0) *log = '\0';
  return Instantiate(driver, out, graph, 0);
}
SIM_CUDA cuGraphInstantiateWithFlags(GraphExec** out, Graph* graph, uint64_t flags) {
  SIM_CUDA_CALL(cuGraphInstantiateWithFlags);
  return Instantiate(driver, out, graph, flags);
}
SIM_STREAM_FORMS(cuGraphInstantiateWithParams,
                 (GraphExec * *out, Graph* graph, CudaInstantiateParams* params),
                 SIM_ARGS(out, graph, params))
SIM_STREAM_FORMS(cuGraphUpload, (GraphExec * exec, CudaStream* stream), SIM_ARGS(exec, stream))
SIM_STREAM_FORMS(cuGraphLaunch, (GraphExec * exec, CudaStream* stream), SIM_ARGS(exec, stream))

SIM_CUDA cuGraphExecDestroy(GraphExec* exec) {
  SIM_CUDA_CALL(cuGraphExecDestroy);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(exec)) return kCudaInvalidValue;
  MutexGuard memory_guard(driver.memory_mutex);
  EndMemory(driver, *exec, true);
  if (IsLive(exec->graph)) exec->graph->instantiated = false;
  (exec->previous == nullptr ? g_execs : exec->previous->next) = exec->next;
  if (exec->next != nullptr) exec->next->previous = exec->previous;
  free(exec->nodes);
  driver.Delete(exec);
  return kCudaSuccess;
}

SIM_CUDA cuGraphExecGetFlags(GraphExec* exec, uint64_t* flags) {
  SIM_CUDA_CALL(cuGraphExecGetFlags);
  SIM_CUDA_OUT(flags);
  if (!IsLive(exec)) return kCudaInvalidValue;
  *flags = exec->flags;
  return kCudaSuccess;
}

SIM_CUDA cuGraphExecKernelNodeSetParams(GraphExec* exec, GraphNode* node,
                                        const CudaKernelNode* kernel) {
  SIM_CUDA_CALL(cuGraphExecKernelNodeSetParams);
  MutexGuard guard(driver.graph_mutex);
  return SetExecKernel(exec, node, kernel, kKernelNodeV1);
}
SIM_CUDA cuGraphExecKernelNodeSetParams_v2(GraphExec* exec, GraphNode* node,
                                           const CudaKernelNode* kernel) {
  SIM_CUDA_CALL(cuGraphExecKernelNodeSetParams_v2);
  MutexGuard guard(driver.graph_mutex);
  return SetExecKernel(exec, node, kernel, sizeof *kernel);
}

SIM_CUDA cuGraphNodeSetEnabled(GraphExec* exec, GraphNode* node, unsigned enabled) {
  SIM_CUDA_CALL(cuGraphNodeSetEnabled);
  MutexGuard guard(driver.graph_mutex);
  for (NodeType type : {NodeType::kKernel, NodeType::kMemcpy, NodeType::kMemset}) {
    if (ExecNode* found = FindNode(exec, node, type); found != nullptr) {
      found->enabled = enabled != 0;
      return kCudaSuccess;
    }
  }
  return kCudaInvalidValue;
}
SIM_CUDA cuGraphNodeGetEnabled(GraphExec* exec, GraphNode* node, unsigned* enabled) {
  SIM_CUDA_CALL(cuGraphNodeGetEnabled);
  SIM_CUDA_OUT(enabled);
  MutexGuard guard(driver.graph_mutex);
  for (NodeType type : {NodeType::kKernel, NodeType::kMemcpy, NodeType::kMemset}) {
    if (const ExecNode* found = FindNode(exec, node, type); found != nullptr) {
      *enabled = found->enabled ? 1 : 0;
      return kCudaSuccess;
    }
  }
  return kCudaInvalidValue;
}

SIM_CUDA cuGraphExecUpdate_v2(GraphExec* exec, Graph* graph, void* info) {
  SIM_CUDA_CALL(cuGraphExecUpdate_v2);
  SIM_CUDA_OUT(info);
  struct Info {
    int32_t result;
    GraphNode* node;
    GraphNode* from;
  };
  constexpr int kTopologyChanged = 2;
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(exec) || !IsLive(graph)) return kCudaInvalidValue;
  GraphNode* misfit = UpdateFrom(*exec, *graph);
  *static_cast<Info*>(info) = {misfit == nullptr ? 0 : kTopologyChanged, misfit, nullptr};
  return misfit == nullptr ? kCudaSuccess : kCudaGraphUpdateFailure;
}
SIM_CUDA cuGraphExecUpdate(GraphExec* exec, Graph* graph, GraphNode** error_node, int* result) {
  SIM_CUDA_CALL(cuGraphExecUpdate);
  SIM_CUDA_OUT(result);
  constexpr int kTopologyChanged = 2;
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(exec) || !IsLive(graph)) return kCudaInvalidValue;
  GraphNode* misfit = UpdateFrom(*exec, *graph);
  if (error_node != nullptr) *error_node = misfit;
  *result = misfit == nullptr ? 0 : kTopologyChanged;
  return misfit == nullptr ? kCudaSuccess : kCudaGraphUpdateFailure;
}

namespace {
constexpr int kUsedNow = 0, kUsedHigh = 1, kReservedNow = 2, kReservedHigh = 3;
}  // namespace

SIM_CUDA cuDeviceGetGraphMemAttribute(CudaDevice ordinal, int attribute, void* value) {
  SIM_CUDA_CALL(cuDeviceGetGraphMemAttribute);
  SIM_CUDA_OUT(value);
  const DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.memory_mutex);
  const GraphMemory& memory = g_memory[device->card];
  auto* wide = static_cast<uint64_t*>(value);
  switch (attribute) {
    case kUsedNow:
      *wide = memory.used;
      return kCudaSuccess;
    case kUsedHigh:
      *wide = memory.used_high;
      return kCudaSuccess;
    case kReservedNow:
      *wide = memory.reserved;
      return kCudaSuccess;
    case kReservedHigh:
      *wide = memory.reserved_high;
      return kCudaSuccess;
    default:
      return kCudaInvalidValue;
  }
}

// Only the two highest values can be set, and only to 0: they start again.
SIM_CUDA cuDeviceSetGraphMemAttribute(CudaDevice ordinal, int attribute, void* value) {
  SIM_CUDA_CALL(cuDeviceSetGraphMemAttribute);
  SIM_CUDA_OUT(value);
  const DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  if (*static_cast<const uint64_t*>(value) != 0) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  GraphMemory& memory = g_memory[device->card];
  if (attribute == kUsedHigh) {
    memory.used_high = memory.used;
  } else if (attribute == kReservedHigh) {
    memory.reserved_high = memory.reserved;
  } else {
    return kCudaInvalidValue;
  }
  return kCudaSuccess;
}

SIM_CUDA cuDeviceGraphMemTrim(CudaDevice ordinal) {
  SIM_CUDA_CALL(cuDeviceGraphMemTrim);
  const DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.memory_mutex);
  TrimCard(driver, device->card);
  return kCudaSuccess;
}
