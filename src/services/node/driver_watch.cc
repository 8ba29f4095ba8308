#include "services/node/driver_watch.h"

#include <thread>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"

namespace hami::node {
namespace {

constexpr Duration kEventWait = std::chrono::seconds(1);
constexpr Duration kStopPatience = std::chrono::seconds(3);

}  // namespace

struct DriverWatch::State {
  std::shared_ptr<driver::NodeVendor> vendor;
  DriverWatchOptions options;

  Mutex mutex;
  CondVar changed;
  bool stop GUARDED_BY(mutex) = false;
  bool look_now GUARDED_BY(mutex) = false;
  bool loaded GUARDED_BY(mutex) = false;
  int threads GUARDED_BY(mutex) = 0;
  MonoTime look_since GUARDED_BY(mutex){};
  std::vector<driver::CardInfo> prepared;  // the scan thread's

  // False when it is time to end.
  bool Sleep(Duration d) {
    MutexLock lock(mutex);
    const MonoTime until = SystemClock().Mono() + d;
    while (!stop && !look_now && changed.WaitUntil(mutex, until)) {
    }
    look_now = false;
    return !stop;
  }

  Result<std::vector<driver::CardInfo>> Look() {
    TRY(vendor->Load());
    {
      MutexLock lock(mutex);
      loaded = true;
    }
    changed.NotifyAll();
    TRY_ASSIGN(std::vector<driver::CardInfo> cards, vendor->backend().Enumerate());
    // The host's files first: nobody may be told of a card that a container cannot get.
    if (cards != prepared || cards.empty()) {
      TRY(vendor->Prepare(cards));
      prepared = cards;
    }
    return cards;
  }

  void Scan() {
    do {
      {
        MutexLock lock(mutex);
        look_since = SystemClock().Mono();
      }
      auto cards = Look();
      MutexLock lock(mutex);
      look_since = MonoTime{};
      if (!stop) options.on_cards(std::move(cards));
    } while (Sleep(options.interval));
    Left();
  }

  void Events() {
    {
      MutexLock lock(mutex);
      while (!stop && !loaded) changed.Wait(mutex);
    }
    for (;;) {
      {
        MutexLock lock(mutex);
        if (stop) break;
      }
      auto events = vendor->backend().WaitEvents(kEventWait);
      if (!events) {
        LOG(kWarn, "no events from the driver").Kv("error", events.error().message);
        if (events.error().code == Code::kUnimplemented) break;
        if (!Sleep(options.interval)) break;
        continue;
      }
      MutexLock lock(mutex);
      if (!stop && !events->empty()) options.on_events(*std::move(events));
    }
    Left();
  }

  void Left() {
    MutexLock lock(mutex);
    --threads;
    changed.NotifyAll();
  }
};

DriverWatch::DriverWatch(std::shared_ptr<driver::NodeVendor> vendor, DriverWatchOptions options)
    : state_(std::make_shared<State>()) {
  const bool events = vendor->health_checks();
  state_->vendor = std::move(vendor);
  state_->options = std::move(options);
  state_->threads = events ? 2 : 1;
  // Detached, each with its own hold on the state: a thread that hangs in the driver is left alone.
  std::thread([state = state_] { state->Scan(); }).detach();
  if (events) std::thread([state = state_] { state->Events(); }).detach();
}

void DriverWatch::Stop() {
  MutexLock lock(state_->mutex);
  state_->stop = true;
  state_->changed.NotifyAll();
  const MonoTime until = SystemClock().Mono() + kStopPatience;
  while (state_->threads != 0 && state_->changed.WaitUntil(state_->mutex, until)) {
  }
  if (state_->threads != 0) {
    LOG(kWarn, "a driver call hangs, its thread is left behind");
  }
}

void DriverWatch::LookNow() {
  MutexLock lock(state_->mutex);
  state_->look_now = true;
  state_->changed.NotifyAll();
}

Duration DriverWatch::LookAge() const {
  MutexLock lock(state_->mutex);
  return state_->look_since == MonoTime{} ? Duration{0} : SystemClock().Mono() - state_->look_since;
}

}  // namespace hami::node
