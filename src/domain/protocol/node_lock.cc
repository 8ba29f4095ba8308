#include "domain/protocol/node_lock.h"

#include <algorithm>

#include "base/duration.h"
#include "domain/protocol/names.h"
#include "domain/protocol/time_text.h"

namespace hami::protocol {
namespace {

NodeLock Malformed(std::string_view value, std::string problem) {
  return {.form = LockForm::kMalformed,
          .raw = std::string(value),
          .taken = std::nullopt,
          .holder = {},
          .holder_uid = {},
          .problem = std::move(problem)};
}

}  // namespace

NodeLock ParseNodeLock(std::string_view value, std::string_view owner_uid) {
  if (value.empty()) return {};
  auto commas = std::ranges::count(value, ',');
  size_t first = value.find(',');
  std::string_view time_text = value.substr(0, first);
  if (commas != 0 && commas != 2) {
    return Malformed(value, "malformed lock annotation: expected 3 parts, got " +
                                std::to_string(commas + 1) + " from " + std::string(value));
  }
  auto taken = ParseRfc3339(time_text);
  if (!taken) {
    return Malformed(value, "malformed lock annotation: expected an RFC 3339 time, got \"" +
                                std::string(time_text) + "\" from " + std::string(value));
  }
  NodeLock lock{.form = LockForm::kBare,
                .raw = std::string(value),
                .taken = taken,
                .holder = {},
                .holder_uid = std::string(owner_uid),
                .problem = {}};
  if (commas == 0) return lock;
  size_t second = value.find(',', first + 1);
  lock.holder = {std::string(value.substr(first + 1, second - first - 1)),
                 std::string(value.substr(second + 1))};
  if (lock.holder.ns.empty() || lock.holder.name.empty()) {
    return Malformed(value, "malformed lock annotation: expected a namespace and a pod, got " +
                                std::string(value));
  }
  lock.form = LockForm::kOwned;
  return lock;
}

NodeLock ReadNodeLock(const Node& node) {
  return ParseNodeLock(node.Annotation(kMutexLock), node.Annotation(kMutexOwnerUid));
}

std::string FormatNodeLock(WallTime now, const PodKey& holder) {
  return FormatRfc3339(now) + "," + holder.ns + "," + holder.name;
}

Duration LockAge(const NodeLock& lock, WallTime first_seen, WallTime now) {
  return now - lock.taken.value_or(first_seen);
}

bool LockExpired(const NodeLock& lock, WallTime first_seen, WallTime now, Duration timeout) {
  return lock.form != LockForm::kNone && LockAge(lock, first_seen, now) > timeout;
}

bool HeldBy(const NodeLock& lock, const PodKey& pod, std::string_view uid) {
  if (lock.form != LockForm::kOwned || lock.holder != pod) return false;
  return lock.holder_uid.empty() || uid.empty() || lock.holder_uid == uid;
}

bool MayRelease(const NodeLock& lock, const PodKey& pod, std::string_view uid,
                std::string_view own_text) {
  if (lock.form == LockForm::kBare) return !own_text.empty() && lock.raw == own_text;
  return HeldBy(lock, pod, uid);
}

std::string ContentionText(std::string_view node, Duration timeout) {
  return "node " + std::string(node) + " has been locked within " + FormatDuration(timeout) +
         ": node lock contention";
}

}  // namespace hami::protocol
