// Modules and libraries: code and static data. Room is reserved before the driver loads
// (docs/adr/0017): what the image says, or, where only the driver knows, what is left, until the
// load has been measured.
#include <algorithm>
#include <atomic>
#include <optional>

#include "abi/region.h"
#include "limiter/core/kernel_names.h"
#include "limiter/hook/book.h"
#include "limiter/hook/image.h"
#include "limiter/nvml/cards.h"
#include "limiter/region/attachment.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::core::KernelNames;
using hami::limiter::hook::Current;
using hami::limiter::hook::CurrentDevice;
using hami::limiter::hook::Image;
using hami::limiter::hook::KeyOf;
using hami::limiter::hook::OwnRecords;
using hami::limiter::hook::ReadImage;
using hami::limiter::hook::ReadImageFile;
using hami::limiter::region::Attachment;

namespace {

// More than a module of unknown size takes, but for the largest.
constexpr uint64_t kUnsizedBytes = uint64_t{1} << 30;
// The driver takes memory for small pieces in steps, at most this large.
constexpr uint64_t kSlabBytes = uint64_t{4} << 20;
// In the record of a library whose image does not tell its size.
constexpr uint64_t kUnsized = ~uint64_t{0};

constinit std::atomic<uint64_t> next_library{1};

// What firmware and driver take of a card that nobody uses, at most.
constexpr uint64_t kSystemBytes = uint64_t{512} << 20;

// The card and the container's account of it, at one moment.
struct Look {
  bool valid = false;
  bool quiet = false;  // nobody else had begun anything
  size_t free = 0, total = 0;
  uint64_t account = 0;  // tagged: unchanged means that nobody has begun anything in between
};

void AskFree(Look& look) {
  const auto info = HAMI_REAL(cuMemGetInfo_v2);
  look.valid = info != nullptr && info(&look.free, &look.total) == CUDA_SUCCESS;
}

// The order matters: whoever takes memory between two looks changes the account before.
// `held`: bytes that the caller itself has begun with.
Look LookBefore(unsigned index, uint64_t held) {
  Look look;
  look.account = Attachment::Own().UsedTagged(index);
  look.quiet = Attachment::Own().InFlight(index) <= held;
  AskFree(look);
  return look;
}
Look LookAfter(unsigned index) {
  Look look;
  AskFree(look);
  look.account = Attachment::Own().UsedTagged(index);
  return look;
}

// What NVML shows of this process beyond what it has booked.
uint64_t Unexplained(unsigned index) {
  const auto processes = hami::limiter::nvml::ProcessesOn(index);
  if (!processes) return 0;
  Attachment& own = Attachment::Own();
  const auto host_pid = static_cast<uint32_t>(own.slot().host_pid);
  uint64_t seen = processes->BytesOf(static_cast<uint32_t>(hami::limiter::sys::GetPid()));
  if (seen == 0 && host_pid != 0) seen = processes->BytesOf(host_pid);
  uint64_t booked = 0;
  for (uint64_t& bytes : own.slot().device[index].bytes) {
    booked += std::atomic_ref(bytes).load(std::memory_order_relaxed);
  }
  return seen > booked ? seen - booked : 0;
}

struct Growth {
  uint64_t bytes = 0;
  bool exact = false;
};

// What the call between the two looks took. The card's free memory tells it when nobody else can
// have changed it; else it is a bound, and NVML says what is this process's. `held`: bytes in the
// account that no driver has taken yet.
Growth Grown(unsigned index, const Look& before, const Look& after, uint64_t held) {
  if (!before.valid || !after.valid) return {};
  const uint64_t grown = after.free < before.free ? before.free - after.free : 0;
  const uint64_t accounted = hami::limiter::region::BytesOf(before.account) - held;
  const bool alone = before.total - before.free <= accounted + kSystemBytes;
  if (alone && before.quiet && before.account == after.account) return {grown, true};
  return {grown == 0 ? 0 : std::min(grown, Unexplained(index)), false};
}

Reservation RoomFor(unsigned index, std::optional<uint64_t> needed) {
  return needed ? Reservation::Of(index, *needed) : Reservation::UpTo(index, 0, kUnsizedBytes);
}

// What to book for a load of `needed` bytes: those, unless the card shows that the image lied.
uint64_t Believed(unsigned index, uint64_t needed, const Growth& grown) {
  if (!grown.exact || grown.bytes <= needed + kSlabBytes) return needed;
  return std::max(needed, std::min(grown.bytes, Unexplained(index)));
}

// Lets the driver load, then has `book(room, bytes)` book what it took.
template <class Call, class Finish>
CUresult Place(const Current& current, std::optional<uint64_t> needed, Call call, Finish book) {
  Reservation room = RoomFor(current.index, needed);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const Look before = LookBefore(current.index, room.bytes());
  const CUresult result = call();
  if (result != CUDA_SUCCESS) return result;
  const Growth grown = Grown(current.index, before, LookAfter(current.index), room.bytes());
  return book(room, needed ? Believed(current.index, *needed, grown) : grown.bytes);
}

// Books what `undo` can unload again.
template <class Undo>
CUresult BookLoaded(Reservation& room, const Record& record, Undo undo) {
  const CUresult result = hami::limiter::hook::Book(room, record, undo);
  if (result != CUDA_SUCCESS || room.FitsPhysicalShare()) return result;
  OwnRecords().Take(record.space, record.key);
  undo();
  hami::limiter::hook::ReleaseRecord(record);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

template <class Call>
CUresult PlaceModule(CUmodule* module, std::optional<uint64_t> needed, Call call) {
  const Current current = CurrentDevice();
  if (!current.valid || module == nullptr) return call();
  return Place(current, needed, call, [&](Reservation& room, uint64_t bytes) -> CUresult {
    if (bytes == 0) return CUDA_SUCCESS;
    const Record record = hami::limiter::hook::RecordOf(current, Space::kModule, KeyOf(*module),
                                                        bytes, HAMI_KIND_MODULE);
    return BookLoaded(room, record, [module] {
      if (const auto unload = HAMI_REAL(cuModuleUnload)) unload(*module);
    });
  });
}

template <class Call>
CUresult LoadModule(CUmodule* module, const Image& image, Call call) {
  const CUresult result = PlaceModule(module, image.bytes, call);
  if (result == CUDA_SUCCESS) KernelNames::Own().Set(KeyOf(*module), image.content);
  return result;
}

// A library takes its bytes in each context that uses it, from then on until the context ends or
// the library is unloaded.
Record PlacedRecord(const Current& current, uint64_t library, uint64_t bytes) {
  const uint64_t key = current.owner ^ library * 0x9e3779b97f4a7c15u;
  Record record =
      hami::limiter::hook::RecordOf(current, Space::kPlaced, key, bytes, HAMI_KIND_MODULE);
  record.link = library;
  return record;
}

void ReleasePlaced(uint64_t library) {
  OwnRecords().TakeLinked(Space::kPlaced, library,
                          [](const Record& record) { hami::limiter::hook::ReleaseRecord(record); });
}

void UnloadInDriver(CUlibrary library) {
  if (const auto unload = HAMI_REAL(cuLibraryUnload)) unload(library);
}

// The program has the library.
CUresult Enter(CUlibrary library, uint64_t identity, std::optional<uint64_t> needed) {
  Record record;
  record.key = KeyOf(library);
  record.size = needed.value_or(kUnsized);
  record.link = identity;
  record.space = Space::kLibrary;
  if (hami::limiter::hook::Remember(record)) return CUDA_SUCCESS;
  UnloadInDriver(library);
  ReleasePlaced(identity);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

template <class Call>
CUresult PlaceLibrary(CUlibrary* library, std::optional<uint64_t> needed, Call call) {
  if (library == nullptr) return call();
  const uint64_t identity = next_library.fetch_add(1);
  const Current current = CurrentDevice();
  if (!current.valid) {  // loaded where a context first uses it
    const CUresult result = call();
    return result == CUDA_SUCCESS ? Enter(*library, identity, needed) : result;
  }
  return Place(current, needed, call, [&](Reservation& room, uint64_t bytes) -> CUresult {
    const CUresult result = BookLoaded(room, PlacedRecord(current, identity, bytes),
                                       [library] { UnloadInDriver(*library); });
    return result == CUDA_SUCCESS ? Enter(*library, identity, needed) : result;
  });
}

template <class Call>
CUresult LoadLibrary(CUlibrary* library, const Image& image, Call call) {
  const CUresult result = PlaceLibrary(library, image.bytes, call);
  if (result == CUDA_SUCCESS) KernelNames::Own().Set(KeyOf(*library), image.content);
  return result;
}

// A call that brings the library into the current context, unless it is there. It cannot be taken
// out again without ending the program's library.
template <class Call>
CUresult UseLibrary(CUlibrary library, Call call) {
  const auto known = OwnRecords().Find(Space::kLibrary, KeyOf(library));
  const Current current = known ? CurrentDevice() : Current();
  if (!current.valid) return call();
  const Record place = PlacedRecord(current, known->link, 0);
  if (OwnRecords().Find(Space::kPlaced, place.key)) return call();
  std::optional<uint64_t> needed;
  if (known->size != kUnsized) needed = known->size;
  return Place(current, needed, call, [&](Reservation& room, uint64_t bytes) -> CUresult {
    Record record = place;
    record.size = bytes;
    room.KeepAnyway(HAMI_KIND_MODULE, bytes);
    // Another thread was faster?
    if (!OwnRecords().InsertNew(record)) hami::limiter::hook::ReleaseRecord(record);
    return CUDA_SUCCESS;
  });
}

CUresult UnloadLibrary(CUlibrary library, hami::limiter::hook::type::cuLibraryUnload real) {
  const auto known = OwnRecords().Take(Space::kLibrary, KeyOf(library));
  const CUresult result = real(library);
  if (!known) return result;
  if (result == CUDA_SUCCESS) {
    ReleasePlaced(known->link);
  } else {
    OwnRecords().InsertNew(*known);
  }
  return result;
}

}  // namespace

extern "C" {

CUresult cuModuleLoad(CUmodule* module, const char* path) {
  HAMI_ACT(cuModuleLoad, module, path);
  return LoadModule(module, ReadImageFile(path), [&] { return real(module, path); });
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  HAMI_ACT(cuModuleLoadData, module, image);
  return LoadModule(module, ReadImage(image), [&] { return real(module, image); });
}

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, int* options,
                            void** values) {
  HAMI_ACT(cuModuleLoadDataEx, module, image, count, options, values);
  return LoadModule(module, ReadImage(image),
                    [&] { return real(module, image, count, options, values); });
}

CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  HAMI_ACT(cuModuleLoadFatBinary, module, image);
  return LoadModule(module, ReadImage(image), [&] { return real(module, image); });
}

CUresult cuModuleUnload(CUmodule module) {
  HAMI_ACT(cuModuleUnload, module);
  KernelNames::Own().Set(KeyOf(module), 0);
  return hami::limiter::hook::FreeRecorded(Space::kModule, KeyOf(module),
                                           [&] { return real(module); });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  HAMI_ACT(cuModuleGetFunction, function, module, name);
  const CUresult result = real(function, module, name);
  if (result == CUDA_SUCCESS) KernelNames::Own().SetMember(KeyOf(*function), KeyOf(module), name);
  return result;
}

CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  HAMI_ACT(cuKernelGetFunction, function, kernel);
  const CUresult result = real(function, kernel);
  if (result == CUDA_SUCCESS) KernelNames::Own().SetAlias(KeyOf(*function), KeyOf(kernel));
  return result;
}

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, int* jit, void** jit_values,
                           unsigned jit_count, int* options, void** values, unsigned count) {
  HAMI_ACT(cuLibraryLoadData, library, code, jit, jit_values, jit_count, options, values, count);
  return LoadLibrary(library, ReadImage(code), [&] {
    return real(library, code, jit, jit_values, jit_count, options, values, count);
  });
}

CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* path, int* jit, void** jit_values,
                               unsigned jit_count, int* options, void** values, unsigned count) {
  HAMI_ACT(cuLibraryLoadFromFile, library, path, jit, jit_values, jit_count, options, values,
           count);
  return LoadLibrary(library, ReadImageFile(path), [&] {
    return real(library, path, jit, jit_values, jit_count, options, values, count);
  });
}

CUresult cuLibraryUnload(CUlibrary library) {
  HAMI_ACT(cuLibraryUnload, library);
  KernelNames::Own().Set(KeyOf(library), 0);
  return UnloadLibrary(library, real);
}

CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  HAMI_ACT(cuLibraryGetKernel, kernel, library, name);
  const CUresult result = UseLibrary(library, [&] { return real(kernel, library, name); });
  if (result == CUDA_SUCCESS) KernelNames::Own().SetMember(KeyOf(*kernel), KeyOf(library), name);
  return result;
}

CUresult cuLibraryGetModule(CUmodule* module, CUlibrary library) {
  HAMI_ACT(cuLibraryGetModule, module, library);
  const CUresult result = UseLibrary(library, [&] { return real(module, library); });
  if (result == CUDA_SUCCESS) KernelNames::Own().SetAlias(KeyOf(*module), KeyOf(library));
  return result;
}

CUresult cuLibraryGetGlobal(CUdeviceptr* pointer, size_t* bytes, CUlibrary library,
                            const char* name) {
  HAMI_ACT(cuLibraryGetGlobal, pointer, bytes, library, name);
  return UseLibrary(library, [&] { return real(pointer, bytes, library, name); });
}

CUresult cuLibraryGetManaged(CUdeviceptr* pointer, size_t* bytes, CUlibrary library,
                             const char* name) {
  HAMI_ACT(cuLibraryGetManaged, pointer, bytes, library, name);
  return UseLibrary(library, [&] { return real(pointer, bytes, library, name); });
}

CUresult cuLibraryGetUnifiedFunction(void** function, CUlibrary library, const char* name) {
  HAMI_ACT(cuLibraryGetUnifiedFunction, function, library, name);
  return UseLibrary(library, [&] { return real(function, library, name); });
}

}  // extern "C"
