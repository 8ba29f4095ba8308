#include "services/node/registrar.h"

#include <utility>

#include "base/log.h"
#include "platform/kube/objects.h"

namespace hami::node {

void Registrar::Want(std::string key, std::string value) {
  wanted_.insert_or_assign(std::move(key), std::move(value));
  Reconcile();
}

void Registrar::Leave(std::string key, std::string value) {
  leaving_ = true;
  waiting_ = false;
  wanted_ = {{std::move(key), std::move(value)}};
  Reconcile();
}

bool Registrar::in_step() const {
  return view_.synced() && !wanted_.empty() && Difference().empty();
}

void Registrar::Reconcile() {
  if (in_flight_ || waiting_ || !view_.synced()) return;
  std::map<std::string, std::string> difference = Difference();
  if (!difference.empty()) Patch(std::move(difference));
}

std::map<std::string, std::string> Registrar::Difference() const {
  std::map<std::string, std::string> difference;
  for (const auto& [key, value] : wanted_) {
    if (leaving_ && !view_.node().annotations.contains(key)) continue;
    if (view_.node().Annotation(key) != value) difference.emplace(key, value);
  }
  return difference;
}

void Registrar::Patch(std::map<std::string, std::string> difference) {
  kube::MetadataPatch patch;
  for (auto& [key, value] : difference) patch.annotations.emplace(key, std::move(value));
  if (leaving_) patch.resource_version = view_.node().resource_version;
  in_flight_ = true;
  api_.PatchNode(kube::MetadataPatchBody(patch), [this](Result<std::string> node) {
    in_flight_ = false;
    if (node) {
      ++patches_;
      backoff_.Reset();
      LOG(kInfo, "node annotations written").Kv("patches", patches_);
      view_.Learn(*node);  // Reconcile follows from there
      return;
    }
    ++failures_;
    const Duration wait = backoff_.Next();
    LOG(kWarn, "node annotations not written, retrying").Kv("error", node.error().message);
    waiting_ = true;
    executor_.PostAfter(wait, [this] {
      waiting_ = false;
      Reconcile();
    });
  });
}

}  // namespace hami::node
