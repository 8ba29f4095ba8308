#include "services/node/cluster_view.h"

#include <utility>

#include "base/log.h"
#include "domain/protocol/objects.h"

namespace hami::node {

bool OlderVersion(const std::string& a, const std::string& b) {
  auto decimal = [](const std::string& s) {
    return !s.empty() && s.find_first_not_of("0123456789") == std::string::npos;
  };
  if (!decimal(a) || !decimal(b)) return false;
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

void PodTable::OnListBegin() {
  listing_ = true;
  seen_.clear();
}

void PodTable::OnUpsert(std::string_view object_json) {
  auto pod = protocol::DecodePod(object_json);
  if (!pod) {
    LOG(kWarn, "a Pod of this node cannot be read").Kv("error", pod.error().message);
    return;
  }
  if (listing_) seen_.insert(pod->uid);
  Put(*std::move(pod));
}

void PodTable::Learn(std::string_view object_json) {
  if (auto pod = protocol::DecodePod(object_json)) Put(*std::move(pod));
}

void PodTable::Put(Pod pod) {
  auto it = pods_.find(pod.uid);
  if (it != pods_.end() && OlderVersion(pod.resource_version, it->second.resource_version)) return;
  const std::string uid = pod.uid;
  pods_.insert_or_assign(uid, std::move(pod));
  changed_();
}

void PodTable::OnDelete(std::string_view object_json) {
  auto pod = protocol::DecodePod(object_json);
  if (pod) Forget(pod->uid);
}

void PodTable::Forget(const std::string& uid) {
  if (pods_.erase(uid) > 0) changed_();
}

void PodTable::OnListEnd() {
  if (listing_) std::erase_if(pods_, [this](const auto& e) { return !seen_.contains(e.first); });
  listing_ = false;
  synced_ = true;
  changed_();
}

void PodTable::OnStale(Duration) {
  // What is known stays usable: every write is guarded by uid, and Allocate asks the API server
  // when it finds no Pod.
}

const Pod* PodTable::ByUid(const std::string& uid) const {
  auto it = pods_.find(uid);
  return it == pods_.end() ? nullptr : &it->second;
}

const Pod* PodTable::ByKey(const PodKey& key) const {
  for (const auto& [uid, pod] : pods_) {
    if (pod.key == key) return &pod;
  }
  return nullptr;
}

void NodeView::Learn(std::string_view object_json) {
  auto node = protocol::DecodeNode(object_json);
  if (!node) {
    LOG(kWarn, "this Node cannot be read").Kv("error", node.error().message);
    return;
  }
  if (node->uid == node_.uid && OlderVersion(node->resource_version, node_.resource_version)) {
    return;
  }
  node_ = *std::move(node);
  synced_ = true;
  changed_();
}

void NodeView::OnDelete(std::string_view) {
  node_ = {};
  synced_ = false;
}

void NodeView::OnListEnd() {}

}  // namespace hami::node
