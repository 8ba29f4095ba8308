// KubeApi: NodeApi over the real API server. Thread-safe; answers are posted to the executor given.
#pragma once

#include <memory>
#include <string>

#include "base/executor.h"
#include "platform/kube/client.h"
#include "services/node/node_api.h"

namespace hami::node {

// `client` and `executor` must outlive every call in flight.
std::unique_ptr<NodeApi> MakeKubeApi(kube::Client& client, Executor& executor,
                                     std::string node_name);

}  // namespace hami::node
