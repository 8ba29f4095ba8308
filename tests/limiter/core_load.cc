// A program that keeps a card busy in one of the ways programs do, for the tests of the core limit.
//
//   core_load <kernel> <pattern> [card]
//   kernel:  duration in us, or `mixed` (20, 100, 1000 us in turn)
//   pattern: sync (wait after each launch), library (the same, kernels of a library), batch (after
//   20), deep (never), streams (4, never wait),
//            threads (4, wait after 20), graph (20 kernels or 40 ms of them captured once, wait
//            after each replay: a replay cannot be cut, and longer ones would not show a share in
//            10 s), graph_updated (the same, told anew what it was), ptsz, cooperative, ex, old,
//            old_grid, old_async, multi (this card and the next), and cooperative_ptsz, ex_ptsz,
//            graph_ptsz (as deep or graph, by the other entry points)
//
// Says "ready" and launches from then on. Answers each line of its input with the number of
// launches so far; ends with its input.
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

void* cuda = nullptr;
std::atomic<uint64_t> launches{0};
std::vector<uintptr_t> kernels;
void* context = nullptr;
int next_card = 1;

template <class... Types>
int Call(const char* name, Types... arguments) {
  const auto function = reinterpret_cast<int (*)(Types...)>(dlsym(cuda, name));
  if (function == nullptr) {
    fprintf(stderr, "core_load: no %s\n", name);
    exit(2);
  }
  return function(arguments...);
}

void Must(int result, const char* what) {
  if (result == 0) return;
  fprintf(stderr, "core_load: %s: %d\n", what, result);
  exit(3);
}

using Launch = int (*)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                       void*, void**, void**);
using Cooperative = int (*)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                            unsigned, void*, void**);
struct Config {
  unsigned grid[3], block[3], shared;
  void* stream;
  void* attributes;
  unsigned attribute_count;
};
using LaunchEx = int (*)(const Config*, void*, void**, void**);
using Synchronize = int (*)(void*);

Launch launch_kernel;
Synchronize synchronize;

void* NextKernel(uint64_t i) { return reinterpret_cast<void*>(kernels[i % kernels.size()]); }

void One(uint64_t i, void* stream) {
  Must(launch_kernel(NextKernel(i), 128, 1, 1, 128, 1, 1, 0, stream, nullptr, nullptr), "launch");
  launches.fetch_add(1, std::memory_order_relaxed);
}

// Launches that keep a card busy for 2 s.
unsigned TwoSeconds() {
  const uintptr_t longest = *std::max_element(kernels.begin(), kernels.end());
  return static_cast<unsigned>(2'000'000'000 / longest);
}

[[noreturn]] void Every(unsigned per_sync, const std::vector<void*>& streams) {
  for (uint64_t i = 0;; ++i) {
    One(i, streams[i % streams.size()]);
    if ((i + 1) % per_sync == 0) Must(synchronize(streams[0]), "synchronize");
  }
}

[[noreturn]] void Graph(void* stream, const char* by, bool updated = false) {
  const uintptr_t longest = *std::max_element(kernels.begin(), kernels.end());
  const uint64_t length = std::clamp<uint64_t>(40'000'000 / longest, 1, 20);
  void *graph = nullptr, *exec = nullptr;
  Must(Call("cuStreamBeginCapture_v2", stream, 0), "begin capture");
  for (uint64_t i = 0; i < length; ++i) One(i, stream);
  launches = 0;
  Must(Call("cuStreamEndCapture", stream, &graph), "end capture");
  Must(Call("cuGraphInstantiateWithFlags", &exec, graph, 0ull), "instantiate");
  uint64_t update[3] = {};  // CUgraphExecUpdateResultInfo
  if (updated)
    Must(Call("cuGraphExecUpdate_v2", exec, graph, static_cast<void*>(update)), "update");
  const auto replay = reinterpret_cast<int (*)(void*, void*)>(dlsym(cuda, by));
  while (true) {
    Must(replay(exec, stream), "graph launch");
    launches.fetch_add(length, std::memory_order_relaxed);
    Must(synchronize(stream), "synchronize");
  }
}

void* NewStream() {
  void* stream = nullptr;
  Must(Call("cuStreamCreate", &stream, 1u), "stream");
  return stream;
}

// Without ever waiting.
template <class Launcher>
[[noreturn]] void Ever(Launcher launch) {
  for (uint64_t i = 0;; ++i) {
    Must(launch(NextKernel(i)), "launch");
    launches.fetch_add(1, std::memory_order_relaxed);
  }
}

[[noreturn]] void Cooperatively(const char* by) {
  const auto launch = reinterpret_cast<Cooperative>(dlsym(cuda, by));
  Ever(
      [launch](void* kernel) { return launch(kernel, 128, 1, 1, 128, 1, 1, 0, nullptr, nullptr); });
}

[[noreturn]] void Configured(const char* by) {
  const auto launch = reinterpret_cast<LaunchEx>(dlsym(cuda, by));
  const Config config = {{128, 1, 1}, {128, 1, 1}, 0, nullptr, nullptr, 0};
  Ever([&](void* kernel) { return launch(&config, kernel, nullptr, nullptr); });
}

[[noreturn]] void AsOfOld(const std::string& pattern) {
  for (const uintptr_t kernel : kernels) {
    Must(Call("cuFuncSetBlockShape", reinterpret_cast<void*>(kernel), 128, 1, 1), "block shape");
  }
  Ever([&pattern](void* kernel) {
    if (pattern == "old") return Call("cuLaunch", kernel);
    if (pattern == "old_grid") return Call("cuLaunchGrid", kernel, 128, 1);
    return Call("cuLaunchGridAsync", kernel, 128, 1, static_cast<void*>(nullptr));
  });
}

struct Part {
  void* function;
  unsigned grid[3], block[3], shared;
  void* stream;
  void** parameters;
};

[[noreturn]] void OnTwoCards() {
  void* second = nullptr;
  Part parts[2] = {{nullptr, {128, 1, 1}, {128, 1, 1}, 0, NewStream(), nullptr},
                   {nullptr, {128, 1, 1}, {128, 1, 1}, 0, nullptr, nullptr}};
  Must(Call("cuDevicePrimaryCtxRetain", &second, next_card), "second context");
  Must(Call("cuCtxSetCurrent", second), "second context");
  parts[1].stream = NewStream();
  Must(Call("cuCtxSetCurrent", context), "context");
  Ever([&parts](void* kernel) {
    for (Part& part : parts) part.function = kernel;
    return Call("cuLaunchCooperativeKernelMultiDevice", static_cast<Part*>(parts), 2u, 0u);
  });
}

// The simulated driver takes durations from kernels' names, and its handles are nanoseconds.
void LoadKernels(const std::vector<std::string>& microseconds, bool from_library) {
  constexpr char kImage[] = "core_load";
  void *module = nullptr, *library = nullptr, *none = nullptr;
  Must(Call("cuModuleLoadData", &module, kImage), "module");
  if (from_library) {
    Must(Call("cuLibraryLoadData", &library, kImage, none, none, 0u, none, none, 0u), "library");
  }
  for (const std::string& us : microseconds) {
    const std::string name = "k_" + us + "us_load";
    void *kernel = nullptr, *function = nullptr;
    if (from_library) {
      Must(Call("cuLibraryGetKernel", &kernel, library, name.c_str()), "kernel");
      Must(Call("cuKernelGetFunction", &function, kernel), "function");
    } else {
      Must(Call("cuModuleGetFunction", &function, module, name.c_str()), "function");
    }
    kernels.push_back(reinterpret_cast<uintptr_t>(function));
  }
}

void Run(const std::string& pattern) {
  Must(Call("cuCtxSetCurrent", context), "context");
  const std::vector<void*> one = {nullptr};
  if (pattern == "sync" || pattern == "library") Every(1, one);
  if (pattern == "batch") Every(20, one);
  if (pattern == "deep" || pattern == "ptsz") Every(TwoSeconds(), one);
  if (pattern == "streams")
    Every(TwoSeconds(), {NewStream(), NewStream(), NewStream(), NewStream()});
  if (pattern == "thread") Every(20, {NewStream()});
  if (pattern == "graph") Graph(NewStream(), "cuGraphLaunch");
  if (pattern == "graph_updated") Graph(NewStream(), "cuGraphLaunch", true);
  if (pattern == "graph_ptsz") Graph(NewStream(), "cuGraphLaunch_ptsz");
  if (pattern == "cooperative") Cooperatively("cuLaunchCooperativeKernel");
  if (pattern == "cooperative_ptsz") Cooperatively("cuLaunchCooperativeKernel_ptsz");
  if (pattern == "ex") Configured("cuLaunchKernelEx");
  if (pattern == "ex_ptsz") Configured("cuLaunchKernelEx_ptsz");
  if (pattern == "multi") OnTwoCards();
  if (pattern.rfind("old", 0) == 0) AsOfOld(pattern);
  fprintf(stderr, "core_load: unknown pattern %s\n", pattern.c_str());
  exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 1;
  const std::string kernel = argv[1], pattern = argv[2];
  const int card = argc > 3 ? atoi(argv[3]) : 0;
  next_card = card + 1;
  cuda = dlopen("libcuda.so.1", RTLD_NOW);
  if (cuda == nullptr) return 2;
  Must(Call("cuInit", 0u), "init");
  Must(Call("cuDevicePrimaryCtxRetain", &context, card), "context");
  Must(Call("cuCtxSetCurrent", context), "context");
  LoadKernels(kernel == "mixed" ? std::vector<std::string>{"20", "100", "1000"}
                                : std::vector<std::string>{kernel},
              pattern == "library");
  const char* launch = pattern == "ptsz" ? "cuLaunchKernel_ptsz" : "cuLaunchKernel";
  launch_kernel = reinterpret_cast<Launch>(dlsym(cuda, launch));
  synchronize = reinterpret_cast<Synchronize>(dlsym(cuda, "cuStreamSynchronize"));
  const unsigned threads = pattern == "threads" ? 4 : 1;
  for (unsigned i = 0; i < threads; ++i) {
    std::thread(Run, threads > 1 ? "thread" : pattern).detach();
  }
  printf("ready\n");
  fflush(stdout);
  char line[256];
  while (fgets(line, sizeof line, stdin) != nullptr) {
    printf("%" PRIu64 "\n", launches.load());
    fflush(stdout);
  }
  _exit(0);
}
