// Modules and libraries: code and static data. Only the driver knows what they take, so they are
// measured: booked after the load, and unloaded again where there is no room for them.
#include <atomic>

#include "abi/region.h"
#include "limiter/hook/book.h"
#include "limiter/nvml/cards.h"
#include "limiter/region/attachment.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::hook::Current;
using hami::limiter::hook::CurrentDevice;
using hami::limiter::region::Attachment;

namespace {

// What firmware and driver take of a card that nobody uses, at most.
constexpr uint64_t kSystemBytes = uint64_t{512} << 20;

// The card and the container's account of it, at one moment.
struct Look {
  bool valid = false;
  size_t free = 0, total = 0;
  uint64_t account = 0;  // tagged: unchanged means that nothing was booked in between
};

Look LookAt(unsigned index) {
  Look look;
  const auto info = HAMI_REAL(cuMemGetInfo_v2);
  look.account = Attachment::Own().UsedTagged(index);
  look.valid = info != nullptr && info(&look.free, &look.total) == CUDA_SUCCESS;
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

// What the call between the two looks took. The card's free memory tells it when nobody else can
// have changed it; else it is a bound, and NVML says what is this process's.
uint64_t Grown(unsigned index, const Look& before, const Look& after) {
  if (!before.valid || !after.valid || after.free >= before.free) return 0;
  const uint64_t grown = before.free - after.free;
  const bool alone =
      before.total - before.free <= hami::limiter::region::BytesOf(before.account) + kSystemBytes;
  if (alone && before.account == after.account) return grown;
  const uint64_t unexplained = Unexplained(index);
  return grown < unexplained ? grown : unexplained;
}

// `in_context`: it dies with its context; else it lives until it is unloaded.
template <class Call, class Undo>
CUresult Load(void** handle, bool in_context, Call call, Undo undo) {
  const Current current = CurrentDevice();
  if (!current.valid || handle == nullptr || !Attachment::Own().Join()) return call();
  const Look before = LookAt(current.index);
  const CUresult result = call();
  if (result != CUDA_SUCCESS) return result;
  const uint64_t grown = Grown(current.index, before, LookAt(current.index));
  if (grown == 0) return result;
  Record record = hami::limiter::hook::RecordOf(
      current, Space::kModule, hami::limiter::hook::KeyOf(*handle), grown, HAMI_KIND_MODULE);
  if (!in_context) record.owner = 0;
  const auto unload = [&] {
    if (undo != nullptr) undo(*handle);
  };
  Reservation room = Reservation::Of(current.index, grown);
  if (room.granted()) return hami::limiter::hook::Book(room, record, unload);
  unload();
  return CUDA_ERROR_OUT_OF_MEMORY;
}

template <class Call>
CUresult LoadModule(CUmodule* module, Call call) {
  return Load(module, true, call, HAMI_REAL(cuModuleUnload));
}

template <class Call>
CUresult LoadLibrary(CUlibrary* library, Call call) {
  return Load(library, false, call, HAMI_REAL(cuLibraryUnload));
}

}  // namespace

extern "C" {

CUresult cuModuleLoad(CUmodule* module, const char* path) {
  HAMI_ACT(cuModuleLoad, module, path);
  return LoadModule(module, [&] { return real(module, path); });
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  HAMI_ACT(cuModuleLoadData, module, image);
  return LoadModule(module, [&] { return real(module, image); });
}

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, int* options,
                            void** values) {
  HAMI_ACT(cuModuleLoadDataEx, module, image, count, options, values);
  return LoadModule(module, [&] { return real(module, image, count, options, values); });
}

CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  HAMI_ACT(cuModuleLoadFatBinary, module, image);
  return LoadModule(module, [&] { return real(module, image); });
}

CUresult cuModuleUnload(CUmodule module) {
  HAMI_ACT(cuModuleUnload, module);
  return hami::limiter::hook::FreeRecorded(Space::kModule, hami::limiter::hook::KeyOf(module),
                                           [&] { return real(module); });
}

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, int* jit, void** jit_values,
                           unsigned jit_count, int* options, void** values, unsigned count) {
  HAMI_ACT(cuLibraryLoadData, library, code, jit, jit_values, jit_count, options, values, count);
  return LoadLibrary(library, [&] {
    return real(library, code, jit, jit_values, jit_count, options, values, count);
  });
}

CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* path, int* jit, void** jit_values,
                               unsigned jit_count, int* options, void** values, unsigned count) {
  HAMI_ACT(cuLibraryLoadFromFile, library, path, jit, jit_values, jit_count, options, values,
           count);
  return LoadLibrary(library, [&] {
    return real(library, path, jit, jit_values, jit_count, options, values, count);
  });
}

CUresult cuLibraryUnload(CUlibrary library) {
  HAMI_ACT(cuLibraryUnload, library);
  return hami::limiter::hook::FreeRecorded(Space::kModule, hami::limiter::hook::KeyOf(library),
                                           [&] { return real(library); });
}

}  // extern "C"
