// limiter-bench-probe: the program that bench/limiter/compare.py measures, once with libvgpu.so
// preloaded and once without. One thread; speaks lines on standard input and output.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>

#include "bench/limiter/operation.h"
#include "bench/limiter/trace.h"

namespace hami::bench {
namespace {

constexpr char kUsage[] =
    "usage: limiter-bench-probe serve OPERATION     bursts on demand: \"BURSTS CALLS\" on "
    "standard\n"
    "                                               input gives nanoseconds per call of each\n"
    "       limiter-bench-probe init                nanoseconds of one cuInit\n"
    "       limiter-bench-probe trace OPERATION OBJECT CALLS\n"
    "                                               instructions per call: in OBJECT, in all\n"
    "       limiter-bench-probe busy KERNELS        milliseconds for so many kernels of 1 ms\n"
    "operations:";

int Usage(FILE* out, int code) {
  fputs(kUsage, out);
  for (const std::string& name : OperationNames()) fprintf(out, " %s", name.c_str());
  fputc('\n', out);
  return code;
}

// What two readings of the clock cost by themselves.
int64_t ClockNs() {
  int64_t least = INT64_MAX;
  for (int i = 0; i < 2000; ++i) {
    const int64_t start = NowNs();
    least = std::min(least, NowNs() - start);
  }
  return least;
}

int Serve(const char* name) {
  const auto operation = MakeOperation(name);
  if (operation == nullptr) return Usage(stderr, 2);
  if (!operation->Prepare()) {
    puts("refused");
    return 1;
  }
  const int64_t clock_ns = ClockNs();
  puts("ready");
  fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    int64_t bursts = 0, calls = 0;
    std::istringstream(line) >> bursts >> calls;
    if (bursts <= 0 || calls <= 0) return Usage(stderr, 2);
    operation->Repeat(calls);  // another process ran in between: caches are cold
    operation->Rest();
    for (int64_t i = 0; i < bursts; ++i) {
      const int64_t start = NowNs();
      operation->Repeat(calls);
      const int64_t took = NowNs() - start - clock_ns;
      operation->Rest();
      printf("%.2f ", static_cast<double>(took) / static_cast<double>(calls));
    }
    putchar('\n');
    fflush(stdout);
  }
  return 0;
}

int Init() {
  const int64_t clock_ns = ClockNs();
  const int64_t start = NowNs();
  const int result = InitDriver();
  printf("%d %lld\n", result, static_cast<long long>(NowNs() - start - clock_ns));
  return result == 0 ? 0 : 1;
}

int Trace(const char* operation, const char* object, int calls) {
  const auto traces = TraceCalls(operation, object, calls);
  for (const CallTrace& trace : traces) {
    printf("%llu %llu\n", static_cast<unsigned long long>(trace.library),
           static_cast<unsigned long long>(trace.all));
  }
  return static_cast<int>(traces.size()) == calls ? 0 : 1;
}

int Busy(int64_t kernels) {
  const auto operation = MakeOperation("kernel-1ms");
  if (operation == nullptr || !operation->Prepare()) return 1;
  const int64_t start = NowNs();
  operation->Repeat(kernels);
  operation->Rest();
  printf("%lld\n", static_cast<long long>((NowNs() - start) / 1'000'000));
  return 0;
}

int Main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "--help" || command == "-h") return Usage(stdout, 0);
  if (command == "serve" && argc == 3) return Serve(argv[2]);
  if (command == "init" && argc == 2) return Init();
  if (command == "trace" && argc == 5) return Trace(argv[2], argv[3], atoi(argv[4]));
  if (command == "busy" && argc == 3) return Busy(atoll(argv[2]));
  return Usage(stderr, 2);
}

}  // namespace
}  // namespace hami::bench

int main(int argc, char** argv) { return hami::bench::Main(argc, argv); }
