#include "limiter/hook/pool.h"

#include <new>
#include <optional>

#include "abi/region.h"
#include "limiter/account/charge.h"
#include "limiter/hook/book.h"

namespace hami::limiter::hook {
namespace {

using account::Record;
using account::Reservation;
using account::Space;

// Pools grow in steps of this size at least.
constexpr uint64_t kPoolStep = uint64_t{2} << 20;
constexpr size_t kPoolsAtOnce = 128;

struct Pool {
  std::atomic<CUmemoryPool> handle{nullptr};
  sys::Lock lock;
  int device = -1;         // index in the region; -1: host memory, not charged
  bool destroyed = false;  // the driver may not be asked about it any more
  uint64_t live = 0;       // bytes granted and not freed
  uint64_t asked = 0;      // bytes of requests under way
  uint64_t booked = 0;     // bytes in the account
  uint64_t coming = 0;     // bytes that requests under way are about to book
  uint64_t changes = 0;    // operations begun or ended: tells that a reading of the driver is stale
};

// Pools never move; a program that has more than there is room for gets another chunk.
struct Chunk {
  Pool pools[kPoolsAtOnce];
  std::atomic<Chunk*> next{nullptr};
};
constinit Chunk first_chunk;
const CUmemoryPool kEnded = reinterpret_cast<CUmemoryPool>(1);  // no pool's handle
constinit sys::Lock new_pool;
// Pools with booked > live: what a synchronisation may have made smaller.
constinit std::atomic<uint32_t> slack_hint{0};

uint64_t Larger(uint64_t a, uint64_t b) { return a > b ? a : b; }
uint64_t RoundUp(uint64_t bytes) { return (bytes + kPoolStep - 1) / kPoolStep * kPoolStep; }

template <class Visit>
void ForEachPool(Visit visit) {
  for (Chunk* chunk = &first_chunk; chunk != nullptr; chunk = chunk->next.load()) {
    for (Pool& pool : chunk->pools) visit(pool);
  }
}

Pool* FindPool(CUmemoryPool handle) {
  for (Chunk* chunk = &first_chunk; chunk != nullptr; chunk = chunk->next.load()) {
    for (Pool& pool : chunk->pools) {
      if (pool.handle.load(std::memory_order_acquire) == handle) return &pool;
    }
  }
  return nullptr;
}

// A free place; nullptr: no memory for more.
Pool* FreePool() {
  Pool* const free = FindPool(nullptr);
  if (free != nullptr) return free;
  Chunk* last = &first_chunk;
  while (last->next.load() != nullptr) last = last->next.load();
  void* const room =
      sys::Map(sizeof(Chunk), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (room == nullptr) return nullptr;
  Chunk* const chunk = new (room) Chunk;
  last->next.store(chunk);
  return &chunk->pools[0];
}

Pool* EnterPool(CUmemoryPool handle, int device) {
  Pool* known = FindPool(handle);
  if (known != nullptr) return known;
  const sys::Guard guard(new_pool);
  known = FindPool(handle);
  if (known != nullptr) return known;
  Pool* const free = FreePool();
  if (free == nullptr) return nullptr;
  free->device = device;
  free->destroyed = false;
  free->live = free->asked = free->booked = free->coming = 0;
  free->handle.store(handle, std::memory_order_release);
  return free;
}

uint64_t ReservedNow(CUmemoryPool handle) {
  const auto get = HAMI_REAL(cuMemPoolGetAttribute);
  uint64_t bytes = 0;
  if (get == nullptr || get(handle, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes) != CUDA_SUCCESS) {
    return 0;
  }
  return bytes;
}

// Brings `booked` to what the driver reports. True: the account went down.
bool Refresh(Pool& pool) {
  pool.lock.Acquire();
  const CUmemoryPool handle = pool.handle.load(std::memory_order_relaxed);
  const uint64_t changes = pool.changes;
  const bool asks = !pool.destroyed && handle != nullptr && pool.device >= 0;
  pool.lock.Release();
  const uint64_t reserved = asks ? ReservedNow(handle) : 0;
  uint64_t surplus = 0;
  {
    const sys::Guard guard(pool.lock);
    const uint64_t needed = pool.live + pool.asked;
    uint64_t wanted = Larger(reserved, pool.live);
    if (needed > pool.coming) wanted = Larger(wanted, needed - pool.coming);
    if (pool.changes == changes && wanted < pool.booked) {
      surplus = pool.booked - wanted;
      pool.booked = wanted;
    }
    if (pool.destroyed && pool.live + pool.asked + pool.booked == 0) pool.handle.store(nullptr);
  }
  if (surplus != 0) account::Release(static_cast<unsigned>(pool.device), HAMI_KIND_POOL, surplus);
  return surplus != 0;
}

void RefreshAll() {
  if (slack_hint.exchange(0, std::memory_order_acq_rel) == 0) return;
  ForEachPool([](Pool& pool) {
    if (pool.handle.load(std::memory_order_acquire) == nullptr) return;
    Refresh(pool);
    const sys::Guard guard(pool.lock);
    if (pool.booked > pool.live) slack_hint.store(1, std::memory_order_release);
  });
}

// Counts the request in; returns how many bytes the account must grow for it.
uint64_t Enter(Pool& pool, uint64_t bytes) {
  const sys::Guard guard(pool.lock);
  ++pool.changes;
  pool.asked += bytes;
  const uint64_t needed = pool.live + pool.asked;
  const uint64_t there = pool.booked + pool.coming;
  const uint64_t growth = needed <= there ? 0 : RoundUp(needed) - there;
  pool.coming += growth;
  return growth;
}

// The request has ended; granted: it and its growth stay.
void Leave(Pool& pool, uint64_t bytes, uint64_t growth, bool granted) {
  const sys::Guard guard(pool.lock);
  ++pool.changes;
  pool.asked -= bytes;
  pool.coming -= growth;
  if (!granted) return;
  pool.live += bytes;
  pool.booked += growth;
}

// After a grant: the driver may have had to reserve more than the volume, because free parts of the
// pool were too small. False: that does not fit the limit.
bool Cover(Pool& pool) {
  const uint64_t reserved = ReservedNow(pool.handle.load(std::memory_order_relaxed));
  uint64_t missing = 0;
  {
    const sys::Guard guard(pool.lock);
    const uint64_t there = pool.booked + pool.coming;
    if (reserved > there) missing = reserved - there;
    pool.coming += missing;
    if (pool.booked > pool.live) slack_hint.store(1, std::memory_order_release);
  }
  if (missing == 0) return true;
  Reservation room = Reservation::Of(static_cast<unsigned>(pool.device), missing);
  if (room.granted()) room.Keep(HAMI_KIND_POOL, missing);
  Leave(pool, 0, missing, room.granted());
  return room.granted();
}

// A pool that is destroyed lives on without a name until its last block is freed.
void End(Pool& pool, bool ended) {
  const sys::Guard guard(pool.lock);
  pool.destroyed = ended;
  if (ended) pool.handle.store(kEnded, std::memory_order_release);
}

// The program's block has gone.
void Drop(Pool& pool, uint64_t bytes) {
  const sys::Guard guard(pool.lock);
  ++pool.changes;
  pool.live = pool.live < bytes ? 0 : pool.live - bytes;
}

Record PoolRecord(Pool& pool, CUdeviceptr pointer, uint64_t bytes) {
  Record record;
  record.key = pointer;
  record.size = bytes;
  record.link = KeyOf(&pool);
  record.space = Space::kPointer;
  record.kind = HAMI_KIND_POOL;
  record.device = static_cast<int8_t>(pool.device);
  return record;
}

// The driver's call with its growth reserved first.
template <class Call>
CUresult Grow(Pool& pool, uint64_t growth, Call call) {
  if (growth == 0) return call();
  Reservation room = Reservation::Of(static_cast<unsigned>(pool.device), growth);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result == CUDA_SUCCESS) room.Keep(HAMI_KIND_POOL, growth);
  return result;
}

// `pool` is nullopt when the driver has none to say, nullptr when there is no memory to enter it.
template <class Call>
CUresult AllocateFrom(std::optional<Pool*> asked, CUdeviceptr* pointer, uint64_t bytes,
                      CUstream stream, Call call) {
  if (!asked || pointer == nullptr || bytes == 0) return call();
  Pool* const pool = *asked;
  if (pool == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  if (pool->device < 0) return call();
  if (IsCapturing(stream)) return call();  // becomes a node of a graph, takes nothing now
  const uint64_t growth = Enter(*pool, bytes);
  const CUresult result = Grow(*pool, growth, call);
  Leave(*pool, bytes, growth, result == CUDA_SUCCESS);
  if (result != CUDA_SUCCESS) return result;
  const bool kept = Remember(PoolRecord(*pool, *pointer, bytes));
  if (kept && Cover(*pool)) return CUDA_SUCCESS;
  OwnRecords().Take(Space::kPointer, *pointer);
  const auto release = HAMI_REAL(cuMemFreeAsync);
  if (release != nullptr) release(*pointer, stream);
  Drop(*pool, bytes);
  TrimPools(static_cast<unsigned>(pool->device));
  return CUDA_ERROR_OUT_OF_MEMORY;
}

std::optional<Pool*> CurrentPool() {
  const Current current = CurrentDevice();
  const auto get = HAMI_REAL(cuDeviceGetMemPool);
  CUmemoryPool handle = nullptr;
  if (!current.valid || get == nullptr || get(&handle, current.ordinal) != CUDA_SUCCESS ||
      handle == nullptr) {
    return std::nullopt;
  }
  Pool* const known = FindPool(handle);
  return known != nullptr ? known : EnterPool(handle, static_cast<int>(current.index));
}

// The card whose default pool it is; `otherwise` if it is none's.
int DeviceOfDefaultPool(CUmemoryPool pool, int otherwise) {
  const auto get_count = HAMI_REAL(cuDeviceGetCount);
  const auto get = HAMI_REAL(cuDeviceGetDefaultMemPool);
  int count = 0;
  if (get == nullptr || get_count == nullptr || get_count(&count) != CUDA_SUCCESS) return otherwise;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CUmemoryPool handle = nullptr;
    if (get(&handle, ordinal) == CUDA_SUCCESS && handle == pool) return IndexOf(ordinal);
  }
  return otherwise;
}

std::optional<Pool*> GivenPool(CUmemoryPool handle) {
  if (handle == nullptr) return std::nullopt;
  Pool* const known = FindPool(handle);
  if (known != nullptr) return known;
  const Current current = CurrentDevice();
  if (!current.valid) return std::nullopt;
  return EnterPool(handle, DeviceOfDefaultPool(handle, static_cast<int>(current.index)));
}

}  // namespace

bool IsCapturing(CUstream stream) {
  const auto ask = HAMI_REAL(cuStreamIsCapturing);
  int status = 0;
  return ask != nullptr && ask(stream, &status) == CUDA_SUCCESS && status != 0;
}

void PoolFreed(const Record& record) {
  auto* const pool = reinterpret_cast<Pool*>(record.link);
  Drop(*pool, record.size);
  slack_hint.store(1, std::memory_order_release);
  if (pool->destroyed) Refresh(*pool);
}

bool TrimPools(unsigned device) {
  const auto trim = HAMI_REAL(cuMemPoolTrimTo);
  bool lowered = false;
  ForEachPool([&](Pool& pool) {
    const CUmemoryPool handle = pool.handle.load(std::memory_order_acquire);
    if (handle == nullptr || pool.device != static_cast<int>(device)) return;
    if (trim != nullptr && !pool.destroyed) trim(handle, 0);
    lowered = Refresh(pool) || lowered;
  });
  return lowered;
}

void ForgetPoolsAfterFork() {
  new_pool.Reset();
  ForEachPool([](Pool& pool) {
    pool.lock.Reset();
    pool.handle.store(nullptr);
    pool.live = pool.asked = pool.booked = pool.coming = 0;
  });
}

}  // namespace hami::limiter::hook

using namespace hami::limiter::hook;  // NOLINT: only exported functions below

extern "C" {

CUresult cuMemAllocAsync(CUdeviceptr* pointer, size_t bytes, CUstream stream) {
  HAMI_ACT(cuMemAllocAsync, pointer, bytes, stream);
  return AllocateFrom(CurrentPool(), pointer, bytes, stream,
                      [&] { return real(pointer, bytes, stream); });
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr* pointer, size_t bytes, CUstream stream) {
  HAMI_ACT(cuMemAllocAsync_ptsz, pointer, bytes, stream);
  return AllocateFrom(CurrentPool(), pointer, bytes, stream,
                      [&] { return real(pointer, bytes, stream); });
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* pointer, size_t bytes, CUmemoryPool pool,
                                 CUstream stream) {
  HAMI_ACT(cuMemAllocFromPoolAsync, pointer, bytes, pool, stream);
  return AllocateFrom(GivenPool(pool), pointer, bytes, stream,
                      [&] { return real(pointer, bytes, pool, stream); });
}

CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* pointer, size_t bytes, CUmemoryPool pool,
                                      CUstream stream) {
  HAMI_ACT(cuMemAllocFromPoolAsync_ptsz, pointer, bytes, pool, stream);
  return AllocateFrom(GivenPool(pool), pointer, bytes, stream,
                      [&] { return real(pointer, bytes, pool, stream); });
}

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* props) {
  HAMI_ACT(cuMemPoolCreate, pool, props);
  const CUresult result = real(pool, props);
  if (result != CUDA_SUCCESS) return result;
  const Current current = CurrentDevice();
  const bool anywhere =
      props->alloc_type == CU_MEM_ALLOCATION_TYPE_MANAGED && props->location.type == 0;
  const int device =
      anywhere && current.valid ? static_cast<int>(current.index) : DeviceOf(props->location);
  if (EnterPool(*pool, device) != nullptr) return result;
  const auto destroy = HAMI_REAL(cuMemPoolDestroy);
  if (destroy != nullptr) destroy(*pool);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep) {
  HAMI_ACT(cuMemPoolTrimTo, pool, keep);
  const CUresult result = real(pool, keep);
  Pool* known = FindPool(pool);
  if (result == CUDA_SUCCESS && pool != nullptr && known != nullptr) Refresh(*known);
  return result;
}

CUresult cuMemPoolDestroy(CUmemoryPool pool) {
  HAMI_ACT(cuMemPoolDestroy, pool);
  Pool* const known = pool == nullptr ? nullptr : FindPool(pool);
  if (known == nullptr) return real(pool);
  End(*known, true);  // before the driver may give the handle to another pool
  const CUresult result = real(pool);
  if (result == CUDA_SUCCESS) {
    Refresh(*known);
  } else {
    End(*known, false);
    known->handle.store(pool, std::memory_order_release);
  }
  return result;
}

CUresult cuStreamSynchronize(CUstream stream) {
  HAMI_ACT(cuStreamSynchronize, stream);
  const CUresult result = real(stream);
  RefreshAll();
  return result;
}

CUresult cuStreamSynchronize_ptsz(CUstream stream) {
  HAMI_ACT(cuStreamSynchronize_ptsz, stream);
  const CUresult result = real(stream);
  RefreshAll();
  return result;
}

CUresult cuEventSynchronize(CUevent event) {
  HAMI_ACT(cuEventSynchronize, event);
  const CUresult result = real(event);
  RefreshAll();
  return result;
}

CUresult cuCtxSynchronize_v2(CUcontext context) {
  HAMI_ACT(cuCtxSynchronize_v2, context);
  const CUresult result = real(context);
  RefreshAll();
  return result;
}

CUresult cuCtxSynchronize() {
  HAMI_ACT(cuCtxSynchronize);
  const CUresult result = real();
  RefreshAll();
  return result;
}

}  // extern "C"
