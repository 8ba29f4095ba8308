// The judge of core limits: the simulated card's own timeline, read as the card wrote it.
//
// Opens the state file of a simulated machine; counts the busy time of processes in whole buckets
// of 10 ms that have passed. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/core/ledger.h"

namespace hami::limiter::testing {

class Judge {
 public:
  // `slice_ns`: as cards.yaml says, 0 for cards that serve who comes first.
  explicit Judge(const std::string& state_path, int64_t slice_ns = 0);
  ~Judge();
  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

  // Share of `card` in percent that each process had since Begin, by pid. To be called at least
  // every 4 s while time is counted: the card remembers 5 s.
  void Begin(int card);
  void Look();
  double Share(pid_t pid) const;
  double Share(const std::vector<pid_t>& pids) const;
  // Of the time between the last two looks.
  double LastShare(const std::vector<pid_t>& pids) const;

  // Looks four times a second for so long.
  void Watch(double seconds);

 private:
  sim::Ledger ledger_;
  int64_t slice_ns_;
  int card_ = 0;
  int64_t first_ = 0, last_ = 0, before_ = 0;  // bucket numbers
  std::map<pid_t, uint64_t> busy_ns_, recent_ns_;
};

}  // namespace hami::limiter::testing
