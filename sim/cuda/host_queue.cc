#include "sim/cuda/host_queue.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "sim/core/timeline.h"
#include "sim/cuda/driver.h"

namespace hami::sim {
namespace {

struct Entry {
  uint64_t ticket;
  int card;
  int64_t mark;
  HostCall call;
  Entry* next;
};

pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;  // guards the next three
Entry* g_first = nullptr;                             // by ticket; an entry leaves after its call
uint64_t g_tickets = 0;
bool g_has_thread = false;
std::atomic<uint32_t> g_changes{0};  // futex: entries came or went

void Changed() {
  g_changes.fetch_add(1);
  syscall(SYS_futex, &g_changes, FUTEX_WAKE_PRIVATE, 0x7fffffff, nullptr, nullptr, 0);
}

void WaitForChange(uint32_t seen, int64_t at_most_ns) {
  struct timespec wait = {static_cast<time_t>(at_most_ns / 1'000'000'000),
                          static_cast<long>(at_most_ns % 1'000'000'000)};
  syscall(SYS_futex, &g_changes, FUTEX_WAIT_PRIVATE, seen, &wait, nullptr, 0);
}

void* Serve(void*) {
  constexpr int64_t kLongest = 1'000'000'000, kShortest = 1000;
  Driver& driver = Driver::Get();
  for (;;) {
    const uint32_t seen = g_changes.load();
    int64_t wait = kLongest;
    Entry* due = nullptr;
    pthread_mutex_lock(&g_mutex);
    for (Entry* e = g_first; e != nullptr && due == nullptr; e = e->next) {
      if (driver.IsDone(e->card, e->mark)) {
        due = e;
        break;
      }
      const int64_t left = driver.DoneAt(e->card, e->mark) - NowMonotonicNs();
      if (left < wait) wait = left < kShortest ? kShortest : left;
    }
    pthread_mutex_unlock(&g_mutex);
    if (due == nullptr) {
      WaitForChange(seen, wait);
      continue;
    }
    if (due->call.function != nullptr) due->call.function(due->call.data);
    if (due->call.callback != nullptr) due->call.callback(due->call.stream, 0, due->call.data);
    pthread_mutex_lock(&g_mutex);
    Entry** at = &g_first;
    while (*at != due) at = &(*at)->next;
    *at = due->next;
    pthread_mutex_unlock(&g_mutex);
    free(due);
    Changed();
  }
  return nullptr;
}

// g_mutex held. The program's signals are not for this thread.
bool StartThread() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const bool ok = pthread_create(&thread, nullptr, &Serve, nullptr) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return ok;
}

}  // namespace

uint64_t QueueHostCall(int card, int64_t mark, const HostCall& call) {
  void* room = malloc(sizeof(Entry));
  if (room == nullptr) return 0;
  pthread_mutex_lock(&g_mutex);
  if (!g_has_thread) g_has_thread = StartThread();
  if (!g_has_thread) {
    pthread_mutex_unlock(&g_mutex);
    free(room);
    return 0;
  }
  auto* entry = new (room) Entry{++g_tickets, card, mark, call, nullptr};
  const uint64_t ticket = entry->ticket;
  Entry** at = &g_first;
  while (*at != nullptr) at = &(*at)->next;
  *at = entry;
  pthread_mutex_unlock(&g_mutex);
  Changed();
  return ticket;
}

bool HostCallDone(uint64_t ticket) {
  if (ticket == 0) return true;
  pthread_mutex_lock(&g_mutex);
  bool there = false;
  for (const Entry* e = g_first; e != nullptr; e = e->next) there = there || e->ticket == ticket;
  pthread_mutex_unlock(&g_mutex);
  return !there;
}

void AwaitHostCall(uint64_t ticket) {
  for (;;) {
    const uint32_t seen = g_changes.load();
    if (HostCallDone(ticket)) return;
    WaitForChange(seen, 1'000'000'000);
  }
}

void AwaitAllHostCalls() {
  pthread_mutex_lock(&g_mutex);
  uint64_t newest = g_first == nullptr ? 0 : g_tickets;
  pthread_mutex_unlock(&g_mutex);
  for (uint64_t ticket = 1; newest != 0 && ticket <= newest;) {
    pthread_mutex_lock(&g_mutex);
    ticket = g_first == nullptr ? newest + 1 : g_first->ticket;
    pthread_mutex_unlock(&g_mutex);
    if (ticket <= newest) AwaitHostCall(ticket);
  }
}

}  // namespace hami::sim
