#include <algorithm>
#include <cstdio>
#include <vector>

#include "tests/gpu/commands.h"
#include "tests/gpu/driver.h"

namespace hami::gpu {
namespace {

constexpr uint64_t kSpinNs = 2'000'000;
constexpr size_t kBatch = 20;  // launches between two synchronisations

struct Interval {
  uint64_t begin, end;  // by the card's clock
};

// Launches until so much time has passed on the host.
std::vector<Interval> Run(const Driver& driver, void* spin, double seconds) {
  const auto most = static_cast<size_t>(seconds * 1e9 / kSpinNs) + 2 * kBatch;
  DevicePointer times = 0;
  Must(driver.alloc(&times, most * sizeof(Interval)), "cuMemAlloc of the times");
  Must(driver.clear(times, 0, most * sizeof(Interval)), "cuMemsetD8");
  const int64_t end = NowNs() + static_cast<int64_t>(seconds * 1e9);
  size_t count = 0;
  while (count + kBatch <= most && NowNs() < end) {
    for (size_t i = 0; i < kBatch; ++i, ++count) {
      DevicePointer out = times + count * sizeof(Interval);
      uint64_t ns = kSpinNs;
      void* parameters[] = {&out, &ns};
      Must(driver.launch(spin, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr), "launch");
    }
    Must(driver.synchronize(), "cuCtxSynchronize");
  }
  std::vector<Interval> intervals(count);
  Must(driver.copy_to_host(intervals.data(), times, count * sizeof(Interval)), "cuMemcpyDtoH");
  return intervals;
}

// Nanoseconds of the window in which a kernel ran. They are of one stream: none overlaps another.
uint64_t BusyWithin(const std::vector<Interval>& intervals, uint64_t from, uint64_t to) {
  uint64_t busy = 0;
  for (const Interval& one : intervals) {
    const uint64_t begin = std::max(one.begin, from), end = std::min(one.end, to);
    if (end > begin) busy += end - begin;
  }
  return busy;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int Spin(double warm_s, double seconds) {
  const Driver driver = BeginOnDevice0();
  const Kernels kernels = LoadKernels(driver);
  // A little longer than the window, so that the last kernels are not missing in it.
  const std::vector<Interval> all = Run(driver, kernels.spin, warm_s + seconds + 0.5);
  if (all.empty() || all.back().end == 0) {
    printf("{\"kernels\": %zu, \"share\": null}\n", all.size());
    return 0;
  }
  const uint64_t from = all[0].begin + static_cast<uint64_t>(warm_s * 1e9);
  const uint64_t to = from + static_cast<uint64_t>(seconds * 1e9);
  printf("{\"kernels\": %zu, \"share\": %.3f}\n", all.size(),
         100.0 * static_cast<double>(BusyWithin(all, from, to)) / static_cast<double>(to - from));
  return 0;
}

int Overhead(int bursts, int calls) {
  const Driver driver = BeginOnDevice0();
  const Kernels kernels = LoadKernels(driver);
  const auto measure = [&](auto&& call) {
    std::vector<double> ns;
    for (int burst = 0; burst <= bursts; ++burst) {
      const int64_t start = NowNs();
      for (int i = 0; i < calls; ++i) call();
      if (burst > 0) ns.push_back(static_cast<double>(NowNs() - start) / calls);  // first: cold
      Must(driver.synchronize(), "cuCtxSynchronize");
    }
    return Median(ns);
  };
  const double launch = measure([&] {
    Must(driver.launch(kernels.nothing, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr), "launch");
  });
  const double alloc = measure([&] {
    DevicePointer block = 0;
    Must(driver.alloc(&block, 512), "cuMemAlloc");
    Must(driver.free(block), "cuMemFree");
  });
  printf("{\"launch_ns\": %.1f, \"alloc_free_ns\": %.1f}\n", launch, alloc);
  return 0;
}

}  // namespace hami::gpu
