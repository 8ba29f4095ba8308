#include "services/scheduler/bind_queue.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/log.h"

namespace hami::scheduler {
namespace {

// Resource versions of one object compare as numbers (Kubernetes documents this from 1.35; every
// etcd-backed server has always done so). Text that is no number counts as newer.
bool Older(const std::string& a, const std::string& b) {
  uint64_t x = 0;
  uint64_t y = 0;
  auto parse = [](const std::string& s, uint64_t& out) {
    auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), out);
    return ec == std::errc() && end == s.data() + s.size();
  };
  return parse(a, x) && parse(b, y) && x < y;
}

}  // namespace

BindQueue::BindQueue(Executor& executor, BindPort& port, BindQueueOptions options)
    : executor_(executor), port_(port), options_(options) {}

BindQueue::~BindQueue() {
  alive_.reset();
  for (auto& [node, lane] : lanes_) {
    if (lane.timer != 0) executor_.Cancel(lane.timer);
    for (BindJob& job : lane.jobs) {
      job.done(Fail(Code::kCancelled, "bind " + job.pod.Text() + ": the scheduler is stopping"));
    }
  }
}

void BindQueue::Submit(BindJob job) {
  if (Contains(job.uid)) {
    job.done(Fail(Code::kAlreadyExists, "bind " + job.pod.Text() + ": already under way"));
    return;
  }
  std::string node = job.node;
  lanes_[node].jobs.push_back(std::move(job));
  Pump(node);
}

void BindQueue::Accept(Lane& lane, LockView view) {
  if (lane.view && Older(view.resource_version, lane.view->resource_version)) return;
  if (!lane.view || lane.view->lock.raw != view.lock.raw) {
    lane.lock_first_seen = executor_.clock().Now();
    lane.lock_seen_at = executor_.clock().Mono();
  }
  lane.view = std::move(view);
}

void BindQueue::Observe(const std::string& node, LockView view) {
  Accept(lanes_[node], std::move(view));
  Pump(node);
}

void BindQueue::Forget(const std::string& node) {
  auto it = lanes_.find(node);
  if (it == lanes_.end()) return;
  Lane lane = std::move(it->second);
  lanes_.erase(it);
  if (lane.timer != 0) executor_.Cancel(lane.timer);
  for (BindJob& job : lane.jobs) {
    job.done(Fail(Code::kNotFound, "node \"" + node + "\" not found"));
  }
}

void BindQueue::HoldersChanged() {
  std::vector<std::string> nodes;
  for (const auto& [node, lane] : lanes_) {
    if (!lane.jobs.empty()) nodes.push_back(node);
  }
  for (const auto& node : nodes) Pump(node);
}

size_t BindQueue::waiting() const {
  size_t n = 0;
  for (const auto& [node, lane] : lanes_) n += lane.jobs.size();
  return n;
}

bool BindQueue::Contains(std::string_view uid) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& entry) {
    const auto& jobs = entry.second.jobs;
    return std::any_of(jobs.begin(), jobs.end(), [&](const BindJob& j) { return j.uid == uid; });
  });
}

void BindQueue::Finish(Lane& lane, const std::string& uid, Result<void> result) {
  auto it = std::find_if(lane.jobs.begin(), lane.jobs.end(),
                         [&](const BindJob& j) { return j.uid == uid; });
  if (it == lane.jobs.end()) return;
  BindJob job = std::move(*it);
  lane.jobs.erase(it);
  job.done(std::move(result));
}

bool BindQueue::Stale(const std::string& node, const Lane& lane) const {
  const protocol::NodeLock& lock = lane.view->lock;
  Duration seen_for = executor_.clock().Mono() - lane.lock_seen_at;
  if (protocol::LockExpired(lock, lane.lock_first_seen, executor_.clock().Now(),
                            options_.lock_timeout)) {
    return true;
  }
  if (lock.form != protocol::LockForm::kOwned) return false;
  switch (port_.StateOf(node, lock)) {
    case HolderState::kWaiting:
      return false;
    case HolderState::kOver:
      return true;
    case HolderState::kUnbound:
      return seen_for >= options_.orphan_after;
    case HolderState::kMoved:
      return seen_for >= options_.moved_after;
    case HolderState::kUnknown:
      return seen_for >= options_.unknown_after;
  }
  return false;
}

// Jobs behind the front give up at their deadline; the front one only while nothing is under way.
void BindQueue::DropOverdue(const std::string& node, Lane& lane) {
  MonoTime now = executor_.clock().Mono();
  std::vector<std::string> overdue;
  for (size_t i = lane.busy ? 1 : 0; i < lane.jobs.size(); ++i) {
    if (lane.jobs[i].deadline <= now) overdue.push_back(lane.jobs[i].uid);
  }
  for (const auto& uid : overdue) {
    std::string text = protocol::ContentionText(node, options_.lock_timeout);
    if (lane.view && !lane.view->lock.problem.empty()) text += " (" + lane.view->lock.problem + ")";
    if (lane.view && !lane.view->lock.holder.name.empty()) {
      text += " (held by " + lane.view->lock.holder.Text() + ")";
    }
    Finish(lane, uid, Fail(Code::kResourceExhausted, std::move(text)));
  }
}

bool BindQueue::HolderFirst(Lane& lane) {
  auto holder = std::find_if(lane.jobs.begin(), lane.jobs.end(), [&](const BindJob& job) {
    return protocol::HeldBy(lane.view->lock, job.pod, job.uid);
  });
  if (holder == lane.jobs.end()) return false;
  std::rotate(lane.jobs.begin(), holder, holder + 1);
  return true;
}

void BindQueue::Arm(const std::string& node, Lane& lane) {
  if (lane.timer != 0) executor_.Cancel(lane.timer);
  lane.timer = executor_.PostAfter(options_.recheck, Guard([this, node] {
                                     if (auto it = lanes_.find(node); it != lanes_.end()) {
                                       Lane& due = it->second;
                                       due.timer = 0;
                                       due.reread = due.reread || !due.refused_version.empty();
                                       Pump(node);
                                     }
                                   }));
}

void BindQueue::Pump(const std::string& node) {
  auto it = lanes_.find(node);
  if (it == lanes_.end()) return;
  Lane& lane = it->second;
  DropOverdue(node, lane);
  if (lane.busy || lane.jobs.empty()) return;
  Arm(node, lane);
  if (!lane.view || lane.reread) {
    lane.busy = true;
    lane.reread = false;
    lane.refused_version.clear();
    port_.ReadLock(node, Guard([this, node](Result<LockView> read) {
                     auto at = lanes_.find(node);
                     if (at == lanes_.end()) return;
                     at->second.busy = false;
                     if (!read) {
                       Finish(at->second, at->second.jobs.front().uid, Fail(read.error()));
                     } else {
                       Accept(at->second, std::move(*read));
                     }
                     Pump(node);
                   }));
    return;
  }
  const protocol::NodeLock& lock = lane.view->lock;
  if (lock.form == protocol::LockForm::kNone) return TakeFor(node, lane);
  if (HolderFirst(lane)) return Post(node);
  if (!Stale(node, lane) || lane.view->resource_version == lane.refused_version) return;
  LOG(kInfo, "stale node lock released").Kv("node", node).Kv("lock", lock.raw);
  lane.busy = true;
  port_.ReleaseLock(node, *lane.view, Guard([this, node](Result<LockView> after) {
                      auto at = lanes_.find(node);
                      if (at == lanes_.end()) return;
                      at->second.busy = false;
                      if (after) {
                        Accept(at->second, std::move(*after));
                        Pump(node);
                      } else {
                        at->second.refused_version = at->second.view->resource_version;
                      }
                    }));
}

void BindQueue::TakeFor(const std::string& node, Lane& lane) {
  if (lane.view->resource_version == lane.refused_version) return;
  lane.busy = true;
  std::string version = lane.view->resource_version;
  port_.TakeLock(
      lane.jobs.front(), *lane.view, Guard([this, node, version](Result<LockView> taken) {
        auto at = lanes_.find(node);
        if (at == lanes_.end()) return;
        Lane& now = at->second;
        now.busy = false;
        if (taken) {
          Accept(now, std::move(*taken));
          return Post(node);
        }
        if (taken.error().code == Code::kConflict) {
          now.refused_version = version;  // the watch brings a newer one
          return Pump(node);
        }
        Finish(now, now.jobs.front().uid, Fail(Error(taken.error()).With("lock node " + node)));
        Pump(node);
      }));
}

void BindQueue::Post(const std::string& node) {
  Lane& lane = lanes_.at(node);
  if (lane.jobs.empty()) return;
  lane.busy = true;
  std::string uid = lane.jobs.front().uid;
  port_.PostBinding(lane.jobs.front(), Guard([this, node, uid](Result<void> bound) {
                      Bound(node, uid, std::move(bound));
                    }));
}

void BindQueue::Bound(const std::string& node, const std::string& uid, Result<void> result) {
  auto at = lanes_.find(node);
  if (at == lanes_.end()) return;
  Lane& lane = at->second;
  lane.busy = false;
  if (result) {
    Finish(lane, uid, {});
    return Pump(node);
  }
  // Our lock must not outlive a bind that failed; the caller hears of it when the lock is free
  // again.
  lane.busy = true;
  LockView held = *lane.view;
  port_.ReleaseLock(node, held,
                    Guard([this, node, uid, result = std::move(result)](Result<LockView> after) {
                      auto found = lanes_.find(node);
                      if (found == lanes_.end()) return;
                      found->second.busy = false;
                      if (after) {
                        Accept(found->second, std::move(*after));
                      } else {
                        LOG(kWarn, "node lock not released after a failed bind")
                            .Kv("node", node)
                            .Kv("error", after.error().message);
                      }
                      Finish(found->second, uid, result);
                      Pump(node);
                    }));
}

}  // namespace hami::scheduler
