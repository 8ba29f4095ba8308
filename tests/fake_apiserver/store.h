// Store: Kubernetes objects in memory with resource versions and a history for watches.
//
// Part of the fake API server. Thread-safe. Objects are JSON trees; nothing is defaulted or
// validated beyond what clients can tell: names, uids, resource versions, preconditions.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hami::fake {

// "/api/v1/namespaces/a/pods/b/binding" taken apart.
struct ResourcePath {
  std::string group_version;  // "v1", "coordination.k8s.io/v1"
  std::string resource;       // "pods"
  std::string ns;             // "" = cluster scope or all namespaces
  std::string name;
  std::string subresource;
};
std::optional<ResourcePath> ParseResourcePath(std::string_view path);

struct StatusError {
  int code = 500;
  std::string reason;
  std::string message;
};
template <class T>
using StatusOr = tl::expected<T, StatusError>;

// Equality terms of a field or label selector, already decoded: "spec.nodeName=n1,app!=x".
class Selector {
 public:
  static Selector Fields(std::string_view text);
  static Selector Labels(std::string_view text);
  bool Matches(const Json& object) const;

 private:
  struct Term {
    std::string key;
    std::string value;
    bool negated = false;
    bool exists = false;  // only presence matters
  };
  static Selector Parse(std::string_view text, bool labels);
  bool labels_ = false;
  std::vector<Term> terms_;
};

struct Change {
  int64_t version = 0;
  std::string group_version, resource, ns;
  std::optional<Json> before;
  std::optional<Json> after;  // absent: deleted; `before` then carries the new version
};

class Store {
 public:
  StatusOr<Json> Create(const ResourcePath& at, Json object);
  StatusOr<Json> Get(const ResourcePath& at) const;
  StatusOr<Json> Replace(const ResourcePath& at, Json object);
  StatusOr<Json> MergePatch(const ResourcePath& at, const Json& patch);
  StatusOr<Json> Delete(const ResourcePath& at, const Json& options);
  // The API server's rules: uid and resourceVersion preconditions, not twice, not while deleting;
  // annotations of the Binding go onto the Pod together with the node name.
  StatusOr<Json> Bind(const ResourcePath& pod, const Json& binding);

  struct Page {
    std::vector<Json> items;
    int64_t version = 0;
    std::string continue_token;
  };
  // A token stays good until Compact; pages come from one snapshot.
  StatusOr<Page> List(const ResourcePath& at, const Selector& fields, const Selector& labels,
                      size_t limit, const std::string& continue_token);

  int64_t version() const;
  // Watches and list tokens from before now are gone (410).
  void Compact();
  bool Compacted(int64_t version) const;
  // Changes after `version`, waiting until there is one, `wake()` was called or the deadline comes.
  std::vector<Change> WaitChanges(int64_t after, std::chrono::steady_clock::time_point deadline,
                                  uint64_t* wakes);
  void Wake();

 private:
  using Key =
      std::tuple<std::string, std::string, std::string, std::string>;  // gv, resource, ns, name
  static Key KeyOf(const ResourcePath& at) {
    return {at.group_version, at.resource, at.ns, at.name};
  }
  Json* Lookup(const ResourcePath& at);
  Json Commit(const ResourcePath& at, std::optional<Json> before, Json after);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, Json> objects_;
  std::deque<Change> history_;
  int64_t version_ = 100;
  int64_t compacted_ = 0;
  uint64_t wakes_ = 0;
  struct Snapshot {
    std::vector<Json> rest;
    int64_t version = 0;
  };
  std::map<std::string, Snapshot> snapshots_;
  int next_token_ = 1;
  int next_uid_ = 1;
};

// RFC 7396.
void ApplyMergePatch(Json& target, const Json& patch);

}  // namespace hami::fake
