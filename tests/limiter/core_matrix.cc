// The accuracy of the core limit as a table: limit x kernel x pattern x processes x neighbours,
// each cell judged by the simulated card's own timeline (judge.h), against the smaller of the limit
// and what the same program reaches without the library beside the same neighbours.
//
//   core_matrix [--limits 5,10,25,50,75,90] [--kernels 20,100,1000,20000,mixed]
//               [--patterns sync,batch,deep,graph,streams,threads] [--processes 1,2,8]
//               [--neighbours none,limited,unlimited] [--pairwise] [--cells N] [--skip N]
//               [--warm 2] [--seconds 10] [--reach 3] [--time-sliced] [--check] [--never-above N]
//               [--tries 1] [--model]
//
// --model: in virtual time (limiter/core/model.h), the whole of it in half a minute.
// --pairwise takes cells until each pair of values has been seen; --skip leaves the first N out, so
// that a long run can go on where it was cut. --check: exit status 1 when the mean error is above 1
// point, one is above 2, or any share is above its limit by more than 1. A loaded machine takes
// device time away from programs and may so fail the lower bound: --check is for quiet ones.
// --never-above: exit status 1 when a share is above its limit by more than so many points in each
// of so many --tries. A machine that is overrun also lets programs go above: what they launch is
// measured late or never, so one try is not yet a defect.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "limiter/core/model.h"
#include "tests/limiter/judge.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

using Words = std::vector<std::string>;

struct Options {
  Words limits = {"5", "10", "25", "50", "75", "90"};
  Words kernels = {"20", "100", "1000", "20000", "mixed"};
  Words patterns = {"sync", "batch", "deep", "graph", "streams", "threads"};
  Words processes = {"1", "2", "8"};
  Words neighbours = {"none", "limited", "unlimited"};
  bool pairwise = false, check = false, time_sliced = false, model = false;
  size_t cells = SIZE_MAX, skip = 0, tries = 1;
  double warm = 2, seconds = 10, reach = 3, never_above = 100;
};

Words Split(const std::string& text) {
  Words words;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, ',');) words.push_back(word);
  return words;
}

Options Parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const std::map<std::string, bool*> switches = {{"--pairwise", &o.pairwise},
                                                   {"--check", &o.check},
                                                   {"--time-sliced", &o.time_sliced},
                                                   {"--model", &o.model}};
    if (const auto found = switches.find(name); found != switches.end()) {
      *found->second = true;
      continue;
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (name == "--limits")
      o.limits = Split(value);
    else if (name == "--kernels")
      o.kernels = Split(value);
    else if (name == "--patterns")
      o.patterns = Split(value);
    else if (name == "--processes")
      o.processes = Split(value);
    else if (name == "--neighbours")
      o.neighbours = Split(value);
    else if (name == "--cells")
      o.cells = std::stoul(value);
    else if (name == "--skip")
      o.skip = std::stoul(value);
    else if (name == "--warm")
      o.warm = std::stod(value);
    else if (name == "--seconds")
      o.seconds = std::stod(value);
    else if (name == "--tries")
      o.tries = std::stoul(value);
    else if (name == "--never-above")
      o.never_above = std::stod(value);
    else if (name == "--reach")
      o.reach = std::stod(value);
    else {
      fprintf(stderr, "core_matrix: unknown option %s\n", name.c_str());
      exit(2);
    }
  }
  return o;
}

using Cell = std::vector<std::string>;  // limit, kernel, pattern, processes, neighbours

std::vector<Cell> All(const Options& o) {
  std::vector<Cell> cells;
  for (const auto& l : o.limits)
    for (const auto& k : o.kernels)
      for (const auto& p : o.patterns)
        for (const auto& n : o.processes)
          for (const auto& b : o.neighbours) cells.push_back({l, k, p, n, b});
  return cells;
}

// Greedy: always the cell that shows most pairs of values not yet seen.
std::vector<Cell> Pairwise(std::vector<Cell> cells) {
  std::shuffle(cells.begin(), cells.end(), std::mt19937(1));
  using Pair = std::tuple<size_t, std::string, size_t, std::string>;
  const auto pairs = [](const Cell& cell) {
    std::vector<Pair> all;
    for (size_t i = 0; i < cell.size(); ++i)
      for (size_t j = i + 1; j < cell.size(); ++j) all.emplace_back(i, cell[i], j, cell[j]);
    return all;
  };
  std::set<Pair> seen;
  std::vector<Cell> chosen;
  while (true) {
    size_t most = 0;
    const Cell* best = nullptr;
    for (const Cell& cell : cells) {
      size_t fresh = 0;
      for (const Pair& pair : pairs(cell)) fresh += seen.count(pair) == 0 ? 1 : 0;
      if (fresh > most) most = fresh, best = &cell;
    }
    if (best == nullptr) return chosen;
    chosen.push_back(*best);
    for (const Pair& pair : pairs(*best)) seen.insert(pair);
  }
}

constexpr int64_t kSliceNs = 2'000'000;  // of simulated cards without a description

struct Figures {
  double share = 0, neighbour = 0;
};

// Programs of one cell, `limit` 0 without the library, beside the neighbours.
Figures Measure(const Cell& cell, int limit, bool time_sliced, double warm, double seconds) {
  const std::string scheduling = time_sliced ? "time_sliced" : "fifo";
  Container box(Variables{{"FAKEGPU_SCHEDULING", scheduling},
                          {"CUDA_DEVICE_SM_LIMIT", std::to_string(limit)},
                          {"GPU_CORE_UTILIZATION_POLICY", "force"}});
  const std::string state = box.folder() + "/state";
  const int other_limit = 100 - std::stoi(cell[0]);
  Container beside(Variables{{"FAKEGPU_STATE", state},
                             {"FAKEGPU_SCHEDULING", scheduling},
                             {"CUDA_DEVICE_SM_LIMIT", std::to_string(other_limit)},
                             {"GPU_CORE_UTILIZATION_POLICY", "force"}});
  std::vector<std::unique_ptr<Probe>> programs, neighbours;
  std::vector<pid_t> pids, other_pids;
  for (int i = 0; i < std::stoi(cell[3]); ++i) {
    programs.push_back(box.StartProgram({CoreLoad(), cell[1], cell[2]}, {}, limit != 0));
    pids.push_back(programs.back()->pid());
  }
  if (cell[4] == "limited") {
    neighbours.push_back(beside.StartProgram({CoreLoad(), cell[1], cell[2]}));
  } else if (cell[4] == "unlimited") {
    neighbours.push_back(beside.StartProgram({CoreLoad(), "1000", "batch"}, {}, false));
  }
  for (auto& program : programs) program->Receive();
  for (auto& program : neighbours) {
    program->Receive();
    other_pids.push_back(program->pid());
  }
  Judge judge(state, time_sliced ? kSliceNs : 0);
  judge.Begin(0);
  judge.Watch(warm);
  judge.Begin(0);
  Figures figures;
  judge.Watch(seconds);
  figures.share = judge.Share(pids);
  figures.neighbour = judge.Share(other_pids);
  return figures;
}

// The same in virtual time.
Figures Model(const Cell& cell, int limit, double warm, double seconds) {
  namespace model = core::model;
  model::World world(1);
  const auto program = model::ProgramOf(cell[1], cell[2]);
  const int own = world.Add(limit, std::stoi(cell[3]), program);
  int beside = own;
  if (cell[4] == "limited") beside = world.Add(100 - std::stoi(cell[0]), 1, program);
  if (cell[4] == "unlimited") beside = world.Add(0, 1, model::ProgramOf("1000", "batch"));
  world.Run(warm + seconds);
  return {world.Share(own, warm, warm + seconds),
          beside == own ? 0 : world.Share(beside, warm, warm + seconds)};
}

double LoadAverage() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : -1;
}

struct Outcome {
  double above = 0, error = 0;  // points; `above` is negative below the limit
};

// One cell without and with the library; prints its line.
Outcome Compare(const Options& o, const Cell& cell) {
  const int limit = std::stoi(cell[0]);
  const auto measure = [&](int held, double warm, double seconds) {
    return o.model ? Model(cell, held, warm, seconds)
                   : Measure(cell, held, o.time_sliced, warm, seconds);
  };
  const double reach = measure(0, o.reach / 3, o.reach).share;
  const double share = measure(limit, o.warm, o.seconds).share;
  // More than the program reached a moment ago without the library is the machine's doing.
  const double error =
      share > limit ? share - limit : std::min(0.0, share - std::min<double>(limit, reach));
  printf("%5s %6s %8s %5s %10s | %7.2f %7.2f %+7.2f %6.1f\n", cell[0].c_str(), cell[1].c_str(),
         cell[2].c_str(), cell[3].c_str(), cell[4].c_str(), reach, share, error, LoadAverage());
  fflush(stdout);
  return {share - limit, error};
}

int Run(const Options& o) {
  std::vector<Cell> cells = o.pairwise ? Pairwise(All(o)) : All(o);
  printf("%5s %6s %8s %5s %10s | %7s %7s %7s %6s\n", "limit", "kernel", "pattern", "procs",
         "neighbours", "reach", "share", "error", "load");
  double sum = 0, worst = 0, above = 0;
  size_t count = 0;
  for (size_t i = o.skip; i < cells.size() && count < o.cells; ++i, ++count) {
    Outcome outcome = Compare(o, cells[i]);
    for (size_t n = 1; n < o.tries && outcome.above > o.never_above; ++n) {
      printf("%5s above its limit: measured again\n", "");
      outcome = Compare(o, cells[i]);
    }
    sum += std::abs(outcome.error);
    worst = std::max(worst, std::abs(outcome.error));
    above = std::max(above, outcome.above);
  }
  const double mean = count == 0 ? 0 : sum / static_cast<double>(count);
  printf("%zu cells: mean error %.2f, worst %.2f, highest above a limit %.2f points\n", count, mean,
         worst, above);
  if (above > o.never_above) printf("FAILED: more than %.1f points above a limit\n", o.never_above);
  return above > o.never_above || (o.check && (mean > 1 || worst > 2 || above > 1)) ? 1 : 0;
}

}  // namespace
}  // namespace hami::limiter::testing

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return hami::limiter::testing::Run(hami::limiter::testing::Parse(argc, argv));
}
