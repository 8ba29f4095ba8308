// The simulated libcuda.so.1: what all its exported functions share.
//
// One Driver per process; any thread may call any function. Lock order: graph_mutex,
// context_mutex, memory_mutex, then the ledger's own. The current context is a stack per thread, as
// in the real driver. Contexts, streams and events are never given back to libc: a stale handle is
// recognised, not followed into freed memory.
#pragma once

#include <pthread.h>

#include <new>
#include <string_view>

#include "sim/core/machine.h"
#include "sim/cuda/address_space.h"
#include "sim/cuda/cuda_abi.h"

namespace hami::sim {

// First member of everything a program holds a handle of. The tag tells what it is, 0 that it
// ended.
struct Tagged {
  uint32_t tag = 0;
  Tagged* next_free = nullptr;
};

struct Capture;
struct GraphNode;

// Nodes that something depends on. Owns its array.
struct NodeList {
  GraphNode** items = nullptr;
  int count = 0;
  int capacity = 0;
};

struct CudaStream : Tagged {
  static constexpr int kList = 0;
  static constexpr uint32_t kTag = 0x53545245;
  Context* context = nullptr;
  std::atomic<int64_t> last{0};           // mark of its last work
  std::atomic<int64_t> not_before_ns{0};  // by events of other cards waited for
  std::atomic<uint64_t> host_ticket{0};   // its last host function
  uint32_t flags = 0;
  int32_t priority = 0;
  uint64_t id = 0;
  Capture* capture = nullptr;  // guarded by graph_mutex, as the next
  NodeList tail;               // what the next captured node depends on
};

struct CudaEvent : Tagged {
  static constexpr int kList = 1;
  static constexpr uint32_t kTag = 0x45564e54;
  std::atomic<int64_t> recorded_ns{0};  // 0: never recorded
  std::atomic<int64_t> mark{0};
  std::atomic<int64_t> not_before_ns{0};
  std::atomic<uint64_t> host_ticket{0};
  int card = -1;
  uint32_t flags = 0;
  uint64_t capture_id = 0;  // recorded in this capture; guarded by graph_mutex, as the next
  NodeList captured;
};

struct Context : Tagged {
  static constexpr int kList = 2;
  static constexpr uint32_t kTag = 0x43545854;
  CudaDevice device = 0;  // ordinal
  int card = -1;
  bool primary = false;
  uint32_t flags = 0;
  uint32_t api_version = 3020;
  uint64_t id = 0;
  uint64_t charged = 0;
  uint64_t limits[16] = {1024, 1 << 20, 8 << 20};  // stack, printf FIFO, malloc heap
  Block* blocks = nullptr;
  struct Module* modules = nullptr;
  struct Array* arrays = nullptr;
  uint32_t sm_count = 0;  // of a green context; 0: the whole card
  CudaStream legacy_stream;
  CudaStream thread_stream;
  std::atomic<int64_t> blocking_last{0};  // mark of the last work in streams that legacy waits for
};

// Mark of the last work that what is queued on the stream next has to wait for.
inline int64_t LastOf(const CudaStream* stream) {
  return stream == &stream->context->legacy_stream ? stream->context->blocking_last.load()
                                                   : stream->last.load();
}

struct Pool : Tagged {
  static constexpr int kList = 3;
  static constexpr uint32_t kTag = 0x504f4f4c;
  int card = -1;
  CudaDevice device = 0;
  bool is_default = false;
  bool is_imported = false;  // allocates nothing here
  int32_t handle_types = 0;
  bool is_ending = false;  // destroyed by the program, waits for its last block
  uint64_t release_threshold = 0;
  uint64_t reserved = 0, used = 0;
  uint64_t reserved_high = 0, used_high = 0;
};

// Per device of the process.
struct DeviceState {
  int card = -1;
  Context* primary = nullptr;
  int primary_users = 0;
  uint32_t primary_flags = 0;
  Pool default_pool;
  Pool* current_pool = nullptr;
};

inline constexpr int kQueueDepth = 1024;

struct LaunchQueue {
  std::atomic<uint64_t> launched{0};
  std::atomic<int64_t> marks[kQueueDepth] = {};
};

class Driver {
 public:
  static Driver& Get();

  int Init();
  void ForgetAfterFork();

  // First line of every function: initialised, and no failure injected.
  int Enter(FaultPoint& point) {
    if (!ready_.load(std::memory_order_acquire)) return kCudaNotInitialized;
    return machine_.Inject(point);
  }

  int device_count() const { return device_count_; }
  DeviceState* device(CudaDevice ordinal) {
    return ordinal >= 0 && ordinal < device_count_ ? &devices_[ordinal] : nullptr;
  }
  const Card& card(int index) const { return machine_.cards().cards[index]; }
  Machine& machine() { return machine_; }
  Ledger& ledger() { return machine_.ledger(); }
  AddressSpace& addresses() { return addresses_; }
  LaunchQueue& queue(int card) { return queues_[card]; }

  // Books memory; kCudaOutOfMemory when the card is full, other codes when it is gone.
  int Charge(int card, uint64_t bytes, Kind kind);

  // As much of a managed block as the card has room for; the rest stays on the host.
  int ChargeManaged(Block* block);

  // A new context with the memory it takes, and its end with everything in it. A part of another
  // one takes none of its own.
  int MakeContext(CudaDevice device, Context** made, bool is_part = false);
  void DestroyContext(Context* context);
  void FreeBlock(Block* block);  // memory_mutex held

  // A mark of this process's work on a card.
  bool IsDone(int card, int64_t mark);
  void Await(int card, int64_t mark);
  int64_t DoneAt(int card, int64_t mark);

  // Objects behind handles. T has a tag and a list of its own; null when there is no memory.
  template <class T>
  T* New() {
    void* room = TakeRoom(T::kList, sizeof(T));
    if (room == nullptr) return nullptr;
    T* object = new (room) T;
    object->tag = T::kTag;
    if constexpr (requires { object->id; }) object->id = next_id_.fetch_add(1);
    return object;
  }
  template <class T>
  void Delete(T* object) {
    object->tag = 0;
    GiveRoom(T::kList, object);
  }

  // Streams that capture, in all threads: most calls need not look further than that.
  std::atomic<int> captures{0};

  pthread_mutex_t graph_mutex = PTHREAD_MUTEX_INITIALIZER;    // guards graphs and captures
  pthread_mutex_t context_mutex = PTHREAD_MUTEX_INITIALIZER;  // guards devices_ and their contexts
  pthread_mutex_t memory_mutex = PTHREAD_MUTEX_INITIALIZER;   // guards addresses_, blocks, pools

 private:
  int TryCharge(int card, uint64_t bytes, Kind kind);
  bool EvictManaged(int card, uint64_t bytes);
  void ForgetManaged(Block* block);

  static constexpr int kLists = 24;

  void* TakeRoom(int list, size_t size);
  void GiveRoom(int list, Tagged* object);
  void ChooseDevices();
  bool ChooseOne(std::string_view token);

  std::atomic<bool> ready_{false};
  bool forked_ = false;
  Machine machine_;
  int device_count_ = 0;
  DeviceState devices_[kMaxCards] = {};
  AddressSpace addresses_;
  LaunchQueue queues_[kMaxCards] = {};
  std::atomic<uint64_t> next_id_{1};
  Tagged* free_objects_[kLists] = {};
  Block* managed_ = nullptr;
  pthread_mutex_t managed_mutex_ = PTHREAD_MUTEX_INITIALIZER;  // guards managed_, their `charged`
  pthread_mutex_t object_mutex_ = PTHREAD_MUTEX_INITIALIZER;   // guards free_objects_
};

class MutexGuard {
 public:
  explicit MutexGuard(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~MutexGuard() { pthread_mutex_unlock(&mutex_); }
  MutexGuard(const MutexGuard&) = delete;
  MutexGuard& operator=(const MutexGuard&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

template <class T>
bool IsLive(const T* object) {
  return object != nullptr && object->tag == T::kTag;
}

// The calling thread's current context; null if it has none.
Context* CurrentContext();
int RequireContext(Context** context);

// What forbids a potentially unsafe call of this thread: kCudaCaptureUnsupported, and the captures
// that do so are invalidated. 0: nothing does.
int RefuseUnsafe(Driver& driver);

// A block of the pool was freed; memory_mutex held.
void GiveToPool(Pool& pool, uint64_t size);

// A context ends: its modules give their memory back; memory_mutex held.
void EndModulesOf(Driver& driver, Context* context);

// The same of its arrays.
void EndArraysOf(Driver& driver, Context* context);

// All of a context's items become another one's; memory_mutex held.
template <class T>
void MoveTo(Context* owner, T** from, T** to) {
  while (*from != nullptr) {
    T* item = *from;
    *from = item->next;
    item->context = owner;
    item->next = *to;
    if constexpr (requires { item->previous; }) {
      item->previous = nullptr;
      if (*to != nullptr) (*to)->previous = item;
    }
    *to = item;
  }
}
void MoveModules(Context* from, Context* to);

// One user more or less of a device's primary context.
int RetainPrimary(Driver& driver, CudaDevice device, Context** context);
int ReleasePrimary(Driver& driver, CudaDevice device);

// Pools of the card give back what they need not keep: what a synchronisation does.
void TrimPools(int card);

// The stream behind a handle; null and the two special values are the context's own streams.
int ResolveStream(CudaStream* handle, bool per_thread, Context* context, CudaStream** stream);

// Queues kernels on the stream's card; waits while the process has kQueueDepth launches under way.
void RunOn(CudaStream* stream, int card, int64_t duration_ns, uint64_t kernels);

// Time that a kernel takes: what its handle says, else the card's default.
int64_t KernelNs(const void* function, int card);

}  // namespace hami::sim

#define SIM_CUDA extern "C" __attribute__((visibility("default"))) int

// `SIM_CUDA_CALL(cuFoo);` opens a function body and gives `driver`.
#define SIM_CUDA_CALL(name)                                  \
  static constinit ::hami::sim::FaultPoint sim_point{#name}; \
  ::hami::sim::Driver& driver = ::hami::sim::Driver::Get();  \
  if (const int sim_code = driver.Enter(sim_point); sim_code != 0) return sim_code
#define SIM_CUDA_CONTEXT()                 \
  ::hami::sim::Context* context = nullptr; \
  if (const int sim_code = ::hami::sim::RequireContext(&context); sim_code != 0) return sim_code
// For calls that may not be made while a capture forbids them.
#define SIM_CUDA_UNSAFE()                                                                       \
  if (driver.captures.load(std::memory_order_relaxed) != 0) {                                   \
    if (const int sim_code = ::hami::sim::RefuseUnsafe(driver); sim_code != 0) return sim_code; \
  }
#define SIM_CUDA_OUT(pointer) \
  if ((pointer) == nullptr) return ::hami::sim::kCudaInvalidValue
