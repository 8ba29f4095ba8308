#include "sim/core/machine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "sim/core/text.h"
#include "sim/core/timeline.h"

namespace hami::sim {
namespace {

// Changes whenever the file is written or replaced; 0: there is none. The time alone does not tell:
// the file system's clock ticks every few milliseconds only.
uint64_t VersionOf(const char* path) {
  struct stat info;
#if defined(SYS_newfstatat)
  if (syscall(SYS_newfstatat, AT_FDCWD, path, &info, 0) != 0) return 0;
#else
  if (syscall(SYS_fstatat, AT_FDCWD, path, &info, 0) != 0) return 0;
#endif
  const auto time = static_cast<uint64_t>(info.st_mtim.tv_sec) * 1'000'000'000 +
                    static_cast<uint64_t>(info.st_mtim.tv_nsec);
  return Mix(time ^ Mix(info.st_ino ^ Mix(static_cast<uint64_t>(info.st_size)))) | 1;
}

}  // namespace

bool Machine::Load() {
  void* room = malloc(sizeof(CardSet));
  if (room == nullptr) return false;
  auto* set = new (room) CardSet;
  ReadError error;
  const char* path = location_.config[0] != '\0' ? location_.config : nullptr;
  if (!LoadCards(path, *set, error)) {
    Complain("%s: %s", path != nullptr ? path : "default cards", error.text);
    free(room);
    return false;
  }
  cards_.store(set, std::memory_order_release);  // the former set stays: somebody may be reading it
  ++generations_;
  fault_generation_.store(set->fault_count == 0 ? 0 : generations_, std::memory_order_release);
  return true;
}

bool Machine::Start(const void* self, State state) {
  if (is_started()) return true;
  pthread_mutex_lock(&mutex_);
  bool ok = is_started();
  if (!ok && !failed_) {
    char library[PATH_MAX];
    PathOfObject(self, library);
    FindFiles(library, location_);
    if (location_.config[0] == '\0' && getenv("FAKEGPU_COUNT") == nullptr) {
      Complain("no cards.yaml (FAKEGPU_CONFIG is not set; looked for %s)", location_.searched);
    } else {
      seen_version_ = VersionOf(location_.config);
      ReadError error;
      ok = Load();
      if (ok && !ledger_.Open(location_.state, true, error) && state == State::kNeeded) {
        Complain("%s", error.text);
        ok = false;
      }
    }
    failed_ = !ok;
    if (ok) slice_ns_ = cards().slice_ns;
    for (int i = 0; ok && i < cards().count; ++i) {
      if (IsVisible(location_, cards().cards[i])) visible_[visible_count_++] = i;
    }
    started_.store(ok, std::memory_order_release);
  }
  pthread_mutex_unlock(&mutex_);
  return ok;
}

void Machine::Refresh() {
  const int64_t now = NowMonotonicNs();
  if (now - last_look_ns_.load(std::memory_order_relaxed) < 10'000'000) return;
  if (pthread_mutex_trylock(&mutex_) != 0) return;
  last_look_ns_.store(now, std::memory_order_relaxed);
  const uint64_t version = location_.config[0] == '\0' ? 0 : VersionOf(location_.config);
  if (version != 0 && version != seen_version_) {
    seen_version_ = version;
    Load();
  }
  if (!ledger_.is_open()) {
    ReadError error;
    ledger_.Open(location_.state, true, error);
  }
  pthread_mutex_unlock(&mutex_);
}

int Machine::InjectSlowly(FaultPoint& point) {
  const uint32_t generation = fault_generation_.load(std::memory_order_acquire);
  if (point.generation.load(std::memory_order_acquire) != generation) {
    const CardSet& set = cards();
    const Fault* found = nullptr;
    for (int i = 0; i < set.fault_count; ++i) {
      if (std::string_view(set.faults[i].function) == point.function) found = &set.faults[i];
    }
    point.fault.store(found, std::memory_order_relaxed);
    point.generation.store(generation, std::memory_order_release);
  }
  const Fault* fault = point.fault.load(std::memory_order_relaxed);
  if (fault == nullptr) return 0;
  if (fault->latency_us != 0) {
    SleepUntil(NowMonotonicNs() + int64_t{fault->latency_us} * 1000);
  }
  const uint64_t call = point.calls.fetch_add(1, std::memory_order_relaxed) + 1;
  return fault->every != 0 && call % fault->every == 0 ? fault->code : 0;
}

void Machine::ForgetAfterFork() {
  mutex_ = PTHREAD_MUTEX_INITIALIZER;
  ledger_.ForgetAfterFork();
}

}  // namespace hami::sim
