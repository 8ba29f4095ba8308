// Graphs: nodes in the order of their creation, what each depends on, and streams that record
// instead of run. Guarded by Driver::graph_mutex throughout. How graphs run: graph_exec.cc.
#pragma once

#include "sim/cuda/driver.h"

namespace hami::sim {

enum class NodeType : int32_t {
  kKernel = 0,
  kMemcpy = 1,
  kMemset = 2,
  kHost = 3,
  kGraph = 4,
  kEmpty = 5,
  kWaitEvent = 6,
  kRecordEvent = 7,
  kMemAlloc = 10,
  kMemFree = 11,
};

struct Graph;

struct GraphNode : Tagged {
  static constexpr int kList = 8;
  static constexpr uint32_t kTag = 0x4e4f4445;
  Graph* graph = nullptr;
  NodeType type = NodeType::kEmpty;
  Context* context = nullptr;
  CudaNodeParams params = {};
  NodeList dependencies;
  GraphNode* next = nullptr;
  GraphNode* original = nullptr;  // in a clone
  int mark = 0;                   // of the walk that met it last
};

struct Graph : Tagged {
  static constexpr int kList = 9;
  static constexpr uint32_t kTag = 0x47525048;
  GraphNode* first = nullptr;
  GraphNode* last = nullptr;
  int count = 0;
  bool is_child = false;      // owned by a node
  bool has_memory = false;    // allocates or frees
  bool is_captured = false;   // a capture is writing it
  bool instantiated = false;  // only looked at where has_memory
};

// A stream of `origin`'s capture writes to `graph`.
struct Capture : Tagged {
  static constexpr int kList = 10;
  static constexpr uint32_t kTag = 0x43415054;
  uint64_t id = 0;
  Graph* graph = nullptr;
  bool owns_graph = true;
  CudaStream* origin = nullptr;
  int mode = 0;
  int thread = 0;
  bool invalidated = false;
  Capture* next = nullptr;
};

bool Append(NodeList& list, GraphNode* node);  // a set: a node that is there stays there once
void Assign(NodeList& list, GraphNode* const* nodes, int count);
void Clear(NodeList& list);

// A new node at the end of the graph; kernel, memory and event parameters checked, memory of an
// allocation placed (params.alloc.address is set).
int AddNode(Driver& driver, Graph* graph, NodeType type, Context* context,
            GraphNode* const* dependencies, size_t count, CudaNodeParams& params, GraphNode** out);
void DestroyGraph(Driver& driver, Graph* graph);

// What a kernel's launch must fulfil.
int CheckGrid(const uint32_t (&grid)[3], const uint32_t (&block)[3]);

// Where an operation on a stream goes: into `capture`'s graph, or (null) onto the card now.
struct Target {
  CudaStream* stream = nullptr;
  Capture* capture = nullptr;
};
int Aim(Driver& driver, CudaStream* handle, bool per_thread, Context* context, Target* target);

// Writes a node behind what the target's stream captured so far.
int Record(Driver& driver, const Target& target, NodeType type, CudaNodeParams& params);

// For a sync or a query: such a stream, or a stream that it waits for, must not capture.
int RefuseOnCapture(Driver& driver, CudaStream* stream);

// The capture with this number while it goes on; null otherwise.
Capture* FindCapture(uint64_t id);

// Blocks of graphs: the program freed one (memory_mutex held); a context ended.
int FreeGraphBlock(Driver& driver, Block* block);
void EndGraphMemoryOf(Driver& driver, Context* context);

// Executes a copy or fill now (copy.cc).
int CopyNow(Driver& driver, const CudaCopy3d& copy);
int FillNow(Driver& driver, const CudaMemsetNode& fill);
CudaCopy3d LinearCopy(int from_type, uint64_t from, int to_type, uint64_t to, size_t size);

}  // namespace hami::sim
