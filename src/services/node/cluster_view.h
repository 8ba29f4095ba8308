// What the API server says about this node: its Pods and itself, kept by watches.
//
// Both live on the service's state executor and are touched by nobody else.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "domain/model/pod.h"
#include "platform/kube/reflector.h"

namespace hami::node {

// Pods with spec.nodeName = this node.
class PodTable final : public kube::Observer {
 public:
  // Called after every change.
  explicit PodTable(std::function<void()> changed) : changed_(std::move(changed)) {}

  void OnListBegin() override;
  void OnUpsert(std::string_view object_json) override;
  void OnDelete(std::string_view object_json) override;
  void OnListEnd() override;
  void OnStale(Duration since) override;

  // What an answer to a patch or get of ours says: as good as an event, unless the watch told more
  // already.
  void Learn(std::string_view object_json);
  // The API server says there is no such Pod.
  void Forget(const std::string& uid);

  bool synced() const { return synced_; }
  const std::map<std::string, Pod>& pods() const { return pods_; }  // by uid
  const Pod* ByUid(const std::string& uid) const;
  const Pod* ByKey(const PodKey& key) const;

 private:
  void Put(Pod pod);

  std::function<void()> changed_;
  std::map<std::string, Pod> pods_;
  std::set<std::string> seen_;  // during a list
  bool listing_ = false;
  bool synced_ = false;
};

// This node.
class NodeView final : public kube::Observer {
 public:
  explicit NodeView(std::function<void()> changed) : changed_(std::move(changed)) {}

  void OnListBegin() override {}
  void OnUpsert(std::string_view object_json) override { Learn(object_json); }
  void OnDelete(std::string_view object_json) override;
  void OnListEnd() override;
  void OnStale(Duration) override {}

  void Learn(std::string_view object_json);
  bool synced() const { return synced_; }
  const Node& node() const { return node_; }

 private:
  std::function<void()> changed_;
  Node node_;
  bool synced_ = false;
};

// True when resource version `a` is older than `b`; both opaque to us but decimal in every server
// that exists, and unlike texts compare as "not older".
bool OlderVersion(const std::string& a, const std::string& b);

}  // namespace hami::node
