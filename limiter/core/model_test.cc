// The core limit's rules over the whole matrix of limit x kernel x pattern x processes x
// neighbours, in virtual time. tests/limiter/core_matrix --model prints it as a table.
#include "limiter/core/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace hami::limiter::core::model {
namespace {

struct Cell {
  int limit;
  const char *kernel, *pattern;
  int processes;
  const char* neighbours;
};

// Points beyond the limit, or below the smaller of it and what the program reaches without it.
double Error(const Cell& cell, uint32_t seed = 1, Nvml nvml = {}) {
  const auto share = [&](int limit, double from, double to) {
    World world(seed, nvml);
    const int own = world.Add(limit, cell.processes, ProgramOf(cell.kernel, cell.pattern));
    const std::string neighbours = cell.neighbours;
    if (neighbours == "limited") {
      world.Add(100 - cell.limit, 1, ProgramOf(cell.kernel, cell.pattern));
    } else if (neighbours == "unlimited") {
      world.Add(0, 1, ProgramOf("1000", "batch"));
    }
    world.Run(to);
    return world.Share(own, from, to);
  };
  const double reach = share(0, 0.7, 2.7), is = share(cell.limit, 2, 12);
  return is > cell.limit ? is - cell.limit
                         : std::min(0.0, is - std::min<double>(cell.limit, reach));
}

struct Summary {
  int cells = 0, wrong = 0;  // wrong: by more than 2 points
  double sum = 0, worst = 0, above = 0;
};

Summary Sum(uint32_t seed, const std::vector<const char*>& neighbours, Nvml nvml = {}) {
  Summary all;
  for (const int limit : {5, 10, 25, 50, 75, 90}) {
    for (const char* kernel : {"1000", "20000", "mixed"}) {
      for (const char* pattern : {"sync", "batch", "deep", "graph", "streams", "threads"}) {
        for (const int processes : {1, 2, 8}) {
          for (const char* beside : neighbours) {
            const double error = Error({limit, kernel, pattern, processes, beside}, seed, nvml);
            ++all.cells;
            all.sum += std::abs(error);
            all.worst = std::max(all.worst, std::abs(error));
            all.above = std::max(all.above, error);
            if (std::abs(error) <= 2) continue;
            ++all.wrong;
            printf("%d %% %s %s x %d, %s: %+.2f\n", limit, kernel, pattern, processes, beside,
                   error);
          }
        }
      }
    }
  }
  printf("%d cells: mean %.3f, worst %.2f, highest above %.2f, %d by more than 2\n", all.cells,
         all.sum / all.cells, all.worst, all.above, all.wrong);
  return all;
}

TEST(CoreModelTest, AloneAndBesideALimitedNeighbour) {
  const Summary all = Sum(1, {"none", "limited"});
  EXPECT_LT(all.sum / all.cells, 0.1);
  EXPECT_LT(all.above, 1);
  EXPECT_LT(all.worst, 1.5);
}

TEST(CoreModelTest, BesideAnUnlimitedNeighbour) {
  for (const uint32_t seed : {1, 2, 3}) {
    const Summary all = Sum(seed, {"unlimited"});
    EXPECT_LT(all.sum / all.cells, 0.2) << seed;
    EXPECT_LT(all.above, 2.5) << seed;  // processes that queue two seconds of work each, at 90 %
    EXPECT_LE(all.wrong, 1) << seed;
    EXPECT_LT(all.worst, 2.5) << seed;
  }
}

// Real drivers show a process's utilisation up to a second late, sampled several times a second or
// once. Compared with what was launched since, cells were up to 31 points above their limits.
TEST(CoreModelTest, TrapNvmlIsLate) {
  constexpr uint64_t kMs = 1'000'000;
  for (const Nvml nvml :
       {Nvml{200 * kMs, 0}, Nvml{700 * kMs, 170 * kMs}, Nvml{100 * kMs, 1100 * kMs}}) {
    const Summary all = Sum(1, {"none", "unlimited"}, nvml);
    EXPECT_LT(all.sum / all.cells, 0.25) << nvml.lag_ns;
    EXPECT_LT(all.above, 4.5) << nvml.lag_ns;
    EXPECT_LT(all.worst, 4.5) << nvml.lag_ns;
    EXPECT_LT(all.wrong, 13) << nvml.lag_ns;
  }
}

// COMPLAINT: eight processes that began at once at 5 or 10 % stood for half a minute.
TEST(CoreModelTest, LongKernelsThatBeginTogetherAreNotHeldBackForTheOthersTime) {
  for (const int limit : {5, 10, 25}) {
    for (const char* pattern : {"sync", "deep", "graph", "threads"}) {
      EXPECT_GT(Error({limit, "20000", pattern, 8, "none"}), -2.0) << limit << " " << pattern;
    }
  }
}

// The same kernels on unlike data: what a sibling saw is too short, which NVML shows in two
// seconds.
TEST(CoreModelTest, SiblingsWithLongerWorkAreNotLeftUnlimited) {
  for (const char* pattern : {"sync", "batch", "deep", "streams", "threads"}) {
    for (const char* kernel : {"1000", "mixed"}) {
      for (const int processes : {2, 8}) {
        World world(1);
        Program program = ProgramOf(kernel, pattern);
        program.times_of_second = 3;
        const int own = world.Add(75, processes, program);
        world.Run(14);
        EXPECT_LT(world.Share(own, 2, 6), 78) << kernel << " " << pattern << " " << processes;
        EXPECT_LT(world.Share(own, 6, 14), 76) << kernel << " " << pattern << " " << processes;
      }
    }
  }
}

// Three functions had been charged ten times too much, which k had made up for; when each got a
// better sample, k was raised three times over, to 1, and the program fell from 90 to 33 %.
TEST(CoreModelTest, BetterSamplesOfSeveralFunctionsDoNotRaiseKSeveralTimes) {
  World world(3);
  const int own = world.Add(90, 1, ProgramOf("mixed", "streams"));
  world.Add(0, 1, ProgramOf("1000", "batch"));
  world.Run(12);
  EXPECT_GT(world.Share(own, 2, 12), 88);
}

TEST(CoreModelTest, IsTheSameEachTime) {
  const Cell cell = {25, "20000", "deep", 8, "limited"};
  EXPECT_EQ(Error(cell), Error(cell));
}

}  // namespace
}  // namespace hami::limiter::core::model
