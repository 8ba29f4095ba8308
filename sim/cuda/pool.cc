// Stream-ordered memory: pools reserve whole chunks of the card and keep them until a
// synchronisation finds more reserved than the release threshold allows.
#include "sim/cuda/graph.h"

namespace hami::sim {
namespace {

// All pools of the process, the devices' default ones left out. Guarded by memory_mutex.
constexpr int kMaxPools = 1024;
Pool* g_pools[kMaxPools];
int g_pool_count = 0;

uint64_t RoundUp(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

// memory_mutex held. Gives back what lies above both the use and `keep`.
void Trim(Driver& driver, Pool& pool, uint64_t keep) {
  const uint64_t chunk = driver.machine().cards().pool_chunk_bytes;
  const uint64_t floor = RoundUp(pool.used > keep ? pool.used : keep, chunk);
  if (pool.reserved <= floor) return;
  driver.ledger().Give(pool.card, pool.reserved - floor, Kind::kPool);
  pool.reserved = floor;
}

// memory_mutex held; the pool's last block is gone.
void EndPool(Driver& driver, Pool& pool) {
  Trim(driver, pool, 0);
  for (int i = 0; i < g_pool_count; ++i) {
    if (g_pools[i] == &pool) g_pools[i--] = g_pools[--g_pool_count];
  }
  driver.Delete(&pool);
}

int AllocateFrom(Driver& driver, Pool& pool, Context* context, uint64_t size, Block** out) {
  MutexGuard guard(driver.memory_mutex);
  if (pool.used + size > pool.reserved) {
    const uint64_t chunk = driver.machine().cards().pool_chunk_bytes;
    const uint64_t more = RoundUp(pool.used + size, chunk) - pool.reserved;
    if (const int code = driver.Charge(pool.card, more, Kind::kPool); code != 0) return code;
    pool.reserved += more;
    if (pool.reserved > pool.reserved_high) pool.reserved_high = pool.reserved;
  }
  Block* block = driver.addresses().Allocate(size, driver.machine().cards().keep_data);
  if (block == nullptr) return kCudaOutOfMemory;
  block->kind = BlockKind::kPooled;
  block->card = pool.card;
  block->pool = &pool;
  block->context = context;
  block->next = context->blocks;
  if (block->next != nullptr) block->next->previous = block;
  context->blocks = block;
  pool.used += size;
  if (pool.used > pool.used_high) pool.used_high = pool.used;
  *out = block;
  return kCudaSuccess;
}

int AllocateAsync(Driver& driver, bool per_thread, DevicePointer* out, size_t size, Pool* from,
                  CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (size == 0) return kCudaInvalidValue;
  const CudaDevice device = target.stream->context->device;
  Pool* pool = from != nullptr ? from : driver.device(device)->current_pool;
  if (!IsLive(pool) || pool->is_ending) return kCudaInvalidValue;
  if (target.capture != nullptr) {  // then the graph allocates, from its own memory
    CudaNodeParams params = {};
    params.alloc.pool.alloc_type = 1;
    params.alloc.pool.location = {kLocationDevice, pool->device};
    params.alloc.size = size;
    const int code = Record(driver, target, NodeType::kMemAlloc, params);
    if (code == kCudaSuccess) *out = params.alloc.address;
    return code;
  }
  Block* block = nullptr;
  const int code = AllocateFrom(driver, *pool, target.stream->context, size, &block);
  if (code == kCudaSuccess) *out = block->base;
  return code;
}

int FreeAsync(Driver& driver, bool per_thread, DevicePointer address, CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (address == 0) return kCudaInvalidValue;
  if (target.capture != nullptr) {
    CudaNodeParams params = {};
    params.free = address;
    return Record(driver, target, NodeType::kMemFree, params);
  }
  MutexGuard guard(driver.memory_mutex);
  Block* block = driver.addresses().Find(address);
  if (block == nullptr || block->base != address) return kCudaInvalidValue;
  if (block->kind == BlockKind::kGraph) return FreeGraphBlock(driver, block);
  if (block->kind != BlockKind::kPooled && block->kind != BlockKind::kDevice) {
    return kCudaInvalidValue;
  }
  driver.FreeBlock(block);
  return kCudaSuccess;
}

}  // namespace

// The pool keeps what it reserved until it is trimmed.
void GiveToPool(Pool& pool, uint64_t size) {
  pool.used -= size;
  if (pool.is_ending && pool.used == 0) EndPool(Driver::Get(), pool);
}

void TrimPools(int card) {
  Driver& driver = Driver::Get();
  MutexGuard guard(driver.memory_mutex);
  for (int i = 0; i < driver.device_count(); ++i) {
    Pool& pool = driver.device(i)->default_pool;
    if (pool.card == card) Trim(driver, pool, pool.release_threshold);
  }
  for (int i = 0; i < g_pool_count; ++i) {
    if (g_pools[i]->card == card) Trim(driver, *g_pools[i], g_pools[i]->release_threshold);
  }
}

}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuMemAllocAsync(DevicePointer* out, size_t size, CudaStream* stream) {
  SIM_CUDA_CALL(cuMemAllocAsync);
  return AllocateAsync(driver, false, out, size, nullptr, stream);
}
SIM_CUDA cuMemAllocAsync_ptsz(DevicePointer* out, size_t size, CudaStream* stream) {
  SIM_CUDA_CALL(cuMemAllocAsync_ptsz);
  return AllocateAsync(driver, true, out, size, nullptr, stream);
}
SIM_CUDA cuMemAllocFromPoolAsync(DevicePointer* out, size_t size, Pool* pool, CudaStream* stream) {
  SIM_CUDA_CALL(cuMemAllocFromPoolAsync);
  SIM_CUDA_OUT(pool);
  return AllocateAsync(driver, false, out, size, pool, stream);
}
SIM_CUDA cuMemAllocFromPoolAsync_ptsz(DevicePointer* out, size_t size, Pool* pool,
                                      CudaStream* stream) {
  SIM_CUDA_CALL(cuMemAllocFromPoolAsync_ptsz);
  SIM_CUDA_OUT(pool);
  return AllocateAsync(driver, true, out, size, pool, stream);
}
SIM_CUDA cuMemFreeAsync(DevicePointer address, CudaStream* stream) {
  SIM_CUDA_CALL(cuMemFreeAsync);
  return FreeAsync(driver, false, address, stream);
}
SIM_CUDA cuMemFreeAsync_ptsz(DevicePointer address, CudaStream* stream) {
  SIM_CUDA_CALL(cuMemFreeAsync_ptsz);
  return FreeAsync(driver, true, address, stream);
}

SIM_CUDA cuDeviceGetDefaultMemPool(Pool** out, CudaDevice ordinal) {
  SIM_CUDA_CALL(cuDeviceGetDefaultMemPool);
  SIM_CUDA_OUT(out);
  DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  *out = &device->default_pool;
  return kCudaSuccess;
}
SIM_CUDA cuDeviceGetMemPool(Pool** out, CudaDevice ordinal) {
  SIM_CUDA_CALL(cuDeviceGetMemPool);
  SIM_CUDA_OUT(out);
  DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.memory_mutex);
  *out = device->current_pool;
  return kCudaSuccess;
}
SIM_CUDA cuDeviceSetMemPool(CudaDevice ordinal, Pool* pool) {
  SIM_CUDA_CALL(cuDeviceSetMemPool);
  DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  if (!IsLive(pool) || pool->card != device->card) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  device->current_pool = pool;
  return kCudaSuccess;
}

SIM_CUDA cuMemPoolCreate(Pool** out, const CudaPoolProperties* properties) {
  SIM_CUDA_CALL(cuMemPoolCreate);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(properties);
  constexpr int kPinned = 1;
  if (properties->alloc_type != kPinned || properties->location.type != kLocationDevice) {
    return kCudaInvalidValue;
  }
  const DeviceState* device = driver.device(properties->location.id);
  if (device == nullptr) return kCudaInvalidDevice;
  auto* pool = driver.New<Pool>();
  MutexGuard guard(driver.memory_mutex);
  if (pool == nullptr || g_pool_count == kMaxPools) return kCudaOutOfMemory;
  pool->card = device->card;
  pool->device = properties->location.id;
  g_pools[g_pool_count++] = pool;
  *out = pool;
  return kCudaSuccess;
}

SIM_CUDA cuMemPoolDestroy(Pool* pool) {
  SIM_CUDA_CALL(cuMemPoolDestroy);
  if (!IsLive(pool) || pool->is_default || pool->is_ending) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  for (int i = 0; i < driver.device_count(); ++i) {
    DeviceState* device = driver.device(i);
    if (device->current_pool == pool) device->current_pool = &device->default_pool;
  }
  pool->is_ending = true;
  if (pool->used == 0) EndPool(driver, *pool);
  return kCudaSuccess;
}

SIM_CUDA cuMemPoolTrimTo(Pool* pool, size_t keep) {
  SIM_CUDA_CALL(cuMemPoolTrimTo);
  if (!IsLive(pool)) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  Trim(driver, *pool, keep);
  return kCudaSuccess;
}

namespace {
constexpr int kReuseFirst = 1, kReuseLast = 3, kReleaseThreshold = 4, kReservedNow = 5,
              kReservedHigh = 6, kUsedNow = 7, kUsedHigh = 8;
}  // namespace

SIM_CUDA cuMemPoolGetAttribute(Pool* pool, int attribute, void* value) {
  SIM_CUDA_CALL(cuMemPoolGetAttribute);
  SIM_CUDA_OUT(value);
  if (!IsLive(pool)) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  auto* wide = static_cast<uint64_t*>(value);
  switch (attribute) {
    case kReleaseThreshold:
      *wide = pool->release_threshold;
      return kCudaSuccess;
    case kReservedNow:
      *wide = pool->reserved;
      return kCudaSuccess;
    case kReservedHigh:
      *wide = pool->reserved_high;
      return kCudaSuccess;
    case kUsedNow:
      *wide = pool->used;
      return kCudaSuccess;
    case kUsedHigh:
      *wide = pool->used_high;
      return kCudaSuccess;
    default:
      if (attribute < kReuseFirst || attribute > kReuseLast) return kCudaInvalidValue;
      *static_cast<int*>(value) = 1;
      return kCudaSuccess;
  }
}

SIM_CUDA cuMemPoolSetAttribute(Pool* pool, int attribute, void* value) {
  SIM_CUDA_CALL(cuMemPoolSetAttribute);
  SIM_CUDA_OUT(value);
  if (!IsLive(pool)) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  const uint64_t wide = *static_cast<uint64_t*>(value);
  switch (attribute) {
    case kReleaseThreshold:
      pool->release_threshold = wide;
      return kCudaSuccess;
    case kReservedHigh:
      if (wide != 0) return kCudaInvalidValue;
      pool->reserved_high = pool->reserved;
      return kCudaSuccess;
    case kUsedHigh:
      if (wide != 0) return kCudaInvalidValue;
      pool->used_high = pool->used;
      return kCudaSuccess;
    default:
      return attribute >= kReuseFirst && attribute <= kReuseLast ? kCudaSuccess : kCudaInvalidValue;
  }
}

SIM_CUDA cuMemPoolSetAccess(Pool* pool, const void*, size_t) {
  SIM_CUDA_CALL(cuMemPoolSetAccess);
  return IsLive(pool) ? kCudaSuccess : kCudaInvalidValue;
}
