// Plain device memory: alloc, pitched, managed, free.
#include "abi/region.h"
#include "limiter/hook/book.h"
#include "limiter/hook/managed.h"
#include "limiter/hook/pool.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::hook::Current;
using hami::limiter::hook::CurrentDevice;

namespace {

// Rows are padded to the hardware's pitch; what the driver chose is known afterwards only.
constexpr uint64_t kPitchAlignment = 512;

Record PointerRecord(const Current& current, uint64_t pointer, uint64_t bytes, uint8_t kind) {
  return hami::limiter::hook::RecordOf(current, Space::kPointer, pointer, bytes, kind);
}

void FreeInDriver(uint64_t pointer) {
  const auto release = HAMI_REAL(cuMemFree_v2);
  if (release != nullptr) release(pointer);
}

CUresult Book(Reservation& room, const Record& record) {
  return hami::limiter::hook::Book(room, record, [&] { FreeInDriver(record.key); });
}

// Device memory where it fits the physical share and the card has it, else managed memory. `ask`:
// the program's own call; `taken`: bytes that it has taken of the card.
template <class Pointer, class Ask, class Taken>
__attribute__((noinline)) CUresult AllocateEither(const Current& current, Pointer* pointer,
                                                  uint64_t bytes, Ask ask, Taken taken) {
  Reservation room = Reservation::OfAny(current.index, bytes);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = room.FitsPhysicalShare() ? ask() : CUDA_ERROR_OUT_OF_MEMORY;
  if (result == CUDA_SUCCESS) {
    return Book(room, PointerRecord(current, *pointer, taken(), HAMI_KIND_DATA));
  }
  // A pointer of 32 bits cannot hold what the driver may answer.
  if (result != CUDA_ERROR_OUT_OF_MEMORY || sizeof *pointer < sizeof(CUdeviceptr)) return result;
  CUdeviceptr managed = 0;
  const CUresult instead = hami::limiter::hook::AllocateDisguised(current, bytes, &managed);
  if (instead != CUDA_SUCCESS) return instead;
  *pointer = static_cast<Pointer>(managed);
  Record record = PointerRecord(current, managed, bytes, HAMI_KIND_MANAGED);
  hami::limiter::hook::MarkDisguised(record);
  return Book(room, record);
}

template <class Pointer, class Call>
CUresult Allocate(Pointer* pointer, uint64_t bytes, Call call) {
  const Current current = CurrentDevice();
  if (!current.valid || pointer == nullptr || bytes == 0) return call();
  if (hami::limiter::hook::MayDisguise()) {
    return AllocateEither(current, pointer, bytes, call, [bytes] { return bytes; });
  }
  Reservation room = Reservation::Of(current.index, bytes);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result != CUDA_SUCCESS) return result;
  return Book(room, PointerRecord(current, *pointer, bytes, HAMI_KIND_DATA));
}

// The program's own managed memory: it may leave the card.
template <class Call>
CUresult AllocateManaged(CUdeviceptr* pointer, uint64_t bytes, Call call) {
  const Current current = CurrentDevice();
  if (!current.valid || pointer == nullptr || bytes == 0) return call();
  Reservation room = Reservation::OfAny(current.index, bytes);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result != CUDA_SUCCESS) return result;
  return Book(room, PointerRecord(current, *pointer, bytes, HAMI_KIND_MANAGED));
}

template <class Pointer, class Pitch, class Call>
CUresult AllocatePitched(Pointer* pointer, Pitch* pitch, uint64_t width, uint64_t height,
                         Call call) {
  const Current current = CurrentDevice();
  const uint64_t padded = (width + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
  uint64_t expected = 0;
  if (!current.valid || pointer == nullptr || pitch == nullptr || width == 0 || height == 0) {
    return call();
  }
  if (padded < width || __builtin_mul_overflow(padded, height, &expected)) expected = UINT64_MAX;
  if (hami::limiter::hook::MayDisguise()) {
    // Managed memory has no pitch of its own: the expected one holds unless the driver has chosen.
    *pitch = static_cast<Pitch>(padded);
    const auto ask = [&] {
      const CUresult result = call();
      if (result != CUDA_SUCCESS) *pitch = static_cast<Pitch>(padded);
      return result;
    };
    return AllocateEither(current, pointer, expected, ask,
                          [&] { return uint64_t{*pitch} * height; });
  }
  Reservation room = Reservation::Of(current.index, expected);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result != CUDA_SUCCESS) return result;
  return Book(room, PointerRecord(current, *pointer, uint64_t{*pitch} * height, HAMI_KIND_DATA));
}

template <class Call>
CUresult Free(uint64_t pointer, Call call) {
  return hami::limiter::hook::FreeRecorded(Space::kPointer, pointer, call);
}

}  // namespace

extern "C" {

CUresult cuMemAlloc_v2(CUdeviceptr* pointer, size_t bytes) {
  HAMI_ACT(cuMemAlloc_v2, pointer, bytes);
  return Allocate(pointer, bytes, [&] { return real(pointer, bytes); });
}

CUresult cuMemAlloc(CUdeviceptr_v1* pointer, unsigned bytes) {
  HAMI_ACT(cuMemAlloc, pointer, bytes);
  return Allocate(pointer, bytes, [&] { return real(pointer, bytes); });
}

CUresult cuMemAllocManaged(CUdeviceptr* pointer, size_t bytes, unsigned flags) {
  HAMI_ACT(cuMemAllocManaged, pointer, bytes, flags);
  return AllocateManaged(pointer, bytes, [&] { return real(pointer, bytes, flags); });
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* pointer, size_t* pitch, size_t width, size_t height,
                            unsigned element) {
  HAMI_ACT(cuMemAllocPitch_v2, pointer, pitch, width, height, element);
  return AllocatePitched(pointer, pitch, width, height,
                         [&] { return real(pointer, pitch, width, height, element); });
}

CUresult cuMemAllocPitch(CUdeviceptr_v1* pointer, unsigned* pitch, unsigned width, unsigned height,
                         unsigned element) {
  HAMI_ACT(cuMemAllocPitch, pointer, pitch, width, height, element);
  return AllocatePitched(pointer, pitch, width, height,
                         [&] { return real(pointer, pitch, width, height, element); });
}

CUresult cuMemFree_v2(CUdeviceptr pointer) {
  HAMI_ACT(cuMemFree_v2, pointer);
  return Free(pointer, [&] { return real(pointer); });
}

CUresult cuMemFree(CUdeviceptr_v1 pointer) {
  HAMI_ACT(cuMemFree, pointer);
  return Free(pointer, [&] { return real(pointer); });
}

CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
  HAMI_ACT(cuMemFreeAsync, pointer, stream);
  if (hami::limiter::hook::IsCapturing(stream)) return real(pointer, stream);
  return Free(pointer, [&] { return real(pointer, stream); });
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr pointer, CUstream stream) {
  HAMI_ACT(cuMemFreeAsync_ptsz, pointer, stream);
  if (hami::limiter::hook::IsCapturing(stream)) return real(pointer, stream);
  return Free(pointer, [&] { return real(pointer, stream); });
}

}  // extern "C"
