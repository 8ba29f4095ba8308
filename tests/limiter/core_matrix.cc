// The accuracy of the core limit as a table: limit x kernel x pattern x processes x neighbours,
// each cell judged by the simulated card's own timeline (judge.h), against the smaller of the limit
// and what the same program reaches without the library beside the same neighbours.
//
//   core_matrix [--limits 5,10,25,50,75,90] [--kernels 20,100,1000,20000,mixed]
//               [--patterns sync,batch,deep,graph,streams,threads] [--processes 1,2,8]
//               [--neighbours none,limited,unlimited] [--pairwise] [--cells N] [--skip N]
//               [--warm 2] [--seconds 10] [--reach 3] [--time-sliced] [--check] [--never-above N]
//               [--tries 1] [--lanes 1] [--table FILE] [--nvml-lag-ms 0]
//               [--nvml-sample-ms 0] [--model]
//
// --model: in virtual time (limiter/core/model.h), the whole of it in half a minute.
// --pairwise takes cells until each pair of values has been seen; --skip leaves the first N out.
// --check: exit status 1 when the mean error is above 1 point, one is above 2, or any share is
// above its limit by more than 1. A loaded machine takes device time away from programs and may so
// fail the lower bound: --check is for quiet ones.
// --never-above: exit status 1 when a share is above its limit by more than so many points in each
// of so many --tries. A machine that is overrun also lets programs go above: what they launch is
// measured late or never, so one try is not yet a defect.
// --lanes: so many cells side by side, each on a simulated machine of its own; those that were not
// within a point of their limit in such company are measured again, a quarter as many side by side
// and beside what is within reach, and those that are off by more than a point even so, alone.
// --table: lines are also kept in a file, and a cell that is there is not measured again: a long
// run goes on where it was cut. The last line of a cell counts; what is said at the end is of the
// whole file.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/limiter/core_table.h"

namespace hami::limiter::testing {
namespace {

using Words = std::vector<std::string>;

struct Options {
  Words limits = {"5", "10", "25", "50", "75", "90"};
  Words kernels = {"20", "100", "1000", "20000", "mixed"};
  Words patterns = {"sync", "batch", "deep", "graph", "streams", "threads"};
  Words processes = {"1", "2", "8"};
  Words neighbours = {"none", "limited", "unlimited"};
  bool pairwise = false, check = false;
  size_t cells = SIZE_MAX, skip = 0, tries = 1, lanes = 1;
  double reach = 3, never_above = 100;
  std::string table;
  Course course;
};

Words Split(const std::string& text) {
  Words words;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, ',');) words.push_back(word);
  return words;
}

[[noreturn]] void Refuse(const std::string& name, const std::string& why) {
  fprintf(stderr, "core_matrix: %s: %s\n", name.c_str(), why.c_str());
  exit(2);
}

double Number(const std::string& name, const std::string& value) {
  char* end = nullptr;
  const double number = strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || number < 0) {
    Refuse(name, "expected a number, got \"" + value + "\"");
  }
  return number;
}

// The value's place, by the option's name.
template <class T>
T* Find(const std::map<std::string, T*>& places, const std::string& name) {
  const auto found = places.find(name);
  return found == places.end() ? nullptr : found->second;
}

Options Parse(int argc, char** argv) {
  Options o;
  Course& c = o.course;
  const std::map<std::string, bool*> switches = {{"--pairwise", &o.pairwise},
                                                 {"--check", &o.check},
                                                 {"--time-sliced", &c.time_sliced},
                                                 {"--model", &c.model}};
  const std::map<std::string, Words*> words = {{"--limits", &o.limits},
                                               {"--kernels", &o.kernels},
                                               {"--patterns", &o.patterns},
                                               {"--processes", &o.processes},
                                               {"--neighbours", &o.neighbours}};
  const std::map<std::string, size_t*> counts = {
      {"--cells", &o.cells}, {"--skip", &o.skip},
      {"--lanes", &o.lanes}, {"--nvml-lag-ms", &c.nvml_lag_ms},
      {"--tries", &o.tries}, {"--nvml-sample-ms", &c.nvml_sample_ms}};
  const std::map<std::string, double*> numbers = {{"--warm", &c.warm},
                                                  {"--seconds", &c.seconds},
                                                  {"--reach", &o.reach},
                                                  {"--never-above", &o.never_above}};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (bool* is = Find(switches, name)) {
      *is = true;
      continue;
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (Words* list = Find(words, name)) {
      *list = Split(value);
    } else if (size_t* count = Find(counts, name)) {
      *count = static_cast<size_t>(Number(name, value));
    } else if (double* number = Find(numbers, name)) {
      *number = Number(name, value);
    } else if (name == "--table") {
      o.table = value;
    } else {
      Refuse(name, "no such option (what there is stands at the head of core_matrix.cc)");
    }
  }
  if (c.nvml_lag_ms > 2000 || c.nvml_sample_ms > 2000) {
    Refuse("--nvml-lag-ms, --nvml-sample-ms", "2000 at most");
  }
  return o;
}

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

double LoadAverage() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : -1;
}

// Below its limit by less than this, a program's reach does not matter.
constexpr double kNear = 0.3;

Row MeasureRow(const Options& o, const Cell& cell, bool with_reach) {
  Row row{.cell = cell};
  row.figures = Measure(cell, std::stoi(cell[0]), o.course);
  if (with_reach && row.above() < -kNear) {
    Course course = o.course;
    course.warm = o.reach / 3;
    course.seconds = o.reach;
    row.reach = Measure(cell, 0, course).share;
  }
  row.load = LoadAverage();
  return row;
}

void Print(const std::string& text) {
  fputs(text.c_str(), stdout);
  fflush(stdout);
}

// Side by side: a cell that is not off by more than a point in such company is settled.
void MeasureTogether(const Options& o, const std::vector<Cell>& cells, size_t count,
                     bool with_reach, Table& table) {
  std::mutex one_at_a_time;
  std::atomic<size_t> next{0};
  std::vector<std::thread> lanes;
  for (size_t lane = 0; lane < count; ++lane) {
    lanes.emplace_back([&] {
      for (size_t i; (i = next.fetch_add(1)) < cells.size();) {
        const Row row = MeasureRow(o, cells[i], with_reach);
        const std::lock_guard lock(one_at_a_time);
        Print(LineOf(row));
        if (std::abs(row.error()) <= 1) table.Add(row);
      }
    });
  }
  for (std::thread& lane : lanes) lane.join();
}

void MeasureAlone(const Options& o, const std::vector<Cell>& cells, Table& table) {
  for (const Cell& cell : cells) {
    Row row = MeasureRow(o, cell, true);
    Print(LineOf(row));
    for (size_t n = 1; n < o.tries && row.above() > o.never_above; ++n) {
      Print("      above its limit: measured again\n");
      row = MeasureRow(o, cell, true);
      Print(LineOf(row));
    }
    table.Add(row);
  }
}

std::vector<Cell> NotIn(const Table& table, const std::vector<Cell>& cells) {
  std::vector<Cell> missing;
  for (const Cell& cell : cells) {
    if (!table.Has(cell)) missing.push_back(cell);
  }
  return missing;
}

int Run(const Options& o) {
  std::vector<Cell> cells = o.pairwise ? Pairwise(All(o)) : All(o);
  cells.erase(cells.begin(),
              cells.begin() + static_cast<ptrdiff_t>(std::min(o.skip, cells.size())));
  cells.resize(std::min(cells.size(), o.cells));
  Table table(o.table);
  Print(Heading());
  for (size_t lanes = o.lanes; lanes > 1; lanes /= 4) {
    MeasureTogether(o, NotIn(table, cells), lanes, lanes != o.lanes, table);
    Print(std::to_string(NotIn(table, cells).size()) + " cells to be measured in less company\n");
  }
  MeasureAlone(o, NotIn(table, cells), table);
  const Summary all(table);
  Print(all.Text());
  if (all.above > o.never_above) {
    printf("FAILED: more than %.1f points above a limit\n", o.never_above);
  }
  return all.above > o.never_above || (o.check && (all.mean > 1 || all.worst > 2 || all.above > 1))
             ? 1
             : 0;
}

}  // namespace
}  // namespace hami::limiter::testing

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return hami::limiter::testing::Run(hami::limiter::testing::Parse(argc, argv));
}
