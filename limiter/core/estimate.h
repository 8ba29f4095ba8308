// How long each function of the program runs, learned from samples.
//
// The estimate is the shortest sample of the last 8 groups, a group being 8 samples and a second at
// least: work of others on the card makes a sample longer, never shorter. While NVML shows no more
// than the estimates say, none is forgotten. Owned by the process; any thread; no lock and no
// allocation. Pure but for its own memory.
#pragma once

#include <atomic>
#include <cstdint>

namespace hami::limiter::core {

// What the processes of a container know of a function together.
struct Shortest {
  uint64_t ns = 0;   // 0: nothing
  bool met = false;  // by several samples
};

// Whether a sample is about the shortest one: what the clock and the card's own unevenness leave.
constexpr bool IsAbout(uint64_t ns, uint64_t shortest_ns) {
  const uint64_t apart = ns > shortest_ns ? ns - shortest_ns : shortest_ns - ns;
  return apart <= shortest_ns / 32 + 1000;
}

class Function {
 public:
  static constexpr uint32_t kEarlySamples = 16;
  static constexpr uint64_t kSampleEveryNs = 2'000'000;  // of estimated device time
  static constexpr uint32_t kRarestSample = 1024;
  static constexpr uint32_t kMostWaits = 50;

  // 0: unknown.
  uint64_t estimate_ns() const { return estimate_ns_.load(std::memory_order_relaxed); }

  // Counts a launch; true: it should be sampled. Racing threads may lose a count.
  bool CountLaunch(uint32_t noise);
  // The same unless it should be sampled: false, and nothing is counted.
  bool CountUnsampled() {
    const uint32_t count = launches_.load(std::memory_order_relaxed) + 1;
    if (IsDue(count)) return false;
    launches_.store(count, std::memory_order_relaxed);
    return true;
  }

  // The right to launch at a guess before the first sample is there. False: another launch has it.
  bool TakeGuess() { return !guess_taken_.exchange(true, std::memory_order_relaxed); }
  // That launch was refused.
  void DropGuess() { guess_taken_.store(false, std::memory_order_relaxed); }
  // A launch of unknown duration was charged `ns`.
  void Guessed(uint64_t ns) {
    guesses_.fetch_add(1, std::memory_order_relaxed);
    guessed_ns_.fetch_add(ns, std::memory_order_relaxed);
  }
  // A launch waited for the first sample in vain. After some, a sample cannot be had (a kernel that
  // waits for the program): launches go on at a guess.
  void WaitedInVain() { in_vain_.fetch_add(1, std::memory_order_relaxed); }
  bool worth_waiting() const { return in_vain_.load(std::memory_order_relaxed) < kMostWaits; }

  // Work of others that lies between two launches makes the second one's sample longer. Right
  // behind a launch that waited, the next one goes on at once, and pays later: nothing lies between
  // the two. Offered some times a second, and not where the debt would be long.
  void OfferCompanion(uint64_t now_ns) {
    const uint64_t last = companion_until_ns_.load(std::memory_order_relaxed);
    if (estimate_ns() > kLongestCompanionNs || now_ns < last + kCompanionEveryNs) return;
    companion_until_ns_.store(now_ns + kCompanionNs, std::memory_order_relaxed);
    companion_.store(true, std::memory_order_release);
  }
  bool IsCompanion(uint64_t now_ns) {
    return companion_.load(std::memory_order_relaxed) &&
           companion_.exchange(false, std::memory_order_acquire) &&
           now_ns <= companion_until_ns_.load(std::memory_order_relaxed);
  }

  struct Learned {
    int64_t missing_ns = 0;  // what launches charged at a guess should have cost in addition
    uint64_t before_ns = 0, after_ns = 0;  // the estimate
    // Launches of the last seconds that were charged by `before_ns` or more; 0: it is not shorter.
    uint64_t overcharged = 0;
  };
  // Whether three of the last 32 samples were about the estimate, or enough of all processes'.
  bool steady() const { return steady_.load(std::memory_order_relaxed); }

  // Takes a sample in. `confirmed`: the estimate is not too short, so it is not forgotten.
  // `shared`: nothing where the other processes are not to be believed.
  Learned Learn(uint64_t ns, uint64_t now_ns, bool confirmed = false, const Shortest& shared = {});

 private:
  friend class Functions;

  void CountRecent(uint64_t now_ns);
  bool Meets(uint64_t ns, uint64_t before_ns, uint64_t estimate_ns);

  bool IsDue(uint32_t count) const {
    return count <= kEarlySamples ||
           static_cast<int32_t>(count - next_sample_.load(std::memory_order_relaxed)) >= 0;
  }

  static constexpr uint32_t kGroups = 8, kGroupSize = 8;
  static constexpr uint64_t kSecondNs = 1'000'000'000, kGroupNs = kSecondNs;
  static constexpr uint64_t kLongestCompanionNs = 40'000'000, kCompanionEveryNs = 100'000'000;
  static constexpr uint64_t kCompanionNs = 100'000;

  std::atomic<uint64_t> key_{0};
  std::atomic<uint64_t> estimate_ns_{0};
  std::atomic<uint64_t> guessed_ns_{0};
  std::atomic<uint32_t> guesses_{0};
  std::atomic<uint32_t> launches_{0};
  std::atomic<uint32_t> next_sample_{0};
  std::atomic<uint32_t> in_vain_{0};
  std::atomic<uint64_t> companion_until_ns_{0};
  std::atomic<bool> companion_{false};
  std::atomic<bool> guess_taken_{false};
  std::atomic<bool> steady_{false};
  std::atomic<uint8_t> learning_{0};
  uint8_t group_ = 0;  // the rest: by the thread that holds learning_
  uint8_t in_group_ = 0;
  uint64_t own_ns_ = 0;   // the shortest of this process's samples
  uint32_t met_ = 0;      // bit i: the i-th last sample was about the estimate
  uint32_t counted_ = 0;  // launches_ as CountRecent saw it
  uint64_t recent_ = 0;   // launches charged by this estimate or a longer one
  uint64_t aged_ns_ = 0;  // when recent_ was aged
  uint64_t group_began_ns_ = 0;
  uint64_t minima_[kGroups] = {};  // 0: no sample yet
};

// Launches of one function take alike when their sizes are alike: the logarithm of the number of
// threads (of 2^64 and above: of what is left of it), from 1 to 64.
constexpr uint32_t SizeClass(uint64_t threads) {
  return static_cast<uint32_t>(64 - __builtin_clzll(threads | 1));
}

// All functions of a process, by handle and size of the launch. All zeros when new: pages that no
// function fell into cost nothing.
class Functions {
 public:
  static constexpr uint64_t kFirstGuessNs = 50'000;

  // What `handle` is charged by in launches of this class of sizes (0: a graph). Never fails: when
  // the table is full, the rest share one entry.
  Function& Find(uint64_t handle, uint32_t size_class) {
    const uint64_t key = (handle ^ uint64_t{size_class} << 56) * 0x9e3779b97f4a7c15u | 1;
    const auto at = static_cast<uint32_t>(key >> (64 - kBits));
    if (table_[at].key_.load(std::memory_order_relaxed) == key) return table_[at];
    return Search(key, at);
  }

  // For a function without samples: the mean of what runs.
  uint64_t guess_ns() const {
    const uint64_t mean = mean_ns_.load(std::memory_order_relaxed);
    return mean == 0 ? kFirstGuessNs : mean;
  }
  void Ran(uint64_t ns) {
    const uint64_t mean = guess_ns();
    mean_ns_.store(mean - mean / 16 + ns / 16, std::memory_order_relaxed);
  }

 private:
  static constexpr uint32_t kBits = 11;
  static constexpr uint32_t kSize = 1u << kBits;
  static constexpr uint32_t kMostProbes = 64;

  Function& Search(uint64_t key, uint32_t at);

  Function table_[kSize];
  Function rest_;
  std::atomic<uint64_t> mean_ns_{0};
};

}  // namespace hami::limiter::core
