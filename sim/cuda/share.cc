// Memory across processes: IPC handles, shareable handles of physical memory and of pools, memory
// of other libraries, multicast objects. The exporter pays, importers take nothing from the card,
// and what they see ends with the exporter. Contents are not shared.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "sim/cuda/vmm.h"

namespace hami::sim {

struct ExternalMemory : Tagged {
  static constexpr uint32_t kTag = 0x4558544d;
  static constexpr int kList = 12;
  uint64_t size = 0;
};

namespace {

constexpr uint64_t kTicketMagic = 0x3172616873756766ull;
constexpr int kFileDescriptor = 1;  // CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, ..._OPAQUE_FD

enum class Shared : uint32_t { kMemory, kPhysical, kPool, kPooled };

// What a handle says, 64 bytes of it.
struct Ticket {
  uint64_t magic;
  Shared what;
  int32_t card;
  int32_t slot;  // the exporter's, with its epoch: tells whether it still lives
  uint32_t epoch;
  uint64_t object;  // address in the exporter
  uint64_t size;
  uint64_t reserved[3];
};
static_assert(sizeof(Ticket) == 64);

Ticket MakeTicket(Driver& driver, Shared what, int card, uint64_t object, uint64_t size) {
  const int slot = driver.ledger().slot();
  return {kTicketMagic, what, card, slot, driver.ledger().file()->slots[slot].epoch.load(),
          object,       size, {}};
}

bool IsMine(Driver& driver, const Ticket& ticket) { return ticket.slot == driver.ledger().slot(); }

int CheckTicket(Driver& driver, const Ticket& ticket, Shared what) {
  if (ticket.magic != kTicketMagic || ticket.what != what || ticket.slot < 0 ||
      ticket.slot >= kMaxSlots || ticket.card < 0 || ticket.card >= kMaxCards) {
    return kCudaInvalidValue;
  }
  const Slot& owner = driver.ledger().file()->slots[ticket.slot];
  const bool lives = owner.used.load() != 0 && owner.epoch.load() == ticket.epoch &&
                     driver.ledger().IsAlive(ticket.slot);
  return lives ? kCudaSuccess : kCudaInvalidHandle;
}

// A handle in a file that only its descriptor names.
int PutTicket(const Ticket& ticket, void* out) {
  const auto fd = static_cast<int>(syscall(SYS_memfd_create, "fakegpu", MFD_CLOEXEC));
  if (fd < 0) return kCudaUnknown;
  if (write(fd, &ticket, sizeof ticket) != static_cast<ssize_t>(sizeof ticket)) {
    close(fd);
    return kCudaUnknown;
  }
  *static_cast<int*>(out) = fd;
  return kCudaSuccess;
}

int GetTicket(Driver& driver, void* handle, Shared what, Ticket* ticket) {
  const auto fd = static_cast<int>(reinterpret_cast<intptr_t>(handle));
  if (pread(fd, ticket, sizeof *ticket, 0) != static_cast<ssize_t>(sizeof *ticket)) {
    return kCudaInvalidValue;
  }
  return CheckTicket(driver, *ticket, what);
}

// Addresses for memory that somebody else pays for.
int MapForeign(Driver& driver, Context* context, uint64_t size, uint64_t source, bool freeable,
               DevicePointer* out) {
  MutexGuard guard(driver.memory_mutex);
  Block* block = driver.addresses().Allocate(size, false);
  if (block == nullptr) return kCudaOutOfMemory;
  block->kind = freeable ? BlockKind::kForeign : BlockKind::kIpc;
  block->card = context->card;
  block->source = source;
  block->opens = 1;
  block->context = context;
  block->next = context->blocks;
  if (block->next != nullptr) block->next->previous = block;
  context->blocks = block;
  *out = block->base;
  return kCudaSuccess;
}

int OpenIpc(Driver& driver, DevicePointer* out, const Ticket& ticket, unsigned flags) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_UNSAFE();
  SIM_CUDA_OUT(out);
  if (flags > 1) return kCudaInvalidValue;
  if (const int code = CheckTicket(driver, ticket, Shared::kMemory); code != 0) return code;
  if (IsMine(driver, ticket)) return kCudaInvalidContext;  // only another process may
  if (ticket.card != context->card) return kCudaInvalidDevice;
  const uint64_t source = ticket.object ^ uint64_t { ticket.epoch } << 48 ^
                          static_cast<uint64_t>(ticket.slot) << 32 << 20;
  {
    MutexGuard guard(driver.memory_mutex);
    for (Block* b = context->blocks; b != nullptr; b = b->next) {
      if (b->kind != BlockKind::kIpc || b->source != source) continue;
      ++b->opens;
      *out = b->base;
      return kCudaSuccess;
    }
  }
  return MapForeign(driver, context, ticket.size, source, false, out);
}

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuIpcGetMemHandle(Ticket* out, DevicePointer address) {
  SIM_CUDA_CALL(cuIpcGetMemHandle);
  SIM_CUDA_OUT(out);
  MutexGuard guard(driver.memory_mutex);
  const Block* block = driver.addresses().Find(address);
  if (block == nullptr || block->kind != BlockKind::kDevice) return kCudaInvalidValue;
  *out = MakeTicket(driver, Shared::kMemory, block->card, block->base, block->size);
  return kCudaSuccess;
}
SIM_CUDA cuIpcOpenMemHandle_v2(DevicePointer* out, Ticket handle, unsigned flags) {
  SIM_CUDA_CALL(cuIpcOpenMemHandle_v2);
  return OpenIpc(driver, out, handle, flags);
}
SIM_CUDA cuIpcOpenMemHandle(DevicePointer* out, Ticket handle, unsigned flags) {
  SIM_CUDA_CALL(cuIpcOpenMemHandle);
  return OpenIpc(driver, out, handle, flags);
}
SIM_CUDA cuIpcCloseMemHandle(DevicePointer address) {
  SIM_CUDA_CALL(cuIpcCloseMemHandle);
  MutexGuard guard(driver.memory_mutex);
  Block* block = driver.addresses().Find(address);
  if (block == nullptr || block->kind != BlockKind::kIpc || block->base != address) {
    return kCudaInvalidValue;
  }
  if (--block->opens == 0) driver.FreeBlock(block);
  return kCudaSuccess;
}

SIM_CUDA cuMemExportToShareableHandle(void* out, Physical* physical, int type, uint64_t flags) {
  SIM_CUDA_CALL(cuMemExportToShareableHandle);
  SIM_CUDA_OUT(out);
  if (flags != 0) return kCudaInvalidValue;
  if (type != kFileDescriptor) return kCudaNotSupported;
  MutexGuard guard(driver.memory_mutex);
  if (!IsLive(physical) || (physical->properties.handle_types & kFileDescriptor) == 0) {
    return kCudaInvalidValue;
  }
  if (physical->card < 0) return kCudaNotSupported;
  return PutTicket(MakeTicket(driver, Shared::kPhysical, physical->card,
                              reinterpret_cast<uintptr_t>(physical), physical->size),
                   out);
}
SIM_CUDA cuMemImportFromShareableHandle(Physical** out, void* handle, int type) {
  SIM_CUDA_CALL(cuMemImportFromShareableHandle);
  SIM_CUDA_OUT(out);
  if (type != kFileDescriptor) return kCudaNotSupported;
  Ticket ticket;
  if (const int code = GetTicket(driver, handle, Shared::kPhysical, &ticket); code != 0) {
    return code;
  }
  MutexGuard guard(driver.memory_mutex);
  if (IsMine(driver, ticket)) {
    auto* own = reinterpret_cast<Physical*>(ticket.object);
    if (!IsLive(own)) return kCudaInvalidHandle;
    ++own->handles;
    *out = own;
    return kCudaSuccess;
  }
  int device = -1;
  for (int i = 0; i < driver.device_count(); ++i) {
    if (driver.device(i)->card == ticket.card) device = i;
  }
  if (device < 0) return kCudaInvalidDevice;
  auto* physical = driver.New<Physical>();
  if (physical == nullptr) return kCudaOutOfMemory;
  physical->card = ticket.card;
  physical->size = ticket.size;
  physical->handles = 1;
  physical->properties.type = 1;
  physical->properties.handle_types = kFileDescriptor;
  physical->properties.location = {kLocationDevice, device};
  *out = physical;
  return kCudaSuccess;
}

SIM_CUDA cuMemPoolExportToShareableHandle(void* out, Pool* pool, int type, uint64_t flags) {
  SIM_CUDA_CALL(cuMemPoolExportToShareableHandle);
  SIM_CUDA_OUT(out);
  if (flags != 0) return kCudaInvalidValue;
  if (type != kFileDescriptor) return kCudaNotSupported;
  if (!IsLive(pool) || pool->is_imported || (pool->handle_types & kFileDescriptor) == 0) {
    return kCudaInvalidValue;
  }
  return PutTicket(
      MakeTicket(driver, Shared::kPool, pool->card, reinterpret_cast<uintptr_t>(pool), 0), out);
}
SIM_CUDA cuMemPoolImportFromShareableHandle(Pool** out, void* handle, int type, uint64_t flags) {
  SIM_CUDA_CALL(cuMemPoolImportFromShareableHandle);
  SIM_CUDA_OUT(out);
  if (flags != 0) return kCudaInvalidValue;
  if (type != kFileDescriptor) return kCudaNotSupported;
  Ticket ticket;
  if (const int code = GetTicket(driver, handle, Shared::kPool, &ticket); code != 0) return code;
  for (int i = 0; i < driver.device_count(); ++i) {
    if (driver.device(i)->card != ticket.card) continue;
    auto* pool = driver.New<Pool>();
    if (pool == nullptr) return kCudaOutOfMemory;
    pool->card = ticket.card;
    pool->device = i;
    pool->is_imported = true;
    *out = pool;
    return kCudaSuccess;
  }
  return kCudaInvalidDevice;
}
SIM_CUDA cuMemPoolExportPointer(Ticket* out, DevicePointer address) {
  SIM_CUDA_CALL(cuMemPoolExportPointer);
  SIM_CUDA_OUT(out);
  MutexGuard guard(driver.memory_mutex);
  const Block* block = driver.addresses().Find(address);
  if (block == nullptr || block->kind != BlockKind::kPooled || block->base != address ||
      (block->pool->handle_types & kFileDescriptor) == 0) {
    return kCudaInvalidValue;
  }
  *out = MakeTicket(driver, Shared::kPooled, block->card, block->base, block->size);
  return kCudaSuccess;
}
SIM_CUDA cuMemPoolImportPointer(DevicePointer* out, Pool* pool, const Ticket* ticket) {
  SIM_CUDA_CALL(cuMemPoolImportPointer);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(ticket);
  if (!IsLive(pool) || !pool->is_imported || pool->card != ticket->card) return kCudaInvalidValue;
  if (const int code = CheckTicket(driver, *ticket, Shared::kPooled); code != 0) return code;
  return MapForeign(driver, context, ticket->size, ticket->object, true, out);
}

// Memory of Vulkan and the like: its owner pays.
struct ExternalMemoryHandle {
  int32_t type;
  union {
    int32_t fd;
    void* room[2];
  };
  uint64_t size;
  uint32_t flags, reserved[16];
};
struct ExternalMemoryBuffer {
  uint64_t offset, size;
  uint32_t flags, reserved[16];
};

SIM_CUDA cuImportExternalMemory(ExternalMemory** out, const ExternalMemoryHandle* handle) {
  SIM_CUDA_CALL(cuImportExternalMemory);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(handle);
  if (handle->type != kFileDescriptor) return kCudaNotSupported;
  if (handle->size == 0 || fcntl(handle->fd, F_GETFD) < 0) return kCudaInvalidValue;
  auto* memory = driver.New<ExternalMemory>();
  if (memory == nullptr) return kCudaOutOfMemory;
  memory->size = handle->size;
  close(handle->fd);  // the driver owns it from here on
  *out = memory;
  return kCudaSuccess;
}
SIM_CUDA cuExternalMemoryGetMappedBuffer(DevicePointer* out, ExternalMemory* memory,
                                         const ExternalMemoryBuffer* buffer) {
  SIM_CUDA_CALL(cuExternalMemoryGetMappedBuffer);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(buffer);
  if (!IsLive(memory)) return kCudaInvalidHandle;
  if (buffer->flags != 0 || buffer->size == 0 || buffer->size > memory->size ||
      buffer->offset > memory->size - buffer->size) {
    return kCudaInvalidValue;
  }
  return MapForeign(driver, context, buffer->size, 0, true, out);
}
SIM_CUDA cuDestroyExternalMemory(ExternalMemory* memory) {
  SIM_CUDA_CALL(cuDestroyExternalMemory);
  if (!IsLive(memory)) return kCudaInvalidHandle;
  driver.Delete(memory);
  return kCudaSuccess;
}

// Multicast objects: addresses through which a write reaches several cards. They take no memory.
struct MulticastProperties {
  uint32_t devices;
  size_t size;
  uint64_t handle_types, flags;
};
constexpr size_t kMulticastGranularity = 2 << 20;

SIM_CUDA cuMulticastGetGranularity(size_t* out, const MulticastProperties* properties, int) {
  SIM_CUDA_CALL(cuMulticastGetGranularity);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(properties);
  *out = kMulticastGranularity;
  return kCudaSuccess;
}
SIM_CUDA cuMulticastCreate(Physical** out, const MulticastProperties* properties) {
  SIM_CUDA_CALL(cuMulticastCreate);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(properties);
  if (properties->devices == 0 || properties->size == 0 || properties->flags != 0 ||
      properties->size % kMulticastGranularity != 0 ||
      properties->devices > static_cast<uint32_t>(driver.device_count())) {
    return kCudaInvalidValue;
  }
  for (int i = 0; i < driver.device_count(); ++i) {
    if (driver.card(driver.device(i)->card).cc_major < 9) return kCudaNotSupported;
  }
  auto* object = driver.New<Physical>();
  if (object == nullptr) return kCudaOutOfMemory;
  object->size = properties->size;
  object->handles = 1;
  object->is_multicast = true;
  object->wanted_devices = properties->devices;
  *out = object;
  return kCudaSuccess;
}
SIM_CUDA cuMulticastAddDevice(Physical* object, CudaDevice ordinal) {
  SIM_CUDA_CALL(cuMulticastAddDevice);
  if (driver.device(ordinal) == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.memory_mutex);
  if (!IsLive(object) || !object->is_multicast) return kCudaInvalidValue;
  const uint32_t bit = 1u << ordinal;
  if ((object->devices & bit) != 0 ||
      static_cast<uint32_t>(__builtin_popcount(object->devices)) == object->wanted_devices) {
    return kCudaInvalidValue;
  }
  object->devices |= bit;
  return kCudaSuccess;
}

namespace {

// Nothing reads or writes through a binding; it keeps the memory alive.
int Bind(Physical* object, size_t offset, size_t size, Physical* memory) {
  auto* bound = static_cast<Bound*>(malloc(sizeof(Bound)));
  if (bound == nullptr) return kCudaOutOfMemory;
  *bound = {offset, size, memory, object->bound};
  object->bound = bound;
  ++memory->mappings;
  return kCudaSuccess;
}

int CheckBind(const Physical* object, size_t offset, size_t size, uint64_t flags) {
  if (!IsLive(object) || !object->is_multicast || flags != 0 || size == 0 ||
      offset % kMulticastGranularity != 0 || size % kMulticastGranularity != 0 ||
      size > object->size || offset > object->size - size) {
    return kCudaInvalidValue;
  }
  const bool complete =
      static_cast<uint32_t>(__builtin_popcount(object->devices)) == object->wanted_devices;
  return complete ? kCudaSuccess : kCudaIllegalState;
}

}  // namespace

SIM_CUDA cuMulticastBindMem(Physical* object, size_t offset, Physical* memory, size_t memory_offset,
                            size_t size, uint64_t flags) {
  SIM_CUDA_CALL(cuMulticastBindMem);
  MutexGuard guard(driver.memory_mutex);
  if (const int code = CheckBind(object, offset, size, flags); code != 0) return code;
  const bool fits = IsLive(memory) && !memory->is_multicast && memory->card >= 0 &&
                    size <= memory->size && memory_offset <= memory->size - size;
  return fits ? Bind(object, offset, size, memory) : kCudaInvalidValue;
}
SIM_CUDA cuMulticastBindAddr(Physical* object, size_t offset, DevicePointer address, size_t size,
                             uint64_t flags) {
  SIM_CUDA_CALL(cuMulticastBindAddr);
  MutexGuard guard(driver.memory_mutex);
  if (const int code = CheckBind(object, offset, size, flags); code != 0) return code;
  Physical* const memory = MappedAt(driver, address, size);
  return memory != nullptr ? Bind(object, offset, size, memory) : kCudaInvalidValue;
}
SIM_CUDA cuMulticastUnbind(Physical* object, CudaDevice ordinal, size_t offset, size_t size) {
  SIM_CUDA_CALL(cuMulticastUnbind);
  const DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.memory_mutex);
  if (const int code = CheckBind(object, offset, size, 0); code != 0) return code;
  for (Bound** at = &object->bound; *at != nullptr;) {
    Bound* const bound = *at;
    const bool inside = bound->offset >= offset && bound->offset + bound->size <= offset + size;
    if (!inside || bound->physical->card != device->card) {
      at = &bound->next;
      continue;
    }
    *at = bound->next;
    --bound->physical->mappings;
    DropIfUnused(driver, bound->physical);
    free(bound);
  }
  return kCudaSuccess;
}
