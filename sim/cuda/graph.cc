// Building graphs: nodes, edges, copies of graphs, and what a program may ask about them.
#include "sim/cuda/graph.h"

#include <cstdlib>
#include <cstring>

namespace hami::sim {

bool Append(NodeList& list, GraphNode* node) {
  for (int i = 0; i < list.count; ++i) {
    if (list.items[i] == node) return true;
  }
  if (list.count == list.capacity) {
    const int capacity = list.capacity == 0 ? 4 : 2 * list.capacity;
    void* room = realloc(list.items, static_cast<size_t>(capacity) * sizeof(GraphNode*));
    if (room == nullptr) return false;
    list.items = static_cast<GraphNode**>(room);
    list.capacity = capacity;
  }
  list.items[list.count++] = node;
  return true;
}

void Assign(NodeList& list, GraphNode* const* nodes, int count) {
  list.count = 0;
  for (int i = 0; i < count; ++i) Append(list, nodes[i]);
}

void Clear(NodeList& list) {
  free(list.items);
  list = NodeList{};
}

namespace {

void Remove(NodeList& list, const GraphNode* node) {
  for (int i = 0; i < list.count; ++i) {
    if (list.items[i] == node) list.items[i--] = list.items[--list.count];
  }
}

// The address of an allocation is fixed when its node is made, as in the real driver.
int PlaceAllocation(Driver& driver, CudaAllocNode& alloc) {
  if (alloc.size == 0 || alloc.pool.location.type != kLocationDevice) return kCudaInvalidValue;
  const DeviceState* device = driver.device(alloc.pool.location.id);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.memory_mutex);
  Block* block = driver.addresses().Allocate(alloc.size, driver.machine().cards().keep_data);
  if (block == nullptr) return kCudaOutOfMemory;
  block->kind = BlockKind::kGraph;
  block->card = device->card;
  block->graph_nodes = 1;
  alloc.address = block->base;
  return kCudaSuccess;
}

int CheckFree(Driver& driver, uint64_t address) {
  MutexGuard guard(driver.memory_mutex);
  const Block* block = driver.addresses().Find(address);
  return block != nullptr && block->kind == BlockKind::kGraph && block->base == address
             ? kCudaSuccess
             : kCudaInvalidValue;
}

int CloneInto(Driver& driver, const Graph& from, Graph* to);

int CheckParams(Driver& driver, Graph* graph, NodeType type, CudaNodeParams& params) {
  switch (type) {
    case NodeType::kKernel:
      if (params.kernel.function == nullptr) params.kernel.function = params.kernel.kernel;
      if (params.kernel.function == nullptr) return kCudaInvalidHandle;
      return CheckGrid(params.kernel.grid, params.kernel.block);
    case NodeType::kMemset: {
      const uint32_t e = params.memset.element;
      return e == 1 || e == 2 || e == 4 ? kCudaSuccess : kCudaInvalidValue;
    }
    case NodeType::kHost:
      return params.host.function != nullptr ? kCudaSuccess : kCudaInvalidValue;
    case NodeType::kMemAlloc:
      return PlaceAllocation(driver, params.alloc);
    case NodeType::kMemFree:
      return CheckFree(driver, params.free);
    case NodeType::kWaitEvent:
    case NodeType::kRecordEvent:
      return IsLive(params.event) ? kCudaSuccess : kCudaInvalidHandle;
    case NodeType::kGraph: {
      if (!IsLive(params.graph) || params.graph == graph) return kCudaInvalidValue;
      if (params.graph->has_memory) return kCudaNotSupported;
      auto* copy = driver.New<Graph>();  // the program may change its own afterwards
      if (copy == nullptr) return kCudaOutOfMemory;
      copy->is_child = true;
      const int code = CloneInto(driver, *params.graph, copy);
      params.graph = copy;
      return code;
    }
    case NodeType::kMemcpy:
    case NodeType::kEmpty:
      return kCudaSuccess;
  }
  return kCudaNotSupported;
}

// Gives back what CheckParams took.
void DropParams(Driver& driver, NodeType type, CudaNodeParams& params) {
  if (type == NodeType::kGraph) DestroyGraph(driver, params.graph);
  if (type != NodeType::kMemAlloc) return;
  MutexGuard guard(driver.memory_mutex);
  Block* block = driver.addresses().Find(params.alloc.address);
  if (block != nullptr && --block->graph_nodes == 0 && !block->is_allocated) {
    driver.FreeBlock(block);
  }
}

void Unlink(GraphNode* node) {
  Graph* graph = node->graph;
  GraphNode* before = nullptr;
  for (GraphNode* n = graph->first; n != nullptr; n = n->next) {
    Remove(n->dependencies, node);
    if (n->next == node) before = n;
  }
  (before == nullptr ? graph->first : before->next) = node->next;
  if (graph->last == node) graph->last = before;
  --graph->count;
}

void DropNode(Driver& driver, GraphNode* node) {
  DropParams(driver, node->type, node->params);
  Clear(node->dependencies);
  driver.Delete(node);
}

GraphNode* CloneOf(const Graph& clone, const GraphNode* original) {
  for (GraphNode* n = clone.first; n != nullptr; n = n->next) {
    if (n->original == original) return n;
  }
  return nullptr;
}

int CloneInto(Driver& driver, const Graph& from, Graph* to) {
  for (GraphNode* n = from.first; n != nullptr; n = n->next) {
    CudaNodeParams params = n->params;
    GraphNode* made = nullptr;
    if (const int code = AddNode(driver, to, n->type, n->context, nullptr, 0, params, &made);
        code != 0) {
      return code;
    }
    made->original = n;
  }
  for (GraphNode* n = from.first; n != nullptr; n = n->next) {
    GraphNode* copy = CloneOf(*to, n);
    for (int i = 0; i < n->dependencies.count; ++i) {
      Append(copy->dependencies, CloneOf(*to, n->dependencies.items[i]));
    }
  }
  return kCudaSuccess;
}

// Copies what fits; *count becomes what there is (asked without room) or what was copied.
template <class Each>
int List(size_t* count, bool has_room, Each each) {
  if (count == nullptr) return kCudaInvalidValue;
  const size_t room = has_room ? *count : 0;
  size_t found = 0;
  each([&](auto put) {
    if (found < room) put(found);
    ++found;
  });
  if (!has_room || found < *count) *count = found;
  return kCudaSuccess;
}

int AddFrom(Driver& driver, GraphNode** out, Graph* graph, NodeType type, Context* context,
            GraphNode* const* dependencies, size_t count, CudaNodeParams& params) {
  if (out == nullptr || (count != 0 && dependencies == nullptr)) return kCudaInvalidValue;
  if (!IsLive(graph)) return kCudaInvalidValue;
  if (context == nullptr) context = CurrentContext();
  if (!IsLive(context)) return kCudaInvalidContext;
  return AddNode(driver, graph, type, context, dependencies, count, params, out);
}

int GetParams(const GraphNode* node, NodeType type, void* out, const void* from, size_t size) {
  if (out == nullptr || !IsLive(node) || node->type != type) return kCudaInvalidValue;
  memcpy(out, from, size);
  return kCudaSuccess;
}

int SetKernel(GraphNode* node, const CudaKernelNode* kernel, size_t size) {
  if (kernel == nullptr || !IsLive(node) || node->type != NodeType::kKernel) {
    return kCudaInvalidValue;
  }
  CudaNodeParams params = {};
  memcpy(&params.kernel, kernel, size);
  const int code = CheckParams(Driver::Get(), node->graph, NodeType::kKernel, params);
  if (code == kCudaSuccess) node->params = params;
  return code;
}

int Edges(Graph* graph, GraphNode** from, GraphNode** to, CudaEdge* data, size_t* count) {
  if (!IsLive(graph) || (from == nullptr) != (to == nullptr)) return kCudaInvalidValue;
  return List(count, from != nullptr, [&](auto add) {
    for (GraphNode* n = graph->first; n != nullptr; n = n->next) {
      for (int i = 0; i < n->dependencies.count; ++i) {
        add([&](size_t at) {
          from[at] = n->dependencies.items[i];
          to[at] = n;
          if (data != nullptr) data[at] = CudaEdge{};
        });
      }
    }
  });
}

int Dependencies(GraphNode* node, GraphNode** out, CudaEdge* data, size_t* count) {
  if (!IsLive(node)) return kCudaInvalidValue;
  return List(count, out != nullptr, [&](auto add) {
    for (int i = 0; i < node->dependencies.count; ++i) {
      add([&](size_t at) {
        out[at] = node->dependencies.items[i];
        if (data != nullptr) data[at] = CudaEdge{};
      });
    }
  });
}

int Dependents(GraphNode* node, GraphNode** out, CudaEdge* data, size_t* count) {
  if (!IsLive(node)) return kCudaInvalidValue;
  return List(count, out != nullptr, [&](auto add) {
    for (GraphNode* n = node->graph->first; n != nullptr; n = n->next) {
      for (int i = 0; i < n->dependencies.count; ++i) {
        if (n->dependencies.items[i] != node) continue;
        add([&](size_t at) {
          out[at] = n;
          if (data != nullptr) data[at] = CudaEdge{};
        });
      }
    }
  });
}

int ChangeEdges(Graph* graph, GraphNode* const* from, GraphNode* const* to, size_t count,
                bool add) {
  if (!IsLive(graph) || (count != 0 && (from == nullptr || to == nullptr))) {
    return kCudaInvalidValue;
  }
  for (size_t i = 0; i < count; ++i) {
    const bool ok = IsLive(from[i]) && IsLive(to[i]) && from[i]->graph == graph &&
                    to[i]->graph == graph && from[i] != to[i];
    if (!ok) return kCudaInvalidValue;
  }
  for (size_t i = 0; i < count; ++i) {
    if (!add) {
      Remove(to[i]->dependencies, from[i]);
    } else if (!Append(to[i]->dependencies, from[i])) {
      return kCudaOutOfMemory;
    }
  }
  return kCudaSuccess;
}

}  // namespace

int AddNode(Driver& driver, Graph* graph, NodeType type, Context* context,
            GraphNode* const* dependencies, size_t count, CudaNodeParams& params, GraphNode** out) {
  for (size_t i = 0; i < count; ++i) {
    if (!IsLive(dependencies[i]) || dependencies[i]->graph != graph) return kCudaInvalidValue;
  }
  if (const int code = CheckParams(driver, graph, type, params); code != 0) return code;
  auto* node = driver.New<GraphNode>();
  if (node == nullptr) {
    DropParams(driver, type, params);
    return kCudaOutOfMemory;
  }
  node->graph = graph;
  node->type = type;
  node->context = context;
  node->params = params;
  Assign(node->dependencies, dependencies, static_cast<int>(count));
  (graph->last == nullptr ? graph->first : graph->last->next) = node;
  graph->last = node;
  ++graph->count;
  if (type == NodeType::kMemAlloc || type == NodeType::kMemFree) graph->has_memory = true;
  *out = node;
  return kCudaSuccess;
}

void DestroyGraph(Driver& driver, Graph* graph) {
  while (graph->first != nullptr) {
    GraphNode* node = graph->first;
    graph->first = node->next;
    DropNode(driver, node);
  }
  driver.Delete(graph);
}

}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuGraphCreate(Graph** out, unsigned flags) {
  SIM_CUDA_CALL(cuGraphCreate);
  SIM_CUDA_OUT(out);
  if (flags != 0) return kCudaInvalidValue;
  auto* graph = driver.New<Graph>();
  if (graph == nullptr) return kCudaOutOfMemory;
  *out = graph;
  return kCudaSuccess;
}

SIM_CUDA cuGraphDestroy(Graph* graph) {
  SIM_CUDA_CALL(cuGraphDestroy);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(graph) || graph->is_child || graph->is_captured) return kCudaInvalidValue;
  DestroyGraph(driver, graph);
  return kCudaSuccess;
}

SIM_CUDA cuGraphClone(Graph** out, Graph* original) {
  SIM_CUDA_CALL(cuGraphClone);
  SIM_CUDA_OUT(out);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(original)) return kCudaInvalidValue;
  if (original->has_memory) return kCudaNotSupported;
  auto* graph = driver.New<Graph>();
  if (graph == nullptr) return kCudaOutOfMemory;
  const int code = CloneInto(driver, *original, graph);
  if (code != 0) {
    DestroyGraph(driver, graph);
  } else {
    *out = graph;
  }
  return code;
}

// Opens a function that adds a node of a type: gives `params`, holds the lock.
#define SIM_ADD_NODE(name)                 \
  SIM_CUDA_CALL(name);                     \
  ::hami::sim::CudaNodeParams params = {}; \
  ::hami::sim::MutexGuard guard(driver.graph_mutex)

SIM_CUDA cuGraphAddKernelNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                              size_t count, const CudaKernelNode* kernel) {
  SIM_ADD_NODE(cuGraphAddKernelNode);
  SIM_CUDA_OUT(kernel);
  memcpy(&params.kernel, kernel, kKernelNodeV1);
  return AddFrom(driver, out, graph, NodeType::kKernel, nullptr, dependencies, count, params);
}
SIM_CUDA cuGraphAddKernelNode_v2(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                                 size_t count, const CudaKernelNode* kernel) {
  SIM_ADD_NODE(cuGraphAddKernelNode_v2);
  SIM_CUDA_OUT(kernel);
  params.kernel = *kernel;
  return AddFrom(driver, out, graph, NodeType::kKernel, static_cast<Context*>(kernel->context),
                 dependencies, count, params);
}
SIM_CUDA cuGraphAddMemcpyNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                              size_t count, const CudaCopy3d* copy, Context* context) {
  SIM_ADD_NODE(cuGraphAddMemcpyNode);
  SIM_CUDA_OUT(copy);
  params.copy.copy = *copy;
  return AddFrom(driver, out, graph, NodeType::kMemcpy, context, dependencies, count, params);
}
SIM_CUDA cuGraphAddMemsetNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                              size_t count, const CudaMemsetNode* fill, Context* context) {
  SIM_ADD_NODE(cuGraphAddMemsetNode);
  SIM_CUDA_OUT(fill);
  memcpy(&params.memset, fill, kMemsetNodeV1);
  return AddFrom(driver, out, graph, NodeType::kMemset, context, dependencies, count, params);
}
SIM_CUDA cuGraphAddHostNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                            size_t count, const CudaHostNode* host) {
  SIM_ADD_NODE(cuGraphAddHostNode);
  SIM_CUDA_OUT(host);
  params.host = *host;
  return AddFrom(driver, out, graph, NodeType::kHost, nullptr, dependencies, count, params);
}
SIM_CUDA cuGraphAddEmptyNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                             size_t count) {
  SIM_ADD_NODE(cuGraphAddEmptyNode);
  return AddFrom(driver, out, graph, NodeType::kEmpty, nullptr, dependencies, count, params);
}
SIM_CUDA cuGraphAddChildGraphNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                                  size_t count, Graph* child) {
  SIM_ADD_NODE(cuGraphAddChildGraphNode);
  params.graph = child;
  return AddFrom(driver, out, graph, NodeType::kGraph, nullptr, dependencies, count, params);
}
SIM_CUDA cuGraphAddMemAllocNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                                size_t count, CudaAllocNode* alloc) {
  SIM_ADD_NODE(cuGraphAddMemAllocNode);
  SIM_CUDA_OUT(alloc);
  params.alloc = *alloc;
  const int code =
      AddFrom(driver, out, graph, NodeType::kMemAlloc, nullptr, dependencies, count, params);
  if (code == kCudaSuccess) alloc->address = params.alloc.address;
  return code;
}
SIM_CUDA cuGraphAddMemFreeNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                               size_t count, DevicePointer address) {
  SIM_ADD_NODE(cuGraphAddMemFreeNode);
  params.free = address;
  return AddFrom(driver, out, graph, NodeType::kMemFree, nullptr, dependencies, count, params);
}
SIM_CUDA cuGraphAddEventRecordNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                                   size_t count, CudaEvent* event) {
  SIM_ADD_NODE(cuGraphAddEventRecordNode);
  params.event = event;
  return AddFrom(driver, out, graph, NodeType::kRecordEvent, nullptr, dependencies, count, params);
}
SIM_CUDA cuGraphAddEventWaitNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                                 size_t count, CudaEvent* event) {
  SIM_ADD_NODE(cuGraphAddEventWaitNode);
  params.event = event;
  return AddFrom(driver, out, graph, NodeType::kWaitEvent, nullptr, dependencies, count, params);
}

SIM_CUDA cuGraphAddNode_v2(GraphNode** out, Graph* graph, GraphNode* const* dependencies,
                           const CudaEdge*, size_t count, CudaNodeParams* given) {
  SIM_ADD_NODE(cuGraphAddNode_v2);
  SIM_CUDA_OUT(given);
  params = *given;
  const auto type = static_cast<NodeType>(given->type);
  void* context = type == NodeType::kKernel   ? given->kernel.context
                  : type == NodeType::kMemcpy ? given->copy.context
                  : type == NodeType::kMemset ? given->memset.context
                                              : nullptr;
  const int code = AddFrom(driver, out, graph, type, static_cast<Context*>(context), dependencies,
                           count, params);
  if (code == kCudaSuccess && type == NodeType::kMemAlloc) {
    given->alloc.address = params.alloc.address;
  }
  if (code == kCudaSuccess && type == NodeType::kGraph) given->graph = params.graph;
  return code;
}
SIM_CUDA cuGraphAddNode(GraphNode** out, Graph* graph, GraphNode* const* dependencies, size_t count,
                        CudaNodeParams* given) {
  return cuGraphAddNode_v2(out, graph, dependencies, nullptr, count, given);
}

SIM_CUDA cuGraphDestroyNode(GraphNode* node) {
  SIM_CUDA_CALL(cuGraphDestroyNode);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(node)) return kCudaInvalidValue;
  const bool memory = node->type == NodeType::kMemAlloc || node->type == NodeType::kMemFree;
  if (memory) return kCudaNotSupported;  // as the driver: memory nodes stay in their graph
  Unlink(node);
  DropNode(driver, node);
  return kCudaSuccess;
}

SIM_CUDA cuGraphNodeGetType(GraphNode* node, int* type) {
  SIM_CUDA_CALL(cuGraphNodeGetType);
  SIM_CUDA_OUT(type);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(node)) return kCudaInvalidValue;
  *type = static_cast<int>(node->type);
  return kCudaSuccess;
}

SIM_CUDA cuGraphNodeFindInClone(GraphNode** out, GraphNode* original, Graph* clone) {
  SIM_CUDA_CALL(cuGraphNodeFindInClone);
  SIM_CUDA_OUT(out);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(original) || !IsLive(clone)) return kCudaInvalidValue;
  *out = CloneOf(*clone, original);
  return *out != nullptr ? kCudaSuccess : kCudaInvalidValue;
}

SIM_CUDA cuGraphGetNodes(Graph* graph, GraphNode** nodes, size_t* count) {
  SIM_CUDA_CALL(cuGraphGetNodes);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(graph)) return kCudaInvalidValue;
  return List(count, nodes != nullptr, [&](auto add) {
    for (GraphNode* n = graph->first; n != nullptr; n = n->next) {
      add([&](size_t at) { nodes[at] = n; });
    }
  });
}
SIM_CUDA cuGraphGetRootNodes(Graph* graph, GraphNode** nodes, size_t* count) {
  SIM_CUDA_CALL(cuGraphGetRootNodes);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(graph)) return kCudaInvalidValue;
  return List(count, nodes != nullptr, [&](auto add) {
    for (GraphNode* n = graph->first; n != nullptr; n = n->next) {
      if (n->dependencies.count == 0) add([&](size_t at) { nodes[at] = n; });
    }
  });
}
SIM_CUDA cuGraphGetEdges(Graph* graph, GraphNode** from, GraphNode** to, size_t* count) {
  SIM_CUDA_CALL(cuGraphGetEdges);
  MutexGuard guard(driver.graph_mutex);
  return Edges(graph, from, to, nullptr, count);
}
SIM_CUDA cuGraphGetEdges_v2(Graph* graph, GraphNode** from, GraphNode** to, CudaEdge* data,
                            size_t* count) {
  SIM_CUDA_CALL(cuGraphGetEdges_v2);
  MutexGuard guard(driver.graph_mutex);
  return Edges(graph, from, to, data, count);
}
SIM_CUDA cuGraphNodeGetDependencies(GraphNode* node, GraphNode** out, size_t* count) {
  SIM_CUDA_CALL(cuGraphNodeGetDependencies);
  MutexGuard guard(driver.graph_mutex);
  return Dependencies(node, out, nullptr, count);
}
SIM_CUDA cuGraphNodeGetDependencies_v2(GraphNode* node, GraphNode** out, CudaEdge* data,
                                       size_t* count) {
  SIM_CUDA_CALL(cuGraphNodeGetDependencies_v2);
  MutexGuard guard(driver.graph_mutex);
  return Dependencies(node, out, data, count);
}
SIM_CUDA cuGraphNodeGetDependentNodes(GraphNode* node, GraphNode** out, size_t* count) {
  SIM_CUDA_CALL(cuGraphNodeGetDependentNodes);
  MutexGuard guard(driver.graph_mutex);
  return Dependents(node, out, nullptr, count);
}
SIM_CUDA cuGraphNodeGetDependentNodes_v2(GraphNode* node, GraphNode** out, CudaEdge* data,
                                         size_t* count) {
  SIM_CUDA_CALL(cuGraphNodeGetDependentNodes_v2);
  MutexGuard guard(driver.graph_mutex);
  return Dependents(node, out, data, count);
}
SIM_CUDA cuGraphAddDependencies(Graph* graph, GraphNode* const* from, GraphNode* const* to,
                                size_t count) {
  SIM_CUDA_CALL(cuGraphAddDependencies);
  MutexGuard guard(driver.graph_mutex);
  return ChangeEdges(graph, from, to, count, true);
}
SIM_CUDA cuGraphAddDependencies_v2(Graph* graph, GraphNode* const* from, GraphNode* const* to,
                                   const CudaEdge*, size_t count) {
  SIM_CUDA_CALL(cuGraphAddDependencies_v2);
  MutexGuard guard(driver.graph_mutex);
  return ChangeEdges(graph, from, to, count, true);
}
SIM_CUDA cuGraphRemoveDependencies(Graph* graph, GraphNode* const* from, GraphNode* const* to,
                                   size_t count) {
  SIM_CUDA_CALL(cuGraphRemoveDependencies);
  MutexGuard guard(driver.graph_mutex);
  return ChangeEdges(graph, from, to, count, false);
}
SIM_CUDA cuGraphRemoveDependencies_v2(Graph* graph, GraphNode* const* from, GraphNode* const* to,
                                      const CudaEdge*, size_t count) {
  SIM_CUDA_CALL(cuGraphRemoveDependencies_v2);
  MutexGuard guard(driver.graph_mutex);
  return ChangeEdges(graph, from, to, count, false);
}

SIM_CUDA cuGraphKernelNodeGetParams(GraphNode* node, CudaKernelNode* out) {
  SIM_CUDA_CALL(cuGraphKernelNodeGetParams);
  MutexGuard guard(driver.graph_mutex);
  return GetParams(node, NodeType::kKernel, out, &node->params.kernel, kKernelNodeV1);
}
SIM_CUDA cuGraphKernelNodeGetParams_v2(GraphNode* node, CudaKernelNode* out) {
  SIM_CUDA_CALL(cuGraphKernelNodeGetParams_v2);
  MutexGuard guard(driver.graph_mutex);
  return GetParams(node, NodeType::kKernel, out, &node->params.kernel, sizeof *out);
}
SIM_CUDA cuGraphKernelNodeSetParams(GraphNode* node, const CudaKernelNode* kernel) {
  SIM_CUDA_CALL(cuGraphKernelNodeSetParams);
  MutexGuard guard(driver.graph_mutex);
  return SetKernel(node, kernel, kKernelNodeV1);
}
SIM_CUDA cuGraphKernelNodeSetParams_v2(GraphNode* node, const CudaKernelNode* kernel) {
  SIM_CUDA_CALL(cuGraphKernelNodeSetParams_v2);
  MutexGuard guard(driver.graph_mutex);
  return SetKernel(node, kernel, sizeof *kernel);
}
SIM_CUDA cuGraphMemAllocNodeGetParams(GraphNode* node, CudaAllocNode* out) {
  SIM_CUDA_CALL(cuGraphMemAllocNodeGetParams);
  MutexGuard guard(driver.graph_mutex);
  return GetParams(node, NodeType::kMemAlloc, out, &node->params.alloc, sizeof *out);
}
SIM_CUDA cuGraphMemFreeNodeGetParams(GraphNode* node, DevicePointer* out) {
  SIM_CUDA_CALL(cuGraphMemFreeNodeGetParams);
  MutexGuard guard(driver.graph_mutex);
  return GetParams(node, NodeType::kMemFree, out, &node->params.free, sizeof *out);
}
SIM_CUDA cuGraphMemcpyNodeGetParams(GraphNode* node, CudaCopy3d* out) {
  SIM_CUDA_CALL(cuGraphMemcpyNodeGetParams);
  MutexGuard guard(driver.graph_mutex);
  return GetParams(node, NodeType::kMemcpy, out, &node->params.copy.copy, sizeof *out);
}
SIM_CUDA cuGraphMemsetNodeGetParams(GraphNode* node, CudaMemsetNode* out) {
  SIM_CUDA_CALL(cuGraphMemsetNodeGetParams);
  MutexGuard guard(driver.graph_mutex);
  return GetParams(node, NodeType::kMemset, out, &node->params.memset, kMemsetNodeV1);
}
SIM_CUDA cuGraphHostNodeGetParams(GraphNode* node, CudaHostNode* out) {
  SIM_CUDA_CALL(cuGraphHostNodeGetParams);
  MutexGuard guard(driver.graph_mutex);
  return GetParams(node, NodeType::kHost, out, &node->params.host, sizeof *out);
}
SIM_CUDA cuGraphChildGraphNodeGetGraph(GraphNode* node, Graph** out) {
  SIM_CUDA_CALL(cuGraphChildGraphNodeGetGraph);
  MutexGuard guard(driver.graph_mutex);
  return GetParams(node, NodeType::kGraph, out, &node->params.graph, sizeof *out);
}
