#include "tests/limiter/core_cell.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "limiter/core/model.h"
#include "sim/core/ledger.h"
#include "tests/limiter/judge.h"
#include "tests/limiter/load.h"

namespace hami::limiter::testing {
namespace {

constexpr int64_t kSliceNs = 2'000'000;  // of simulated cards without a description

// Nanoseconds that a thread has run: the first number of its schedstat.
double RanNs(const std::filesystem::path& thread) {
  double ns = 0;
  std::ifstream(thread / "schedstat") >> ns;
  return ns;
}

struct Ran {
  double all_ns = 0, helpers_ns = 0;
};

Ran RanBy(const std::vector<pid_t>& pids) {
  Ran ran;
  for (const pid_t pid : pids) {
    std::error_code gone;
    std::filesystem::directory_iterator thread("/proc/" + std::to_string(pid) + "/task", gone);
    for (; !gone && thread != std::filesystem::directory_iterator(); thread.increment(gone)) {
      std::string name;
      std::ifstream(thread->path() / "comm") >> name;
      const double ns = RanNs(thread->path());
      ran.all_ns += ns;
      if (name == "hami-core") ran.helpers_ns += ns;
    }
  }
  return ran;
}

Variables LimitOf(int percent, const Course& course) {
  Variables all = Force(percent);
  all["FAKEGPU_SCHEDULING"] = course.time_sliced ? "time_sliced" : "fifo";
  all["FAKEGPU_UTIL_LAG_MS"] = std::to_string(course.nvml_lag_ms);
  all["FAKEGPU_UTIL_SAMPLE_MS"] = std::to_string(course.nvml_sample_ms);
  return all;
}

Figures MeasureReal(const Cell& cell, int limit, const Course& course) {
  Variables own = LimitOf(limit, course), others = LimitOf(100 - std::stoi(cell[0]), course);
  Container box(own);
  const std::string state = box.folder() + "/state";
  others["FAKEGPU_STATE"] = state;
  Container beside(others);
  std::vector<std::unique_ptr<Probe>> programs;
  std::vector<pid_t> pids;
  for (int i = 0; i < std::stoi(cell[3]); ++i) {
    programs.push_back(box.StartProgram({CoreLoad(), cell[1], cell[2]}, {}, limit != 0));
    pids.push_back(programs.back()->pid());
  }
  if (cell[4] == "limited") {
    programs.push_back(beside.StartProgram({CoreLoad(), cell[1], cell[2]}));
  } else if (cell[4] == "unlimited") {
    programs.push_back(beside.StartProgram({CoreLoad(), "1000", "batch"}, {}, false));
  }
  for (auto& program : programs) program->Receive();
  Judge judge(state, course.time_sliced ? kSliceNs : 0);
  judge.Begin(0);
  judge.Watch(course.warm);
  Figures figures{.least = 100};
  const Ran before = RanBy(pids);
  const int64_t began_ns = sim::NowMonotonicNs();
  judge.Begin(0);
  for (double left = course.seconds; left > 0; left -= 1) {
    usleep(static_cast<useconds_t>(1e6 * std::min(left, 1.0)));
    judge.Look();
    figures.least = std::min(figures.least, judge.LastShare(pids));
    figures.most = std::max(figures.most, judge.LastShare(pids));
  }
  const Ran after = RanBy(pids);
  figures.share = judge.Share(pids);
  const double percent_ns = static_cast<double>(sim::NowMonotonicNs() - began_ns) / 100;
  figures.cpu = (after.all_ns - before.all_ns) / percent_ns;
  figures.helper = (after.helpers_ns - before.helpers_ns) / percent_ns;
  return figures;
}

Figures MeasureModel(const Cell& cell, int limit, const Course& course) {
  namespace model = core::model;
  model::World world(1, {course.nvml_lag_ms * 1'000'000, course.nvml_sample_ms * 1'000'000});
  const auto program = model::ProgramOf(cell[1], cell[2]);
  const int own = world.Add(limit, std::stoi(cell[3]), program);
  if (cell[4] == "limited") world.Add(100 - std::stoi(cell[0]), 1, program);
  if (cell[4] == "unlimited") world.Add(0, 1, model::ProgramOf("1000", "batch"));
  world.Run(course.warm + course.seconds);
  Figures figures{.least = 100};
  const double end = course.warm + course.seconds;
  figures.share = world.Share(own, course.warm, end);
  for (double from = course.warm; from + 1 <= end; from += 1) {
    figures.least = std::min(figures.least, world.Share(own, from, from + 1));
    figures.most = std::max(figures.most, world.Share(own, from, from + 1));
  }
  return figures;
}

}  // namespace

Figures Measure(const Cell& cell, int limit, const Course& course) {
  return course.model ? MeasureModel(cell, limit, course) : MeasureReal(cell, limit, course);
}

}  // namespace hami::limiter::testing
