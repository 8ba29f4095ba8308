// Memory that graphs allocate: physical memory is reserved at the first launch (or upload), as much
// as lives at once at most, and stays with the process until cuDeviceGraphMemTrim finds it idle. An
// allocation that the graph does not free outlives the launch, and the graph too.
#include "sim/cuda/graph_exec.h"

namespace hami::sim {
namespace {

constexpr uint64_t kAutoFree = 1;

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

}  // namespace

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

int GetPages(Driver& driver, GraphExec& exec) {
  if (exec.memory_card < 0 || exec.has_pages) return kCudaSuccess;
  if (const int code = AddPages(driver, exec.memory_card, exec.footprint); code != 0) return code;
  exec.has_pages = true;
  return kCudaSuccess;
}

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

void Enlist(Driver& driver, GraphExec* exec) {
  MutexGuard guard(driver.memory_mutex);
  exec->next = g_execs;
  if (g_execs != nullptr) g_execs->previous = exec;
  g_execs = exec;
}

void Discharge(Driver& driver, GraphExec* exec) {
  MutexGuard guard(driver.memory_mutex);
  EndMemory(driver, *exec, true);
  (exec->previous == nullptr ? g_execs : exec->previous->next) = exec->next;
  if (exec->next != nullptr) exec->next->previous = exec->previous;
}

}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

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
