#include <algorithm>
#include <future>
#include <utility>

#include "base/json.h"
#include "base/json_write.h"
#include "base/log.h"
#include "platform/kube/lease.h"
#include "platform/kube/objects.h"
#include "platform/kube/time.h"

namespace hami::kube {
namespace {

constexpr Duration kRequestTimeout = std::chrono::seconds(3);

struct Held {
  std::string holder;
  Duration duration{0};
  WallTime acquired{};
  WallTime renewed{};
  int64_t transitions = 0;
  std::string resource_version;  // "": create
};

std::string LeaseBody(const LeaseHolderOptions& options, const Held& held) {
  JsonWriter w;
  w.Object([&] {
    w.Key("apiVersion").String("coordination.k8s.io/v1").Key("kind").String("Lease");
    w.Key("metadata").Object([&] {
      w.Key("name").String(options.name).Key("namespace").String(options.ns);
      if (!held.resource_version.empty()) w.Key("resourceVersion").String(held.resource_version);
    });
    w.Key("spec").Object([&] {
      w.Key("holderIdentity").String(held.holder);
      w.Key("leaseDurationSeconds")
          .Int(std::chrono::duration_cast<std::chrono::seconds>(held.duration).count());
      w.Key("acquireTime").String(FormatMicroTime(held.acquired));
      w.Key("renewTime").String(FormatMicroTime(held.renewed));
      w.Key("leaseTransitions").Int(held.transitions);
    });
  });
  return w.Take();
}

}  // namespace

// Runs on the Loop's thread but for Deliver's calls and what says otherwise.
struct LeaseHolder::Impl : std::enable_shared_from_this<LeaseHolder::Impl> {
  Impl(Client& c, Executor& e, LeaseHolderOptions o, OnChange f)
      : client(c), loop(c.loop()), executor(e), options(std::move(o)), on_change(std::move(f)) {}

  void Tick() {
    if (stopping) return;
    busy = true;
    Request get;
    get.path = LeasePath(options.ns, options.name);
    get.timeout = kRequestTimeout;
    get.lane = Lane::kHigh;
    client.Call(std::move(get), [self = shared_from_this()](Result<Response> answer) {
      self->OnRead(std::move(answer));
    });
  }

  void OnRead(Result<Response> answer) {
    if (stopping) return Idle();
    MonoTime now = loop.clock().Mono();
    if (!answer && answer.error().code != Code::kNotFound) return Failed(answer.error());
    LeaseRecord found;
    if (answer) {
      auto record = DecodeLease(answer->body);
      if (!record) return Failed(record.error());
      found = std::move(*record);
    }
    // Whatever is written into it, a lease that changes is alive (clocks differ between machines).
    if (found.resource_version != observed.resource_version) {
      observed = found;
      observed_at = now;
    }
    bool mine = found.holder == options.identity;
    if (!mine && !found.holder.empty() && now < observed_at + found.duration) {
      Leadership other;
      other.term = found.transitions;
      other.holder = found.holder;
      Become(other);
      return Idle();
    }
    Write(found, mine);
  }

  void Write(const LeaseRecord& found, bool mine) {
    MonoTime asked = loop.clock().Mono();
    Held next;
    next.holder = options.identity;
    next.duration = options.duration;
    next.renewed = loop.clock().Now();
    next.acquired = mine && acquired != WallTime() ? acquired : next.renewed;
    next.resource_version = found.resource_version;
    next.transitions = found.transitions;
    if (!mine && !found.resource_version.empty()) ++next.transitions;
    Send(next, [self = shared_from_this(), next, asked](Result<Response> answer) {
      if (!answer) {
        if (self->stopping) return self->Idle();
        return self->Failed(answer.error());
      }
      auto written = DecodeLease(answer->body);
      if (!written) return self->Failed(written.error());
      self->held = next;
      self->held.resource_version = written->resource_version;
      self->acquired = next.acquired;
      Leadership ours;
      ours.leader = true;
      ours.term = next.transitions;
      ours.until = asked + self->options.renew_deadline;
      ours.holder = self->options.identity;
      if (!self->stopping) self->Become(ours);
      self->Idle();
    });
  }

  void Send(const Held& next, Done done) {
    Request write;
    bool create = next.resource_version.empty();
    write.method = create ? "POST" : "PUT";
    write.path = create ? LeasesPath(options.ns) : LeasePath(options.ns, options.name);
    write.body = LeaseBody(options, next);
    write.timeout = kRequestTimeout;
    write.lane = Lane::kHigh;
    client.Call(std::move(write), std::move(done));
  }

  void Failed(const Error& error) {
    LOG(kWarn, "lease not renewed")
        .Kv("lease", options.ns + "/" + options.name)
        .Kv("error", error.message);
    Idle();
  }

  // Between two attempts.
  void Idle() {
    busy = false;
    if (stopping) return Release();
    retry_timer = loop.PostAfter(options.retry, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->Tick();
    });
  }

  void Become(const Leadership& next) {
    loop.Cancel(expiry_timer);
    if (next.leader) {
      expiry_timer = loop.PostAt(next.until, [weak = weak_from_this()] {
        auto self = weak.lock();
        if (!self || self->stopping) return;
        LOG(kWarn, "lease lost: not renewed in time").Kv("lease", self->options.name);
        Leadership none = self->Current();
        none.leader = false;
        none.until = {};
        self->Become(none);
      });
    }
    bool tell = false;
    {
      MutexLock lock(mutex);
      tell = next.leader != state.leader || next.term != state.term ||
             next.holder != state.holder || !told;
      told = true;
      state = next;
    }
    if (!tell) return;
    executor.Post([self = shared_from_this(), next] {
      MutexLock lock(self->gate);
      if (self->on_change) self->on_change(next);
    });
  }

  Leadership Current() const {  // any thread
    MutexLock lock(mutex);
    Leadership out = state;
    if (out.leader && loop.clock().Mono() >= out.until) out.leader = false;
    return out;
  }

  void BeginStop() {
    stopping = true;
    loop.Cancel(retry_timer);
    loop.Cancel(expiry_timer);
    if (!busy) Release();
  }

  void Release() {
    if (!Current().leader || held.resource_version.empty()) return released.set_value();
    Held next = held;
    next.holder.clear();
    next.duration = std::chrono::seconds(1);  // as client-go: the next one need not wait
    next.renewed = next.acquired = loop.clock().Now();
    Send(next,
         [self = shared_from_this()](const Result<Response>&) { self->released.set_value(); });
  }

  Client& client;
  net::Loop& loop;
  Executor& executor;
  const LeaseHolderOptions options;
  LeaseRecord observed;
  MonoTime observed_at{};
  Held held;
  WallTime acquired{};
  bool busy = false;
  bool stopping = false;
  Executor::TimerId retry_timer = 0;
  Executor::TimerId expiry_timer = 0;
  std::promise<void> released;

  mutable Mutex mutex;
  Leadership state GUARDED_BY(mutex);
  bool told GUARDED_BY(mutex) = false;

  RecursiveMutex gate;
  OnChange on_change GUARDED_BY(gate);  // empty once stopped
};

LeaseHolder::LeaseHolder(Client& client, Executor& executor, LeaseHolderOptions options,
                         OnChange on_change)
    : impl_(std::make_shared<Impl>(client, executor, std::move(options), std::move(on_change))) {
  impl_->loop.Post([impl = impl_] { impl->Tick(); });
}

LeaseHolder::~LeaseHolder() {
  {
    MutexLock lock(impl_->gate);
    impl_->on_change = nullptr;
  }
  CHECK(!impl_->loop.OnThread());
  auto released = impl_->released.get_future();
  impl_->loop.Post([impl = impl_] { impl->BeginStop(); });
  released.wait();
}

Leadership LeaseHolder::current() const { return impl_->Current(); }

}  // namespace hami::kube
