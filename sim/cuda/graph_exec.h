// Graphs that run (graph_exec.cc) and the memory that they allocate (graph_memory.cc).
#pragma once

#include "sim/cuda/graph.h"

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

// memory_mutex held, both. What the exec's own allocations need at once; the memory itself.
int PlanMemory(Driver& driver, GraphExec& exec);
int GetPages(Driver& driver, GraphExec& exec);

// The allocations and frees of one launch, all or none of them.
int RunMemoryNodes(Driver& driver, GraphExec& exec);

// From here on, and no longer, a graph that memory is kept for.
void Enlist(Driver& driver, GraphExec* exec);
void Discharge(Driver& driver, GraphExec* exec);

}  // namespace hami::sim
