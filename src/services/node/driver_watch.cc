#include "services/node/driver_watch.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/thread_annotations.h"

namespace hami::node {
namespace {

constexpr Duration kEventWait = std::chrono::seconds(1);
constexpr Duration kStopPatience = std::chrono::seconds(3);

}  // namespace

struct DriverWatch::State {
  std::shared_ptr<driver::NodeVendor> vendor;
  DriverWatchOptions options;

  std::mutex mutex;
  std::condition_variable changed;
  bool stop GUARDED_BY(mutex) = false;
  bool look_now GUARDED_BY(mutex) = false;
  bool loaded GUARDED_BY(mutex) = false;
  int threads GUARDED_BY(mutex) = 0;
  MonoTime look_since GUARDED_BY(mutex){};
  std::vector<driver::CardInfo> prepared;  // the scan thread's

  // False when it is time to end.
  bool Sleep(Duration d) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, d, [this] { return stop || look_now; });
    look_now = false;
    return !stop;
  }

  Result<std::vector<driver::CardInfo>> Look() {
    TRY(vendor->Load());
    {
      std::lock_guard lock(mutex);
      loaded = true;
    }
    changed.notify_all();
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
        std::lock_guard lock(mutex);
        look_since = SystemClock().Mono();
      }
      auto cards = Look();
      std::lock_guard lock(mutex);
      look_since = MonoTime{};
      if (!stop) options.on_cards(std::move(cards));
    } while (Sleep(options.interval));
    Left();
  }

  void Events() {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return stop || loaded; });
    }
    for (;;) {
      {
        std::lock_guard lock(mutex);
        if (stop) break;
      }
      auto events = vendor->backend().WaitEvents(kEventWait);
      if (!events) {
        LOG(kWarn, "no events from the driver").Kv("error", events.error().message);
        if (events.error().code == Code::kUnimplemented) break;
        if (!Sleep(options.interval)) break;
        continue;
      }
      std::lock_guard lock(mutex);
      if (!stop && !events->empty()) options.on_events(*std::move(events));
    }
    Left();
  }

  void Left() {
    std::lock_guard lock(mutex);
    --threads;
    changed.notify_all();
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
  std::unique_lock lock(state_->mutex);
  state_->stop = true;
  state_->changed.notify_all();
  const bool ended =
      state_->changed.wait_for(lock, kStopPatience, [this] { return state_->threads == 0; });
  if (!ended) {
    LOG(kWarn, "a driver call hangs, its thread is left behind");
  }
}

void DriverWatch::LookNow() {
  std::lock_guard lock(state_->mutex);
  state_->look_now = true;
  state_->changed.notify_all();
}

Duration DriverWatch::LookAge() const {
  std::lock_guard lock(state_->mutex);
  return state_->look_since == MonoTime{} ? Duration{0} : SystemClock().Mono() - state_->look_since;
}

}  // namespace hami::node
