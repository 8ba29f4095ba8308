#include "platform/kube/lease.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "platform/kube/objects.h"
#include "platform/kube/reflector.h"
#include "platform/kube/time.h"

namespace hami::kube {

Result<LeaseRecord> DecodeLease(std::string_view object_json) {
  auto json = ParseJson(object_json);
  if (!json) return Fail(Code::kDataLoss, "lease: " + json.error().message);
  LeaseRecord out;
  out.holder = StringAt(*json, {"spec", "holderIdentity"});
  out.duration = std::chrono::seconds(IntAt(*json, {"spec", "leaseDurationSeconds"}).value_or(0));
  out.transitions = IntAt(*json, {"spec", "leaseTransitions"}).value_or(0);
  out.resource_version = StringAt(*json, {"metadata", "resourceVersion"});
  if (std::string_view renewed = StringAt(*json, {"spec", "renewTime"}); !renewed.empty()) {
    auto time = ParseTime(renewed);
    if (!time) return Fail(Code::kDataLoss, "lease spec.renewTime: " + time.error().message);
    out.renew_time = *time;
  }
  return out;
}

bool HolderIs(std::string_view holder, std::string_view identity) {
  size_t cut = holder.rfind('_');
  return cut != std::string_view::npos && !identity.empty() && holder.substr(0, cut) == identity;
}

void LeaseView::Observe(const LeaseRecord& record, WallTime now, MonoTime mono) {
  bool news = !present_ || record.holder != record_.holder ||
              record.renew_time != record_.renew_time ||
              record.transitions != record_.transitions || record.duration != record_.duration;
  present_ = true;
  record_ = record;
  if (!news) return;
  lease_end_ = mono + record.duration;
  // The holder beside us shares our clock: it stops leading at its renewal + renew_deadline,
  // however late we heard of that renewal. A renewal from the future counts from now.
  Duration heard_late = std::max<Duration>(now - record.renew_time, Duration(0));
  until_ = mono - heard_late + std::min(options_.renew_deadline, record.duration);
}

void LeaseView::ObserveDeleted() {
  present_ = false;
  record_ = {};
}

Leadership LeaseView::At(MonoTime now) const {
  Leadership out;
  if (!present_) return out;
  out.term = record_.transitions;
  out.holder = record_.holder;
  out.leader = HolderIs(record_.holder, options_.identity) && now < lease_end_;
  if (out.leader) out.until = until_;
  return out;
}

MonoTime LeaseView::NextChange(MonoTime now) const {
  return At(now).leader ? lease_end_ : MonoTime::max();
}

// Observer on the Loop: it is the executor of its own Reflector.
struct LeaseFollower::Impl final : Observer, std::enable_shared_from_this<LeaseFollower::Impl> {
  Impl(Client& c, Executor& e, LeaseFollowerOptions o, OnChange f)
      : loop(c.loop()), executor(e), view(std::move(o)), on_change(std::move(f)) {}

  void OnListBegin() override { seen = false; }
  void OnUpsert(std::string_view object) override {
    seen = true;
    auto record = DecodeLease(object);
    if (!record) {
      LOG(kWarn, "lease not understood").Kv("error", record.error().message);
      return;
    }
    {
      MutexLock lock(mutex);
      view.Observe(*record, loop.clock().Now(), loop.clock().Mono());
    }
    if (known) Update();
  }
  void OnDelete(std::string_view) override {
    Forget();
    Update();
  }
  void OnListEnd() override {
    if (!seen) Forget();
    known = true;
    Update();
  }
  void OnStale(Duration) override {}  // the lease runs out by itself

  void Forget() {
    MutexLock lock(mutex);
    view.ObserveDeleted();
  }

  void Update() {
    MonoTime now = loop.clock().Mono();
    Leadership next;
    MonoTime change;
    {
      MutexLock lock(mutex);
      next = view.At(now);
      change = view.NextChange(now);
    }
    loop.Cancel(timer);
    if (change != MonoTime::max()) {
      timer = loop.PostAt(change, [weak = weak_from_this()] {
        if (auto self = weak.lock(); self && !self->stopped) self->Update();
      });
    }
    bool tell = !told || next.leader != told->leader || next.term != told->term ||
                next.holder != told->holder;
    told = next;
    if (!tell) return;
    executor.Post([self = shared_from_this(), next] {
      MutexLock lock(self->gate);
      if (self->on_change) self->on_change(next);
    });
  }

  net::Loop& loop;
  Executor& executor;
  std::optional<Leadership> told;
  bool seen = false;
  bool known = false;
  bool stopped = false;
  Executor::TimerId timer = 0;
  std::unique_ptr<Reflector> reflector;

  mutable Mutex mutex;
  LeaseView view GUARDED_BY(mutex);

  RecursiveMutex gate;
  OnChange on_change GUARDED_BY(gate);  // empty once stopped
};

LeaseFollower::LeaseFollower(Client& client, Executor& executor, LeaseFollowerOptions options,
                             OnChange on_change) {
  ReflectorOptions watch;
  watch.path = LeasesPath(options.ns);
  watch.field_selector = "metadata.name=" + options.name;
  watch.max_backoff = std::chrono::seconds(2);
  impl_ = std::make_shared<Impl>(client, executor, std::move(options), std::move(on_change));
  impl_->reflector = std::make_unique<Reflector>(client, client.loop(), watch, *impl_);
}

LeaseFollower::~LeaseFollower() {
  impl_->loop.RunSync([this] {
    impl_->stopped = true;
    impl_->reflector.reset();
    impl_->loop.Cancel(impl_->timer);
  });
  MutexLock lock(impl_->gate);
  impl_->on_change = nullptr;
}

Leadership LeaseFollower::current() const {
  MutexLock lock(impl_->mutex);
  return impl_->view.At(impl_->loop.clock().Mono());
}

}  // namespace hami::kube
