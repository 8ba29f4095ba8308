// A program of the kind that users run, driven by tests: reads one command per line from standard
// input, writes one line per answer. It finds the driver with dlopen and dlsym, as programs do.
//
// Sizes are bytes, results are the driver's codes. `quit` or end of input ends it.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "limiter/hook/test_cubin.h"
#include "tests/limiter/capture_probe.h"
#include "tests/limiter/lifecycle_probe.h"
#include "tests/limiter/linker_probe.h"
#include "tests/limiter/module_probe.h"
#include "tests/limiter/path_probe.h"
#include "tests/limiter/probe_call.h"
#include "tests/limiter/share_probe.h"
#include "tests/limiter/view_probe.h"

namespace {

void* cuda = nullptr;
void* nvml = nullptr;

}  // namespace

void* Symbol(const std::string& name) {
  void*& library = name.compare(0, 4, "nvml") == 0 ? nvml : cuda;
  if (library == nullptr) {
    library = dlopen(&library == &nvml ? "libnvidia-ml.so.1" : "libcuda.so.1", RTLD_NOW);
  }
  return library == nullptr ? nullptr : dlsym(library, name.c_str());
}

namespace {

struct Prop {
  int type = 1, handle_types = 0, location_type = 1, location_id = 0;
  void* win32 = nullptr;
  uint8_t flags[8] = {};
  uint8_t reserved[64] = {};
};
struct Shape {
  size_t width, height, depth;
  int format;
  unsigned channels, flags;
};
struct PoolProps {
  int alloc_type = 1, handle_types = 0, location_type = 1, location_id = 0;
  void* win32 = nullptr;
  size_t max_size = 0;
  uint8_t reserved[56] = {};
};

std::string Context(const Args& a) {
  const int device = a.size() > 1 ? static_cast<int>(Number(a[1])) : 0;
  void* context = nullptr;
  const int result = Call("cuDevicePrimaryCtxRetain", &context, device);
  if (result == 0) Call("cuCtxSetCurrent", context);
  return Answer(result);
}

std::string Info(const Args&) {
  size_t free_bytes = 1, total = 1;
  const int result = Call("cuMemGetInfo_v2", &free_bytes, &total);
  return Answer(result, free_bytes) + " " + std::to_string(total);
}

struct Memory {
  uint64_t total, free, used;
};
struct MemoryV2 {
  unsigned version;
  uint64_t total, reserved, free, used;
};

// The handle that `card` and perhaps `instance` of the arguments name.
int NvmlDevice(const Args& a, void** device) {
  const auto card = static_cast<unsigned>(Number(a[1]));
  const int found = Call("nvmlDeviceGetHandleByIndex_v2", card, device);
  if (found != 0 || a[0].find("mig") == std::string::npos) return found;
  return Call("nvmlDeviceGetMigDeviceHandleByIndex", *device, static_cast<unsigned>(Number(a[2])),
              device);
}

std::string NvmlMemory(const Args& a) {
  void* device = nullptr;
  if (a[0] != "nvmlmemagain") Call("nvmlInit_v2");  // again: without looking around anew
  const int found = NvmlDevice(a, &device);
  if (found != 0) return Answer(found);
  if (a[0] != "nvmlmem2") {
    Memory m = {};
    const int result = Call("nvmlDeviceGetMemoryInfo", device, &m);
    return Answer(result, m.total) + " " + std::to_string(m.free) + " " + std::to_string(m.used);
  }
  MemoryV2 m = {sizeof(MemoryV2) | 2u << 24, 0, 0, 0, 0};
  const int result = Call("nvmlDeviceGetMemoryInfo_v2", device, &m);
  return Answer(result, m.total) + " " + std::to_string(m.free) + " " + std::to_string(m.used) +
         " " + std::to_string(m.reserved);
}

struct ProcessV1 {
  unsigned pid;
  uint64_t bytes;
};
struct ProcessV2 {
  unsigned pid;
  uint64_t bytes;
  unsigned gpu_instance, compute_instance;
};

// Code, count and `pid:bytes` of each, sorted, as a form of the list gives them to a caller with
// room for `room`.
template <class Info>
std::string NvmlProcesses(const std::string& function, void* device, unsigned room) {
  std::vector<Info> infos(room + 1);
  unsigned count = room;
  const int result = Call(function, device, &count, room == 0 ? nullptr : infos.data());
  std::map<unsigned, uint64_t> listed;
  for (unsigned i = 0; result == 0 && i < count; ++i) listed[infos[i].pid] = infos[i].bytes;
  std::string answer = Answer(result, count);
  for (const auto& [pid, bytes] : listed) {
    answer += " " + std::to_string(pid) + ":" + std::to_string(bytes);
  }
  return answer;
}

// nvmlprocs <card> <function> <room>
std::string NvmlProcesses(const Args& a) {
  void* device = nullptr;
  Call("nvmlInit_v2");
  const int found = NvmlDevice(a, &device);
  if (found != 0) return Answer(found);
  const auto room = static_cast<unsigned>(Number(a[3]));
  const bool newer = a[2].find("_v") != std::string::npos;
  return newer ? NvmlProcesses<ProcessV2>(a[2], device, room)
               : NvmlProcesses<ProcessV1>(a[2], device, room);
}

struct Sample {
  unsigned pid;
  uint64_t time_us;
  unsigned sm, memory, encoder, decoder;
};

// nvmlutil <card>: code, count and `pid:percent` of each.
std::string NvmlSamples(const Args& a) {
  void* device = nullptr;
  Call("nvmlInit_v2");
  const int found = NvmlDevice(a, &device);
  if (found != 0) return Answer(found);
  Sample samples[16];
  unsigned count = 16;
  const int result = Call("nvmlDeviceGetProcessUtilization", device, samples, &count, 0ull);
  std::string answer = Answer(result, count);
  for (unsigned i = 0; result == 0 && i < count; ++i) {
    answer += " " + std::to_string(samples[i].pid) + ":" + std::to_string(samples[i].sm);
  }
  return answer;
}

// A kernel of so many nanoseconds: the simulated driver takes a function's number for it.
std::string Launch(uint64_t ns) {
  return Answer(Call("cuLaunchKernel", reinterpret_cast<void*>(ns), 1u, 1u, 1u, 1u, 1u, 1u, 0u,
                     static_cast<void*>(nullptr), static_cast<void**>(nullptr),
                     static_cast<void**>(nullptr)));
}

// migprocs <card> <instance>: the list, and the numbers of the first entry's instance.
std::string MigProcesses(const Args& a) {
  void* device = nullptr;
  Call("nvmlInit_v2");
  const int found = NvmlDevice(a, &device);
  if (found != 0) return Answer(found);
  const std::string function = "nvmlDeviceGetComputeRunningProcesses_v3";
  const std::string list = NvmlProcesses<ProcessV2>(function, device, 16);
  ProcessV2 info = {};
  unsigned count = 1;
  if (Call(function, device, &count, &info) != 0 || count != 1) return list;
  return list + " gpu instance " + std::to_string(info.gpu_instance) + " compute instance " +
         std::to_string(info.compute_instance);
}

std::string Array(const Args& a) {
  const Shape shape{Number(a[1]), Number(a[2]), Number(a[3]), 0x20, 1, 0};
  void* array = nullptr;
  const int result = a[0] == "array" ? Call("cuArray3DCreate_v2", &array, &shape)
                                     : Call("cuMipmappedArrayCreate", &array, &shape,
                                            static_cast<unsigned>(Number(a[4])));
  return Answer(result, reinterpret_cast<uint64_t>(array));
}

std::string Create(const Args& a) {
  Prop prop;
  prop.location_id = a.size() > 2 ? static_cast<int>(Number(a[2])) : 0;
  if (a[0] == "createhost") prop.location_type = 2, prop.location_id = 850725928;
  unsigned long long handle = 0;
  const int result = Call("cuMemCreate", &handle, static_cast<size_t>(Number(a[1])),
                          static_cast<const Prop*>(&prop), 0ull);
  return Answer(result, handle);
}

std::string Map(const Args& a) {
  unsigned long long pointer = 0;
  const size_t bytes = Number(a[2]);
  int result = Call("cuMemAddressReserve", &pointer, bytes, size_t{0}, 0ull, 0ull);
  if (result == 0) result = Call("cuMemMap", pointer, bytes, size_t{0}, Number(a[1]) + 0ull, 0ull);
  return Answer(result, pointer);
}

std::string Pool(const Args& a) {
  PoolProps props;
  props.location_id = a.size() > 1 ? static_cast<int>(Number(a[1])) : 0;
  void* pool = nullptr;
  const int result = Call("cuMemPoolCreate", &pool, static_cast<const PoolProps*>(&props));
  return Answer(result, reinterpret_cast<uint64_t>(pool));
}

struct AllocNode {
  PoolProps props;
  const void* access = nullptr;
  size_t access_count = 0;
  size_t bytes = 0;
  unsigned long long pointer = 0;
};

// graph <bytes> <count> <freed 0|1>: allocations one after the other, each freed in the graph or
// not.
std::string Graph(const Args& a) {
  void* graph = nullptr;
  int result = Call("cuGraphCreate", &graph, 0u);
  void* last = nullptr;
  for (uint64_t i = 0; i < Number(a[2]) && result == 0; ++i) {
    AllocNode params;
    params.bytes = Number(a[1]);
    void* node = nullptr;
    result = Call("cuGraphAddMemAllocNode", &node, graph, static_cast<void* const*>(&last),
                  size_t{last == nullptr ? 0u : 1u}, &params);
    last = node;
    if (result != 0 || a[3] == "0") continue;
    result = Call("cuGraphAddMemFreeNode", &node, graph, static_cast<void* const*>(&last),
                  size_t{1}, params.pointer);
    last = node;
  }
  return Answer(result, reinterpret_cast<uint64_t>(graph));
}

// capture <bytes>: a graph by stream capture, which allocates and frees.
std::string Capture(const Args& a) {
  void *stream = nullptr, *graph = nullptr;
  unsigned long long pointer = 0;
  int result = Call("cuStreamCreate", &stream, 1u);
  if (result == 0) result = Call("cuStreamBeginCapture_v2", stream, 0);
  if (result == 0) result = Call("cuMemAllocAsync", &pointer, size_t{Number(a[1])}, stream);
  if (result == 0) result = Call("cuMemFreeAsync", pointer, stream);
  const int ended = Call("cuStreamEndCapture", stream, &graph);
  return Answer(result != 0 ? result : ended, reinterpret_cast<uint64_t>(graph));
}

// ctxstress <rounds> <threads>: each thread retains the primary context, allocates under it, and
// releases it, so that it ends and begins again and again under its one handle, as do addresses,
// arrays and modules that it takes with it. Answers how many calls failed.
std::string ContextStress(const Args& a) {
  const Shape shape{1024, 0, 0, 0x20, 1, 0};
  const std::string cubin = hami::limiter::testing::CubinOf(65536);
  const auto* const image = static_cast<const void*>(cubin.data());
  std::atomic<uint64_t> failed{0};
  std::vector<std::thread> workers;
  for (uint64_t t = 0; t < Number(a[2]); ++t) {
    workers.emplace_back([&] {
      for (uint64_t round = 0; round < Number(a[1]); ++round) {
        void *context = nullptr, *made = nullptr;
        unsigned long long pointer = 0;
        if (Call("cuDevicePrimaryCtxRetain", &context, 0) != 0) {
          ++failed;
          break;
        }
        Call("cuCtxSetCurrent", context);
        if (Call("cuMemAlloc_v2", &pointer, size_t{4096}) != 0) ++failed;
        if (Call("cuArray3DCreate_v2", &made, &shape) != 0) ++failed;
        if (Call("cuModuleLoadData", &made, image) != 0) ++failed;
        if (Call("cuDevicePrimaryCtxRelease_v2", 0) != 0) ++failed;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  return std::to_string(failed);
}

struct InstantiateParams {
  uint64_t flags = 0;
  void* stream = nullptr;
  void* error_node = nullptr;
  int result = 0;
};

std::string Instantiate(const Args& a) {
  void* exec = nullptr;
  InstantiateParams params;
  params.flags = a.size() > 2 ? Number(a[2]) : 0;
  const int result =
      Call("cuGraphInstantiateWithParams", &exec, reinterpret_cast<void*>(Number(a[1])), &params);
  return Answer(result, reinterpret_cast<uint64_t>(exec));
}

// Threads allocate and free at random until the time is over; what they hold is freed in the end.
std::string Stress(const Args& a) {
  const double seconds = atof(a[1].c_str());
  const auto threads = Number(a[2]);
  const uint64_t largest = Number(a[3]);
  void* context = nullptr;
  Call("cuCtxGetCurrent", &context);
  std::atomic<uint64_t> granted{0}, refused{0}, failed{0};
  std::vector<std::thread> workers;
  timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  const auto elapsed = [&start] {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec - start.tv_sec) +
           static_cast<double>(now.tv_nsec - start.tv_nsec) / 1e9;
  };
  for (uint64_t t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      Call("cuCtxSetCurrent", context);
      std::mt19937_64 random(static_cast<uint64_t>(getpid()) * 1000 + t);
      std::vector<unsigned long long> held;
      while (elapsed() < seconds) {
        if (held.empty() || random() % 2 == 0) {
          unsigned long long pointer = 0;
          const int result =
              Call("cuMemAlloc_v2", &pointer, static_cast<size_t>(1 + random() % largest));
          if (result == 0) held.push_back(pointer), ++granted;
          if (result == 2) ++refused;
          if (result != 0 && result != 2) ++failed;
        } else {
          std::swap(held[random() % held.size()], held.back());
          if (Call("cuMemFree_v2", held.back()) != 0) ++failed;
          held.pop_back();
        }
      }
      for (const unsigned long long pointer : held) {
        if (Call("cuMemFree_v2", pointer) != 0) ++failed;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  return std::to_string(granted) + " " + std::to_string(refused) + " " + std::to_string(failed);
}

// The same question to the driver directly and through the library must give the same function,
// with the hook in place of a hooked one: `driver` is what the real cuGetProcAddress gives.
std::string Lookup(const Args& a) {
  void* function = nullptr;
  int status = -7;
  const int version = static_cast<int>(Number(a[2]));
  const uint64_t flags = Number(a[3]);
  const int result = Call("cuGetProcAddress_v2", a[1].c_str(), &function, version, flags, &status);
  Dl_info info = {};
  const char* object = "-";
  const char* symbol = "-";
  if (function != nullptr && dladdr(function, &info) != 0) {
    object =
        strrchr(info.dli_fname, '/') != nullptr ? strrchr(info.dli_fname, '/') + 1 : info.dli_fname;
    symbol = info.dli_sname != nullptr ? info.dli_sname : "-";
  }
  return std::to_string(result) + " " + std::to_string(status) + " " + object + " " + symbol;
}

// What a library must leave as it was.
std::string Environment(const Args&) {
  std::ostringstream out;
  const mode_t mask = umask(0);
  umask(mask);
  out << "umask " << mask << " signals";
  for (int signal = 1; signal < 65; ++signal) {
    struct sigaction action = {};
    sigaction(signal, nullptr, &action);
    out << " " << reinterpret_cast<uint64_t>(action.sa_handler) << "/" << action.sa_flags;
  }
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  out << " blocked";
  for (int signal = 1; signal < 65; ++signal) out << sigismember(&blocked, signal);
  out << " fds";
  for (int fd = 0; fd < 500; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) out << " " << fd << "/" << fcntl(fd, F_GETFL);
  }
  out << " locale " << setlocale(LC_ALL, nullptr) << " environment";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    // What the test itself sets differently for the two.
    if (text.find("LD_PRELOAD=") != 0 && text.find("/tmp/") == std::string::npos)
      out << " " << text;
  }
  return out.str();
}

// So many children, each using the driver's libraries a little.
std::string Forks(size_t count) {
  size_t failed = 0;
  for (size_t i = 0; i < count; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      Call("nvmlInit_v2");
      _exit(Symbol("cuMemAlloc_v2") == nullptr ? 1 : 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (status != 0) ++failed;
  }
  return std::to_string(failed);
}

// An allocation as a program makes it that finds the function in the global scope.
std::string Interposed(size_t size) {
  const auto allocate =
      reinterpret_cast<int (*)(unsigned long long*, size_t)>(dlsym(RTLD_DEFAULT, "cuMemAlloc_v2"));
  const auto count = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "interposer_allocations"));
  if (allocate == nullptr || count == nullptr) return "none";
  unsigned long long pointer = 0;
  const int result = allocate(&pointer, size);
  return Answer(result) + " " + std::to_string(count());
}

// errno <bytes|init>: an allocation, or the first call of a program.
std::string Errno(const Args& a) {
  Symbol("cuInit");  // the linker's errno is its own
  errno = 4711;
  if (a[1] == "init") {
    const int result = Call("cuInit", 0u);
    return Answer(result) + " " + std::to_string(errno);
  }
  unsigned long long pointer = 0;
  const int result = Call("cuMemAlloc_v2", &pointer, static_cast<size_t>(Number(a[1])));
  return Answer(result) + " " + std::to_string(errno);
}

// As a daemon that closes all descriptors, but for the simulated driver's own.
std::string CloseRegion() {
  for (int fd = 3; fd < 1024; ++fd) {
    char path[512] = {};
    if (readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path - 1) > 0 &&
        strstr(path, ".cache") != nullptr) {
      close(fd);
    }
  }
  return "0";
}

std::string Attribute(const Args& a) {
  uint64_t value = 0;
  const int result =
      Call("cuPointerGetAttribute", static_cast<void*>(&value), static_cast<int>(Number(a[1])),
           static_cast<unsigned long long>(Number(a[2])));
  return Answer(result, value);
}

// IS_MANAGED and HOST_POINTER in one call.
std::string Attributes(const Args& a) {
  unsigned managed = 7;
  void* host = nullptr;
  int attributes[] = {8, 4};
  void* values[] = {&managed, &host};
  const int result =
      Call("cuPointerGetAttributes", 2u, static_cast<int*>(attributes), static_cast<void**>(values),
           static_cast<unsigned long long>(Number(a[1])));
  return Answer(result, managed) + " " + std::to_string(reinterpret_cast<uint64_t>(host));
}

// A child of fork runs the rest of the line's command and says its answer.
std::string Fork(const std::string& command);

std::string Nanoseconds(const Args& a) {
  const uint64_t rounds = Number(a[2]);
  const auto alloc =
      reinterpret_cast<int (*)(unsigned long long*, size_t)>(Symbol("cuMemAlloc_v2"));
  const auto release = reinterpret_cast<int (*)(unsigned long long)>(Symbol("cuMemFree_v2"));
  const auto info = reinterpret_cast<int (*)(size_t*, size_t*)>(Symbol("cuMemGetInfo_v2"));
  const auto find = reinterpret_cast<int (*)(const char*, void**, int, uint64_t, int*)>(
      Symbol("cuGetProcAddress_v2"));
  std::vector<unsigned long long> live(a.size() > 3 ? Number(a[3]) : 0);
  for (auto& pointer : live) alloc(&pointer, 512);
  timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (uint64_t i = 0; i < rounds; ++i) {
    unsigned long long pointer = 0;
    size_t x, y;
    void* function;
    if (a[1] == "alloc") alloc(&pointer, 512), release(pointer);
    if (a[1] == "info") info(&x, &y);
    if (a[1] == "find") find("cuMemAlloc", &function, 12000, 0, nullptr);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  for (const auto pointer : live) release(pointer);
  const double ns = static_cast<double>(end.tv_sec - start.tv_sec) * 1e9 +
                    static_cast<double>(end.tv_nsec - start.tv_nsec);
  return std::to_string(ns / static_cast<double>(rounds));
}

}  // namespace

std::string Execute(const std::string& line) {
  std::istringstream in(line);
  Args a;
  for (std::string word; in >> word;) a.push_back(word);
  if (a.empty()) return "";
  const std::string& c = a[0];
  const auto n = [&a](size_t i) { return static_cast<size_t>(Number(a[i])); };
  const auto p = [&a](size_t i) { return reinterpret_cast<void*>(Number(a[i])); };
  if (c == "pid") return std::to_string(getpid());
  if (c == "init") return Answer(Call("cuInit", 0u));
  if (c == "version") {
    int version = -1;
    const int result = Call("cuDriverGetVersion", &version);
    return Answer(result) + " " + std::to_string(version);
  }
  if (c == "nvmlinit") return Answer(Call("nvmlInit_v2"));
  if (c == "ctx") return Context(a);
  if (c == "release") return Answer(Call("cuDevicePrimaryCtxRelease_v2", static_cast<int>(n(1))));
  if (c == "reset") return Answer(Call("cuDevicePrimaryCtxReset_v2", static_cast<int>(n(1))));
  if (c == "newctx") return Made("cuCtxCreate_v2", 0u, static_cast<int>(n(1)));
  if (c == "endctx") return Answer(Call("cuCtxDestroy_v2", p(1)));
  if (c == "info") return Info(a);
  if (c == "infonull")
    return Answer(
        Call("cuMemGetInfo_v2", static_cast<size_t*>(nullptr), static_cast<size_t*>(nullptr)));
  if (c == "total") return Made("cuDeviceTotalMem_v2", static_cast<int>(n(1)));
  if (c == "nvmlmem" || c == "nvmlmem2" || c == "nvmlmemagain" || c == "nvmlmig")
    return NvmlMemory(a);
  if (c == "migprocs") return MigProcesses(a);
  if (c == "nvmlutil") return NvmlSamples(a);
  if (c == "busy") return Launch(Number(a[1]));
  if (c == "nvmlprocs") return NvmlProcesses(a);
  if (c == "alloc") return Made("cuMemAlloc_v2", n(1));
  if (c == "managed") return Made("cuMemAllocManaged", n(1), 1u);
  if (c == "pitch") {
    size_t pitch = 0;
    unsigned long long pointer = 0;
    const int result = Call("cuMemAllocPitch_v2", &pointer, &pitch, n(1), n(2), 4u);
    return Answer(result, pointer) + " " + std::to_string(pitch);
  }
  if (c == "free") return Answer(Call("cuMemFree_v2", Number(a[1]) + 0ull));
  if (c == "async") return Made("cuMemAllocAsync", n(1), static_cast<void*>(nullptr));
  if (c == "asyncptsz") return Made("cuMemAllocAsync_ptsz", n(1), static_cast<void*>(nullptr));
  if (c == "pool") return Pool(a);
  if (c == "frompool")
    return Made("cuMemAllocFromPoolAsync", n(2), p(1), static_cast<void*>(nullptr));
  if (c == "defaultpool") {
    void* pool = nullptr;
    const int result = Call("cuDeviceGetDefaultMemPool", &pool, static_cast<int>(n(1)));
    return Answer(result, reinterpret_cast<uint64_t>(pool));
  }
  if (c == "endpool") return Answer(Call("cuMemPoolDestroy", p(1)));
  if (c == "trim") return Answer(Call("cuMemPoolTrimTo", p(1), n(2)));
  if (c == "freeasync")
    return Answer(Call("cuMemFreeAsync", Number(a[1]) + 0ull, static_cast<void*>(nullptr)));
  if (c == "freeasyncptsz")
    return Answer(Call("cuMemFreeAsync_ptsz", Number(a[1]) + 0ull, static_cast<void*>(nullptr)));
  if (c == "sync") return Answer(Call("cuCtxSynchronize"));
  if (c == "create" || c == "createhost") return Create(a);
  if (c == "map") return Map(a);
  if (c == "unmap") return Answer(Call("cuMemUnmap", Number(a[1]) + 0ull, n(2)));
  if (c == "drop") return Answer(Call("cuMemRelease", Number(a[1]) + 0ull));
  if (c == "retain") return Made("cuMemRetainAllocationHandle", p(1));
  if (c == "array" || c == "mipmap") return Array(a);
  if (c == "endarray") return Answer(Call("cuArrayDestroy", p(1)));
  if (c == "endmipmap") return Answer(Call("cuMipmappedArrayDestroy", p(1)));
  if (c == "graph") return Graph(a);
  if (c == "capture") return Capture(a);
  if (c == "captured") return Captured(a);
  if (c == "instantiate") return Instantiate(a);
  if (c == "glaunch") return Answer(Call("cuGraphLaunch", p(1), static_cast<void*>(nullptr)));
  if (c == "glaunchptsz")
    return Answer(Call("cuGraphLaunch_ptsz", p(1), static_cast<void*>(nullptr)));
  if (c == "gupload") return Answer(Call("cuGraphUpload", p(1), static_cast<void*>(nullptr)));
  if (c == "endexec") return Answer(Call("cuGraphExecDestroy", p(1)));
  if (c == "gtrim") return Answer(Call("cuDeviceGraphMemTrim", static_cast<int>(n(1))));
  if (c == "setlimit") return Answer(Call("cuCtxSetLimit", static_cast<int>(n(1)), n(2)));
  if (c == "attribute") return Attribute(a);
  if (c == "attributes") return Attributes(a);
  if (c == "export") {
    char handle[64];
    return Answer(Call("cuIpcGetMemHandle", static_cast<char*>(handle), Number(a[1]) + 0ull));
  }
  if (c == "ctxstress") return ContextStress(a);
  if (c == "stress") return Stress(a);
  if (c == "lookup") return Lookup(a);
  if (c == "find") return Find(a);
  if (c == "closed") return FindInClosed(a);
  if (c == "global") return LoadGlobally(a);
  if (c == "ask") return AskInterposer(a);
  if (c == "threads") return FindInThreads(a);
  if (c == "forks") return Forks(n(1));
  if (c == "interposed") return Interposed(n(1));
  if (c == "environment") return Environment(a);
  if (c == "errno") return Errno(a);
  if (c == "ns") return Nanoseconds(a);
  if (c == "fork") return Fork(line.substr(5));
  if (c == "exec") {  // answers first: what is sent later must be read by the new program
    printf("0\n");
    fflush(stdout);
    execl("/proc/self/exe", "limiter_probe", nullptr);
  }
  if (c == "closeregion") return CloseRegion();
  if (const auto answer = ExecutePath(a, line)) return *answer;
  if (const auto answer = ExecuteModule(a)) return *answer;
  if (const auto answer = ExecuteShare(a)) return *answer;
  if (const std::string viewed = View(a); !viewed.empty()) return viewed;
  const std::string loaded = lifecycle::Load(a);
  const std::string lived = loaded.empty() ? lifecycle::Live(a, line, &Execute) : loaded;
  return lived.empty() ? "unknown command" : lived;
}

namespace {

std::string Fork(const std::string& commands) {
  fflush(stdout);
  int pipe_fds[2];
  if (pipe(pipe_fds) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    std::istringstream in(commands);
    std::string answers;
    for (std::string command; std::getline(in, command, ';');) answers += Execute(command) + ";";
    const ssize_t written = write(pipe_fds[1], answers.data(), answers.size());
    _exit(written == static_cast<ssize_t>(answers.size()) ? 0 : 1);
  }
  close(pipe_fds[1]);
  std::string answer(4096, '\0');
  const ssize_t count = read(pipe_fds[0], answer.data(), answer.size());
  close(pipe_fds[0]);
  waitpid(child, nullptr, 0);
  answer.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return answer;
}

// PROBE_MOUNTS, in a mount namespace of its own:
// "bind:FILE:PLACE;tmpfs:SIZE:PLACE;ro:PLACE;copy:FILE:PLACE;".
bool Mount(const std::string& word) {
  std::istringstream in(word);
  std::string kind, from, place;
  std::getline(in, kind, ':');
  if (kind != "ro") std::getline(in, from, ':');
  std::getline(in, place, ':');
  if (kind == "copy") return std::filesystem::copy_file(from, place);
  if (kind == "bind") return mount(from.c_str(), place.c_str(), "", MS_BIND, nullptr) == 0;
  if (kind == "tmpfs") {
    return mount("none", place.c_str(), "tmpfs", 0, ("size=" + from).c_str()) == 0;
  }
  return mount(place.c_str(), place.c_str(), "", MS_BIND, nullptr) == 0 &&
         mount("", place.c_str(), "", MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0;
}

bool MountAll(const char* words) {
  if (unshare(CLONE_NEWNS) != 0 || mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0) {
    return false;
  }
  std::istringstream in(words);
  for (std::string word; std::getline(in, word, ';');) {
    if (!word.empty() && !Mount(word)) return false;
  }
  return true;
}

}  // namespace

int main() {
  const char* mounts = getenv("PROBE_MOUNTS");
  if (mounts != nullptr && !MountAll(mounts)) {
    fprintf(stderr, "probe: %s: %s\n", mounts, strerror(errno));
    return 1;
  }
  if (getenv("PROBE_UNSHARE") != nullptr && unshare(CLONE_NEWPID) == 0) {
    const pid_t child = fork();
    if (child != 0) {
      waitpid(child, nullptr, 0);
      return 0;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  char* line = nullptr;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) {
    std::string command(line);
    while (!command.empty() && command.back() == '\n') command.pop_back();
    if (command == "quit") break;
    printf("%s\n", Execute(command).c_str());
    fflush(stdout);
  }
  free(line);
}
