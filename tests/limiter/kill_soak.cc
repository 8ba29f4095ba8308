// kill_soak <rounds> <state file>: rounds of KillRounds, in batches of 25 with a seed each. Goes on
// where the state file says that it stopped; prints and keeps the figures there.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/limiter/kill_rounds.h"

namespace hami::limiter::testing {
namespace {

constexpr uint64_t kBatch = 25;

using Field = uint64_t KillFigures::*;
constexpr struct {
  const char* name;
  Field field;
} kFields[] = {{"rounds", &KillFigures::rounds},
               {"kills", &KillFigures::kills},
               {"stops", &KillFigures::stops},
               {"operations", &KillFigures::operations},
               {"refused", &KillFigures::refused},
               {"samples", &KillFigures::samples},
               {"longest_operation_ns", &KillFigures::longest_ns},
               {"longest_wall_ns", &KillFigures::longest_wall_ns},
               {"operations_above_100_ms", &KillFigures::slow},
               {"longest_until_exact_ns", &KillFigures::longest_exact_ns},
               {"sum_until_exact_ns", &KillFigures::exact_sum_ns},
               {"judge_late_ns", &KillFigures::judge_late_ns}};

KillFigures Load(const std::string& path) {
  KillFigures figures;
  std::ifstream in(path);
  std::string name;
  for (uint64_t value; in >> name >> value;) {
    for (const auto& known : kFields) {
      if (name == known.name) figures.*known.field = value;
    }
  }
  return figures;
}

void Save(const std::string& path, const KillFigures& figures) {
  std::ofstream out(path + ".new");
  for (const auto& known : kFields) out << known.name << " " << figures.*known.field << "\n";
  out.close();
  rename((path + ".new").c_str(), path.c_str());
}

int Run(uint64_t rounds, const std::string& path) {
  KillFigures all = Load(path);
  while (all.rounds < rounds) {
    const uint64_t seed = all.rounds / kBatch + 1;
    KillRounds batch(seed);
    for (uint64_t i = 0; i < kBatch; ++i) {
      const std::string wrong = batch.Round();
      if (wrong.empty()) continue;
      printf("FAILED: seed %llu, round %llu: %s\n", static_cast<unsigned long long>(seed),
             static_cast<unsigned long long>(i + 1), wrong.c_str());
      return 1;
    }
    all.Add(batch.figures());
    Save(path, all);
    printf("round %llu of %llu: longest operation %.1f ms, longest until exact %.1f ms\n",
           static_cast<unsigned long long>(all.rounds), static_cast<unsigned long long>(rounds),
           static_cast<double>(all.longest_ns) / 1e6,
           static_cast<double>(all.longest_exact_ns) / 1e6);
    fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace hami::limiter::testing

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: kill_soak ROUNDS STATE-FILE\n");
    return 2;
  }
  return hami::limiter::testing::Run(strtoull(argv[1], nullptr, 10), argv[2]);
}
