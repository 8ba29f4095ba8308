// Node lock: at most one Pod of a node between bind and its last Allocate (spec/protocol.md 5).
//
// Values and rules only: whoever reads and patches the Node brings the times. Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "domain/model/pod.h"

namespace hami::protocol {

inline constexpr Duration kNodeLockTimeout = std::chrono::minutes(5);

enum class LockForm : uint8_t {
  kNone,       // no annotation
  kOwned,      // "<time>,<namespace>,<pod>"
  kBare,       // "<time>": older schedulers
  kMalformed,  // anything else: a lock of unknown owner whose age counts from when we first saw it
};

struct NodeLock {
  LockForm form = LockForm::kNone;
  std::string raw;                // as written; a release is conditional on it
  std::optional<WallTime> taken;  // absent for kMalformed
  PodKey holder;                  // kOwned
  std::string holder_uid;  // hami.io/mutex.owner-uid; "" unknown. Means nothing without a lock
  std::string problem;     // kMalformed: "malformed lock annotation: expected 3 parts, got ..."
  bool operator==(const NodeLock&) const = default;
};

NodeLock ParseNodeLock(std::string_view value, std::string_view owner_uid = {});
NodeLock ReadNodeLock(const Node& node);
// "2026-06-14T15:05:03Z,default,pod-1"
std::string FormatNodeLock(WallTime now, const PodKey& holder);

// Age at `now`: from the time written, or for a malformed lock from `first_seen`. Negative for a
// lock from the future (clocks differ), which is valid.
Duration LockAge(const NodeLock& lock, WallTime first_seen, WallTime now);
bool LockExpired(const NodeLock& lock, WallTime first_seen, WallTime now, Duration timeout);

// True when the lock names this Pod. With both uids known they must agree: a recreated Pod of the
// same name does not inherit the lock.
bool HeldBy(const NodeLock& lock, const PodKey& pod, std::string_view uid);

// May this Pod's plugin, or its failed bind, clear the lock? By owner; a bare lock only by its
// exact text (what the caller itself wrote).
bool MayRelease(const NodeLock& lock, const PodKey& pod, std::string_view uid,
                std::string_view own_text = {});

// "node n1 has been locked within 5m0s: node lock contention"
std::string ContentionText(std::string_view node, Duration timeout);

}  // namespace hami::protocol
