// Rounds of kill -9 and SIGSTOP at random points under load, spec D2.7, judged by the simulated
// card's own account.
//
// Four processes of two threads allocate and free at random in one container. A round stops or
// kills one of them and looks at region and card again and again until the account is exact;
// then all rest, and what the region, the card and the processes say must be equal. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "sim/core/ledger.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {

struct KillFigures {
  uint64_t rounds = 0, kills = 0, stops = 0;
  uint64_t operations = 0, refused = 0;
  uint64_t samples = 0;           // looks at region and card while neither changed
  uint64_t longest_ns = 0;        // of an operation of a process that was not stopped itself
  uint64_t longest_wall_ns = 0;   // the same with its waiting for a processor
  uint64_t slow = 0;              // such operations above 100 ms
  uint64_t longest_exact_ns = 0;  // from a kill to an exact account
  uint64_t exact_sum_ns = 0;
  uint64_t judge_late_ns = 0;  // the longest time by which this machine ran the judge too late

  void Add(const KillFigures& other);
};

class KillRounds {
 public:
  static constexpr uint64_t kLimit = 3000 * kMi;
  static constexpr int kHangSeconds = 10;

  explicit KillRounds(uint64_t seed);
  ~KillRounds();

  // What is wrong; empty: nothing.
  std::string Round();
  const KillFigures& figures() const { return figures_; }

 private:
  std::string Replace(std::unique_ptr<Probe>& probe);
  std::string Kill(Probe& victim);
  std::string Stop(Probe& victim);
  std::string UntilExact(pid_t dead, uint64_t since_ns);
  std::string Look();
  void Nap();
  std::string Compare();
  std::string Ask(Probe& probe, const std::string& command, std::string& answer);
  std::string Pace(Probe& probe);
  bool AnnouncedCoversTotal();
  uint64_t TotalTagged();
  uint64_t CardUsed() const;

  std::mt19937_64 random_;
  Container container_;
  sim::Ledger ledger_;
  std::vector<std::unique_ptr<Probe>> probes_;
  std::unique_ptr<Probe> looker_;
  KillFigures figures_;
};

}  // namespace hami::limiter::testing
