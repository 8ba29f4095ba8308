// gpu-alloc: a program like any user's that takes memory of a card until there is none left.
// It needs libc alone and finds the driver as programs do: dlopen, then dlsym or cuGetProcAddress.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

namespace {

constexpr const char* kHelp =
    "gpu-alloc - take memory of a GPU through the CUDA driver API and say what was granted\n"
    "\n"
    "  gpu-alloc [options]              allocate step by step until the driver refuses\n"
    "  gpu-alloc --random-for S         allocate and free at random for S seconds\n"
    "  gpu-alloc --launch-for S         launch kernels for S seconds\n"
    "\n"
    "  --device N         CUDA ordinal (default 0)\n"
    "  --via HOW          dlsym (default) or getproc: how functions are looked up\n"
    "  --step MIB         size of one allocation (default 64); after the first refusal the rest "
    "is\n"
    "                     taken in ever smaller pieces down to 1 MiB\n"
    "  --max MIB          stop after this much\n"
    "  --hold S           keep everything for S seconds before leaving\n"
    "  --processes N      with --random-for: processes (default 1)\n"
    "  --threads N        with --random-for: threads in each (default 1)\n"
    "  --kernel-us U      with --launch-for: duration of a kernel (default 1000)\n"
    "  --expect-total MIB, --expect-granted MIB, --expect-granted-at-least MIB\n"
    "                     leave with code 4 if the driver shows or grants something else\n"
    "  --json             one JSON object instead of text\n"
    "\n"
    "Exit codes: 0 done, 1 the driver failed, 2 wrong use, 3 no driver or device, 4 an "
    "expectation\n"
    "was not met, 5 a child process died.\n"
    "\n"
    "Example, in a container limited to 3000 MiB whose context takes 256 MiB:\n"
    "  gpu-alloc --expect-total 3000 --expect-granted 2744\n";

constexpr int kDriverFailed = 1, kUsage = 2, kNoDevice = 3, kUnexpected = 4, kChildDied = 5;
constexpr int kOutOfMemory = 2;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kUnset = ~uint64_t{0};

struct Options {
  uint64_t device = 0, step = 64, max = kUnset, hold = 0, random_for = 0, launch_for = 0;
  uint64_t processes = 1, threads = 1, kernel_us = 1000;
  uint64_t expect_total = kUnset, expect_granted = kUnset, expect_at_least = kUnset;
  bool by_get_proc = false, json = false;
};

struct DriverApi {
  int (*Init)(unsigned);
  int (*DeviceGet)(int*, int);
  int (*PrimaryRetain)(void**, int);
  int (*SetCurrent)(void*);
  int (*Synchronize)();
  int (*MemAlloc)(uint64_t*, size_t);
  int (*MemFree)(uint64_t);
  int (*MemGetInfo)(size_t*, size_t*);
  int (*LaunchKernel)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                      void*, void**, void**);
};

DriverApi api;

struct Finder {
  void* library;
  int (*get_proc)(const char*, void**, int, uint64_t);

  // base is the name for cuGetProcAddress, exported the symbol.
  template <class T>
  bool Find(const char* base, const char* exported, T& out) const {
    void* found = nullptr;
    if (get_proc != nullptr) {
      constexpr int kVersion = 11080;
      if (get_proc(base, &found, kVersion, 0) != 0) found = nullptr;
    } else {
      found = dlsym(library, exported);
    }
    out = reinterpret_cast<T>(found);
    if (found == nullptr) fprintf(stderr, "gpu-alloc: the driver has no %s\n", exported);
    return found != nullptr;
  }
};

bool LoadDriver(bool by_get_proc) {
  Finder finder = {dlopen("libcuda.so.1", RTLD_NOW), nullptr};
  if (finder.library == nullptr) {
    fprintf(stderr, "gpu-alloc: %s\n", dlerror());
    return false;
  }
  if (by_get_proc) {
    finder.get_proc =
        reinterpret_cast<decltype(finder.get_proc)>(dlsym(finder.library, "cuGetProcAddress"));
    if (finder.get_proc == nullptr) {
      fprintf(stderr, "gpu-alloc: the driver has no cuGetProcAddress\n");
      return false;
    }
  }
  return finder.Find("cuInit", "cuInit", api.Init) &&
         finder.Find("cuDeviceGet", "cuDeviceGet", api.DeviceGet) &&
         finder.Find("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRetain", api.PrimaryRetain) &&
         finder.Find("cuCtxSetCurrent", "cuCtxSetCurrent", api.SetCurrent) &&
         finder.Find("cuCtxSynchronize", "cuCtxSynchronize", api.Synchronize) &&
         finder.Find("cuMemAlloc", "cuMemAlloc_v2", api.MemAlloc) &&
         finder.Find("cuMemFree", "cuMemFree_v2", api.MemFree) &&
         finder.Find("cuMemGetInfo", "cuMemGetInfo_v2", api.MemGetInfo) &&
         finder.Find("cuLaunchKernel", "cuLaunchKernel", api.LaunchKernel);
}

bool Check(const char* what, int code) {
  if (code != 0) fprintf(stderr, "gpu-alloc: %s returned %d\n", what, code);
  return code == 0;
}

double Now() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

// Driver, device and its primary context made current; 0 or an exit code. While the card is full
// the context is tried again for patience seconds.
int Open(const Options& options, uint64_t patience, void** context) {
  if (!LoadDriver(options.by_get_proc)) return kNoDevice;
  int device = 0;
  if (!Check("cuInit", api.Init(0)) ||
      !Check("cuDeviceGet", api.DeviceGet(&device, static_cast<int>(options.device)))) {
    return kNoDevice;
  }
  const double end = Now() + static_cast<double>(patience);
  int code = api.PrimaryRetain(context, device);
  while (code == kOutOfMemory && Now() < end) {
    usleep(1000);
    code = api.PrimaryRetain(context, device);
  }
  const bool ok =
      Check("cuDevicePrimaryCtxRetain", code) && Check("cuCtxSetCurrent", api.SetCurrent(*context));
  return ok ? 0 : kDriverFailed;
}

// Fill
// ----------------------------------------------------------------------------------------------

int Judge(const Options& options, uint64_t total, uint64_t granted) {
  const bool total_ok = options.expect_total == kUnset || total == options.expect_total * kMiB;
  const bool granted_ok =
      options.expect_granted == kUnset || granted == options.expect_granted * kMiB;
  const bool enough =
      options.expect_at_least == kUnset || granted >= options.expect_at_least * kMiB;
  if (total_ok && granted_ok && enough) return 0;
  fprintf(stderr, "gpu-alloc: expected otherwise (total %s, granted %s)\n",
          total_ok ? "as expected" : "wrong", granted_ok && enough ? "as expected" : "wrong");
  return kUnexpected;
}

int Fill(const Options& options) {
  void* context = nullptr;
  if (const int code = Open(options, 0, &context); code != 0) return code;
  size_t free_before = 0, total = 0, free_after = 0;
  if (!Check("cuMemGetInfo", api.MemGetInfo(&free_before, &total))) return kDriverFailed;
  uint64_t granted = 0, blocks = 0;
  int refusal = 0;
  const uint64_t most = options.max == kUnset ? kUnset : options.max * kMiB;
  for (uint64_t size = options.step * kMiB; size >= kMiB;) {
    if (size > most - granted) {
      size /= 2;
      continue;
    }
    uint64_t pointer = 0;
    const int code = api.MemAlloc(&pointer, size);
    if (code == 0) {
      granted += size;
      ++blocks;
    } else if (code == kOutOfMemory) {
      refusal = code;
      size /= 2;
    } else {
      Check("cuMemAlloc", code);
      return kDriverFailed;
    }
  }
  if (!Check("cuMemGetInfo", api.MemGetInfo(&free_after, &total))) return kDriverFailed;
  if (options.json) {
    printf(
        "{\"total_mib\":%zu,\"free_before_mib\":%zu,\"granted_mib\":%llu,\"blocks\":%llu,"
        "\"free_after_mib\":%zu,\"refused_with\":%d}\n",
        total / kMiB, free_before / kMiB, static_cast<unsigned long long>(granted / kMiB),
        static_cast<unsigned long long>(blocks), free_after / kMiB, refusal);
  } else {
    printf(
        "total    %8zu MiB\nfree     %8zu MiB (with our context)\ngranted  %8llu MiB in %llu "
        "blocks, then %s\nfree now %8zu MiB\n",
        total / kMiB, free_before / kMiB, static_cast<unsigned long long>(granted / kMiB),
        static_cast<unsigned long long>(blocks),
        refusal != 0 ? "CUDA_ERROR_OUT_OF_MEMORY (2)" : "stopped by --max", free_after / kMiB);
  }
  fflush(stdout);
  if (options.hold != 0) sleep(static_cast<unsigned>(options.hold));
  return Judge(options, total, granted);
}

// Random
// --------------------------------------------------------------------------------------------

struct Worker {
  const Options* options;
  void* context;
  uint64_t seed;
  uint64_t granted = 0, refused = 0, failed = 0;
};

uint64_t NextRandom(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

void* RandomWork(void* argument) {
  auto& worker = *static_cast<Worker*>(argument);
  constexpr int kHeld = 64;
  uint64_t held[kHeld] = {};
  if (!Check("cuCtxSetCurrent", api.SetCurrent(worker.context))) ++worker.failed;
  const double end = Now() + static_cast<double>(worker.options->random_for);
  while (Now() < end) {
    uint64_t& place = held[NextRandom(worker.seed) % kHeld];
    if (place != 0) {
      if (!Check("cuMemFree", api.MemFree(place))) ++worker.failed;
      place = 0;
      continue;
    }
    const uint64_t size = NextRandom(worker.seed) % (worker.options->step * kMiB) + 1;
    const int code = api.MemAlloc(&place, size);
    if (code == 0) {
      ++worker.granted;
    } else {
      place = 0;
      ++(code == kOutOfMemory ? worker.refused : worker.failed);
    }
  }
  for (uint64_t pointer : held) {
    if (pointer != 0 && !Check("cuMemFree", api.MemFree(pointer))) ++worker.failed;
  }
  return nullptr;
}

int RandomProcess(const Options& options, uint64_t number) {
  void* context = nullptr;
  if (const int code = Open(options, options.random_for, &context); code != 0) return code;
  constexpr uint64_t kMaxThreads = 64;
  static Worker workers[kMaxThreads];  // large: not on the stack
  pthread_t threads[kMaxThreads];
  const uint64_t count = options.threads < kMaxThreads ? options.threads : kMaxThreads;
  for (uint64_t i = 0; i < count; ++i) {
    workers[i].options = &options;
    workers[i].context = context;
    workers[i].seed = 0x9e3779b97f4a7c15ull * (number * kMaxThreads + i + 1);
    if (pthread_create(&threads[i], nullptr, &RandomWork, &workers[i]) != 0) return kDriverFailed;
  }
  uint64_t granted = 0, refused = 0, failed = 0;
  for (uint64_t i = 0; i < count; ++i) {
    pthread_join(threads[i], nullptr);
    granted += workers[i].granted;
    refused += workers[i].refused;
    failed += workers[i].failed;
  }
  printf(options.json ? "{\"process\":%llu,\"granted\":%llu,\"refused\":%llu,\"failed\":%llu}\n"
                      : "process %llu: %llu granted, %llu refused, %llu failed\n",
         static_cast<unsigned long long>(number), static_cast<unsigned long long>(granted),
         static_cast<unsigned long long>(refused), static_cast<unsigned long long>(failed));
  fflush(stdout);
  return failed == 0 ? 0 : kDriverFailed;
}

int Random(const Options& options) {
  for (uint64_t i = 1; i < options.processes; ++i) {
    if (fork() == 0) _exit(RandomProcess(options, i));  // before cuInit: contexts do not survive it
  }
  int result = RandomProcess(options, 0);
  for (int status = 0; wait(&status) > 0;) {
    if (!WIFEXITED(status)) {
      result = kChildDied;
    } else if (result == 0) {
      result = WEXITSTATUS(status);
    }
  }
  return result;
}

// Launch
// --------------------------------------------------------------------------------------------

int Launch(const Options& options) {
  void* context = nullptr;
  if (const int code = Open(options, 0, &context); code != 0) return code;
  // On a simulated card a function is its duration in nanoseconds; real ones need a real module.
  auto* kernel = reinterpret_cast<void*>(options.kernel_us * 1000);
  uint64_t launches = 0;
  const double start = Now();
  while (Now() - start < static_cast<double>(options.launch_for)) {
    if (!Check("cuLaunchKernel",
               api.LaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr)) ||
        !Check("cuCtxSynchronize", api.Synchronize())) {
      return kDriverFailed;
    }
    ++launches;
  }
  const double seconds = Now() - start;
  const double share = static_cast<double>(launches * options.kernel_us) / 1e4 / seconds;
  printf(options.json ? "{\"launches\":%llu,\"seconds\":%.3f,\"busy_percent\":%.2f}\n"
                      : "%llu launches in %.3f s: busy %.2f %%\n",
         static_cast<unsigned long long>(launches), seconds, share);
  return 0;
}

// Options
// -------------------------------------------------------------------------------------------

bool ParseNumber(const char* text, uint64_t& value) {
  char* end = nullptr;
  if (text == nullptr || *text < '0' || *text > '9') return false;
  value = strtoull(text, &end, 10);
  return *end == '\0';
}

int Parse(int argc, char** argv, Options& options) {
  struct Number {
    const char* name;
    uint64_t* value;
    uint64_t low, high;
  };
  const Number kNumbers[] = {{"--device", &options.device, 0, 1023},
                             {"--step", &options.step, 1, 1 << 20},
                             {"--max", &options.max, 1, 1 << 22},
                             {"--hold", &options.hold, 0, 86400},
                             {"--random-for", &options.random_for, 1, 86400},
                             {"--launch-for", &options.launch_for, 1, 86400},
                             {"--processes", &options.processes, 1, 512},
                             {"--threads", &options.threads, 1, 64},
                             {"--kernel-us", &options.kernel_us, 5, 10'000'000},
                             {"--expect-total", &options.expect_total, 0, 1 << 22},
                             {"--expect-granted", &options.expect_granted, 0, 1 << 22},
                             {"--expect-granted-at-least", &options.expect_at_least, 0, 1 << 22}};
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--json") {
      options.json = true;
      continue;
    }
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (name == "--via") {
      options.by_get_proc = value != nullptr && strcmp(value, "getproc") == 0;
      if (!options.by_get_proc && (value == nullptr || strcmp(value, "dlsym") != 0)) {
        fprintf(stderr, "gpu-alloc: --via: expected dlsym or getproc\n");
        return kUsage;
      }
      ++i;
      continue;
    }
    const Number* known = nullptr;
    for (const Number& number : kNumbers) {
      if (name == number.name) known = &number;
    }
    if (known == nullptr) {
      fprintf(stderr, "gpu-alloc: unknown option %s; see gpu-alloc --help\n", argv[i]);
      return kUsage;
    }
    if (!ParseNumber(value, *known->value) || *known->value < known->low ||
        *known->value > known->high) {
      fprintf(stderr, "gpu-alloc: %s: expected a number of %llu to %llu, got \"%s\"\n", argv[i],
              static_cast<unsigned long long>(known->low),
              static_cast<unsigned long long>(known->high), value == nullptr ? "" : value);
      return kUsage;
    }
    ++i;
  }
  return 0;
}

}  // namespace

extern "C" int main(int argc, char** argv) {
  if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
    fputs(kHelp, stdout);
    return 0;
  }
  Options options;
  if (const int code = Parse(argc, argv, options); code != 0) return code;
  if (options.random_for != 0) return Random(options);
  if (options.launch_for != 0) return Launch(options);
  return Fill(options);
}
