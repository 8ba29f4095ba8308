// What a program may ask about a graph.
#include <cstring>

#include "sim/cuda/graph.h"

namespace hami::sim {
namespace {

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

int GetParams(const GraphNode* node, NodeType type, void* out, const void* from, size_t size) {
  if (out == nullptr || !IsLive(node) || node->type != type) return kCudaInvalidValue;
  memcpy(out, from, size);
  return kCudaSuccess;
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

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuGraphNodeGetType(GraphNode* node, int* type) {
  SIM_CUDA_CALL(cuGraphNodeGetType);
  SIM_CUDA_OUT(type);
  MutexGuard guard(driver.graph_mutex);
  if (!IsLive(node)) return kCudaInvalidValue;
  *type = static_cast<int>(node->type);
  return kCudaSuccess;
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
