// Registrar: keeps the node's annotations as they should be (spec/device-plugin.md 5, 18.3).
//
// Level-triggered: compares what is wanted with what the watch shows and patches the difference, so
// an annotation that somebody deleted or changed comes back, a patch that failed is tried again (1
// s to 60 s), and a healthy node is never written. Lives on the state executor.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/executor.h"
#include "services/node/backoff.h"
#include "services/node/cluster_view.h"
#include "services/node/node_api.h"

namespace hami::node {

class Registrar {
 public:
  Registrar(Executor& executor, NodeApi& api, NodeView& view)
      : executor_(executor), api_(api), view_(view) {}

  void Want(std::string key, std::string value);
  // The last wish, instead of all others: `value`, unless somebody removed `key` (a node that was
  // cleaned stays clean: the patch holds for the version of the node that was seen).
  void Leave(std::string key, std::string value);
  void Reconcile();

  uint64_t patches() const { return patches_; }
  uint64_t failures() const { return failures_; }
  bool in_step() const;

 private:
  std::map<std::string, std::string> Difference() const;
  void Patch(std::map<std::string, std::string> difference);

  Executor& executor_;
  NodeApi& api_;
  NodeView& view_;
  std::map<std::string, std::string> wanted_;
  bool leaving_ = false;
  bool in_flight_ = false;
  bool waiting_ = false;  // for the next try
  Backoff backoff_{std::chrono::seconds(1), std::chrono::seconds(60)};
  uint64_t patches_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace hami::node
