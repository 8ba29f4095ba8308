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

// RTLD_DEFAULT and the main program's handle would find this library's exports: look behind it, and
// give nothing where a program without this library would find nothing. What comes before this
// library, such as a tool that was preloaded too, keeps its place.
void* Global(const Wanted& wanted, const void* caller) {
  void* first = wanted.In(RTLD_DEFAULT);
  if (first != nullptr && !IsOwn(first)) return HookOr(wanted, first);
  void* found = wanted.In(RTLD_NEXT);
  if (found == nullptr) found = InScopeOf(caller, wanted);
  if (found != nullptr) return HookOr(wanted, found);
  return wanted.In(RTLD_NEXT);  // nothing, and dlerror says so
}

// RTLD_NEXT means "after the caller", and only the real function can tell who that is.
void* Next(const Wanted& wanted, const void* caller) {
  void* found = wanted.In(RTLD_NEXT);
  if (found == nullptr) found = InScopeOf(caller, wanted);
  if (found != nullptr && !SameObject(found, caller)) return HookOr(wanted, found);
  if (wanted.In(RTLD_NEXT) != nullptr) return kPassOn;  // the caller comes after this library
  // Nothing behind this library: passed on, the question would find this library's own exports.
  void* first = wanted.In(RTLD_DEFAULT);
  if (first != nullptr && !IsOwn(first) && !SameObject(first, caller)) return kPassOn;
  return wanted.In(RTLD_NEXT);  // nothing, and dlerror says so
}

void* Choose(void* handle, const Wanted& wanted, const void* caller) {
  if (RealDlsym() == nullptr) return nullptr;
  if (handle == RTLD_DEFAULT) return Global(wanted, caller);
  if (handle == RTLD_NEXT) return Next(wanted, caller);
  void* found = wanted.In(handle);
  if (found == nullptr) return nullptr;
  return IsOwn(found) ? Global(wanted, caller) : HookOr(wanted, found);
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
