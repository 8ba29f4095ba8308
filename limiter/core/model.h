// A card, and processes under core limits on it, in virtual time: how accurate the core limit's
// rules are, for every kind of program, in seconds instead of hours and without a machine's noise.
//
// The bucket, the estimates and the feedback are the library's own; what Governor and Helper do
// with them is told again here in short, event by event. The card serves who comes first, like a
// simulated card without time slices; NVML gives whole percents, if asked to some time late. What
// it shows was compared with programs on simulated cards (docs/perf.md): it finds the cells that
// are off, not their second decimal. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "limiter/core/bucket.h"
#include "limiter/core/estimate.h"
#include "limiter/core/feedback.h"

namespace hami::limiter::core::model {

// How a program launches, as tests/limiter/core_load.cc does.
struct Program {
  std::vector<uint64_t> kernels_ns;  // in turn
  unsigned launches_per_wait = 1;    // then waits for its first stream
  unsigned streams = 1, threads = 1;
  uint64_t times_of_second = 1;  // that the kernels of each second process take
};
// `kernel`: microseconds or "mixed"; `pattern`: sync, batch, deep, graph, streams, threads.
Program ProgramOf(const std::string& kernel, const std::string& pattern);

// How old NVML's samples are, and how far apart; 0: of this moment, at any moment.
struct Nvml {
  uint64_t lag_ns = 0, sample_ns = 0;
};

class World {
 public:
  explicit World(uint32_t seed, Nvml nvml = {});
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // A container of so many alike processes; `limit` in percent, 0: without the library. Its number.
  int Add(int limit, int processes, const Program& program);
  void Run(double seconds);
  // Percent of the card's time that a container had between two moments, in seconds from the start.
  double Share(int container, double from, double to) const;

 private:
  struct Container;
  struct Process;
  struct Thread;
  struct Sample;
  struct Event {
    uint64_t ns, number;
    Thread* thread;  // goes on; nullptr: its helper looks
    Process* process;
    bool operator<(const Event& other) const {
      return ns != other.ns ? ns > other.ns : number > other.number;
    }
  };

  void At(uint64_t ns, Process* process, Thread* thread);
  uint64_t Noise(uint64_t most_ns) { return random_() % most_ns; }
  void GoOn(Thread& thread);
  bool Admit(Thread& thread, Function& function);
  bool HasTurn(Thread& thread, Function& function);
  bool AwaitFirstSample(Thread& thread, Function& function);
  void Retry(Thread& thread, uint64_t after_ns);
  uint64_t Execute(Thread& thread, uint64_t duration_ns);
  void Harvest(Process& process);
  void Take(Process& process, const Sample& sample);
  static void Shorter(Process& process, const Function::Learned& learned);
  void Look(Process& process);
  static void TakeTotals(Process& process);
  int Shown(const Process& process, uint64_t since_us) const;
  bool ShowsAnybody(uint64_t since_us) const;
  void Compare(Process& process);
  uint64_t SampledUntil() const;

  const Nvml nvml_;
  uint64_t now_ns_, number_ = 0;
  uint64_t busy_until_ns_ = 0;  // the card
  std::mt19937 random_;
  std::priority_queue<Event> events_;
  std::vector<std::unique_ptr<Container>> containers_;
};

}  // namespace hami::limiter::core::model
