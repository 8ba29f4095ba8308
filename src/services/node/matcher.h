// Matcher: which Pod's container an Allocate call is for. Kubelet names none
// (spec/device-plugin.md 18.2). Pure, any thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "domain/model/pod.h"
#include "domain/protocol/node_lock.h"
#include "services/node/journal.h"
#include "services/node/pod_shares.h"

namespace hami::node {

using ContainerRef = std::pair<std::string, std::string>;  // Pod uid, container name

struct MatchInput {
  const std::map<std::string, Pod>& pods;  // of this node, by uid
  const std::map<ContainerRef, Record>& records;
  const VendorWords& words;
  std::string node;
  protocol::NodeLock lock;
  // Ids proposed a moment ago, and for whom; sorted.
  std::map<std::vector<std::string>, ContainerRef> tickets;
  // Containers answered again in the last minute: a kubelet that lost its checkpoint asks for one
  // after the other.
  std::set<ContainerRef> repeated;
};

struct Match {
  const Pod* pod = nullptr;
  size_t container = 0;
  std::vector<DeviceShare> shares;
  bool repeat = false;  // answered before; nothing is consumed again
};

// `ids` as kubelet gave them, sorted. Order of preference: the container they were proposed for,
// the lock's owner, the oldest Pod, the lowest allocation-seq. Nothing: no Pod waits for so many
// cards.
std::optional<Match> MatchAllocation(const MatchInput& input, const std::vector<std::string>& ids);
// For GetPreferredAllocation: the same without ids.
std::optional<Match> MatchPreference(const MatchInput& input, size_t count);

// The next container of the Pod to be served: its entry is pending and it has no record.
std::optional<size_t> NextContainer(const Pod& pod, const PodCards& cards,
                                    const std::map<ContainerRef, Record>& records);

// True when the Pod was bound by the scheduler and waits for its cards on this node.
bool AwaitsCards(const Pod& pod, const std::string& node);

// A Pod of this node that asks for cards and has no decision: bound by hand, static, or by a
// scheduler without us. The only such Pod, if there is exactly one.
const Pod* UndecidedPod(const MatchInput& input, size_t count);

}  // namespace hami::node
