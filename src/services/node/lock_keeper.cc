#include "services/node/lock_keeper.h"

#include <utility>

#include "base/log.h"
#include "domain/protocol/bind_state.h"
#include "domain/protocol/names.h"
#include "platform/kube/objects.h"

namespace hami::node {
namespace {

// A lock is taken before its Pod is bound, so a holder that is not ours yet is normal for a while.
constexpr Duration kUnknownHolder = std::chrono::seconds(10);
constexpr Duration kAskAgain = std::chrono::seconds(30);

bool Through(const Pod& pod) {
  const auto phase = protocol::ReadBindState(pod).phase;
  return pod.Finished() || phase == protocol::BindPhase::kSuccess ||
         phase == protocol::BindPhase::kFailed;
}

}  // namespace

void LockKeeper::Reconcile() {
  if (in_flight_ || waiting_ || !view_.synced() || !pods_.synced()) return;
  const protocol::NodeLock lock = protocol::ReadNodeLock(view_.node());
  // Bare and malformed locks name nobody: the scheduler's expiry deals with them.
  if (lock.form != protocol::LockForm::kOwned) return;
  const Pod* pod = pods_.ByKey(lock.holder);
  if (pod && protocol::HeldBy(lock, pod->key, pod->uid)) {
    if (Through(*pod)) Release(lock, pod->uid);
    return;
  }
  AskForHolder(lock);
}

void LockKeeper::Release(const protocol::NodeLock& lock, const std::string& uid) {
  const kube::MetadataPatch patch{
      .annotations = {{std::string(protocol::kMutexLock), std::nullopt},
                      {std::string(protocol::kMutexOwnerUid), std::nullopt}},
      .labels = {},
      .resource_version = view_.node().resource_version,
      .uid = ""};
  in_flight_ = true;
  api_.PatchNode(
      kube::MetadataPatchBody(patch), [this, uid, holder = lock.holder](Result<std::string> node) {
        in_flight_ = false;
        if (node) {
          ++releases_;
          backoff_.Reset();
          LOG(kInfo, "Node lock released").Kv("pod", holder.Text());
          if (!uid.empty()) released_(uid);
          view_.Learn(*node);
          return;
        }
        if (node.error().code != Code::kConflict) {
          LOG(kWarn, "node lock not released, retrying").Kv("error", node.error().message);
        }
        Reread();
      });
}

void LockKeeper::AskForHolder(const protocol::NodeLock& lock) {
  const MonoTime now = executor_.clock().Mono();
  if (lock.raw != unknown_raw_) {
    unknown_raw_ = lock.raw;
    ask_at_ = now + kUnknownHolder;
  }
  if (now < ask_at_) {
    if (std::exchange(ask_timer_, true)) return;
    executor_.PostAt(ask_at_, [this] {
      ask_timer_ = false;
      Reconcile();
    });
    return;
  }
  ask_at_ = now + kAskAgain;
  in_flight_ = true;
  api_.GetPod(lock.holder, [this, lock](Result<std::string> pod) {
    in_flight_ = false;
    const bool same = protocol::ReadNodeLock(view_.node()).raw == lock.raw;
    if (same && !pod && pod.error().code == Code::kNotFound) return Release(lock, "");
    // It lives, elsewhere or unbound: the scheduler's affair. Reconcile asks again when it is due.
    Reconcile();
  });
}

void LockKeeper::RetryLater() {
  waiting_ = true;
  executor_.PostAfter(backoff_.Next(), [this] {
    waiting_ = false;
    Reconcile();
  });
}

void LockKeeper::Reread() {
  in_flight_ = true;
  api_.GetNode([this](Result<std::string> node) {
    in_flight_ = false;
    if (node) view_.Learn(*node);
    RetryLater();
  });
}

}  // namespace hami::node
