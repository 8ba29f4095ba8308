// NodeService: one vendor's cards of one node, offered to kubelet and registered in the cluster.
//
//   driver threads --cards, events--> |              | --> register annotation (Registrar)
//   watch of Pods and Node ---------> | state thread | --> device list (ResourceEndpoint)
//   kubelet's Allocate -------------> |              | --> answers, annotations, lock
//
// Everything but the driver's and gRPC's own threads runs on one state executor. The constructor
// starts, the destructor ends calls in flight and stops. Queries answer on that executor.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/fs.h"
#include "base/result.h"
#include "platform/driver/node_setup.h"
#include "platform/kube/client.h"
#include "services/node/allocator.h"
#include "services/node/node_api.h"
#include "services/node/settings.h"

namespace hami::node {

class NodeService {
 public:
  // Installs the host's files and, with fail_on_init_error, makes sure that the driver answers.
  // Errors: what went wrong, in words for the Pod's log.
  static Result<std::unique_ptr<NodeService>> Start(FileSystem& fs, kube::Client& client,
                                                    NodeFlags flags, driver::VendorSetup setup,
                                                    MakeLimits make_limits);
  ~NodeService();

  // The files have changed to something that is not used ("" = no longer): metric and Event tell.
  void SetConfigError(std::string error);

  struct Readiness {
    bool ready = false;
    std::vector<std::string> reasons;  // why not
  };
  // Answers come on the state executor.
  void AskReadiness(std::function<void(Readiness)> done);
  void AskMetrics(std::function<void(std::string)> done);      // Prometheus text
  void AskAllocations(std::function<void(std::string)> done);  // JSON

 private:
  struct Impl;
  explicit NodeService(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hami::node
