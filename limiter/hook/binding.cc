// Places other than addresses where physical blocks are put: sparse arrays and multicast objects.
// Each keeps its blocks alive after their handles are released, so it keeps their charge too.
#include "limiter/hook/prologue.h"
#include "limiter/hook/vmm.h"

using hami::limiter::account::Space;
using namespace hami::limiter::hook;  // NOLINT: only exported functions below

namespace {

// A block and an array are bound once, however many tiles of it: which tile an unmapping ends
// cannot be told from a handle, so the binding ends with the array (too high, never too low).
uint64_t PlaceInArray(uint64_t array, uint64_t block) {
  return (array ^ block * 0x9e3779b97f4a7c15u) | uint64_t{1} << 63;
}

// A failing call leaves the bindings of its list to the end of the array, too.
template <class Call>
CUresult MapIntoArrays(const CUarrayMapInfo* list, unsigned count, Call call) {
  for (unsigned i = 0; list != nullptr && i < count; ++i) {
    if (list[i].operation != CU_MEM_OPERATION_TYPE_MAP) continue;
    const auto block = BlockOf(list[i].handle);
    // Its identity: the handle may come back while this array is still about to give up its blocks.
    const auto array = OwnRecords().Find(Space::kArray, KeyOf(list[i].resource));
    if (block && array) Bind({PlaceInArray(array->link, *block), array->link, *block, 0});
  }
  return call();
}

// Multicast offsets are multiples of 64 KiB at least. `device` is an index, -1: none.
uint64_t PlaceInObject(uint64_t object, int device, uint64_t offset) {
  return object << 40 | static_cast<uint64_t>(device + 1) << 34 | offset >> 16;
}

struct Piece {
  CUmemGenericAllocationHandle object;
  CUdevice device;  // -1: the one that the memory is on
  size_t offset, bytes;
};

template <class Call>
CUresult BindToObject(const Piece& piece, std::optional<uint64_t> block, Call call) {
  const auto object = BlockOf(piece.object);
  if (!object || !block) return call();
  const int device = piece.device >= 0 ? IndexOf(piece.device) : DeviceOfBlock(*block);
  const uint64_t place = PlaceInObject(*object, device, piece.offset);
  const bool bound = Bind({place, *object, *block, piece.bytes});
  const CUresult result = call();
  if (result != CUDA_SUCCESS && bound) Unbind(place);
  return result;
}

}  // namespace

extern "C" {

CUresult cuMemMapArrayAsync(CUarrayMapInfo* list, unsigned count, CUstream stream) {
  HAMI_ACT(cuMemMapArrayAsync, list, count, stream);
  return MapIntoArrays(list, count, [&] { return real(list, count, stream); });
}

CUresult cuMemMapArrayAsync_ptsz(CUarrayMapInfo* list, unsigned count, CUstream stream) {
  HAMI_ACT(cuMemMapArrayAsync_ptsz, list, count, stream);
  return MapIntoArrays(list, count, [&] { return real(list, count, stream); });
}

CUresult cuMulticastBindMem_v2(CUmemGenericAllocationHandle object, CUdevice device, size_t offset,
                               CUmemGenericAllocationHandle handle, size_t from, size_t bytes,
                               unsigned long long flags) {
  HAMI_ACT(cuMulticastBindMem_v2, object, device, offset, handle, from, bytes, flags);
  return BindToObject({object, device, offset, bytes}, BlockOf(handle),
                      [&] { return real(object, device, offset, handle, from, bytes, flags); });
}

CUresult cuMulticastBindMem(CUmemGenericAllocationHandle object, size_t offset,
                            CUmemGenericAllocationHandle handle, size_t from, size_t bytes,
                            unsigned long long flags) {
  HAMI_ACT(cuMulticastBindMem, object, offset, handle, from, bytes, flags);
  return BindToObject({object, -1, offset, bytes}, BlockOf(handle),
                      [&] { return real(object, offset, handle, from, bytes, flags); });
}

CUresult cuMulticastBindAddr_v2(CUmemGenericAllocationHandle object, CUdevice device, size_t offset,
                                CUdeviceptr pointer, size_t bytes, unsigned long long flags) {
  HAMI_ACT(cuMulticastBindAddr_v2, object, device, offset, pointer, bytes, flags);
  return BindToObject({object, device, offset, bytes}, BlockAt(pointer),
                      [&] { return real(object, device, offset, pointer, bytes, flags); });
}

CUresult cuMulticastBindAddr(CUmemGenericAllocationHandle object, size_t offset,
                             CUdeviceptr pointer, size_t bytes, unsigned long long flags) {
  HAMI_ACT(cuMulticastBindAddr, object, offset, pointer, bytes, flags);
  return BindToObject({object, -1, offset, bytes}, BlockAt(pointer),
                      [&] { return real(object, offset, pointer, bytes, flags); });
}

CUresult cuMulticastUnbind(CUmemGenericAllocationHandle object, CUdevice device, size_t offset,
                           size_t bytes) {
  HAMI_ACT(cuMulticastUnbind, object, device, offset, bytes);
  const auto identity = BlockOf(object);
  const CUresult result = real(object, device, offset, bytes);
  if (result != CUDA_SUCCESS || !identity) return result;
  const int index = IndexOf(device);
  for (size_t at = offset; at - offset < bytes;) {
    const auto ended = Unbind(PlaceInObject(*identity, index, at));
    if (!ended || *ended == 0) break;
    at += *ended;
  }
  return result;
}

}  // extern "C"
