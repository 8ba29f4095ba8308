#include "limiter/hook/tables.h"

#include <dlfcn.h>

#include "limiter/hook/unknown.h"
#include "limiter/resolve/linker.h"
#include "limiter/resolve/pointer_map.h"

namespace hami::limiter::hook {
namespace {

struct Entry {
  const char* name;
  void* hook;  // nullptr: only called
};

#define HAMI_HOOK(name, parameters) {#name, reinterpret_cast<void*>(&::name)},
#define HAMI_CALL(name, parameters) {#name, nullptr},

// What is found in a library. All zeros when new, apart from what is not, so that its 12 KiB are
// not in the file.
struct Found {
  resolve::PointerMap map;
  Families families;
};

template <size_t kCount>
class Library {
 public:
  constexpr Library(const char* soname, const Entry (&entries)[kCount],
                    std::atomic<void*> (&real)[kCount], Found& found)
      : soname_(soname), entries_(entries), real_(real), found_(found) {}

  // False: not loaded, and `load` is not wanted or failed.
  bool Bind(bool load) {
    if (bound_.load(std::memory_order_acquire)) return true;
    const Inside inside;
    void* handle = dlopen(soname_, RTLD_NOW | RTLD_NOLOAD);
    if (handle == nullptr && load) handle = dlopen(soname_, RTLD_NOW | RTLD_NODELETE);
    const resolve::Dlsym real = resolve::RealDlsym();
    if (handle != nullptr && real != nullptr) {
      for (size_t i = 0; i < kCount; ++i) {
        void* function = real(handle, entries_[i].name);
        real_[i].store(function, std::memory_order_release);
        found_.map.Insert(function, entries_[i].hook);
        if (entries_[i].hook != nullptr) found_.families.Insert(entries_[i].name);
      }
      bound_.store(true, std::memory_order_release);
    }
    dlerror();  // a failed look-up of ours must not show up as the program's
    return handle != nullptr;
  }
  void* At(size_t index) {
    return Bind(true) ? real_[index].load(std::memory_order_relaxed) : nullptr;
  }
  void* HookOf(std::string_view name, void* real) {
    if (!Bind(false)) return nullptr;
    void* hook = found_.map.Find(real);
    if (hook == nullptr && found_.families.Has(name) && resolve::SameObject(real, Any()))
      Report(name);
    return hook;
  }

 private:
  void* Any() const {
    for (const std::atomic<void*>& function : real_) {
      if (function.load(std::memory_order_relaxed) != nullptr) return function.load();
    }
    return nullptr;
  }

  const char* soname_;
  const Entry (&entries_)[kCount];
  std::atomic<void*> (&real_)[kCount];
  Found& found_;
  std::atomic<bool> bound_{false};
};

const Entry kCudaEntries[] = {HAMI_CUDA_HOOKS(HAMI_HOOK) HAMI_CUDA_CALLS(HAMI_CALL)};
const Entry kNvmlEntries[] = {HAMI_NVML_HOOKS(HAMI_HOOK) HAMI_NVML_CALLS(HAMI_CALL)};

constinit Found in_cuda, in_nvml;
constinit Library cuda("libcuda.so.1", kCudaEntries, cuda_functions, in_cuda);
constinit Library nvml("libnvidia-ml.so.1", kNvmlEntries, nvml_functions, in_nvml);

}  // namespace

void* Bind(CudaFn function) { return cuda.At(static_cast<size_t>(function)); }
void* Bind(NvmlFn function) { return nvml.At(static_cast<size_t>(function)); }

void* HookOf(std::string_view name, void* real) {
  return name.substr(0, 2) == "cu" ? cuda.HookOf(name, real) : nvml.HookOf(name, real);
}

constinit thread_local int depth = 0;
constinit std::atomic<void*> cuda_functions[static_cast<size_t>(CudaFn::kCount)] = {};
constinit std::atomic<void*> nvml_functions[static_cast<size_t>(NvmlFn::kCount)] = {};

}  // namespace hami::limiter::hook
