#include "limiter/hook/pool.h"

#include <new>
#include <optional>

#include "abi/region.h"
#include "limiter/account/charge.h"
#include "limiter/account/pool_books.h"
#include "limiter/hook/book.h"

namespace hami::limiter::hook {
namespace {

using account::Record;
using account::Reservation;
using account::Space;

constexpr size_t kPoolsAtOnce = 128;

struct Pool {
  std::atomic<CUmemoryPool> handle{nullptr};
  sys::Lock lock;
  int device = -1;         // index in the region; -1: host memory, not charged
  bool destroyed = false;  // the driver may not be asked about it any more
  account::PoolBooks books;
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
  free->books = {};
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
  const uint64_t seen = pool.books.changes;
  const bool asks = !pool.destroyed && handle != nullptr && pool.device >= 0;
  pool.lock.Release();
  const uint64_t reserved = asks ? ReservedNow(handle) : 0;
  uint64_t surplus = 0;
  {
    const sys::Guard guard(pool.lock);
    surplus = pool.books.TakeSurplus(reserved, seen);
    if (pool.destroyed && pool.books.IsEmpty()) pool.handle.store(nullptr);
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
    if (pool.books.HasSlack()) slack_hint.store(1, std::memory_order_release);
  });
}

// Books what the driver has reserved. False: that does not fit the limit.
bool Cover(Pool& pool, uint64_t reserved) {
  uint64_t missing = 0;
  {
    const sys::Guard guard(pool.lock);
    missing = pool.books.BeginCover(reserved);
    if (pool.books.HasSlack()) slack_hint.store(1, std::memory_order_release);
  }
  if (missing == 0) return true;
  Reservation room = Reservation::Of(static_cast<unsigned>(pool.device), missing);
  if (room.granted()) room.Keep(HAMI_KIND_POOL, missing);
  const sys::Guard guard(pool.lock);
  pool.books.EndCover(missing, room.granted());
  return room.granted();
}

// After a grant. A reading may be old: others' blocks that were in it have gone.
bool IsCovered(Pool& pool) {
  const CUmemoryPool handle = pool.handle.load(std::memory_order_relaxed);
  uint64_t reserved = ReservedNow(handle);
  while (!Cover(pool, reserved)) {
    const uint64_t now = ReservedNow(handle);
    if (now >= reserved) return false;
    reserved = now;
  }
  return true;
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
  pool.books.Drop(bytes);
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
CUresult CallWithRoom(Pool& pool, uint64_t growth, Call call) {
  if (growth == 0) return call();
  Reservation room = Reservation::Of(static_cast<unsigned>(pool.device), growth);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result == CUDA_SUCCESS) room.Keep(HAMI_KIND_POOL, growth);
  return result;
}

// One request, counted in the pool's books.
template <class Call>
CUresult Grow(Pool& pool, uint64_t bytes, Call call) {
  uint64_t growth = 0;
  {
    const sys::Guard guard(pool.lock);
    growth = pool.books.Enter(bytes);
  }
  const CUresult result = CallWithRoom(pool, growth, call);
  const sys::Guard guard(pool.lock);
  pool.books.Leave(bytes, growth, result == CUDA_SUCCESS);
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
  const CUresult result = Grow(*pool, bytes, call);
  if (result != CUDA_SUCCESS) return result;
  const bool kept = Remember(PoolRecord(*pool, *pointer, bytes));
  if (kept && IsCovered(*pool)) return CUDA_SUCCESS;
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
    pool.books = {};
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
