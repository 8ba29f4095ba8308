// What dlsym and dlvsym answer for names of the form cuX... and nvml...: the real function's
// answer, with the hook in place of a driver function that has one. The handle is honoured, so a
// program's own library may export such names.
#include <dlfcn.h>

#include "limiter/hook/tables.h"
#include "limiter/resolve/linker.h"

namespace hami::limiter::resolve {
namespace {

void* const kPassOn = reinterpret_cast<void*>(-1);

// One look-up, with or without a version.
struct Wanted {
  const char* name;
  const char* version;  // nullptr: dlsym

  void* In(void* handle) const {
    if (version == nullptr) return RealDlsym()(handle, name);
    const Dlvsym real = RealDlvsym();
    return real == nullptr ? nullptr : real(handle, name, version);
  }
};

// The hook of a real driver function, else the function itself.
void* HookOr(const Wanted& wanted, void* found) {
  if (hook::Busy()) return found;
  void* hooked = hook::HookOf(wanted.name, found);
  return hooked != nullptr ? hooked : found;
}

bool IsOwn(const void* address) { return SameObject(address, &hami_limiter_anchor); }

// What the caller's own dependencies offer, when it was loaded with RTLD_LOCAL.
void* InScopeOf(const void* caller, const Wanted& wanted) {
  Dl_info info;
  if (dladdr(caller, &info) == 0 || info.dli_fname == nullptr) return nullptr;
  void* handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return nullptr;
  void* found = wanted.In(handle);
  dlclose(handle);
  return found != nullptr && !IsOwn(found) ? found : nullptr;
}

// RTLD_DEFAULT, RTLD_NEXT and the main program's handle would all find this library's exports:
// look behind it, and give nothing where a program without this library would find nothing.
void* Global(void* handle, const Wanted& wanted, const void* caller) {
  void* found = wanted.In(RTLD_NEXT);
  if (handle == RTLD_NEXT) {
    // An interposer that asks for what comes after itself: only the real function can tell.
    return found == nullptr || SameObject(found, caller) ? kPassOn : HookOr(wanted, found);
  }
  if (found == nullptr) found = InScopeOf(caller, wanted);
  if (found != nullptr) return HookOr(wanted, found);
  return wanted.In(RTLD_NEXT);  // nothing, and dlerror says so
}

void* Choose(void* handle, const Wanted& wanted, const void* caller) {
  if (RealDlsym() == nullptr) return nullptr;
  if (handle == RTLD_DEFAULT || handle == RTLD_NEXT) return Global(handle, wanted, caller);
  void* found = wanted.In(handle);
  if (found == nullptr) return nullptr;
  return IsOwn(found) ? Global(RTLD_DEFAULT, wanted, caller) : HookOr(wanted, found);
}

}  // namespace
}  // namespace hami::limiter::resolve

extern "C" {

__attribute__((visibility("hidden"))) char hami_limiter_anchor = 0;

__attribute__((visibility("hidden"))) void* hami_choose_dlsym(void* handle, const char* name,
                                                              const void* caller) {
  return hami::limiter::resolve::Choose(handle, {name, nullptr}, caller);
}

__attribute__((visibility("hidden"))) void* hami_choose_dlvsym(void* handle, const char* name,
                                                               const char* version,
                                                               const void* caller) {
  return hami::limiter::resolve::Choose(handle, {name, version}, caller);
}

}  // extern "C"
