// Copies and fills: every range is checked against the blocks; contents move only where they are
// kept (`data: kept`, managed and host memory). What was discarded reads as zeros. Copies take no
// time on the card (sim/README.md, limits).
#include <cstring>

#include "sim/cuda/array.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/vmm.h"

using namespace hami::sim;  // NOLINT: mostly exported C functions below

namespace {

enum class Side { kHost, kDevice, kEither };

// Bytes at an address as this process may touch them; null: they are on the card and discarded.
struct Range {
  bool ok = false;
  char* bytes = nullptr;
};

Range Locate(Driver& driver, uint64_t address, size_t size, Side side) {
  const Block* block = driver.addresses().Find(address);
  if (block == nullptr) {
    return {side != Side::kDevice, reinterpret_cast<char*>(address)};
  }
  if (block->kind == BlockKind::kReserved) {
    if (!IsMapped(*block, address, size)) return {};
  } else if (size > block->size - (address - block->base)) {
    return {};
  }
  const bool readable = block->kind == BlockKind::kManaged || block->kind == BlockKind::kHost ||
                        (block->kind != BlockKind::kReserved && driver.machine().cards().keep_data);
  return {true, readable ? reinterpret_cast<char*>(address) : nullptr};
}

constexpr int kHost = 1, kDevice = 2, kArray = 3, kUnified = 4;

// The bytes of one side: row y of slice z starts at bytes + z * slice + y * row.
struct Rows {
  int code = kCudaSuccess;
  char* bytes = nullptr;
  size_t row = 0, slice = 0;
};

Rows ArrayRows(const CudaCopySide& side, const CudaCopy3d& copy) {
  if (!IsLive(side.array)) return {kCudaInvalidHandle, nullptr, 0, 0};
  const CudaArray3dDescriptor& shape = side.array->shape;
  const uint64_t element = ElementBytes(shape);
  const bool fits = side.x + copy.width <= shape.width * element &&
                    side.y + copy.height <= (shape.height == 0 ? 1 : shape.height) &&
                    side.z + copy.depth <= (shape.depth == 0 ? 1 : shape.depth);
  return {fits ? kCudaSuccess : kCudaInvalidValue, nullptr, 0, 0};  // contents are discarded
}

Rows LocateRows(Driver& driver, const CudaCopySide& side, const CudaCopy3d& copy) {
  if (side.level != 0) return {kCudaInvalidValue, nullptr, 0, 0};
  if (side.type == kArray) return ArrayRows(side, copy);
  if (side.type != kHost && side.type != kDevice && side.type != kUnified) {
    return {kCudaInvalidValue, nullptr, 0, 0};
  }
  const size_t row = side.pitch != 0 ? side.pitch : copy.width;
  const size_t rows = side.height != 0 ? side.height : copy.height;
  if ((copy.height > 1 && row < side.x + copy.width) ||
      (copy.depth > 1 && rows < side.y + copy.height)) {
    return {kCudaInvalidValue, nullptr, 0, 0};
  }
  size_t slice = 0, start = 0, span = 0;
  const bool overflow = __builtin_mul_overflow(row, rows, &slice) ||
                        __builtin_mul_overflow(slice, side.z + copy.depth - 1, &span) ||
                        __builtin_add_overflow(span, (side.y + copy.height - 1) * row, &span) ||
                        __builtin_add_overflow(span, side.x + copy.width, &span);
  if (overflow) return {kCudaInvalidValue, nullptr, 0, 0};
  start = side.z * slice + side.y * row + side.x;
  const uint64_t base = side.type == kHost ? reinterpret_cast<uintptr_t>(side.host) : side.device;
  const Side where = side.type == kHost     ? Side::kHost
                     : side.type == kDevice ? Side::kDevice
                                            : Side::kEither;
  const Range range = Locate(driver, base, span, where);
  if (!range.ok) return {kCudaInvalidValue, nullptr, 0, 0};
  return {kCudaSuccess, range.bytes == nullptr ? nullptr : range.bytes + start, row, slice};
}

// height rows of count elements, pitch bytes apart.
template <class T>
void FillRows(char* bytes, size_t pitch, T value, size_t count, size_t height) {
  for (size_t y = 0; y < height; ++y) {
    for (size_t x = 0; x < count; ++x) {
      memcpy(bytes + y * pitch + x * sizeof(T), &value, sizeof(T));
    }
  }
}

}  // namespace

namespace hami::sim {

CudaCopy3d LinearCopy(int from_type, uint64_t from, int to_type, uint64_t to, size_t size) {
  CudaCopy3d copy = {};
  copy.from.type = from_type;
  copy.from.host = reinterpret_cast<void*>(from);
  copy.from.device = from;
  copy.to.type = to_type;
  copy.to.host = reinterpret_cast<void*>(to);
  copy.to.device = to;
  copy.width = size;
  copy.height = copy.depth = 1;
  return copy;
}

int CopyNow(Driver& driver, const CudaCopy3d& copy) {
  if (copy.width == 0 || copy.height == 0 || copy.depth == 0) return kCudaSuccess;
  MutexGuard guard(driver.memory_mutex);
  const Rows from = LocateRows(driver, copy.from, copy);
  const Rows to = LocateRows(driver, copy.to, copy);
  if (from.code != kCudaSuccess) return from.code;
  if (to.code != kCudaSuccess || to.bytes == nullptr) return to.code;
  for (size_t z = 0; z < copy.depth; ++z) {
    for (size_t y = 0; y < copy.height; ++y) {
      char* target = to.bytes + z * to.slice + y * to.row;
      if (from.bytes != nullptr) {
        memmove(target, from.bytes + z * from.slice + y * from.row, copy.width);
      } else {
        memset(target, 0, copy.width);  // what was discarded reads as zeros
      }
    }
  }
  return kCudaSuccess;
}

int FillNow(Driver& driver, const CudaMemsetNode& fill) {
  if (fill.to % fill.element != 0) return kCudaInvalidValue;
  if (fill.width == 0 || fill.height == 0) return kCudaSuccess;
  size_t row = 0, size = 0;
  if (__builtin_mul_overflow(fill.width, fill.element, &row) ||
      (fill.height > 1 && fill.pitch < row) ||
      __builtin_mul_overflow(fill.pitch, fill.height - 1, &size) ||
      __builtin_add_overflow(size, row, &size)) {
    return kCudaInvalidValue;
  }
  MutexGuard guard(driver.memory_mutex);
  const Range target = Locate(driver, fill.to, size, Side::kDevice);
  if (!target.ok) return kCudaInvalidValue;
  if (target.bytes == nullptr) return kCudaSuccess;
  if (fill.element == 1) {
    FillRows(target.bytes, fill.pitch, static_cast<uint8_t>(fill.value), fill.width, fill.height);
  } else if (fill.element == 2) {
    FillRows(target.bytes, fill.pitch, static_cast<uint16_t>(fill.value), fill.width, fill.height);
  } else {
    FillRows(target.bytes, fill.pitch, fill.value, fill.width, fill.height);
  }
  return kCudaSuccess;
}

}  // namespace hami::sim

namespace {

uint64_t AddressOf(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

// A synchronous copy comes after all that the legacy stream waits for, and the program with it.
int AwaitOrder(Driver& driver, bool per_thread) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, nullptr, per_thread, context, &target); code != 0) return code;
  if (const int code = RefuseOnCapture(driver, target.stream); code != 0) return code;
  driver.Await(context->card, LastOf(target.stream));
  return kCudaSuccess;
}

int CopyAndWait(Driver& driver, bool per_thread, const CudaCopy3d& copy) {
  if (const int code = AwaitOrder(driver, per_thread); code != 0) return code;
  return CopyNow(driver, copy);
}

// Contents move at once: nothing on the card could see them too early.
int CopyInStream(Driver& driver, bool per_thread, CudaStream* handle, const CudaCopy3d& copy) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (target.capture == nullptr) return CopyNow(driver, copy);
  CudaNodeParams params = {};
  params.copy.copy = copy;
  return Record(driver, target, NodeType::kMemcpy, params);
}

// Fills do not wait for the card, in either form.
int FillInStream(Driver& driver, bool per_thread, CudaStream* handle, const CudaMemsetNode& fill) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (target.capture == nullptr) return FillNow(driver, fill);
  CudaNodeParams params = {};
  params.memset = fill;
  return Record(driver, target, NodeType::kMemset, params);
}

CudaCopySide Widen(const CudaCopy2d::Side& side) {
  return {side.x,      side.y,     0,       0,          side.type, side.host,
          side.device, side.array, nullptr, side.pitch, 0};
}

CudaCopy3d Widen(const CudaCopy2d& copy) {
  return {Widen(copy.from), Widen(copy.to), copy.width, copy.height, 1};
}

}  // namespace

// name and its form for per-thread streams.
#define SIM_COPY(name, parameters, copy)     \
  SIM_CUDA name parameters {                 \
    SIM_CUDA_CALL(name);                     \
    return CopyAndWait(driver, false, copy); \
  }                                          \
  SIM_CUDA name##_ptds parameters {          \
    SIM_CUDA_CALL(name##_ptds);              \
    return CopyAndWait(driver, true, copy);  \
  }
#define SIM_COPY_ASYNC(name, parameters, copy)        \
  SIM_CUDA name parameters {                          \
    SIM_CUDA_CALL(name);                              \
    return CopyInStream(driver, false, stream, copy); \
  }                                                   \
  SIM_CUDA name##_ptsz parameters {                   \
    SIM_CUDA_CALL(name##_ptsz);                       \
    return CopyInStream(driver, true, stream, copy);  \
  }
#define SIM_FROM_TO(from_type, from, to_type, to) LinearCopy(from_type, from, to_type, to, size)

SIM_COPY(cuMemcpy, (DevicePointer to, DevicePointer from, size_t size),
         SIM_FROM_TO(kUnified, from, kUnified, to))
SIM_COPY(cuMemcpyHtoD_v2, (DevicePointer to, const void* from, size_t size),
         SIM_FROM_TO(kHost, AddressOf(from), kDevice, to))
SIM_COPY(cuMemcpyDtoH_v2, (void* to, DevicePointer from, size_t size),
         SIM_FROM_TO(kDevice, from, kHost, AddressOf(to)))
SIM_COPY(cuMemcpyDtoD_v2, (DevicePointer to, DevicePointer from, size_t size),
         SIM_FROM_TO(kDevice, from, kDevice, to))
SIM_COPY(cuMemcpyPeer, (DevicePointer to, Context*, DevicePointer from, Context*, size_t size),
         SIM_FROM_TO(kDevice, from, kDevice, to))
SIM_COPY_ASYNC(cuMemcpyAsync,
               (DevicePointer to, DevicePointer from, size_t size, CudaStream* stream),
               SIM_FROM_TO(kUnified, from, kUnified, to))
SIM_COPY_ASYNC(cuMemcpyHtoDAsync_v2,
               (DevicePointer to, const void* from, size_t size, CudaStream* stream),
               SIM_FROM_TO(kHost, AddressOf(from), kDevice, to))
SIM_COPY_ASYNC(cuMemcpyDtoHAsync_v2,
               (void* to, DevicePointer from, size_t size, CudaStream* stream),
               SIM_FROM_TO(kDevice, from, kHost, AddressOf(to)))
SIM_COPY_ASYNC(cuMemcpyDtoDAsync_v2,
               (DevicePointer to, DevicePointer from, size_t size, CudaStream* stream),
               SIM_FROM_TO(kDevice, from, kDevice, to))
SIM_COPY_ASYNC(cuMemcpyPeerAsync,
               (DevicePointer to, Context*, DevicePointer from, Context*, size_t size,
                CudaStream* stream),
               SIM_FROM_TO(kDevice, from, kDevice, to))

// A null description is an invalid value: an empty copy that names no memory.
#define SIM_COPY_BY(name, type, widened)                                           \
  SIM_CUDA name(const type* d) {                                                   \
    SIM_CUDA_CALL(name);                                                           \
    return d == nullptr ? kCudaInvalidValue : CopyAndWait(driver, false, widened); \
  }                                                                                \
  SIM_CUDA name##_ptds(const type* d) {                                            \
    SIM_CUDA_CALL(name##_ptds);                                                    \
    return d == nullptr ? kCudaInvalidValue : CopyAndWait(driver, true, widened);  \
  }
#define SIM_COPY_BY_ASYNC(name, type, widened)                                              \
  SIM_CUDA name(const type* d, CudaStream* stream) {                                        \
    SIM_CUDA_CALL(name);                                                                    \
    return d == nullptr ? kCudaInvalidValue : CopyInStream(driver, false, stream, widened); \
  }                                                                                         \
  SIM_CUDA name##_ptsz(const type* d, CudaStream* stream) {                                 \
    SIM_CUDA_CALL(name##_ptsz);                                                             \
    return d == nullptr ? kCudaInvalidValue : CopyInStream(driver, true, stream, widened);  \
  }
SIM_COPY_BY(cuMemcpy2D_v2, CudaCopy2d, Widen(*d))
SIM_COPY_BY(cuMemcpy2DUnaligned_v2, CudaCopy2d, Widen(*d))
SIM_COPY_BY(cuMemcpy3D_v2, CudaCopy3d, *d)
SIM_COPY_BY(cuMemcpy3DPeer, CudaCopy3d, *d)
SIM_COPY_BY_ASYNC(cuMemcpy2DAsync_v2, CudaCopy2d, Widen(*d))
SIM_COPY_BY_ASYNC(cuMemcpy3DAsync_v2, CudaCopy3d, *d)
SIM_COPY_BY_ASYNC(cuMemcpy3DPeerAsync, CudaCopy3d, *d)

#define SIM_FILL_FORMS(name, suffix, parameters, stream, fill) \
  SIM_CUDA name parameters {                                   \
    SIM_CUDA_CALL(name);                                       \
    return FillInStream(driver, false, stream, fill);          \
  }                                                            \
  SIM_CUDA name##suffix parameters {                           \
    SIM_CUDA_CALL(name##suffix);                               \
    return FillInStream(driver, true, stream, fill);           \
  }
#define SIM_LINE \
  CudaMemsetNode { to, 0, value, sizeof value, count, 1, nullptr }
#define SIM_BOX \
  CudaMemsetNode { to, pitch, value, sizeof value, width, height, nullptr }
#define SIM_FILL(bits, type)                                                                \
  SIM_FILL_FORMS(cuMemsetD##bits##_v2, _ptds, (DevicePointer to, type value, size_t count), \
                 nullptr, SIM_LINE)                                                         \
  SIM_FILL_FORMS(cuMemsetD2D##bits##_v2, _ptds,                                             \
                 (DevicePointer to, size_t pitch, type value, size_t width, size_t height), \
                 nullptr, SIM_BOX)                                                          \
  SIM_FILL_FORMS(cuMemsetD##bits##Async, _ptsz,                                             \
                 (DevicePointer to, type value, size_t count, CudaStream * stream), stream, \
                 SIM_LINE)                                                                  \
  SIM_FILL_FORMS(cuMemsetD2D##bits##Async, _ptsz,                                           \
                 (DevicePointer to, size_t pitch, type value, size_t width, size_t height,  \
                  CudaStream * stream),                                                     \
                 stream, SIM_BOX)
SIM_FILL(8, unsigned char)
SIM_FILL(16, unsigned short)
SIM_FILL(32, unsigned)
