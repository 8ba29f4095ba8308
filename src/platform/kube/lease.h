// Leases: who leads. LeaseFollower reads the Lease that kube-scheduler holds beside us (design.md
// decision 16); LeaseHolder campaigns for a Lease of our own.
//
// Both live on the client's Loop and call back on the executor given. Destroying stops them; no
// call comes afterwards. LeaseHolder gives its Lease back when destroyed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "platform/kube/client.h"

namespace hami::kube {

// spec of a coordination.k8s.io/v1 Lease.
struct LeaseRecord {
  std::string holder;
  Duration duration{0};
  WallTime renew_time{};
  int64_t transitions = 0;
  std::string resource_version;
};
// Errors: kDataLoss.
Result<LeaseRecord> DecodeLease(std::string_view object_json);

// True when `holder` is "<identity>_<anything without '_'>", as kube-scheduler writes
// "<hostname>_<uuid>".
bool HolderIs(std::string_view holder, std::string_view identity);

// What a leader may do, for how long. `until`: no Binding is posted at or after it, unless a later
// Leadership moves it (design.md decision 5).
struct Leadership {
  bool leader = false;
  int64_t term = 0;  // leaseTransitions
  MonoTime until{};
  std::string holder;  // as written in the Lease, "" for none
  bool operator==(const Leadership&) const = default;
};

struct LeaseFollowerOptions {
  std::string ns = "kube-system";
  std::string name = "kube-scheduler";
  std::string identity;  // our host name
  // kube-scheduler's --leader-elect-renew-deadline: it stops leading so long after its last
  // renewal.
  Duration renew_deadline = std::chrono::seconds(10);
};

// Pure part: from one observation of the Lease to what it allows.
class LeaseView {
 public:
  explicit LeaseView(LeaseFollowerOptions options) : options_(std::move(options)) {}
  // The Lease as seen now. A record equal to the last one is no news and prolongs nothing.
  void Observe(const LeaseRecord& record, WallTime now, MonoTime mono);
  void ObserveDeleted();
  Leadership At(MonoTime now) const;
  // When At changes by time alone; MonoTime::max() if never.
  MonoTime NextChange(MonoTime now) const;

 private:
  LeaseFollowerOptions options_;
  bool present_ = false;
  LeaseRecord record_;
  MonoTime lease_end_{};  // local observation + leaseDurationSeconds (spec/scheduler.md 11)
  MonoTime until_{};
};

class LeaseFollower {
 public:
  // Called with every change of leader, term or holder, and first once the Lease (or its absence)
  // is known.
  using OnChange = std::function<void(const Leadership&)>;
  LeaseFollower(Client& client, Executor& executor, LeaseFollowerOptions options,
                OnChange on_change);
  ~LeaseFollower();
  // Any thread; renewals move `until` here without a call of OnChange.
  Leadership current() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

struct LeaseHolderOptions {
  std::string ns;
  std::string name;
  std::string identity;  // unique per process: "<host>_<random>"
  Duration duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry = std::chrono::seconds(2);
};

class LeaseHolder {
 public:
  using OnChange = std::function<void(const Leadership&)>;
  LeaseHolder(Client& client, Executor& executor, LeaseHolderOptions options, OnChange on_change);
  ~LeaseHolder();  // gives the Lease back, waiting at most 6 s; not on the Loop's thread
  Leadership current() const;  // any thread

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::kube
