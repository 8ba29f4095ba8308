#include "services/node/pod_sync.h"

#include <utility>

#include "base/log.h"
#include "domain/protocol/bind_state.h"
#include "domain/protocol/names.h"
#include "domain/protocol/objects.h"
#include "platform/kube/objects.h"

namespace hami::node {

std::map<std::string, std::string> PodSync::Difference(const Pod& pod) const {
  std::map<std::string, std::string> out;
  const auto phase = protocol::ReadBindState(pod).phase;
  const bool undecided = phase == protocol::BindPhase::kAllocating;
  // Kubelet refused it, or it ended before it was served: nobody will ask for its cards any more.
  if ((failed_.contains(pod.uid) && phase != protocol::BindPhase::kFailed) ||
      (undecided && pod.Finished())) {
    out.emplace(protocol::kBindPhase, protocol::kPhaseFailed);
    return out;
  }
  if (failed_.contains(pod.uid) || phase == protocol::BindPhase::kNone) return out;
  auto cards = ReadPodCards(pod, words_);
  if (!cards) return out;
  std::vector<bool> served;
  for (const Container& c : pod.containers) {
    const Record* record = journal_.Find(pod.uid, c.name);
    served.push_back(record && record->step >= Step::kCommitted);
  }
  const std::string a = ToAllocateAfter(*cards, served);
  if (a != ToAllocateAfter(*cards, std::vector<bool>(served.size()))) {
    out.emplace(words_.keys.to_allocate, a);
  }
  if (undecided && NothingToAllocate(pod, words_.keys.to_allocate, a)) {
    out.emplace(protocol::kBindPhase, protocol::kPhaseSuccess);
  }
  return out;
}

void PodSync::Sync(const std::string& uid, Done done) {
  work_[uid].waiters.push_back(std::move(done));
  Step(uid);
}

void PodSync::MarkFailed(const std::string& uid, Done done) {
  failed_.insert(uid);
  Sync(uid, std::move(done));
}

void PodSync::Reconcile() {
  std::erase_if(failed_,
                [this](const std::string& uid) { return pods_.synced() && !pods_.ByUid(uid); });
  std::vector<std::string> uids;
  for (const auto& [uid, pod] : pods_.pods()) {
    if (!work_.contains(uid) && !Difference(pod).empty()) uids.push_back(uid);
  }
  for (const std::string& uid : uids) Sync(uid, [] {});
}

void PodSync::Step(const std::string& uid) {
  Work& work = work_[uid];
  if (work.in_flight || work.waiting) return;
  const Pod* pod = pods_.ByUid(uid);
  const auto difference = pod ? Difference(*pod) : std::map<std::string, std::string>{};
  if (difference.empty()) return Finish(uid);
  Patch(*pod, difference);
}

void PodSync::Finish(const std::string& uid) {
  const std::vector<Done> waiters = std::move(work_[uid].waiters);
  work_.erase(uid);
  applied_(uid);
  for (const Done& done : waiters) done();
}

void PodSync::Patch(const Pod& pod, const std::map<std::string, std::string>& difference) {
  kube::MetadataPatch patch{
      .annotations = {}, .labels = {}, .resource_version = "", .uid = pod.uid};
  for (const auto& [key, value] : difference) patch.annotations.emplace(key, value);
  const std::string uid = pod.uid;
  work_[uid].in_flight = true;
  api_.PatchPod(pod.key, kube::MetadataPatchBody(patch), [this, uid](Result<std::string> answer) {
    Work& work = work_[uid];
    work.in_flight = false;
    if (answer) {
      pods_.Learn(*answer);
      return Step(uid);  // in step now, or something was added meanwhile
    }
    if (answer.error().code == Code::kNotFound) {
      pods_.Forget(uid);
      return Step(uid);
    }
    LOG(kWarn, "Pod annotations not written, retrying").Kv("error", answer.error().message);
    // The real API server answers a patch for another uid with 422, not 409.
    const Code code = answer.error().code;
    if (code == Code::kConflict || code == Code::kInvalidArgument) return Reread(uid);
    Wait(uid);
  });
}

void PodSync::Wait(const std::string& uid) {
  Work& work = work_[uid];
  work.waiting = true;
  executor_.PostAfter(work.backoff.Next(), [this, uid] {
    work_[uid].waiting = false;
    Step(uid);
  });
}

// A conflict is either another Pod of the same name or a server under load: look which.
void PodSync::Reread(const std::string& uid) {
  const Pod* pod = pods_.ByUid(uid);
  if (!pod) return Step(uid);
  work_[uid].in_flight = true;
  api_.GetPod(pod->key, [this, uid](Result<std::string> answer) {
    work_[uid].in_flight = false;
    const bool gone = !answer && answer.error().code == Code::kNotFound;
    if (gone || (answer && protocol::DecodePod(*answer).value_or(Pod{}).uid != uid)) {
      pods_.Forget(uid);
      return Step(uid);
    }
    if (answer) pods_.Learn(*answer);
    Wait(uid);
  });
}

}  // namespace hami::node
