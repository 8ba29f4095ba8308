#include "limiter/hook/graph_nodes.h"

#include <algorithm>
#include <span>

#include "limiter/core/kernel_names.h"
#include "limiter/hook/prologue.h"
#include "limiter/sys/buffer.h"

namespace hami::limiter::hook {
namespace {

using core::KernelNames;

constexpr uint64_t kGranule = uint64_t{2} << 20;  // of physical memory
constexpr int kDeepest = 8;                       // graphs within graphs

struct Range {
  uint64_t begin, end;
  int device;
};

// Calls visit(node, type) for each node of the graph and of the graphs in it. False: it cannot be
// told.
template <class Visit>
bool ForEachNode(CUgraph graph, int depth, Visit visit) {
  const auto get_nodes = HAMI_REAL(cuGraphGetNodes);
  const auto get_type = HAMI_REAL(cuGraphNodeGetType);
  const auto get_child = HAMI_REAL(cuGraphChildGraphNodeGetGraph);
  size_t count = 0;
  if (depth > kDeepest || get_nodes == nullptr || get_type == nullptr ||
      get_nodes(graph, nullptr, &count) != CUDA_SUCCESS) {
    return false;
  }
  if (count == 0) return true;
  sys::Buffer<CUgraphNode> nodes(count);
  if (!nodes.ok() || get_nodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return false;
  for (size_t i = 0; i < count; ++i) {
    int type = -1;
    if (get_type(nodes.data()[i], &type) != CUDA_SUCCESS) return false;
    visit(nodes.data()[i], type);
    CUgraph child = nullptr;
    if (type == CU_GRAPH_NODE_TYPE_GRAPH && get_child != nullptr &&
        get_child(nodes.data()[i], &child) == CUDA_SUCCESS &&
        !ForEachNode(child, depth + 1, visit)) {
      return false;
    }
  }
  return true;
}

Range RangeOf(CUgraphNode node) {
  const auto get = HAMI_REAL(cuGraphMemAllocNodeGetParams);
  CUDA_MEM_ALLOC_NODE_PARAMS params = {};
  if (get == nullptr || get(node, &params) != CUDA_SUCCESS) return {0, 0, -1};
  return {params.dptr / kGranule * kGranule,
          (params.dptr + params.bytesize + kGranule - 1) / kGranule * kGranule,
          DeviceOf(params.pool_props.location)};
}

// What a kernel node launches, as core/kernel_names.h calls it; 0: not known.
uint64_t NameOfKernel(CUgraphNode node) {
  const auto get_v2 = HAMI_REAL(cuGraphKernelNodeGetParams_v2);
  const auto get = get_v2 != nullptr ? get_v2 : HAMI_REAL(cuGraphKernelNodeGetParams);
  CUDA_KERNEL_NODE_PARAMS params = {};
  if (get == nullptr || get(node, &params) != CUDA_SUCCESS) return 0;
  uint64_t name = KernelNames::Own().Of(KeyOf(params.func != nullptr ? params.func : params.kern));
  for (unsigned i = 0; i < 3 && name != 0; ++i) {
    name = core::Mixed(name, uint64_t{params.grid[i]} << 32 | params.block[i]) | 1;
  }
  return name;
}

}  // namespace

Survey SurveyOf(CUgraph graph) {
  Survey found;
  const bool told = ForEachNode(graph, 0, [&found](CUgraphNode node, int type) {
    if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) ++found.allocations;
    if (found.name == 0 || type == CU_GRAPH_NODE_TYPE_GRAPH) return;
    const uint64_t kernel = type == CU_GRAPH_NODE_TYPE_KERNEL ? NameOfKernel(node) : 0;
    found.name = kernel != 0 ? core::Mixed(found.name, kernel) | 1 : 0;
  });
  return told ? found : Survey{0, 0};
}

Footprint FootprintOf(CUgraph graph, size_t allocations) {
  Footprint footprint;
  if (allocations == 0) return footprint;
  sys::Buffer<Range> ranges(allocations);
  if (!ranges.ok()) return footprint;
  size_t filled = 0;
  ForEachNode(graph, 0, [&](CUgraphNode node, int type) {
    const bool allocates = type == CU_GRAPH_NODE_TYPE_MEM_ALLOC;
    if (allocates && filled < allocations) ranges.data()[filled++] = RangeOf(node);
  });
  std::sort(ranges.data(), ranges.data() + filled,
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  uint64_t covered[HAMI_EXT_DEVICES] = {};
  for (const Range& range : std::span(ranges.data(), filled)) {
    if (range.device < 0) continue;
    const auto device = static_cast<unsigned>(range.device);
    const uint64_t from = std::max(range.begin, covered[device]);
    if (range.end > from) footprint.bytes[device] += range.end - from;
    covered[device] = std::max(covered[device], range.end);
    footprint.devices |= 1u << device;
  }
  return footprint;
}

}  // namespace hami::limiter::hook
