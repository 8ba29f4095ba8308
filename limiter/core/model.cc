#include "limiter/core/model.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "limiter/core/model_state.h"
#include "limiter/core/shared.h"

namespace hami::limiter::core::model {
namespace {

constexpr uint64_t kLaunchNs = 3 * kUs;  // what a launch costs its thread
constexpr uint64_t kProbes = 8;          // samples that a process may have under way
constexpr uint64_t kTurnNs = 100 * kMs, kLongestTurnWaitNs = 3 * kSecond, kTurnLookNs = 300 * kUs;
constexpr uint64_t kFirstSampleNs = 100 * kMs, kFirstNapNs = 50 * kUs, kLongestNapNs = kMs;
constexpr uint64_t kLongestGuessNs = 20 * kMs, kLongNs = 100 * kUs;
constexpr uint64_t kLookAgainNs = 10 * kMs;

}  // namespace

Program ProgramOf(const std::string& kernel, const std::string& pattern) {
  Program program;
  program.kernels_ns = kernel == "mixed" ? std::vector<uint64_t>{20 * kUs, 100 * kUs, kMs}
                                         : std::vector<uint64_t>{std::stoull(kernel) * kUs};
  const uint64_t longest = *std::max_element(program.kernels_ns.begin(), program.kernels_ns.end());
  const auto two_seconds = static_cast<unsigned>(2 * kSecond / longest);
  if (pattern == "batch") program.launches_per_wait = 20;
  if (pattern == "deep") program.launches_per_wait = two_seconds;
  if (pattern == "streams") program.launches_per_wait = two_seconds, program.streams = 4;
  if (pattern == "threads") program.launches_per_wait = 20, program.threads = 4;
  if (pattern == "graph") {
    const uint64_t length = std::clamp<uint64_t>(40 * kMs / longest, 1, 20);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < length; ++i) sum += program.kernels_ns[i % program.kernels_ns.size()];
    program.kernels_ns = {sum};
  }
  return program;
}

World::World(uint32_t seed, Nvml nvml) : nvml_(nvml), now_ns_(kSecond), random_(seed) {}
World::~World() = default;

void World::At(uint64_t ns, Process* process, Thread* thread) {
  events_.push({ns, number_++, thread, process});
}

int World::Add(int limit, int processes, const Program& program) {
  containers_.push_back(std::make_unique<Container>());
  Container& container = *containers_.back();
  container.limit = static_cast<uint64_t>(limit);
  container.program = program;
  for (int i = 0; i < processes; ++i) {
    auto process = std::make_unique<Process>();
    process->container = &container;
    process->times = i % 2 == 0 ? 1 : program.times_of_second;
    process->lookback.Begin(now_ns_ / kUs, {});
    for (unsigned t = 0; t < program.threads; ++t) {
      auto thread = std::make_unique<Thread>();
      thread->process = process.get();
      thread->stream_done_ns.assign(program.streams, 0);
      At(now_ns_ + Noise(20 * kMs), process.get(), thread.get());
      process->threads.push_back(std::move(thread));
    }
    if (limit != 0) At(now_ns_ + kSecond + Noise(50 * kMs), process.get(), nullptr);
    container.processes.push_back(std::move(process));
  }
  return static_cast<int>(containers_.size()) - 1;
}

void World::Run(double seconds) {
  const uint64_t end = now_ns_ + static_cast<uint64_t>(seconds * 1e9);
  while (!events_.empty() && events_.top().ns <= end) {
    const Event event = events_.top();
    events_.pop();
    now_ns_ = event.ns;
    if (event.thread != nullptr) {
      GoOn(*event.thread);
    } else {
      Look(*event.process);
    }
  }
  now_ns_ = end;
}

double World::Share(int container, double from, double to) const {
  const uint64_t from_ns = kSecond + static_cast<uint64_t>(from * 1e9);
  const uint64_t to_ns = kSecond + static_cast<uint64_t>(to * 1e9);
  uint64_t sum = 0;
  for (const auto& process : containers_[static_cast<size_t>(container)]->processes) {
    for (const Busy& busy : process->ran) sum += Overlap(busy, from_ns, to_ns);
  }
  return static_cast<double>(sum) * 100 / static_cast<double>(to_ns - from_ns);
}

void World::Retry(Thread& thread, uint64_t after_ns) {
  At(now_ns_ + kWakeNs + after_ns + Noise(kWakeNoiseNs), thread.process, &thread);
}

// One launch, or a step towards it.
void World::GoOn(Thread& thread) {
  Process& process = *thread.process;
  const Program& program = process.container->program;
  const size_t which = thread.launches % program.kernels_ns.size();
  const uint64_t duration = program.kernels_ns[which] * process.times;
  const size_t stream = thread.launches % thread.stream_done_ns.size();
  const uint64_t ready = std::max(now_ns_, thread.stream_done_ns[stream]);
  if (process.container->limit == 0) {
    Execute(thread, duration);
  } else {
    Function& function = process.functions->Find(which + 1, 1);
    if (!Admit(thread, function)) return;
    const bool due = function.CountLaunch(static_cast<uint32_t>(random_()));
    const bool sampled = due || thread.waited || thread.companion;
    if (sampled) Harvest(process);
    const uint64_t end = Execute(thread, duration);
    process.totals.launched_ns += thread.estimate_ns == 0 ? thread.cost_ns : thread.estimate_ns;
    if (sampled && process.pending.size() < kProbes) {
      process.pending.push_back({ready, end, &function, which + 1, process.totals.launched_ns});
      if (thread.waited) function.OfferCompanion(now_ns_);
    }
    if (thread.estimate_ns == 0) {
      function.Guessed(thread.cost_ns);
    } else {
      process.functions->Ran(thread.cost_ns);
      if (function.steady()) process.totals.steady_ns += thread.estimate_ns;
    }
    ++process.totals.launches;
  }
  thread.asked = false;
  uint64_t next = now_ns_ + kLaunchNs + Noise(2 * kUs);
  if (++thread.launches % program.launches_per_wait == 0 && thread.stream_done_ns[0] > now_ns_) {
    next = std::max(next, thread.stream_done_ns[0] + kWakeNs + Noise(60 * kUs));
  }
  At(next, &process, &thread);
}

uint64_t World::Execute(Thread& thread, uint64_t duration_ns) {
  const uint64_t start = std::max(busy_until_ns_, now_ns_), end = start + duration_ns;
  busy_until_ns_ = end;
  thread.stream_done_ns[thread.launches % thread.stream_done_ns.size()] = end;
  std::vector<Busy>& ran = thread.process->ran;
  if (!ran.empty() && ran.back().to_ns == start) {
    ran.back().to_ns = end;
  } else {
    ran.push_back({start, end});
  }
  return end;
}

// Governor::Admit; false: the thread tries again later.
bool World::Admit(Thread& thread, Function& function) {
  Process& process = *thread.process;
  Container& container = *process.container;
  Bucket bucket(container.words, process.credit_ns);
  const uint64_t known = function.estimate_ns();
  if ((known == 0 || known >= kLongNs) && !process.pending.empty()) Harvest(process);
  if (!thread.asked) {
    thread.asked = true;
    thread.waited = thread.companion = thread.first = false;
    thread.in_vain_ns = 0;
    thread.began_ns = now_ns_;
    thread.nap_ns = kFirstNapNs;
  }
  if (!AwaitFirstSample(thread, function)) return false;
  thread.estimate_ns = function.estimate_ns();
  thread.cost_ns = process.Corrected(
      thread.estimate_ns != 0
          ? thread.estimate_ns
          : std::max(process.functions->guess_ns(), std::min(thread.in_vain_ns, kLongestGuessNs)));
  const auto spend = [&] {
    return bucket.tokens() > 0 && HasTurn(thread, function) &&
           bucket.TrySpend(static_cast<int64_t>(thread.cost_ns));
  };
  if (spend()) return true;
  const auto percent = static_cast<uint32_t>(container.limit);
  bucket.Refill(now_ns_, percent);
  if (spend()) return true;
  if (!thread.waited && function.IsCompanion(now_ns_)) {
    thread.companion = true;
    bucket.Spend(static_cast<int64_t>(thread.cost_ns));
    return true;
  }
  Harvest(process);
  thread.waited = process.totals.waited = true;
  Retry(thread, bucket.tokens() > 0 ? kTurnLookNs : std::min(bucket.WaitNs(percent), kLookAgainNs));
  return false;
}

// Governor::BeginGuess.
bool World::AwaitFirstSample(Thread& thread, Function& function) {
  if (function.estimate_ns() != 0 || thread.first || thread.in_vain_ns != 0) return true;
  thread.first = function.TakeGuess();
  if (thread.first || !function.worth_waiting()) return true;
  Harvest(*thread.process);
  if (function.estimate_ns() != 0) return true;
  if (now_ns_ >= thread.began_ns + kFirstSampleNs) {
    thread.in_vain_ns = kFirstSampleNs;
    function.WaitedInVain();
    return true;
  }
  Retry(thread, thread.nap_ns);
  thread.nap_ns = std::min(thread.nap_ns * 2, kLongestNapNs);
  return false;
}

bool World::HasTurn(Thread& thread, Function& function) {
  if (!thread.first || function.estimate_ns() != 0) return true;
  Container& container = *thread.process->container;
  if (container.turn_ends_ns > now_ns_) {
    return container.turn_of == &function || now_ns_ - thread.began_ns > kLongestTurnWaitNs;
  }
  container.turn_of = &function;
  container.turn_ends_ns = now_ns_ + kTurnNs;
  return true;
}

void World::Harvest(Process& process) {
  for (size_t i = 0; i < process.pending.size();) {
    const Sample sample = process.pending[i];
    if (sample.end_ns > now_ns_) {
      ++i;
      continue;
    }
    process.pending.erase(process.pending.begin() + static_cast<ptrdiff_t>(i));
    Take(process, sample);
  }
}

// Governor::Take and Shorter.
void World::Take(Process& process, const Sample& sample) {
  const uint32_t k = process.k;
  process.finished_ns = std::max(process.finished_ns, sample.position_ns);
  const uint64_t ns = sample.end_ns - sample.start_ns;
  Function& function = *sample.function;
  std::vector<HamiExtFunction>& table = process.container->functions;
  const Shortest shared = SharedEstimates(table.data(), static_cast<uint32_t>(table.size()))
                              .Exchange(sample.key, ns, now_ns_, process.confirmed);
  const bool trusts = process.feedback.trusts_siblings();
  const Function::Learned learned =
      function.Learn(ns, now_ns_, process.confirmed, trusts ? shared : Shortest());
  const uint64_t before = learned.before_ns, after = learned.after_ns;
  Container& container = *process.container;
  if (before == 0 && container.turn_of == &function) container.turn_ends_ns = 0;
  process.totals.learned_ns +=
      static_cast<uint64_t>(learned.missing_ns) - (before - after) * learned.overcharged;
  if (after < before && k < Feedback::kOne) Shorter(process, learned);
  Bucket bucket(container.words);
  const uint64_t was = before * k / Feedback::kOne, is = process.Corrected(after);
  if (learned.overcharged != 0 && was > is) {
    const uint64_t excess = (was - is) * learned.overcharged;
    bucket.GiveBack(static_cast<int64_t>(excess), static_cast<uint32_t>(container.limit));
  }
  if (learned.missing_ns != 0) bucket.Spend(learned.missing_ns);
}

void World::Shorter(Process& process, const Function::Learned& learned) {
  uint64_t before = learned.before_ns, after = learned.after_ns;
  const int64_t recent = process.recent_base_ns + static_cast<int64_t>(process.totals.raw_ns());
  if (recent > 0) {
    const uint64_t shorter = (before - after) * learned.overcharged;
    after = static_cast<uint64_t>(recent);
    before = after + shorter;
  }
  const uint64_t raised = process.k * before / after;
  process.k = static_cast<uint32_t>(std::min<uint64_t>(raised, Feedback::kOne));
}

}  // namespace hami::limiter::core::model
