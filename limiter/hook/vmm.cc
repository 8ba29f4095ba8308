// Physical memory by handle. It is charged when it is made, on the card that the properties name,
// and given back when neither a handle nor a mapping refers to it: programs make, map and release
// the handle at once, and the mapping keeps the memory (spec B3).
#include <atomic>

#include "abi/region.h"
#include "limiter/account/charge.h"
#include "limiter/hook/prologue.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::hook::OwnRecords;

namespace {

constinit std::atomic<uint64_t> next_identity{1};

Record Entry(Space space, uint64_t key, uint64_t identity) {
  Record record;
  record.key = key;
  record.link = identity;
  record.space = space;
  record.kind = HAMI_KIND_VMM;
  record.references = 1;
  return record;
}

// One reference to a physical block less; gives it back with the last one.
void Drop(uint64_t identity) {
  const auto block = OwnRecords().AddReference(Space::kPhysical, identity, -1);
  if (block && block->references == 0) hami::limiter::hook::ReleaseRecord(*block);
}

bool Remember(CUmemGenericAllocationHandle handle, unsigned device, uint64_t bytes) {
  Record block = Entry(Space::kPhysical, next_identity.fetch_add(1), 0);
  block.size = bytes;
  block.device = static_cast<int8_t>(device);
  if (!OwnRecords().Insert(block)) return false;
  if (OwnRecords().Insert(Entry(Space::kHandle, handle, block.key))) return true;
  OwnRecords().Take(Space::kPhysical, block.key);
  return false;
}

}  // namespace

extern "C" {

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t bytes,
                     const CUmemAllocationProp* prop, unsigned long long flags) {
  HAMI_ACT(cuMemCreate, handle, bytes, prop, flags);
  const bool on_device =
      handle != nullptr && prop != nullptr && prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
  const int index = on_device ? hami::limiter::hook::IndexOf(prop->location.id) : -1;
  if (index < 0) return real(handle, bytes, prop, flags);
  const auto device = static_cast<unsigned>(index);
  Reservation room = Reservation::Of(device, bytes);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = real(handle, bytes, prop, flags);
  if (result != CUDA_SUCCESS) return result;
  if (!Remember(*handle, device, bytes)) {
    const auto release = HAMI_REAL(cuMemRelease);
    if (release != nullptr) release(*handle);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  room.Keep(HAMI_KIND_VMM, bytes);
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
  const auto mapping =
      OwnRecords().FindContaining(Space::kMapping, hami::limiter::hook::KeyOf(address));
  if (!mapping || !OwnRecords().AddReference(Space::kPhysical, mapping->link, 1)) return result;
  if (!OwnRecords().AddReference(Space::kHandle, *handle, 1)) {
    OwnRecords().Insert(Entry(Space::kHandle, *handle, mapping->link));
  }
  return result;
}

CUresult cuMemMap(CUdeviceptr pointer, size_t bytes, size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long flags) {
  HAMI_ACT(cuMemMap, pointer, bytes, offset, handle, flags);
  const auto known = OwnRecords().Find(Space::kHandle, handle);
  // Counted before: another thread may release the handle while the driver maps.
  if (known) OwnRecords().AddReference(Space::kPhysical, known->link, 1);
  const CUresult result = real(pointer, bytes, offset, handle, flags);
  if (!known) return result;
  if (result != CUDA_SUCCESS) {
    Drop(known->link);
    return result;
  }
  Record mapping = Entry(Space::kMapping, pointer, known->link);
  mapping.size = bytes;
  OwnRecords().Insert(mapping);
  return result;
}

CUresult cuMemUnmap(CUdeviceptr pointer, size_t bytes) {
  HAMI_ACT(cuMemUnmap, pointer, bytes);
  const CUresult result = real(pointer, bytes);
  if (result != CUDA_SUCCESS) return result;
  // One call may end several neighbouring mappings, always whole ones.
  for (uint64_t at = pointer; at - pointer < bytes;) {
    const auto mapping = OwnRecords().Take(Space::kMapping, at);
    if (!mapping || mapping->size == 0) break;
    Drop(mapping->link);
    at += mapping->size;
  }
  return result;
}

}  // extern "C"
