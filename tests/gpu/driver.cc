#include "tests/gpu/driver.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace hami::gpu {
namespace {

[[noreturn]] void Fail(const char* what, const char* why) {
  fprintf(stderr, "gpu-check: %s: %s\n", what, why);
  exit(3);
}

template <class F>
void Find(void* library, const char* name, F& out) {
  out = reinterpret_cast<F>(dlsym(library, name));
  if (out == nullptr) Fail(name, "not in the driver");
}

struct ProcessInfo {
  unsigned pid;
  uint64_t bytes;
  unsigned gpu_instance, compute_instance;
};
struct Memory {
  uint64_t total, free, used;
};

// NVML with device 0, or null.
struct Nvml {
  Nvml() {
    if (library == nullptr) return;
    const auto init = reinterpret_cast<int (*)()>(dlsym(library, "nvmlInit_v2"));
    const auto find = reinterpret_cast<int (*)(unsigned, void**)>(
        dlsym(library, "nvmlDeviceGetHandleByIndex_v2"));
    if (init == nullptr || find == nullptr || init() != 0 || find(0, &device) != 0)
      device = nullptr;
  }
  template <class... Types>
  int Call(const char* name, Types... arguments) const {
    if (device == nullptr) return -1;
    const auto function = reinterpret_cast<int (*)(Types...)>(dlsym(library, name));
    return function == nullptr ? -1 : function(arguments...);
  }
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  void* device = nullptr;
};

}  // namespace

Driver LoadDriver() {
  void* cuda = dlopen("libcuda.so.1", RTLD_NOW);
  if (cuda == nullptr) Fail("libcuda.so.1", dlerror());
  Driver driver;
  Find(cuda, "cuInit", driver.init);
  Find(cuda, "cuDeviceGetName", driver.device_name);
  Find(cuda, "cuDeviceGetAttribute", driver.device_attribute);
  Find(cuda, "cuDriverGetVersion", driver.driver_version);
  Find(cuda, "cuDevicePrimaryCtxRetain", driver.retain_context);
  Find(cuda, "cuCtxSetCurrent", driver.set_context);
  Find(cuda, "cuMemGetInfo_v2", driver.memory_info);
  Find(cuda, "cuMemAlloc_v2", driver.alloc);
  Find(cuda, "cuMemFree_v2", driver.free);
  Find(cuda, "cuMemcpyDtoH_v2", driver.copy_to_host);
  Find(cuda, "cuMemsetD8_v2", driver.clear);
  Find(cuda, "cuModuleLoadData", driver.load_module);
  Find(cuda, "cuModuleGetFunction", driver.find_function);
  Find(cuda, "cuLaunchKernel", driver.launch);
  Find(cuda, "cuCtxSynchronize", driver.synchronize);
  return driver;
}

void Must(int result, const char* what) {
  if (result != 0) Fail(what, std::to_string(result).c_str());
}

Driver BeginOnDevice0() {
  const Driver driver = LoadDriver();
  void* context = nullptr;
  Must(driver.init(0), "cuInit");
  Must(driver.retain_context(&context, 0), "cuDevicePrimaryCtxRetain");
  Must(driver.set_context(context), "cuCtxSetCurrent");
  return driver;
}

std::string NvmlDriverVersion() {
  char text[96] = "";
  return Nvml().Call("nvmlSystemGetDriverVersion", text, 96u) == 0 ? text : "";
}

int64_t NvmlBytesOf(unsigned pid) {
  const Nvml nvml;
  std::vector<ProcessInfo> infos(1024);
  auto count = static_cast<unsigned>(infos.size());
  if (nvml.Call("nvmlDeviceGetComputeRunningProcesses_v3", nvml.device, &count, infos.data()) !=
      0) {
    return -1;
  }
  for (unsigned i = 0; i < count; ++i) {
    if (infos[i].pid == pid) return static_cast<int64_t>(infos[i].bytes);  // all ones: not told
  }
  return -1;
}

int64_t NvmlBytesOfAll() {
  const Nvml nvml;
  Memory memory = {};
  const int result = nvml.Call("nvmlDeviceGetMemoryInfo", nvml.device, &memory);
  return result == 0 ? static_cast<int64_t>(memory.used) : -1;
}

int64_t NowNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace hami::gpu
