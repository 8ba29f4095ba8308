// NodeApi: the few things the node service asks of the API server, so that tests can stand in for
// it.
//
// Asynchronous: `done` runs on the service's state executor, exactly once.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "domain/model/pod.h"

namespace hami::node {

// The object that an Event is about.
struct EventTarget {
  std::string kind;  // "Pod" or "Node"
  std::string ns;
  std::string name;
  std::string uid;
};

class NodeApi {
 public:
  using Done = std::function<void(Result<std::string>)>;  // the object's JSON

  virtual ~NodeApi() = default;
  virtual void PatchPod(const PodKey& pod, std::string merge_patch, Done done) = 0;
  virtual void GetPod(const PodKey& pod, Done done) = 0;
  virtual void PatchNode(std::string merge_patch, Done done) = 0;
  virtual void GetNode(Done done) = 0;
  // Best effort; repeated ones are counted, not repeated.
  virtual void EmitEvent(const EventTarget& about, bool warning, std::string_view reason,
                         std::string_view message) = 0;
  // From here on no `done` runs.
  virtual void Detach() = 0;
};

}  // namespace hami::node
