#include "limiter/hook/vmm.h"

#include <atomic>
#include <span>

#include "abi/region.h"
#include "limiter/account/charge.h"
#include "limiter/hook/prologue.h"
#include "limiter/sys/buffer.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::hook::OwnRecords;

namespace hami::limiter::hook {
namespace {

constinit std::atomic<uint64_t> next_identity{1};
constinit std::atomic<uint64_t> bindings{0};

Record Entry(Space space, uint64_t key, uint64_t identity) {
  Record record;
  record.key = key;
  record.link = identity;
  record.space = space;
  record.kind = HAMI_KIND_VMM;
  record.references = 1;
  return record;
}

// One reference to a block less; gives it back with the last one.
void Drop(uint64_t identity) {
  const auto block = OwnRecords().AddReference(Space::kPhysical, identity, -1);
  if (!block || block->references != 0) return;
  ReleaseRecord(*block);
  UnbindAll(identity);
}

// A handle that the program now has. `device` -1: not charged (the host's, another process's).
bool Remember(CUmemGenericAllocationHandle handle, int device, uint64_t bytes) {
  Record block = Entry(Space::kPhysical, NewIdentity(), 0);
  block.size = bytes;
  block.device = static_cast<int8_t>(device);
  if (!OwnRecords().Insert(block)) return false;
  if (OwnRecords().Insert(Entry(Space::kHandle, handle, block.key))) return true;
  OwnRecords().Take(Space::kPhysical, block.key);
  return false;
}

// A handle that the driver may have given before.
void RememberAgain(CUmemGenericAllocationHandle handle, uint64_t identity) {
  if (!OwnRecords().AddReference(Space::kPhysical, identity, 1)) return;
  if (!OwnRecords().AddReference(Space::kHandle, handle, 1)) {
    OwnRecords().Insert(Entry(Space::kHandle, handle, identity));
  }
}

struct Range {
  CUdeviceptr begin;
  size_t bytes;
};

// One call may end several neighbouring mappings, always whole ones. Asks
// `size_at` for the size of each; 0 ends it.
template <class SizeAt>
void ForEachMapping(const Range& range, SizeAt size_at) {
  for (uint64_t at = range.begin; at - range.begin < range.bytes;) {
    const uint64_t size = size_at(at);
    if (size == 0) return;
    at += size;
  }
}

size_t CountMappings(CUdeviceptr pointer, size_t bytes) {
  size_t count = 0;
  ForEachMapping({pointer, bytes}, [&count](uint64_t at) -> uint64_t {
    const auto mapping = OwnRecords().Find(Space::kMapping, at);
    if (!mapping) return 0;
    ++count;
    return mapping->size;
  });
  return count;
}

// Out of the table before the driver may give the addresses to another thread. `taken`: room for
// the mappings of the range.
template <class Call>
CUresult UnmapTaken(const Range& range, std::span<Record> taken, Call call) {
  size_t count = 0;
  ForEachMapping(range, [&](uint64_t at) -> uint64_t {
    if (count == taken.size()) return 0;
    const auto mapping = OwnRecords().Take(Space::kMapping, at);
    if (!mapping) return 0;
    taken[count++] = *mapping;
    return mapping->size;
  });
  const CUresult result = call();
  for (const Record& mapping : taken.first(count)) {
    if (result == CUDA_SUCCESS) {
      Drop(mapping.link);
    } else {
      OwnRecords().Insert(mapping);
    }
  }
  return result;
}

CUresult GiveBack(CUmemGenericAllocationHandle handle) {
  const auto release = HAMI_REAL(cuMemRelease);
  if (release != nullptr) release(handle);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

}  // namespace

uint64_t NewIdentity() { return next_identity.fetch_add(1); }

std::optional<uint64_t> BlockOf(CUmemGenericAllocationHandle handle) {
  const auto known = OwnRecords().Find(Space::kHandle, handle);
  return known ? std::optional(known->link) : std::nullopt;
}

std::optional<uint64_t> BlockAt(CUdeviceptr address) {
  const auto mapping = OwnRecords().FindContaining(Space::kMapping, address);
  return mapping ? std::optional(mapping->link) : std::nullopt;
}

int DeviceOfBlock(uint64_t identity) {
  const auto block = OwnRecords().Find(Space::kPhysical, identity);
  return block ? block->device : -1;
}

bool Bind(const Binding& binding) {
  if (OwnRecords().Find(Space::kBinding, binding.place)) return false;
  if (!OwnRecords().AddReference(Space::kPhysical, binding.block, 1)) return false;
  Record record = Entry(Space::kBinding, binding.place, binding.block);
  record.owner = binding.owner;
  record.size = binding.bytes;
  OwnRecords().Insert(record);
  bindings.fetch_add(1);
  return true;
}

std::optional<uint64_t> Unbind(uint64_t place) {
  const auto binding = OwnRecords().Take(Space::kBinding, place);
  if (!binding) return std::nullopt;
  bindings.fetch_sub(1);
  Drop(binding->link);
  return binding->size;
}

void UnbindAll(uint64_t owner) {
  if (bindings.load() == 0) return;
  OwnRecords().TakeOwned(Space::kBinding, owner, [](const Record& binding) {
    bindings.fetch_sub(1);
    Drop(binding.link);
  });
}

}  // namespace hami::limiter::hook

using namespace hami::limiter::hook;  // NOLINT: only exported functions below

extern "C" {

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t bytes,
                     const CUmemAllocationProp* prop, unsigned long long flags) {
  HAMI_ACT(cuMemCreate, handle, bytes, prop, flags);
  const int index = handle != nullptr && prop != nullptr ? DeviceOf(prop->location) : -1;
  if (index < 0) {
    const CUresult result = real(handle, bytes, prop, flags);
    if (result == CUDA_SUCCESS && handle != nullptr) Remember(*handle, -1, 0);
    return result;
  }
  const auto device = static_cast<unsigned>(index);
  Reservation room = Reservation::Of(device, bytes);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = real(handle, bytes, prop, flags);
  if (result != CUDA_SUCCESS) return result;
  if (!Remember(*handle, index, bytes)) return GiveBack(*handle);
  room.Keep(HAMI_KIND_VMM, bytes);
  return result;
}

// The exporter pays, while it holds the block.
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* os_handle,
                                        int type) {
  HAMI_ACT(cuMemImportFromShareableHandle, handle, os_handle, type);
  const CUresult result = real(handle, os_handle, type);
  if (result != CUDA_SUCCESS || handle == nullptr) return result;
  const auto known = BlockOf(*handle);
  if (known) {
    RememberAgain(*handle, *known);
  } else {
    Remember(*handle, -1, 0);
  }
  return result;
}

CUresult cuMulticastCreate(CUmemGenericAllocationHandle* handle, const void* prop) {
  HAMI_ACT(cuMulticastCreate, handle, prop);
  const CUresult result = real(handle, prop);
  if (result == CUDA_SUCCESS && handle != nullptr) Remember(*handle, -1, 0);
  return result;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  HAMI_ACT(cuMemRelease, handle);
  // Out of the table before the driver may give the number to another thread.
  const auto known = OwnRecords().AddReference(Space::kHandle, handle, -1);
  const CUresult result = real(handle);
  if (!known) return result;
  if (result == CUDA_SUCCESS) {
    Drop(known->link);
  } else if (known->references == 0) {
    OwnRecords().Insert(Entry(Space::kHandle, handle, known->link));
  } else {
    OwnRecords().AddReference(Space::kHandle, handle, 1);
  }
  return result;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* address) {
  HAMI_ACT(cuMemRetainAllocationHandle, handle, address);
  const CUresult result = real(handle, address);
  if (result != CUDA_SUCCESS) return result;
  const auto block = BlockAt(KeyOf(address));
  if (block) RememberAgain(*handle, *block);
  return result;
}

CUresult cuMemMap(CUdeviceptr pointer, size_t bytes, size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long flags) {
  HAMI_ACT(cuMemMap, pointer, bytes, offset, handle, flags);
  const auto block = BlockOf(handle);
  // Counted before: another thread may release the handle while the driver maps.
  if (block) OwnRecords().AddReference(Space::kPhysical, *block, 1);
  const CUresult result = real(pointer, bytes, offset, handle, flags);
  if (!block) return result;
  if (result != CUDA_SUCCESS) {
    Drop(*block);
    return result;
  }
  Record mapping = Entry(Space::kMapping, pointer, *block);
  mapping.size = bytes;
  OwnRecords().Insert(mapping);
  return result;
}

CUresult cuMemUnmap(CUdeviceptr pointer, size_t bytes) {
  HAMI_ACT(cuMemUnmap, pointer, bytes);
  const size_t count = CountMappings(pointer, bytes);
  if (count <= 1) {
    Record mapping;
    return UnmapTaken({pointer, bytes}, {&mapping, count}, [&] { return real(pointer, bytes); });
  }
  hami::limiter::sys::Buffer<Record> mappings(count);
  if (!mappings.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return UnmapTaken({pointer, bytes}, {mappings.data(), count},
                    [&] { return real(pointer, bytes); });
}

}  // extern "C"
