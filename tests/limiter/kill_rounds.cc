#include "tests/limiter/kill_rounds.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "limiter/region/account.h"
#include "sim/core/ledger_detail.h"

namespace hami::limiter::testing {
namespace {

using region::Account;
using region::BytesOf;

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

void KillFigures::Add(const KillFigures& other) {
  rounds += other.rounds;
  kills += other.kills;
  stops += other.stops;
  operations += other.operations;
  refused += other.refused;
  samples += other.samples;
  longest_ns = std::max(longest_ns, other.longest_ns);
  longest_wall_ns = std::max(longest_wall_ns, other.longest_wall_ns);
  slow += other.slow;
  longest_exact_ns = std::max(longest_exact_ns, other.longest_exact_ns);
  exact_sum_ns += other.exact_sum_ns;
  judge_late_ns = std::max(judge_late_ns, other.judge_late_ns);
}

KillRounds::KillRounds(uint64_t seed)
    : random_(seed), container_(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", Text(kLimit)}}) {
  looker_ = container_.Start();
  looker_->Ask("nvmlmem 0");  // makes region and card
  probes_.resize(4);
}

KillRounds::~KillRounds() { ledger_.Close(); }

uint64_t KillRounds::TotalTagged() {
  return Account<>::Load(container_.region().ext.header.devices[0].used_total);
}

uint64_t KillRounds::CardUsed() const {
  return sim::ledger_detail::UsedOf(ledger_.file()->cards[0].account.word.load());
}

std::string KillRounds::Ask(Probe& probe, const std::string& command, std::string& answer) {
  probe.Send(command);
  if (!probe.Answers(kHangSeconds)) return "hang: no answer to \"" + command + "\"";
  answer = probe.Receive();
  return answer == "-1" ? "a process ended that nobody killed" : "";
}

// A new process under load. Its context waits until the others leave room for it.
std::string KillRounds::Replace(std::unique_ptr<Probe>& probe) {
  probe = container_.Start();
  std::string answer;
  std::string wrong = Ask(*probe, "init", answer);
  const uint64_t start = NowNs();
  do {
    if (wrong.empty()) wrong = Ask(*probe, "ctx", answer);
    if (NowNs() - start > 6 * kHangSeconds * kSecond) wrong = "no room for a context";
  } while (wrong.empty() && answer == "2");
  if (wrong.empty()) wrong = Ask(*probe, "churn 2 " + Text(200 * kMi), answer);
  return wrong;
}

// What this thread oversleeps, others may have waited for a processor, too.
void KillRounds::Nap() {
  constexpr useconds_t kNapUs = 50;
  const uint64_t start = NowNs();
  usleep(kNapUs);
  figures_.judge_late_ns = std::max(figures_.judge_late_ns, NowNs() - start - kNapUs * 1000);
}

// The total must cover what the card says at one and the same moment: neither moved meanwhile.
std::string KillRounds::Look() {
  const uint64_t before = TotalTagged();
  const uint64_t card = CardUsed();
  if (TotalTagged() != before) return "";
  ++figures_.samples;
  if (BytesOf(before) >= card && BytesOf(before) <= kLimit) return "";
  return "total " + Text(BytesOf(before)) + ", card " + Text(card);
}

// No residue of the dead: everything in the total is announced by a living process.
bool KillRounds::AnnouncedCoversTotal() {
  HamiRegion& region = container_.region();
  const uint64_t before = TotalTagged();
  uint64_t sum = 0;
  const unsigned count = Account<>::SlotCount(region);
  for (unsigned i = 0; i < count; ++i) {
    HamiExtSlot& slot = region.ext.slots[i];
    if (Account<>::LoadState(slot) == HAMI_SLOT_LIVE) sum += Account<>::SlotSum(slot, 0).bytes;
  }
  return TotalTagged() == before && BytesOf(before) <= sum;
}

std::string KillRounds::UntilExact(pid_t dead, uint64_t since_ns) {
  HamiRegion& region = container_.region();
  for (;;) {
    std::string wrong = Look();
    if (!wrong.empty()) return wrong;
    bool listed = false;
    const unsigned count = Account<>::SlotCount(region);
    for (unsigned i = 0; i < count; ++i) {
      HamiExtSlot& slot = region.ext.slots[i];
      listed = listed || (Account<>::LoadState(slot) == HAMI_SLOT_LIVE && slot.pid == dead);
    }
    const uint64_t took = NowNs() - since_ns;
    if (!listed && AnnouncedCoversTotal()) {
      figures_.longest_exact_ns = std::max(figures_.longest_exact_ns, took);
      figures_.exact_sum_ns += took;
      return "";
    }
    if (took > kHangSeconds * kSecond) return "the dead are still in the account";
    Nap();
  }
}

std::string KillRounds::Kill(Probe& victim) {
  const pid_t pid = victim.pid();
  const uint64_t since = NowNs();
  victim.Kill();
  ledger_.Reap();  // the driver frees at once
  ++figures_.kills;
  return UntilExact(pid, since);
}

// Stands still for a while in the middle of whatever it did; half of the stopped are then killed.
std::string KillRounds::Stop(Probe& victim) {
  kill(victim.pid(), SIGSTOP);
  ++figures_.stops;
  const uint64_t until = NowNs() + 150'000'000;
  std::string wrong;
  while (wrong.empty() && NowNs() < until) {
    wrong = Look();
    Nap();
  }
  if (random_() % 2 == 0 && wrong.empty()) return Kill(victim);
  kill(victim.pid(), SIGCONT);
  return wrong;
}

std::string KillRounds::Pace(Probe& probe) {
  std::string answer;
  std::string wrong = Ask(probe, "pace", answer);
  uint64_t operations = 0, refused = 0, failed = 0, longest = 0, wall = 0, slow = 0;
  std::istringstream(answer) >> operations >> refused >> failed >> longest >> wall >> slow;
  if (failed != 0) wrong = "an operation failed with another code than 2";
  figures_.operations += operations;
  figures_.refused += refused;
  figures_.longest_ns = std::max(figures_.longest_ns, longest);
  figures_.longest_wall_ns = std::max(figures_.longest_wall_ns, wall);
  figures_.slow += slow;
  return wrong;
}

// All rest: region, card and processes agree to the byte.
std::string KillRounds::Compare() {
  std::string answer, wrong;
  uint64_t held = 0;
  int living = 0;
  for (auto& probe : probes_) {
    if (probe == nullptr) continue;
    if (!(wrong = Ask(*probe, "rest", answer)).empty()) return wrong;
    held += std::stoull(answer) + kContext;
    ++living;
  }
  if (!(wrong = Ask(*looker_, "nvmlmem 0", answer)).empty()) return wrong;
  const uint64_t total = BytesOf(TotalTagged());
  ledger_.Reap();
  if (total != held || CardUsed() != held) {
    return "at rest total " + Text(total) + ", card " + Text(CardUsed()) + ", held " + Text(held);
  }
  for (auto& probe : probes_) {
    if (probe != nullptr && !(wrong = Ask(*probe, "go", answer)).empty()) return wrong;
  }
  return container_.region().ext.header.saturated == 0 ? "" : "a subtraction went below zero";
}

std::string KillRounds::Round() {
  std::string wrong;
  for (auto& probe : probes_) {
    if (probe == nullptr && !(wrong = Replace(probe)).empty()) return wrong;
  }
  sim::ReadError error;
  if (!ledger_.is_open() && !ledger_.Open((container_.folder() + "/state").c_str(), true, error)) {
    return error.text;
  }
  for (auto& probe : probes_) {
    std::string ignored;
    if (!(wrong = Ask(*probe, "pace", ignored)).empty()) return wrong;
  }
  usleep(random_() % 20'000);
  const size_t chosen = random_() % probes_.size();
  Probe& victim = *probes_[chosen];
  wrong = random_() % 3 == 0 ? Stop(victim) : Kill(victim);
  for (size_t i = 0; i < probes_.size() && wrong.empty(); ++i) {
    if (i != chosen) wrong = Pace(*probes_[i]);
  }
  if (victim.pid() < 0) probes_[chosen] = nullptr;
  if (wrong.empty()) wrong = Compare();
  if (wrong.empty() && container_.CardPeak(0) > kLimit)
    wrong = "the card's peak is above the limit";
  ++figures_.rounds;
  return wrong;
}

}  // namespace hami::limiter::testing
